"""Where the contract takes silence for acceptance (PSD2): recorded when two months have passed, without any use."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifier.acceptance import silence
from notifier.acceptance.decide import Decision, Outcome, Reason
from notifier.acceptance.silence import accept_silence, look_again
from notifier.db import Db
from notifier.keys import Keys
from tests.sites import KUMO, a_site
from tests.telling import a_telling
from tests.web.town import DAY, HOUR, Town, open_town

RULE: dict[str, Any] = {
    "preset": "eu-psd2-framework", "deemed_acceptance": True, "reason": "section 12 of the framework contract",
}  # fmt: skip
TERMS = {"privacy": KUMO["policies"]["privacy"] | {"kind": "terms"}}


@pytest.fixture
async def town(db: Db, keys: Keys) -> AsyncIterator[Town]:
    async with open_town(db, keys, a_site(rule=RULE, policies=TERMS)) as opened:
        yield opened


async def explained(town: Town, name: str) -> str:
    answer = await town.api.get(f"{town.base}/people/{name}/explain?policy=privacy&version=two")
    return " ".join(answer["words"])


async def test_silence_is_recorded_when_two_months_have_passed_without_any_use(town: Town) -> None:
    for name in ("ann", "ben"):
        await town.person(name)
    await town.tell("two")
    await town.work()
    (told_at,) = {(await town.notice(name))["told_at"] for name in ("ann", "ben")}
    await town.pass_time(61 * DAY)
    assert await town.accepted("ann") == []
    await town.pass_time(4 * DAY)
    assert [await town.accepted(name) for name in ("ann", "ben")] == [[("two", "deemed", "D")]] * 2
    (recorded,) = (await town.api.get(f"{town.base}/people/ann/acceptances"))["acceptances"]
    assert recorded["evidence"]["reason"] == "silence"
    assert recorded["evidence"]["use"] is None
    assert recorded["accepted_at"] == recorded["counts_from"]
    assert datetime.fromisoformat(recorded["accepted_at"]) >= datetime.fromisoformat(told_at) + 62 * DAY
    assert "Deemed accepted by silence" in await explained(town, "ann")
    assert "accepted_deemed" in await town.events("ann")
    assert (await town.report())["accepted"]["deemed"] == 2


async def test_who_objects_within_the_two_months_accepts_nothing_and_silence_begins_when_it_is_taken_back(
    town: Town,
) -> None:
    await town.person("ann")
    await town.tell("two")
    await town.work()
    await town.pass_time(30 * DAY)
    about = {"policy": "privacy", "version": "two", "via": "letter"}
    await town.api.post(f"{town.base}/people/ann/objections", about)
    await town.pass_time(40 * DAY)
    assert await town.accepted("ann") == []
    await town.api.post(f"{town.base}/people/ann/objections", about | {"withdrawn": True})
    await town.pass_time(DAY + HOUR)
    assert await town.accepted("ann") == [("two", "deemed", "D")]


async def test_an_objection_in_time_that_reaches_us_late_voids_the_silence(town: Town) -> None:
    await town.person("ann")
    await town.tell("two")
    await town.work()
    in_time = (town.clock.now() + 20 * DAY).isoformat()
    await town.pass_time(70 * DAY)
    assert await town.accepted("ann") == [("two", "deemed", "D")]
    about = {"policy": "privacy", "version": "two", "via": "letter", "at": in_time}
    await town.api.post(f"{town.base}/people/ann/objections", about)
    assert await town.accepted("ann") == [("two", "deemed", "D"), ("two", "void", None)]
    await town.pass_time(70 * DAY)
    assert len(await town.accepted("ann")) == 2
    assert "they had objected before it" in await explained(town, "ann")


@pytest.mark.parametrize("way", ["closings", "person"])
async def test_who_left_in_time_and_is_reported_late_has_accepted_nothing_by_silence(town: Town, way: str) -> None:
    await town.person("ann")
    await town.person("ben")
    await town.tell("two")
    await town.work()
    in_time = (town.clock.now() + 10 * DAY).isoformat()
    await town.pass_time(70 * DAY)
    assert await town.accepted("ann") == [("two", "deemed", "D")]
    if way == "person":
        await town.person("ann", status="closed", closed_at=in_time)
    else:
        about = {"policy": "privacy", "version": "two", "at": in_time}
        assert (await town.api.post(f"{town.base}/people/ann/closings", about))["news"]
        assert not (await town.api.post(f"{town.base}/people/ann/closings", about))["news"]
    await town.work()
    assert await town.accepted("ann") == [("two", "deemed", "D"), ("two", "void", None)]
    assert await town.accepted("ben") == [("two", "deemed", "D")]
    assert "they had left before it" in await explained(town, "ann")
    assert (await town.report())["accepted"]["deemed"] == 1
    closed = await town.api.get(f"{town.base}/people/ann")
    assert (closed["status"], closed["email"]) == ("closed", "ann@people.example")


async def test_who_left_after_their_date_keeps_what_was_deemed_before(town: Town) -> None:
    await town.person("ann")
    await town.tell("two")
    await town.work()
    later = (town.clock.now() + 65 * DAY).isoformat()
    await town.pass_time(70 * DAY)
    await town.person("ann", status="closed", closed_at=later)
    await town.work()
    assert await town.accepted("ann") == [("two", "deemed", "D")]


async def test_whoever_is_told_later_has_two_months_of_their_own(town: Town) -> None:
    await town.person("gone", status="suspended")
    await town.tell("two")
    await town.work()
    await town.pass_time(50 * DAY)
    await town.person("gone")
    await town.work()
    assert await town.stands("gone") == ("in_scope", "told")
    await town.pass_time(61 * DAY)
    assert await town.accepted("gone") == []
    await town.pass_time(2 * DAY)
    assert await town.accepted("gone") == [("two", "deemed", "D")]


async def test_a_bounce_takes_the_silence_away(town: Town) -> None:
    await town.person("ann")
    await town.tell("two")
    await town.work()
    await town.pass_time(70 * DAY)
    await town.bounce("ann")
    await town.pass_time(70 * DAY)
    assert await town.accepted("ann") == [("two", "deemed", "D"), ("two", "void", None)]


async def test_two_workers_and_a_crash_record_each_once_in_small_batches(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        await town.person(f"p{number}")
    await town.tell("two")
    await town.work()
    monkeypatch.setattr(silence, "PEOPLE", 1)
    town.clock.move(70 * DAY)
    now = town.clock.now()

    async def work() -> None:
        while await accept_silence(town.db, now):
            pass

    async def crash(*_: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(silence, "append", crash)
        with pytest.raises(ConnectionError):
            await work()

    await asyncio.gather(work(), work(), work())
    rows = await town.office.rows("SELECT person_id, count(*) FROM acceptance GROUP BY 1")
    assert [count for _, count in rows] == [1] * 12
    assert await town.office.rows(
        "SELECT count(*) FROM silence WHERE due_at <= (SELECT max(recorded_at) FROM acceptance)"
    ) == [(0,)]


async def test_where_use_is_what_counts_no_lane_is_looked_at(db: Db, keys: Keys) -> None:
    async with open_town(db, keys, a_site()) as town:
        await town.person("ann")
        await town.tell("two")
        await town.pass_time(70 * DAY)
        assert await town.office.rows("SELECT count(*) FROM silence") == [(0,)]
        assert await town.accepted("ann") == []


@pytest.mark.parametrize(
    ("reason", "again", "waits"),
    [
        (Reason.NOTICE_PERIOD, 5 * DAY, 5 * DAY),
        (Reason.OBJECTED, None, DAY),
        (Reason.UNKNOWN_BASELINE, None, DAY),
        (Reason.NOT_YET_TOLD, None, 30 * DAY),
        (Reason.UNREACHABLE, None, 30 * DAY),
        (Reason.TOO_LITTLE_EVIDENCE, None, 30 * DAY),
    ],
)
def test_the_next_look_is_never_too_late(reason: Reason, again: timedelta | None, waits: timedelta) -> None:
    rule, now = a_telling(rule={"notice_days": 30}).rule, datetime(2026, 3, 1, tzinfo=UTC)
    decision = Decision(Outcome.NONE, reason, again_at=None if again is None else now + again)
    assert look_again(rule, decision, now) == now + waits
