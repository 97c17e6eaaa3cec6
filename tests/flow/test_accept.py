"""Continued use becomes acceptance, in rows: told, used, decided, recorded once."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import pytest

from notifier.acceptance.accept import accept, record_explicit
from notifier.acceptance.object import Statement, record_objection, withdraw_objection
from notifier.activity.record import record
from notifier.compliance.explain import explain
from notifier.compliance.search import timeline
from notifier.db import Db
from notifier.errors import Invalid, NotFound
from notifier.lanes import lane_of
from notifier.policies.publish import load_version
from tests.flow.story import DAY, HOUR, POSTED, RULE, Somebody, Story, activity, begin, lines
from tests.waiting import WAITING

TOLD = POSTED + HOUR
DATE = TOLD + 30 * DAY
NOW = DATE + 10 * DAY
QUICK = RULE.model_copy(update={"notice_days": 0})


@pytest.fixture
async def story(db: Db) -> Story:
    return await begin(db)


@pytest.fixture
async def quick(db: Db) -> Story:
    """A campaign without notice period: the bounce window is what is waited for."""
    return await begin(db, QUICK, effective_at=POSTED)


async def used(story: Story, who: Somebody, *times: datetime, now: datetime = NOW) -> None:
    await record(story.db, story.site, lines(*(activity(who, at) for at in times)), now)


async def decided(story: Story, now: datetime = NOW) -> list[tuple[str, int, str, str, datetime]]:
    while await accept(story.db, now):
        pass
    return [
        (a["external_id"], a["revision"], a["kind"], a["grade"], a["accepted_at"]) for a in await story.acceptances()
    ]


async def left(story: Story) -> list[datetime]:
    return [row["due_at"] for row in await story.rows("SELECT due_at FROM activity ORDER BY lane, person_id, day")]


async def test_the_first_use_after_the_persons_own_date_is_acceptance(story: Story) -> None:
    ann = await story.person("ann")
    await story.told(ann)
    await used(story, ann, DATE - HOUR, DATE + 2 * DAY, DATE + DAY)
    assert await decided(story) == [("ann", 1, "deemed", "D", DATE + DAY)]
    (acceptance,) = await story.acceptances()
    assert acceptance["counts_from"] == DATE
    assert acceptance["evidence"]["use"]["kind"] == "login"
    assert acceptance["evidence"]["telling"]["channel"] == "email"
    assert acceptance["evidence"]["campaign_id"] == story.campaign_id
    assert acceptance["evidence"]["rule"]["notice_days"] == 30
    assert await left(story) == []


async def test_a_use_between_the_effect_and_the_persons_own_date_is_noted_where_the_policys_own_words_make_it_count(
    db: Db,
) -> None:
    literal = RULE.model_copy(update={"literal_trigger": "use_after_posting"})
    story = await begin(db, literal, effective_at=POSTED + DAY)
    ann = await story.person("ann")
    await story.told(ann)
    early = POSTED + 2 * DAY
    for at in (early + DAY, early):
        await used(story, ann, at, now=at + HOUR)
        assert await decided(story, now=at + HOUR) == []
    assert await left(story) == []
    assert await story.sql("SELECT occurred_at FROM literal_use") == early
    await used(story, ann, DATE + DAY)
    assert await decided(story) == [("ann", 1, "deemed", "D", DATE + DAY)]
    (acceptance,) = await story.acceptances()
    assert datetime.fromisoformat(acceptance["evidence"]["literally_since"]) == early


async def test_deciding_twice_records_once(story: Story) -> None:
    ann = await story.person("ann")
    await story.told(ann)
    for _ in range(2):
        await used(story, ann, DATE + DAY)
        assert await decided(story) == [("ann", 1, "deemed", "D", DATE + DAY)]


async def test_use_before_the_date_is_forgotten_and_amounts_to_nothing(story: Story) -> None:
    ann = await story.person("ann")
    await story.told(ann, at=POSTED + 9 * DAY)
    await used(story, ann, DATE + DAY)
    assert await decided(story) == []
    assert await left(story) == []


async def test_use_of_somebody_not_told_amounts_to_nothing(story: Story) -> None:
    ann = await story.person("ann")
    await used(story, ann, DATE + DAY)
    assert await decided(story) == []
    assert await left(story) == []


async def test_a_bounce_makes_the_email_void_and_the_other_channel_counts(quick: Story) -> None:
    ann = await quick.person("ann")
    await quick.told(ann)
    await used(quick, ann, TOLD + 2 * HOUR, now=TOLD + 2 * HOUR)
    assert await decided(quick, TOLD + 2 * HOUR) == []
    assert await left(quick) == [TOLD + 72 * HOUR]
    await quick.heard(ann, "bounced", TOLD + 3 * HOUR, class_="bad_address")
    await quick.heard(ann, "placed", TOLD + 4 * HOUR, channel="inbox")
    assert await decided(quick, TOLD + 73 * HOUR) == []
    assert await left(quick) == []
    await used(quick, ann, TOLD + 5 * HOUR, now=TOLD + 74 * HOUR)
    assert await decided(quick, TOLD + 74 * HOUR) == [("ann", 1, "deemed", "D", TOLD + 5 * HOUR)]


async def test_with_our_relays_word_alone_the_bounce_window_is_waited_out(quick: Story) -> None:
    ann = await quick.person("ann")
    await quick.told(ann)
    await used(quick, ann, TOLD + HOUR, now=TOLD + HOUR)
    assert await decided(quick, TOLD + 71 * HOUR) == []
    assert await decided(quick, TOLD + 72 * HOUR) == [("ann", 1, "deemed", "D", TOLD + HOUR)]


async def test_the_recipients_own_server_and_a_shown_message_raise_the_grade(quick: Story) -> None:
    ann, ben, eve = [await quick.person(name, plan=plan) for name, plan in (("ann", 0), ("ben", 1), ("eve", 1))]
    await quick.told(ann)
    await quick.heard(ann, "accepted_by_recipient", TOLD)
    await quick.heard(ben, "shown", TOLD, channel="inbox")
    for who in (ann, ben, eve):
        await used(quick, who, TOLD + HOUR, now=TOLD + HOUR)
    grades = {name: grade for name, _, _, grade, _ in await decided(quick, TOLD + HOUR)}
    assert grades == {"ann": "C", "ben": "B", "eve": "D"}


async def test_a_later_attempt_that_arrives_counts_after_an_earlier_one_that_did_not(quick: Story) -> None:
    ann = await quick.person("ann", plan=2)
    await quick.heard(ann, "refused", TOLD, attempt=1, class_="mailbox_disabled")
    await quick.heard(ann, "accepted_by_recipient", TOLD + HOUR, attempt=2)
    await used(quick, ann, TOLD + HOUR / 2, TOLD + DAY, now=TOLD + DAY)
    assert await decided(quick, TOLD + DAY) == [("ann", 1, "deemed", "C", TOLD + DAY)]


async def test_late_news_of_an_earlier_use_appends_a_correction(story: Story) -> None:
    ann = await story.person("ann")
    await story.told(ann)
    await used(story, ann, DATE + 3 * DAY)
    await decided(story)
    await used(story, ann, DATE + DAY)
    await used(story, ann, DATE + 2 * DAY)
    assert await decided(story) == [
        ("ann", 1, "deemed", "D", DATE + 3 * DAY),
        ("ann", 2, "deemed", "D", DATE + DAY),
    ]


async def test_an_objection_blocks_deeming_until_it_is_taken_back(story: Story) -> None:
    ann = await story.person("ann")
    await story.told(ann)
    no = Statement(DATE - DAY, "letter", "I do not agree")
    assert await record_objection(story.db, "kumo", ann, story.version_id, no, NOW)
    assert not await record_objection(story.db, "kumo", ann, story.version_id, no, NOW)
    await used(story, ann, DATE + DAY)
    assert await decided(story) == []
    back = Statement(DATE + 2 * DAY, "call")
    assert await withdraw_objection(story.db, "kumo", ann, story.version_id, back, NOW)
    assert not await withdraw_objection(story.db, "kumo", ann, story.version_id, back, NOW)
    await used(story, ann, DATE + DAY, DATE + 3 * DAY)
    assert await decided(story) == [("ann", 1, "deemed", "D", DATE + 3 * DAY)]
    assert await story.sql("SELECT count(*) FROM objection") == 2


async def test_an_objection_that_reaches_us_late_voids_what_came_after_it_and_nothing_before(story: Story) -> None:
    ann, ben = await story.person("ann"), await story.person("ben")
    await story.told(ann, ben)
    await used(story, ann, DATE + DAY)
    await used(story, ben, DATE + DAY)
    assert len(await decided(story)) == 2
    for who, at in ((ann, DATE), (ben, DATE + 2 * DAY)):
        assert await record_objection(story.db, "kumo", who, story.version_id, Statement(at, "letter", "no"), NOW)
    assert await decided(story) == [
        ("ann", 1, "deemed", "D", DATE + DAY), ("ann", 2, "void", None, None), ("ben", 1, "deemed", "D", DATE + DAY),
    ]  # fmt: skip
    assert (await story.acceptances())[1]["evidence"]["reason"] == "objected"


async def test_the_first_use_that_did_not_count_is_kept_with_its_reason_and_no_other(db: Db) -> None:
    story = await begin(db, RULE.model_copy(update={"grade_at_least": "C"}))
    ann, ben = await story.person("ann"), await story.person("ben")
    await story.told(ann, ben)
    await record_objection(db, "kumo", ben, story.version_id, Statement(DATE, "letter", "no"), NOW)
    for who in (ann, ben):
        await used(story, who, DATE + 2 * DAY)
        await decided(story)
        await used(story, who, DATE + 3 * DAY)
        await decided(story)
        await used(story, who, DATE + DAY)
    assert await decided(story) == []
    kept = await story.rows(
        "SELECT external_id, reason, occurred_at, kind FROM passed_over JOIN person USING (lane, person_id) ORDER BY 1"
    )
    assert [tuple(row.values()) for row in kept] == [
        ("ann", "grade_too_low", DATE + DAY, "login"), ("ben", "objected", DATE + DAY, "login"),
    ]  # fmt: skip
    version = await load_version(db, "kumo", story.version_id)
    assert any(
        "its grade is less than the rule asks for" in one for one in (await explain(db, ann, version, NOW)).words
    )
    assert "passed_over_objected" in [event.kind for event in await timeline(db, ben)]


@pytest.mark.parametrize("early", [False, True], ids=["in order", "taken back first"])
async def test_an_objection_and_its_being_taken_back_come_to_the_same_in_either_order(
    story: Story, early: bool
) -> None:
    ann, ben, cho = [await story.person(name) for name in ("ann", "ben", "cho")]
    await story.told(ann, ben, cho)
    words = [
        (record_objection, Statement(DATE, "letter", "no")),
        (withdraw_objection, Statement(DATE + 2 * DAY, "call")),
    ]
    await used(story, ann, DATE + DAY)
    await decided(story)
    for verb, said in words[::-1] if early else words:
        for who in (ann, ben, cho):
            assert await verb(story.db, "kumo", who, story.version_id, said, NOW)
            await decided(story)
    await used(story, ben, DATE + DAY)
    await used(story, cho, DATE + 3 * DAY)
    assert await decided(story) == [
        ("ann", 1, "deemed", "D", DATE + DAY),
        ("ann", 2, "void", None, None),
        ("cho", 1, "deemed", "D", DATE + 3 * DAY),
    ]


async def test_what_was_never_objected_to_changes_nothing_by_being_taken_back(story: Story) -> None:
    ann = await story.person("ann")
    await story.told(ann)
    assert await withdraw_objection(story.db, "kumo", ann, story.version_id, Statement(DATE + 2 * DAY, "call"), NOW)
    await used(story, ann, DATE + DAY)
    assert await decided(story) == [("ann", 1, "deemed", "D", DATE + DAY)]


async def test_of_two_words_of_one_moment_the_no_stands(story: Story) -> None:
    ann = await story.person("ann")
    await story.told(ann)
    both = Statement(DATE, "letter")
    assert await withdraw_objection(story.db, "kumo", ann, story.version_id, both, NOW)
    assert await record_objection(story.db, "kumo", ann, story.version_id, both, NOW)
    await used(story, ann, DATE + DAY)
    assert await decided(story) == []


async def test_an_explicit_act_is_the_next_revision_after_a_deemed_one_and_the_last_word(story: Story) -> None:
    ann = await story.person("ann")
    await story.told(ann)
    await used(story, ann, DATE + DAY)
    await decided(story)
    act = DATE + 2 * DAY
    assert await record_explicit(story.db, "kumo", ann, story.version_id, act, "button", NOW)
    assert not await record_explicit(story.db, "kumo", ann, story.version_id, act + DAY, "button", NOW)
    await used(story, ann, DATE + HOUR)
    assert await decided(story) == [("ann", 1, "deemed", "D", DATE + DAY), ("ann", 2, "explicit", "A", act)]


async def test_explicit_acts_that_race_with_deeming_are_never_lost(story: Story) -> None:
    people = [await story.person(f"p{n}") for n in range(20)]
    await story.told(*people)
    for who in people:
        await used(story, who, DATE + DAY)
    acts = [record_explicit(story.db, "kumo", who, story.version_id, DATE, "button", NOW) for who in people]
    await asyncio.gather(*(accept(story.db, NOW) for _ in range(3)), *acts)
    kinds = {name: kind for name, _, kind, _, _ in await decided(story)}
    assert kinds == {who.external_id: "explicit" for who in people}


async def test_an_act_outside_its_time_or_on_an_unknown_version_is_refused(story: Story) -> None:
    ann = await story.person("ann")
    with pytest.raises(NotFound):
        await record_explicit(story.db, "kumo", ann, 999, DATE, "button", NOW)
    for at in (POSTED - HOUR, NOW + HOUR):
        with pytest.raises(Invalid) as refused:
            await record_explicit(story.db, "kumo", ann, story.version_id, at, "button", NOW)
        assert [fault.pointer for fault in refused.value.faults] == ["/at"]


async def test_what_a_registration_showed_is_an_acceptance(story: Story) -> None:
    ann, ben = await story.person("ann", reason="registered_with_it"), await story.person("ben")
    await story.told(ben)
    await used(story, ben, DATE + DAY)
    await decided(story)
    for who in (ann, ben):
        await story.sql(
            "INSERT INTO registration VALUES ($1, $2, $3, $4)", who.lane, who.person_id, story.version_id, POSTED
        )
    assert await decided(story) == [
        ("ann", 1, "registration", "A", POSTED),
        ("ben", 1, "deemed", "D", DATE + DAY),
        ("ben", 2, "registration", "A", POSTED),
    ]
    assert await story.sql("SELECT count(*) FROM registration") == 0


async def test_a_closed_account_accepts_nothing(story: Story) -> None:
    ann = await story.person("ann", status="closed", closed_at=DATE)
    await story.told(ann)
    await used(story, ann, DATE + DAY)
    assert await decided(story) == []


async def test_several_workers_decide_each_use_once(story: Story) -> None:
    people = [await story.person(f"p{n}") for n in range(60)]
    await story.told(*people)
    await record(story.db, "kumo", lines(*(activity(who, DATE + DAY) for who in people)), NOW)
    done = await asyncio.gather(*(accept(story.db, NOW) for _ in range(4)))
    assert sum(done) + await accept(story.db, NOW) == 60
    assert len(await decided(story)) == 60
    assert await left(story) == []


async def test_an_earlier_use_decided_while_a_later_one_is_being_recorded_is_not_lost(story: Story) -> None:
    ann = await story.person("ann")
    await story.told(ann)
    await used(story, ann, DATE + DAY)
    async with story.db.transaction() as other, other.connection() as connection:
        await connection.execute(
            "INSERT INTO acceptance VALUES ($1, $2, $3, 1, 'deemed', 'D', $4, $5, '{}', $6)",
            ann.lane, ann.person_id, story.version_id, DATE + 2 * DAY, DATE, NOW,
        )  # fmt: skip
        deciding = asyncio.create_task(accept(story.db, NOW))
        while not await story.rows(WAITING):
            await asyncio.sleep(0.01)
    assert await deciding == 1
    assert [(revision, at) for _, revision, _, _, at in await decided(story)] == [(1, DATE + 2 * DAY), (2, DATE + DAY)]


async def test_a_worker_that_dies_before_its_commit_loses_nothing(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await story.person("ann")
    await story.told(ann)
    await used(story, ann, DATE + DAY)
    copy = Db.copy

    async def die(self: Db, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
        await copy(self, table, columns, rows)
        assert table == "acceptance"
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr(Db, "copy", die)
        with pytest.raises(ConnectionResetError):
            await accept(story.db, NOW)
    assert await story.acceptances() == []
    assert await decided(story) == [("ann", 1, "deemed", "D", DATE + DAY)]


async def test_two_versions_of_two_policies_are_decided_by_one_use(story: Story) -> None:
    other = await begin(story.db, label="v3")
    ann = await story.person("ann")
    await story.sql("INSERT INTO notice VALUES ($1, $2, $3, 'in_scope', 0)", ann.lane, ann.person_id, other.campaign_id)
    await story.told(ann)
    await other.told(ann)
    await used(story, ann, DATE + DAY)
    await decided(story)
    versions: list[UUID] = [r["version_id"] for r in await story.rows("SELECT version_id FROM acceptance ORDER BY 1")]
    assert versions == [story.version_id, other.version_id]


async def test_whoever_decides_writes_people_in_the_order_of_everybody_else(story: Story) -> None:
    first = "a"
    last = next(name for n in range(99_999) if lane_of(story.site, name := f"z{n}") == lane_of(story.site, first))
    people = [await story.person(name) for name in (last, first)]  # by their id it is the other way round
    for one in people:
        await story.told(one)
        await used(story, one, DATE + DAY)
    touch = "UPDATE person SET locale = 'ja' WHERE external_id = $1"
    async with story.db.transaction() as tx, tx.connection() as connection:
        await connection.execute(touch, first)
        deciding = asyncio.create_task(accept(story.db, NOW))
        await asyncio.sleep(0.3)
        assert not deciding.done()
        await connection.execute("SET LOCAL lock_timeout = '2s'")
        await connection.execute(touch, last)
    assert await deciding == 2
    seen = await story.rows("SELECT last_seen_on IS NOT NULL AS seen FROM person")
    assert seen == [{"seen": True}] * 2
