"""What compliance asks, answered from rows."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any
from uuid import UUID

import pytest

from notifier.acceptance.accept import accept, record_explicit
from notifier.acceptance.decide import Reason
from notifier.acceptance.object import Statement, record_objection, withdraw_objection
from notifier.acceptance.silence import accept_silence
from notifier.activity.record import record
from notifier.compliance.explain import Explanation, explain
from notifier.compliance.export import notices_csv
from notifier.compliance.report import campaign_report
from notifier.compliance.search import (
    REASONS,
    STATUSES,
    Filters,
    acceptances,
    campaign_notices,
    notices,
    timeline,
    told_before,
    version_acceptances,
)
from notifier.compliance.words import ENGLISH
from notifier.db import Db
from notifier.errors import Invalid
from notifier.policies.publish import find_version
from notifier.queries import all_queries
from tests.flow.story import DAY, HOUR, POSTED, RULE, Somebody, Story, activity, begin, lines

TOLD = POSTED + HOUR
DATE = TOLD + 30 * DAY
NOW = DATE + 10 * DAY


@pytest.fixture
async def story(db: Db) -> Story:
    return await begin(db)


async def used(story: Story, *people: Somebody, at: datetime = DATE + DAY, now: datetime = NOW) -> None:
    await record(story.db, "kumo", lines(*(activity(who, at) for who in people)), now)
    while await accept(story.db, now):
        pass


async def explained(story: Story, who: Somebody, now: datetime = NOW) -> Explanation:
    version = await find_version(story.db, "kumo", "privacy", "v2")
    return await explain(story.db, who, version, now)


def codes(explanation: Explanation) -> list[str]:
    return [fact.code for fact in explanation.facts]


async def test_the_timeline_holds_every_fact_in_the_order_of_time(story: Story) -> None:
    ann = await story.person("ann")
    await story.told(ann)
    await used(story, ann)
    await record_objection(story.db, "kumo", ann, story.version_id, Statement(NOW, "letter"), NOW)
    await record(story.db, "kumo", lines(activity(ann, DATE + HOUR)), NOW)
    events = await timeline(story.db, ann)
    assert [event.kind for event in events] == [
        "registered", "considered", "tried", "accepted_by_relay", "used", "last_seen", "accepted_deemed", "objected",
    ]  # fmt: skip
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert {event.label for event in events} == {"v2", None}
    assert events[6].words.text == "Deemed acceptance, grade D (our side's word alone)"


async def test_a_private_message_of_the_plan_is_on_the_timeline_although_it_has_no_row(story: Story) -> None:
    ann = await story.person("ann", plan=1)
    placed = [event for event in await timeline(story.db, ann) if event.kind == "placed"]
    assert [(event.at, event.channel) for event in placed] == [(POSTED, "inbox")]


async def test_a_use_that_met_a_policys_own_words_is_on_the_timeline(story: Story) -> None:
    ann = await story.person("ann")
    await story.sql(
        "INSERT INTO literal_use VALUES ($1, $2, $3, $4)", ann.lane, ann.person_id, story.version_id, POSTED + HOUR
    )
    (use,) = [event for event in await timeline(story.db, ann) if event.kind == "used_as_written"]
    assert (use.at, use.label) == (POSTED + HOUR, "v2")
    assert use.words.text.startswith("First use of the site after the posting")


def test_every_kind_of_event_decision_and_reason_has_words() -> None:
    outcomes = ["accepted_by_relay", "deferred", "unknown", "refused", "bounced", "expired", "complained", "withheld"]
    decisions = {f"decision.{reason}" for reason in Reason if reason is not Reason.TELLING_FAILED}  # that one: "voided"
    assert {*decisions, "voided"} <= ENGLISH.keys()
    assert {f"event.{kind}" for kind in outcomes} <= ENGLISH.keys()
    of_a_version = set(REASONS[3:]) - {"not_reached"}  # of corrections, which are explained with what they correct
    assert {f"left_out.{reason}" for reason in of_a_version} <= ENGLISH.keys()


async def test_no_answer_calls_acceptance_consent_or_a_handover_delivery() -> None:
    said = " ".join(ENGLISH.values()).lower()
    assert not re.search(r"consent|bound |agreed|has read|delivered", said)


async def test_notices_say_where_each_stands(story: Story) -> None:
    ann = await story.person("ann")
    await story.told(ann)
    (notice,) = await notices(story.db, ann)
    assert (notice.status, notice.told_by, notice.told_at, notice.locale) == ("told", "email", TOLD, "en")


async def test_was_somebody_validly_told_before_a_day(story: Story) -> None:
    ann, ben = await story.person("ann"), await story.person("ben")
    await story.told(ann, ben)
    await story.heard(ben, "bounced", TOLD + DAY)
    assert await told_before(story.db, ann, story.version_id, TOLD) is None
    told = await told_before(story.db, ann, story.version_id, TOLD + HOUR)
    assert told is not None
    assert (told.channel, told.told_at) == ("email", TOLD)
    assert await told_before(story.db, ben, story.version_id, NOW) is None


async def test_nobody_was_validly_told_before_there_was_the_evidence_that_the_rule_asks_for(db: Db) -> None:
    story = await begin(db, RULE.model_copy(update={"evidence": "recipient"}))
    ann, ben, cho = [await story.person(name, plan=2) for name in ("ann", "ben", "cho")]
    await story.told(ann, ben, cho)
    await story.heard(ann, "accepted_by_recipient", TOLD + DAY)
    await story.heard(cho, "accepted_by_recipient", DATE)
    assert await told_before(db, ann, story.version_id, TOLD + HOUR) is None
    told = await told_before(db, ann, story.version_id, TOLD + 2 * DAY)
    assert told is not None
    assert told.told_at == TOLD + DAY
    assert await told_before(db, ben, story.version_id, NOW) is None
    await story.sql("""UPDATE campaign SET frozen = '{"in_scope": 3}'""")
    report = await campaign_report(db, story.campaign_id, NOW)
    assert (report.told, report.too_little_evidence, report.gaps) == (2, 1, ())
    assert report.forecast is not None
    assert report.forecast.too_late == 2, "ben is not told at all"
    weak = await campaign_notices(db, story.campaign_id, Filters(statuses=("too_little_evidence",)))
    assert [row.external_id for row in weak.rows] == ["ben"]
    assert codes(await explained(story, ben))[-1] == "decision.too_little_evidence"


async def test_a_private_message_tells_nobody_on_a_durable_medium(db: Db) -> None:
    story = await begin(db, RULE.model_copy(update={"durable": True}))
    ann = await story.person("ann", plan=1)
    assert await told_before(db, ann, story.version_id, NOW) is None
    assert (await campaign_report(db, story.campaign_id, NOW)).too_little_evidence == 1


async def test_an_acceptance_whose_letter_bounced_afterwards_is_void_in_every_answer(story: Story) -> None:
    ann = await story.person("ann", plan=2)
    await story.told(ann)
    await used(story, ann)
    assert [a.kind for a in await acceptances(story.db, ann)] == ["deemed"]
    await story.bounced(ann, NOW)
    while await accept(story.db, NOW):
        pass
    deemed, void = await acceptances(story.db, ann)
    assert (deemed.kind, deemed.revision, void.kind, void.revision, void.grade) == ("deemed", 1, "void", 2, None)
    answer = await explained(story, ann)
    assert answer.recorded is None
    assert codes(answer)[-2:] == ["voided", "decision.unreachable"]
    assert [e.kind for e in await timeline(story.db, ann)][-1] == "accepted_void"
    assert (await version_acceptances(story.db, story.version_id)).rows == []
    (row,) = (await campaign_notices(story.db, story.campaign_id, Filters())).rows
    assert (row.accepted, row.status) == (None, "unreachable")
    report = await campaign_report(story.db, story.campaign_id, NOW)
    assert (report.accepted["deemed"], report.gaps) == (0, ())


async def test_explaining_an_acceptance_names_the_telling_the_date_and_the_grade(story: Story) -> None:
    ann = await story.person("ann")
    await story.told(ann)
    await used(story, ann)
    answer = await explained(story, ann)
    assert codes(answer) == [
        "published", "in_scope", "in_scope.fallback", "told.by_relay", "counts_from", "accepted.deemed",
    ]  # fmt: skip
    assert answer.status == "told"
    assert answer.words[3].startswith("Told by email: our relay took the letter over on 2026-03-01 10:00 UTC.")
    assert "grade D" in answer.words[-1]


async def test_a_private_message_that_was_shown_is_explained_without_any_relay(story: Story) -> None:
    ann = await story.person("ann", plan=1)
    await story.heard(ann, "shown", POSTED + HOUR, "inbox")
    assert codes(await explained(story, ann))[2:4] == ["told.placed", "told.shown"]


async def test_explaining_what_holds_acceptance_back(story: Story) -> None:
    waiting, failed, objecting, pending = [await story.person(n, plan=2) for n in ("wait", "fail", "object", "pend")]
    await story.told(waiting, objecting)
    await story.heard(failed, "refused", TOLD, class_="bad_address")
    await story.heard(pending, "deferred", TOLD, class_="greylisted")
    await record_objection(story.db, "kumo", objecting, story.version_id, Statement(NOW, "letter"), NOW)
    assert codes(await explained(story, waiting))[-1] == "decision.no_use_yet"
    assert codes(await explained(story, failed))[2:] == [
        "attempt.failed",
        "not_told.unreachable",
        "decision.unreachable",
    ]
    assert codes(await explained(story, objecting))[-2:] == ["objected", "decision.objected"]
    assert codes(await explained(story, pending))[2:] == ["attempt.open", "not_told.pending", "decision.not_yet_told"]


@pytest.mark.parametrize("reason", REASONS[3:])
async def test_explaining_why_somebody_was_left_out(story: Story, reason: str) -> None:
    ann = await story.person("ann", reason=reason)
    assert codes(await explained(story, ann))[1:] == [f"left_out.{reason}", "decision.left_out"]


async def test_explaining_somebody_who_came_after_the_freeze(story: Story) -> None:
    await story.sql("UPDATE campaign SET frozen = '{}'")
    ann = await story.person("ann", reason=None)
    answer = await explained(story, ann)
    assert (codes(answer)[1:], answer.status) == (["not_considered.came_later"], None)


async def crowd(story: Story) -> dict[str, Somebody]:
    """One of every kind."""
    people = {n: await story.person(n) for n in ("deemed", "explicit", "objected", "waiting", "pending")}
    people |= {n: await story.person(n, plan=2) for n in ("bounced", "refused")}
    people["closed"] = await story.person("closed", status="closed", closed_at=DATE)
    people["message"] = await story.person("message", plan=1)
    for reason in ("unreachable", "suppressed", "closed", "outside_rule"):
        people[f"=left-{reason}"] = await story.person(f"=left-{reason}", reason=reason)
    await story.told(*(people[n] for n in ("deemed", "explicit", "objected", "waiting", "closed", "bounced")))
    await story.heard(people["bounced"], "bounced", TOLD + HOUR, class_="bad_address")
    await story.heard(people["refused"], "refused", TOLD, class_="bad_address")
    await record_objection(story.db, "kumo", people["objected"], story.version_id, Statement(DATE, "letter"), NOW)
    await record_explicit(story.db, "kumo", people["explicit"], story.version_id, DATE, "button", NOW)
    await used(story, *(people[n] for n in ("deemed", "explicit", "objected", "closed", "bounced", "pending")))
    return people


async def test_the_counts_of_a_report_add_up(story: Story) -> None:
    people = await crowd(story)
    frozen = {"in_scope": 9, "unreachable": 1, "suppressed": 1, "closed": 1, "outside_rule": 1}
    await story.sql("UPDATE campaign SET frozen = $1", frozen)
    await story.sql("INSERT INTO progress VALUES ($1, 'email', 'accepted_by_relay', 3, 6)", story.campaign_id)
    report = await campaign_report(story.db, story.campaign_id, NOW)
    assert (report.adds_up, report.gaps) == (True, ())
    assert (report.population, report.in_scope) == (len(people), 11)
    assert report.excluded == {"closed": 1, "outside_rule": 1}
    assert (report.told, report.unreachable, report.suppressed, report.pending) == (6, 3, 1, 1)
    assert report.told_split == {
        "deemed": 1, "explicit": 1, "objected": 1, "closed": 1, "awaiting_use": 2, "explicit_required": 0,
        "not_deemed": 0, "not_posted": 0,
    }  # fmt: skip
    assert report.accepted == {"deemed": 1, "explicit": 1, "registration": 0}
    assert report.by_channel == {"email": {"planned": 8, "accepted_by_relay": 6}, "inbox": {"planned": 1}}
    assert report.failures == {"bad_address": 2}
    assert report.forecast is not None


async def test_a_report_that_does_not_add_up_says_so(story: Story) -> None:
    await crowd(story)
    await story.sql("""UPDATE campaign SET frozen = '{"in_scope": 14}'""")
    report = await campaign_report(story.db, story.campaign_id, NOW)
    assert not report.adds_up
    assert report.gaps == ("population is 14, but in scope + excluded is 13",)


RULES: dict[str, dict[str, Any]] = {
    "use": {},
    "silence": {"deemed_by": "silence"},
    "never": {"deems": False},
    "an act": {"explicit": True},
    "never, and an act": {"deems": False, "explicit": True},
    "a better grade": {"grade_at_least": "B"},
    "a known baseline": {"baseline_at_least": "proved"},
}
END_OF = {
    Reason.EXPLICIT_ACT: "explicit", Reason.ACCOUNT_CLOSED: "closed", Reason.NEVER_DEEMED: "not_deemed",
    Reason.ACT_REQUIRED: "explicit_required", Reason.OBJECTED: "objected", Reason.UNKNOWN_BASELINE: "awaiting_use",
    Reason.BOUNCE_WINDOW: "awaiting_use", Reason.NOTICE_PERIOD: "awaiting_use", Reason.NO_USE_YET: "awaiting_use",
    Reason.GRADE_TOO_LOW: "awaiting_use", Reason.NOT_POSTED: "not_posted",
}  # fmt: skip


@pytest.mark.parametrize("posted", [True, False], ids=["posted", "not posted"])
@pytest.mark.parametrize("rule", RULES)
async def test_what_became_of_the_told_is_what_the_decision_says(db: Db, rule: str, posted: bool) -> None:
    story = await begin(db, RULE.model_copy(update=RULES[rule]))
    names = ("quiet", "user", "user_late", "waiting", "acted", "objected", "took_back", "objected_later")
    people = {name: await story.person(name, plan=2) for name in names}
    gone = {"status": "closed", "closed_at": DATE - DAY}
    people |= {name: await story.person(name, plan=2, **gone) for name in ("gone", "gone_objected", "gone_acted")}
    if not posted:
        await story.sql("INSERT INTO posting VALUES ($1, 'en', NULL)", story.version_id)
    late = people.pop("user_late"), people.pop("waiting")
    await story.told(*people.values())
    await story.told(late[0], at=NOW - 20 * DAY)  # whose notice period has not passed
    await story.told(late[1], at=NOW - 30 * DAY - HOUR)
    people |= {"user_late": late[0], "waiting": late[1]}
    for name in ("objected", "took_back", "gone_objected"):
        said = Statement(TOLD + DAY, "letter")
        await record_objection(db, "kumo", people[name], story.version_id, said, TOLD + DAY)
    await withdraw_objection(db, "kumo", people["took_back"], story.version_id, Statement(DATE, "letter"), DATE)
    for name in ("acted", "gone_acted"):
        await record_explicit(db, "kumo", people[name], story.version_id, TOLD + DAY, "button", NOW)
    await used(story, *(people[n] for n in ("user", "user_late", "objected", "objected_later")))
    while await accept_silence(db, NOW):
        pass
    await record_objection(db, "kumo", people["objected_later"], story.version_id, Statement(NOW, "letter"), NOW)
    expected: Counter[str] = Counter()
    for who in people.values():
        answer = await explained(story, who)
        assert answer.decision is not None
        assert answer.status == "told"
        is_deemed = answer.recorded is not None and answer.recorded.kind == "deemed"
        expected["deemed" if is_deemed else END_OF[answer.decision.reason]] += 1
    assert Counter((await campaign_report(db, story.campaign_id, NOW)).told_split) == expected


async def test_nothing_is_awaited_of_people_who_were_told_of_what_no_use_accepts(db: Db) -> None:
    story = await begin(db, RULE.model_copy(update={"deems": False}))
    await story.told(await story.person("ann"))
    split = (await campaign_report(db, story.campaign_id, NOW)).told_split
    assert {end: count for end, count in split.items() if count} == {"not_deemed": 1}


async def test_who_was_not_told_and_why(story: Story) -> None:
    await crowd(story)
    untold = Filters(statuses=("unreachable", "suppressed", "pending", "excluded"))
    page = await campaign_notices(story.db, story.campaign_id, untold)
    assert {(row.external_id, row.status, row.reason, row.failed_class) for row in page.rows} == {
        ("bounced", "unreachable", "in_scope", "bad_address"),
        ("refused", "unreachable", "in_scope", "bad_address"),
        ("pending", "pending", "in_scope", None),
        ("=left-unreachable", "unreachable", "unreachable", None),
        ("=left-suppressed", "suppressed", "suppressed", None),
        ("=left-closed", "excluded", "closed", None),
        ("=left-outside_rule", "excluded", "outside_rule", None),
    }


async def test_pages_follow_each_other_without_gap_or_repeat(story: Story) -> None:
    people = await crowd(story)
    seen: list[str] = []
    cursor = None
    while True:
        page = await campaign_notices(story.db, story.campaign_id, Filters(), cursor, 4)
        seen += [row.external_id for row in page.rows]
        cursor = page.cursor
        if cursor is None:
            break
        assert len(page.rows) == 4
    assert sorted(seen) == sorted(people)
    assert len(seen) == len(people)


async def test_notices_are_filtered_by_status_reason_channel_and_locale(story: Story) -> None:
    await crowd(story)

    async def found(**filters: Any) -> set[str]:
        page = await campaign_notices(story.db, story.campaign_id, Filters(**filters))
        return {row.external_id for row in page.rows}

    assert await found(channel="inbox") == {"message"}
    assert await found(reasons=("closed",)) == {"=left-closed"}
    assert await found(locale="ja") == set()
    assert "waiting" in await found(statuses=("told",), channel="email", locale="en")


async def test_a_status_finds_exactly_those_who_stand_so(story: Story) -> None:
    people = await crowd(story)
    for reason in ("unreachable", "suppressed"):  # shown it at a login: told after all
        somebody = await story.person(f"shown-{reason}", reason=reason)
        await story.heard(somebody, "shown", TOLD, "in_app")
    await story.heard(people["refused"], "accepted_by_relay", TOLD + HOUR, attempt=2)
    await story.heard(people["pending"], "refused", TOLD, class_="content")
    await story.heard(await story.person("away"), "withheld", TOLD)
    weak = "UPDATE campaign SET rule = rule || jsonb_build_object('evidence', 'shown')"
    for superseded_by in (None, story.campaign_id):
        await story.sql("UPDATE campaign SET superseded_by = $1", superseded_by)
        everybody = (await campaign_notices(story.db, story.campaign_id, Filters())).rows
        assert len({row.status for row in everybody}) >= 4
        for statuses in [*combinations(STATUSES, 1), *combinations(STATUSES, 2)]:
            page = await campaign_notices(story.db, story.campaign_id, Filters(statuses=statuses))
            assert page.rows == [row for row in everybody if row.status in statuses], statuses
        await story.sql(weak)  # next time whom nothing was shown


async def test_strange_filters_cursors_and_limits_are_refused(story: Story) -> None:
    for given in ({"after": "AAAA"}, {"after": "ü"}, {"limit": 0}, {"limit": 1001}):
        with pytest.raises(Invalid):
            await campaign_notices(story.db, story.campaign_id, Filters(), **given)  # type: ignore[arg-type] # mixed
    with pytest.raises(Invalid) as refused:
        await campaign_notices(story.db, story.campaign_id, Filters(statuses=("delivered",)))
    assert [fault.pointer for fault in refused.value.faults] == ["/status"]


async def test_who_accepted_with_which_grade(story: Story) -> None:
    await crowd(story)
    page = await version_acceptances(story.db, story.version_id)
    assert {(row.external_id, row.kind, row.grade) for row in page.rows} == {
        ("deemed", "deemed", "D"), ("explicit", "explicit", "A"),
    }  # fmt: skip
    (row,) = (await version_acceptances(story.db, story.version_id, grade="A")).rows
    assert (row.external_id, row.accepted_at) == ("explicit", DATE)
    assert (await version_acceptances(story.db, story.version_id, kind="registration")).rows == []
    with pytest.raises(Invalid):
        await version_acceptances(story.db, story.version_id, grade="F")


async def exported(story: Story, filters: Filters) -> list[dict[str, str]]:
    written = bytearray()

    async def write(chunk: bytes) -> None:
        written.extend(chunk)

    await notices_csv(story.db, story.campaign_id, filters, write)
    return list(csv.DictReader(io.StringIO(written.decode())))


async def test_the_export_has_every_notice_once(story: Story) -> None:
    people = await crowd(story)
    rows = await exported(story, Filters())
    assert len(rows) == len(people)
    (deemed,) = [row for row in rows if row["external_id"] == "deemed"]
    assert (deemed["status"], deemed["told_by"], deemed["accepted"], deemed["grade"]) == (
        "told",
        "email",
        "deemed",
        "D",
    )
    assert datetime.fromisoformat(deemed["told_at"]) == TOLD


async def test_the_export_takes_the_same_filters_as_the_pages(story: Story) -> None:
    await crowd(story)
    for status in STATUSES:
        page = await campaign_notices(story.db, story.campaign_id, Filters(statuses=(status,)))
        rows = await exported(story, Filters(statuses=(status,), locale="en"))
        assert [row["external_id"].lstrip("'") for row in rows] == [row.external_id for row in page.rows]


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
async def test_the_export_disarms_formulas(story: Story, sign: str) -> None:
    ann = await story.person(f'{sign}cmd|"/c calc"!A1')
    await story.heard(ann, "refused", TOLD, class_="content")
    await story.sql("UPDATE outcome SET reply = $1", f'{sign}550 no, "never"\n')
    (row,) = await exported(story, Filters())
    assert row["external_id"] == f'\'{sign}cmd|"/c calc"!A1'
    assert row["failed_reply"].startswith(f"'{sign}550")


CROWD = """
INSERT INTO person (lane, site, external_id, person_id, registered_at, changed_at)
SELECT i % 1024, 'kumo', 'x' || i, gen_random_uuid(), {at}, {at} FROM generate_series(1, 20000) i;
INSERT INTO notice SELECT lane, person_id, {campaign}, 'in_scope', 0 FROM person WHERE external_id LIKE 'x%';
INSERT INTO outcome SELECT lane, person_id, {campaign}, 'email', 1, 'accepted_by_relay', {at}, NULL, '', '', {at},
    NULL, NULL, 'x' FROM notice;
