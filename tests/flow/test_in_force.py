"""Which text was in force for somebody on a day: the answer with the text itself, from the rows."""

from datetime import datetime

import pytest

from notifier.acceptance.accept import accept, record_explicit
from notifier.acceptance.baseline import import_baselines
from notifier.acceptance.object import Statement, record_objection, withdraw_objection
from notifier.activity.record import record
from notifier.campaigns.rule import rule_of
from notifier.compliance.answer import Answer, text_in_force
from notifier.compliance.export import figures_csv
from notifier.compliance.report import campaign_report
from notifier.db import Db
from notifier.errors import NotFound
from notifier.sites.choice import RuleSettings
from notifier.sites.presets import PRESETS
from tests.flow.story import DAY, HOUR, POSTED, Somebody, Story, activity, begin, lines
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


async def two_told(db: Db, preset: str, *, is_terms: bool) -> tuple[Story, Somebody]:
    """Version one, and version two under a preset, of which Aoi was told with the best of evidence."""
    await begin(db, label="one", effective_at=POSTED - 200 * DAY)
    settings = RuleSettings.model_validate({"preset": preset})
    story = await begin(db, rule_of(settings, "material", (), is_terms=is_terms), label="two")
    aoi = await story.person("aoi")
    await story.told(aoi)
    await story.heard(aoi, "accepted_by_recipient", POSTED + HOUR)
    return story, aoi


ONLY_BY_AGREEMENT = [name for name, one in PRESETS.items() if one.deems in ("never", "opt_in", "not_addressed")]


@pytest.mark.parametrize("preset", ONLY_BY_AGREEMENT)
async def test_terms_that_nobody_agreed_to_are_not_in_force_however_well_they_were_told(db: Db, preset: str) -> None:
    story, aoi = await two_told(db, preset, is_terms=True)
    day = POSTED + 90 * DAY
    await used(story, aoi, at=day)
    told = await on(story, aoi, day)
    assert (label(told), [one.lacking for one in told.not_yet]) == (("one", "registration"), ["not_accepted"])
    assert "no acceptance of it is on record" in told.facts[-1].text
    await record_objection(story.db, "kumo", aoi, story.version_id, Statement(day, "letter"), day)
    objected = await on(story, aoi, day + DAY)
    assert (label(objected), [one.lacking for one in objected.not_yet]) == (("one", "registration"), ["objected"])
    await record_explicit(story.db, "kumo", aoi, story.version_id, day + 2 * DAY, "", day + 2 * DAY)
    assert label(await on(story, aoi, day + 3 * DAY)) == ("two", "accepted"), "an act does"


@pytest.mark.parametrize("preset", PRESETS)
async def test_a_text_that_is_no_part_of_the_contract_is_in_force_by_notice(db: Db, preset: str) -> None:
    story, aoi = await two_told(db, preset, is_terms=False)
    answer = await on(story, aoi, POSTED + 90 * DAY)
    assert label(answer) == ("two", "notice")
    assert "the rule asks for no more than notice" in answer.facts[0].text


async def test_terms_that_need_no_agreement_are_in_force_by_notice_unless_another_preset_asks_for_more(db: Db) -> None:
    story, aoi = await two_told(db, "jp-548-4-terms", is_terms=True)
    assert label(await on(story, aoi, EFFECT)) == ("two", "notice")
    settings = RuleSettings.model_validate({"preset": "jp-548-4-terms", "also": [{"preset": "pop-japan"}]})
    assert not rule_of(settings, "material", (), is_terms=True).by_notice


async def test_a_version_that_was_not_seen_posted_is_in_force_by_no_notice(db: Db) -> None:
    story, aoi = await two_told(db, "eu-gdpr-notice", is_terms=False)
    await story.sql("INSERT INTO posting VALUES ($1, 'en', NULL)", story.version_id)
    unposted = await on(story, aoi, POSTED + 90 * DAY)
    assert (label(unposted), [one.lacking for one in unposted.not_yet]) == (("one", "registration"), ["not_posted"])
    await story.sql("UPDATE posting SET posted_at = $1", POSTED + 50 * DAY)
    assert label(await on(story, aoi, POSTED + 49 * DAY)) == ("one", "registration")
    seen = await on(story, aoi, POSTED + 50 * DAY)
    assert seen.found is not None
    assert (seen.found.basis, seen.found.since) == ("notice", POSTED + 50 * DAY)


async def test_an_objection_before_the_own_date_keeps_a_notice_from_counting_until_it_is_taken_back(db: Db) -> None:
    story, aoi = await two_told(db, "eu-gdpr-notice", is_terms=False)
    for day, withdrawn in ((POSTED + 5 * DAY, False), (POSTED + 60 * DAY, True)):
        said = withdraw_objection if withdrawn else record_objection
        await said(story.db, "kumo", aoi, story.version_id, Statement(day, "letter"), day)
    stood, taken_back = await on(story, aoi, POSTED + 59 * DAY), await on(story, aoi, POSTED + 61 * DAY)
    assert (label(stood), stood.not_yet[0].lacking) == (("one", "registration"), "objected")
    assert taken_back.found is not None
    assert (label(taken_back), taken_back.found.since) == (("two", "notice"), POSTED + 60 * DAY)


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
