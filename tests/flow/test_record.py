"""Activities come in: what may matter is kept, everything else is counted with its reason."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from notifier.acceptance.accept import accept
from notifier.activity.memory import Memory
from notifier.activity.record import record
from notifier.db import Db
from notifier.errors import NotFound
from tests.flow.story import DAY, HOUR, POSTED, RULE, Story, activity, begin, lines

EFFECT = POSTED + 30 * DAY
NOW = EFFECT + 5 * DAY
USED = EFFECT + DAY


@pytest.fixture
async def story(db: Db) -> Story:
    return await begin(db)


async def test_a_use_of_somebody_who_was_told_is_kept_cut_down(story: Story) -> None:
    ann = await story.person("ann")
    line = activity(ann, USED, url="https://kumo.example/basket?card=1", ip="203.0.113.9", user_agent="Firefox/140.0")
    report = await record(story.db, "kumo", lines(line), NOW)
    assert (report.read, report.kept, report.ignored) == (1, 1, {})
    (row,) = await story.rows("SELECT * FROM activity")
    assert (row["url_path"], row["ip_prefix"], row["user_agent"]) == ("/basket", "203.0.113.0/24", "Firefox")
    assert (row["occurred_at"], row["received_at"], row["due_at"]) == (USED, NOW, NOW)


async def test_the_day_of_a_use_that_is_kept_is_noted_by_whoever_decides_about_it(story: Story) -> None:
    ann = await story.person("ann")
    await record(story.db, "kumo", lines(activity(ann, USED), activity(ann, USED - DAY)), NOW)
    assert await story.sql("SELECT last_seen_on FROM person") is None
    await accept(story.db, NOW)
    assert await story.sql("SELECT last_seen_on FROM person") == USED.date()


async def test_of_somebody_erased_meanwhile_no_day_is_noted(story: Story) -> None:
    ann = await story.person("ann")
    await record(story.db, "kumo", lines(activity(ann, USED)), NOW)
    await story.sql("UPDATE person SET status = 'erased'")
    await accept(story.db, NOW)
    assert await story.sql("SELECT last_seen_on FROM person") is None


async def test_everything_that_is_not_kept_has_its_reason(story: Story) -> None:
    ann = await story.person("ann")
    out = await story.person("left-out", reason="outside_rule")
    report = await record(
        story.db,
        "kumo",
        lines(
            activity(ann, USED),
            activity(ann, USED + HOUR),
            activity(ann, USED - 20 * DAY),
            activity(ann, USED, "policy_viewed"),
            activity(ann, USED, user_agent="Googlebot/2.1"),
            activity(ann, NOW + HOUR),
            activity(out, USED),
            activity("nobody", USED),
            activity("nobody", USED + HOUR),
            b"",
            b"{oops",
        ),
        NOW,
    )
    assert (report.read, report.kept, report.faulty) == (10, 1, 1)
    assert report.ignored == {
        "same_day": 1, "nothing_open": 2, "excluded_kind": 1, "robot": 1, "in_the_future": 1, "unknown_person": 2,
    }  # fmt: skip
    assert [(fault.pointer, fault.detail[:14]) for fault in report.faults] == [("line 11", "Invalid JSON: ")]


async def test_only_the_first_use_of_a_day_is_kept_whatever_order_they_arrive_in(story: Story) -> None:
    ann = await story.person("ann")
    for at in (USED + 2 * HOUR, USED, USED + HOUR):
        await record(story.db, "kumo", lines(activity(ann, at)), NOW)
    assert await story.rows("SELECT occurred_at FROM activity") == [{"occurred_at": USED}]


async def test_the_day_somebody_was_last_seen_only_moves_forward(story: Story) -> None:
    await story.person("ann", reason=None)
    for at in (USED, USED - 3 * DAY):
        await record(story.db, "kumo", lines(activity("ann", at)), NOW)
    assert await story.sql("SELECT last_seen_on FROM person") == USED.date()


async def test_of_several_days_of_one_batch_the_last_is_noted(story: Story) -> None:
    await story.person("ann", reason=None)
    days = (activity("ann", USED + number * DAY) for number in (0, 2, 1))
    assert (await record(story.db, "kumo", lines(*days), NOW)).ignored == {"nothing_open": 3}
    assert await story.sql("SELECT last_seen_on FROM person") == (USED + 2 * DAY).date()


async def test_use_that_is_accepted_since_before_is_not_kept_and_an_earlier_one_is(story: Story) -> None:
    ann = await story.person("ann")
    await story.sql(
        "INSERT INTO acceptance VALUES ($1, $2, $3, 1, 'deemed', 'D', $4, $4, '{}', $4)",
        ann.lane, ann.person_id, story.version_id, USED,
    )  # fmt: skip
    late = await record(story.db, "kumo", lines(activity(ann, USED + DAY)), NOW)
    assert late.ignored == {"nothing_open": 1}
    early = await record(story.db, "kumo", lines(activity(ann, USED - HOUR)), NOW)
    assert early.kept == 1


@pytest.mark.parametrize("change", [{"deems": False}, {"explicit": True}])
async def test_nothing_is_kept_where_use_amounts_to_nothing(db: Db, change: dict[str, bool]) -> None:
    story = await begin(db, RULE.model_copy(update=change))
    ann = await story.person("ann")
    report = await record(db, "kumo", lines(activity(ann, USED)), NOW)
    assert report.ignored == {"nothing_open": 1}


async def test_where_nothing_is_open_the_sites_own_list_says_what_use_is(db: Db) -> None:
    story = await begin(db, RULE.model_copy(update={"deems": False}))
    ann = await story.person("ann")
    await narrow(story, "purchase")
    report = await record(story.db, "kumo", lines(activity(ann, USED), activity(ann, USED, "purchase")), NOW)
    assert report.ignored == {"excluded_kind": 1, "nothing_open": 1}


async def narrow(story: Story, *kinds: str) -> None:
    """The site changes its list: what is told from now on has it in its frozen rule."""
    await story.sql("UPDATE site SET settings = jsonb_set(settings, '{rule,activity_kinds}', $1)", list(kinds))


async def test_a_list_that_a_site_narrows_later_does_not_reach_a_version_that_people_are_told_of(story: Story) -> None:
    ann = await story.person("ann")
    await narrow(story, "purchase")
    report = await record(story.db, "kumo", lines(activity(ann, USED)), NOW)
    assert (report.kept, report.ignored) == (1, {})


async def test_nor_does_one_that_it_widens(db: Db) -> None:
    story = await begin(db, RULE.model_copy(update={"activity_kinds": ("purchase",)}))
    ann = await story.person("ann")
    await narrow(story, "login", "purchase")
    report = await record(db, "kumo", lines(activity(ann, USED), activity(ann, USED, "purchase")), NOW)
    assert (report.kept, report.ignored) == (1, {"excluded_kind": 1})


@pytest.mark.parametrize("at_once", [True, False])
async def test_what_only_the_older_rule_counts_never_hides_what_both_do(db: Db, at_once: bool) -> None:
    story = await begin(db)
    await begin(db, RULE.model_copy(update={"activity_kinds": ("purchase", "sale")}), label="v3")
    ann = await story.person("ann")
    given = [activity(ann, USED + HOUR, "purchase"), activity(ann, USED, "login")]
    for some in [given] if at_once else [[one] for one in given]:
        assert (await record(db, "kumo", lines(*some), NOW)).ignored in ({}, {"same_day": 1})
    assert await story.rows("SELECT kind FROM activity") == [{"kind": "purchase"}]
    assert (await record(db, "kumo", lines(activity(ann, USED - HOUR, "sale")), NOW)).kept == 1


async def test_the_first_use_after_the_posting_is_noted_only_where_the_policys_own_words_make_it_count(db: Db) -> None:
    literal = RULE.model_copy(update={"literal_trigger": "use_after_posting", "activity_kinds": ("login",)})
    story, other, memory = await begin(db, literal), await begin(db, label="v3"), Memory()
    ann, ben = await story.person("ann"), await story.person("ben")
    await story.sql("INSERT INTO notice VALUES ($1, $2, $3, 'in_scope', 0)", ann.lane, ann.person_id, other.campaign_id)
    await story.person("left-out", reason="outside_rule")
    await story.sql(
        "INSERT INTO acceptance VALUES ($1, $2, $3, 1, 'explicit', 'A', $4, NULL, '{}', $4)",
        ben.lane, ben.person_id, story.version_id, POSTED,
    )  # fmt: skip
    for at in (POSTED - HOUR, POSTED + 3 * DAY, POSTED + 3 * DAY + HOUR, POSTED + 2 * DAY, USED):
        given = [activity(who, at) for who in ("ann", "ben", "left-out")]
        await record(db, "kumo", lines(*given, activity("ann", at - 2 * HOUR, "purchase")), NOW, memory)
    noted = await story.rows("SELECT person_id, version_id, occurred_at FROM literal_use")
    assert [tuple(row.values()) for row in noted] == [(ann.person_id, story.version_id, POSTED + 2 * DAY)]


async def test_who_is_remembered_from_before_the_posting_is_asked_about_after_it(db: Db) -> None:
    story, memory = await begin(db, RULE.model_copy(update={"literal_trigger": "use_after_posting"})), Memory()
    await story.person("ann")
    at = POSTED.replace(hour=12)
    await story.sql("UPDATE version SET published_at = $1", at)
    for moment in (at - HOUR, at + HOUR):
        assert (await record(db, "kumo", lines(activity("ann", moment)), NOW, memory)).ignored == {"nothing_open": 1}
    assert await story.sql("SELECT occurred_at FROM literal_use") == at + HOUR


async def test_an_unknown_site_is_refused(story: Story) -> None:
    with pytest.raises(NotFound):
        await record(story.db, "nowhere", lines(activity("ann", USED)), NOW)


async def test_activities_of_any_number_are_taken_batch_by_batch(story: Story) -> None:
    await story.sql(
        "INSERT INTO person (lane, site, external_id, person_id, registered_at, changed_at)"
        " SELECT 0, 'kumo', 'x' || i, gen_random_uuid(), $1, $1 FROM generate_series(1, 10) i", POSTED,
    )  # fmt: skip

    async def many() -> AsyncIterator[bytes]:
        for number in range(12_000):
            yield activity(f"y{number}", USED)

    report = await record(story.db, "kumo", many(), NOW)
    assert (report.read, report.ignored) == (12_000, {"unknown_person": 12_000})


async def test_batches_that_the_database_has_at_once_may_be_about_the_same_people(story: Story) -> None:
    people = [await story.person(f"u{number}") for number in range(40)]

    async def many() -> AsyncIterator[bytes]:
        for number in range(6_000):
            yield activity(people[number % 40], USED + timedelta(seconds=6_000 - number))

    report = await record(story.db, "kumo", many(), NOW)
    assert (report.read, report.kept + report.ignored["same_day"]) == (6_000, 6_000)
    kept = await story.rows("SELECT min(occurred_at) AS first, max(occurred_at) AS last, count(*) FROM activity")
    assert kept == [{"first": USED + timedelta(seconds=1), "last": USED + timedelta(seconds=40), "count": 40}]