INSERT INTO acceptance SELECT lane, person_id, {version}, 1, 'deemed', 'D', {at}, {at}, '{{}}', {at} FROM notice;
INSERT INTO objection SELECT lane, person_id, {version}, {at}, false, '', '', {at} FROM notice;
INSERT INTO baseline SELECT lane, person_id, {version}, 1, 'imported', {at}, '', '', NULL, {at} FROM notice;
INSERT INTO act SELECT lane, person_id, gen_random_uuid(), {version}, 'accept', 'en', '', {at} FROM notice;
INSERT INTO registration SELECT lane, person_id, {version}, {at} FROM notice;
INSERT INTO activity SELECT lane, person_id, {at}::date, {at}, {at}, 'login', '', '', '', {at} FROM notice;
INSERT INTO retry SELECT lane, person_id, {campaign}, 'email', 1, 0, {at} FROM notice WHERE lane % 20 = 0;
INSERT INTO joined SELECT lane, person_id, {campaign}, {at}, 'restored', 'closed', 'in_scope' FROM notice
WHERE lane % 9 = 0;
INSERT INTO passed_over SELECT lane, person_id, {version}, 'objected', {at}, 'login', {at} FROM notice;
INSERT INTO literal_use SELECT lane, person_id, {version}, {at} FROM notice;
INSERT INTO companion SELECT lane, person_id, {campaign}, lane, gen_random_uuid(), {at} FROM notice;
INSERT INTO merger SELECT lane, person_id, lane, gen_random_uuid(), {at} FROM notice;
ANALYZE
"""


async def read_whole(story: Story, names: Iterable[str], values: Mapping[str, object]) -> dict[str, set[str]]:
    """The tables that each query reads from end to end, in a crowd of 20,000."""
    for statement in CROWD.format(at=f"'{POSTED}'", campaign=story.campaign_id, version=story.version_id).split(";"):
        await story.sql(statement)
    found: dict[str, set[str]] = {}
    async with story.db.connection() as connection:
        for name in names:
            query = all_queries()[f"compliance.{name}"]
            literals = ", ".join("NULL" if (v := values[p]) is None else f"'{v}'" for p in query.parameters)
            await connection.execute(f"PREPARE {name} AS {query.sql}")
            plan = await connection.fetch(f"EXPLAIN EXECUTE {name} ({literals})")
            found[name] = {match[1] for row in plan if (match := re.search(r"Seq Scan on (\w+)", row[0]))}
            found[name] -= {"campaign", "version", "plan", "under_way"}
    return found


async def test_one_person_is_found_by_key_in_every_table(story: Story) -> None:
    ann = await story.person("ann")
    names = ("timeline", "notices", "acceptances", "attempts", "uses", "told_before")
    values = {
        "lane": ann.lane, "person_id": ann.person_id, "campaign_id": story.campaign_id,
        "version_id": story.version_id, "before": NOW,
    }  # fmt: skip
    assert await read_whole(story, names, values) == {name: set() for name in names}


async def test_a_page_reads_only_what_it_shows(story: Story) -> None:
    names = ("campaign_notices", "version_acceptances")
    values = {
        "campaign_id": story.campaign_id, "version_id": story.version_id, "statuses": "{}", "reasons": "{}",
        "channel": None, "locale": None, "late": False, "kind": None, "grade": None,
        "after_lane": 500, "after_person": UUID(int=0), "most": 101,
    }  # fmt: skip
    assert await read_whole(story, names, values) == {name: set() for name in names}


async def test_a_timeline_of_somebody_unknown_is_empty(story: Story) -> None:
    assert await timeline(story.db, Somebody("nobody", 1, (await story.person("ann")).person_id)) == []


async def test_a_late_date_is_forecast(story: Story) -> None:
    await story.told(await story.person("ann"), at=POSTED + 3 * DAY)
    report = await campaign_report(story.db, story.campaign_id, NOW)
    assert report.forecast is not None
    assert report.forecast.notice_ends_at == POSTED + 33 * DAY
    assert report.forecast.late
    assert report.forecast.per_hour == round(1 / timedelta(days=3).total_seconds() * 3600, 1)
