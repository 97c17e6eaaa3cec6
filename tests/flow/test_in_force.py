"""Which text was in force for somebody on a day: the answer with the text itself, from the rows."""

from datetime import datetime

import pytest

from notifier.acceptance.accept import accept, record_explicit
from notifier.acceptance.baseline import import_baselines
from notifier.activity.record import record
from notifier.compliance.answer import Answer, text_in_force
from notifier.compliance.export import figures_csv
from notifier.compliance.report import campaign_report
from notifier.db import Db
from notifier.errors import NotFound
from tests.flow.story import DAY, POSTED, RULE, Somebody, Story, activity, begin, lines
from tests.flow.test_baselines import said
from tests.sites import a_site

SITE = a_site()
EFFECT = POSTED + 30 * DAY
DATE = POSTED + 31 * DAY


@pytest.fixture
async def story(db: Db) -> Story:
    """Version one, which nobody had to be told of, and version two, which is told; both with texts."""
    await begin(db, label="one", effective_at=POSTED - 200 * DAY)
    told = await begin(db, label="two")
    await told.sql(
        "INSERT INTO version_text SELECT version_id, locale, 'text/markdown', convert_to(label || locale, 'UTF8'),"
        " sha256(convert_to(label || locale, 'UTF8')) FROM version, unnest('{en,ja}'::text[]) AS locale"
    )
    return told


async def on(story: Story, who: Somebody, day: datetime) -> Answer:
    return await text_in_force(story.db, SITE, who, "privacy", day)


def label(answer: Answer) -> tuple[str, str] | None:
    return None if answer.found is None else (answer.found.version.label, answer.found.basis)


async def used(story: Story, *people: Somebody, at: datetime) -> None:
    await record(story.db, "kumo", lines(*(activity(who, at) for who in people)), at)
    while await accept(story.db, at):
        pass


async def test_use_after_the_notice_puts_the_new_text_in_force_from_that_use_on(story: Story) -> None:
    aoi = await story.person("aoi")
    await story.told(aoi)
    await used(story, aoi, at=DATE + 5 * DAY)
    before, after = await on(story, aoi, DATE + 4 * DAY), await on(story, aoi, DATE + 6 * DAY)
    assert (label(before), label(after)) == (("one", "registration"), ("two", "accepted"))
    assert [one.lacking for one in before.not_yet] == ["no_use_yet"]
    assert after.text is not None
    assert after.text.path == "/p/kumo/privacy/two/en"
    assert after.text.sha256 == await story.sql("SELECT sha256(convert_to('twoen', 'UTF8'))")
    assert "accepted (deemed), grade D (our side's word alone)" in after.facts[0].text


async def test_an_acceptance_that_became_void_put_nothing_in_force(story: Story) -> None:
    aoi = await story.person("aoi", plan=2)
    await story.told(aoi)
    await used(story, aoi, at=DATE + 5 * DAY)
    await story.bounced(aoi, DATE + 6 * DAY)
    await used(story, at=DATE + 7 * DAY)
    assert label(await on(story, aoi, DATE + 8 * DAY)) == ("one", "registration")


async def test_an_act_a_baseline_and_nothing_at_all(story: Story) -> None:
    acted, known, neither = [await story.person(name) for name in ("acted", "known", "neither")]
    await record_explicit(story.db, "kumo", acted, story.version_id, POSTED + DAY, "", POSTED + DAY)
    await import_baselines(story.db, "kumo", lines(said("known", "two")), DATE)
    assert label(await on(story, acted, EFFECT)) == ("two", "accepted")
    assert label(await on(story, acted, EFFECT - DAY)) == ("one", "registration"), "not before it takes effect"
    assert label(await on(story, known, EFFECT)) == ("two", "baseline")
    answer = await on(story, neither, EFFECT)
    assert (label(answer), [one.lacking for one in answer.not_yet]) == (("one", "registration"), ["not_told"])
    assert label(await on(story, neither, POSTED - 300 * DAY)) is None


async def test_where_no_use_is_deemed_the_notice_is_what_counts(db: Db) -> None:
    story = await begin(db, RULE.model_copy(update={"deems": False}), label="two")
    aoi = await story.person("aoi")
    await story.told(aoi)
    assert label(await on(story, aoi, DATE + DAY)) == ("two", "notice")


async def test_a_policy_that_the_site_has_not_is_not_found(story: Story) -> None:
    with pytest.raises(NotFound):
        await text_in_force(story.db, SITE, await story.person("aoi"), "terms", EFFECT)


async def test_figures_count_grades_and_presets_and_say_what_does_not_add_up(story: Story) -> None:
    aoi, ben, cho = [await story.person(name) for name in ("aoi", "ben", "cho")]
    await story.told(aoi, ben, cho)
    await story.heard(ben, "accepted_by_recipient", POSTED + DAY)
    await used(story, aoi, ben, at=DATE + 5 * DAY)
    await story.sql("UPDATE campaign SET frozen = '{\"in_scope\": 3}' WHERE campaign_id = $1", story.campaign_id)
    report = await campaign_report(story.db, story.campaign_id, DATE + 6 * DAY)
    assert (report.adds_up, report.grades) == (True, {"A": 0, "B": 0, "C": 1, "D": 1, "E": 0})
    assert report.by_preset["pop-japan"] == report.told_split
    assert "grade,C,1\r\n" in figures_csv(report).decode()
    await story.sql("UPDATE campaign SET frozen = '{\"in_scope\": 4}' WHERE campaign_id = $1", story.campaign_id)
    broken = await campaign_report(story.db, story.campaign_id, DATE + 6 * DAY)
    assert not broken.adds_up
    assert 'does not add up,"population is 4, but in scope + excluded is 3"' in figures_csv(broken).decode()
