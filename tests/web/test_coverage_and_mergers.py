"""People leave, merge and are erased in mid-campaign, at every stage; and the alarm when not everybody is covered."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from notifier.compliance.coverage import coverage_of, look_at_coverage
from notifier.db import Db
from notifier.doctor.site import examine_coverage
from notifier.keys import Keys
from tests.sites import a_site
from tests.web.town import DAY, HOUR, Town, open_town

STAGES = ("before the freeze", "frozen", "put off", "sent")


@pytest.fixture
async def town(db: Db, keys: Keys) -> AsyncIterator[Town]:
    async with open_town(db, keys, a_site()) as opened:
        yield opened


async def come_to(town: Town, stage: str, leave: Any) -> None:
    """Ann and Ben are told of a version; at some stage of it Ann leaves in some way."""
    await town.person("ann")
    await town.person("ben")
    if stage == "put off":
        town.server.say("rcpt", "451 4.7.1 later", "", to="ann@people.example")
    await town.publish("two")
    if stage == "before the freeze":
        await leave()
    await town.approve()
    if stage == "frozen":
        await leave()
    await town.work()
    if stage in ("put off", "sent"):
        await leave()
    await town.pass_time(HOUR)


@pytest.mark.parametrize("stage", STAGES)
async def test_who_closes_their_account_gets_nothing_more(town: Town, stage: str) -> None:
    await come_to(town, stage, lambda: town.person("ann", status="closed"))
    assert sorted(town.letters()) == (["ann", "ben"] if stage == "sent" else ["ben"])
    expected = {
        "before the freeze": ("closed", "excluded"),
        "frozen": ("in_scope", "unreachable"),
        "put off": ("in_scope", "unreachable"),
        "sent": ("in_scope", "told"),
    }
    assert await town.stands("ann") == expected[stage]
    assert ("withheld" in await town.events("ann")) == (stage in ("frozen", "put off"))
    await town.report()


@pytest.mark.parametrize("stage", STAGES)
async def test_case_13_who_is_erased_is_told_nothing_more_and_what_was_done_stays_without_them(
    town: Town, stage: str
) -> None:
    async def erase() -> None:
        assert (await town.api.ask("DELETE", f"{town.base}/people/ann"))[0] == 204

    await come_to(town, stage, erase)
    assert ("ann" in town.letters()) == (stage == "sent")
    kept = "ann@people.example"
    for table in ("person", "intent", "outcome", "notice", "joined", "arrival", "retry", "acceptance"):
        rows = await town.office.rows(f"SELECT t.*::text FROM {table} t")  # noqa: S608 - names of ours
        assert not [row for row in rows if kept in str(row) or "'ann'" in str(row)], table
    assert await town.office.rows("SELECT count(*) FROM notice") == [(2,)]
    news = await town.bounce("ann")  # late
    assert (news, await town.office.rows("SELECT count(*) FROM outcome WHERE kind = 'bounced'")) == (0, [(0,)])
    await town.report()
    if stage == "sent":
        assert (await town.notice("ann"))["status"] == "told"


@pytest.mark.parametrize("stage", STAGES)
async def test_who_is_merged_gets_nothing_more_and_the_other_is_told_once(town: Town, stage: str) -> None:
    async def merge() -> None:
        answer = await town.api.post(f"{town.base}/people/ann/merge", {"into": "ben"})
        assert answer["external_id"] == "ben"

    await come_to(town, stage, merge)
    assert town.letters().count("ben") == 1
    assert ("ann" in town.letters()) == (stage == "sent")
    assert await town.stands("ben") == ("in_scope", "told")
    events = (await town.api.get(f"{town.base}/people/ben/timeline"))["events"]
    hers = {event["kind"] for event in events if event["facts"].get("account") == "ann"}
    assert {"registered", "account_closed", "considered", "merged_from"} <= hers
    assert ("accepted_by_relay" in hers) == (stage == "sent")
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    assert "merged_into" in await town.events("ann")
    words = (await town.api.get(f"{town.base}/people/ann/explain?policy=privacy&version=two"))["words"]
    assert any("merged this account into ben" in one for one in words)
    await town.report()


async def test_merging_again_changes_nothing_and_contradictions_are_refused(town: Town) -> None:
    for name in ("ann", "ben", "cho"):
        await town.person(name)
    merge = f"{town.base}/people/ann/merge"
    await town.api.post(merge, {"into": "ben"})
    before = await town.office.rows("SELECT * FROM merger")
    await town.api.post(merge, {"into": "ben"})
    assert await town.office.rows("SELECT * FROM merger") == before
    assert (await town.api.ask("POST", merge, {"into": "cho"}))[0] == 409
    assert (await town.api.ask("POST", f"{town.base}/people/cho/merge", {"into": "ann"}))[0] == 409
    assert (await town.api.ask("POST", f"{town.base}/people/cho/merge", {"into": "cho"}))[0] == 422
    assert (await town.api.ask("POST", f"{town.base}/people/cho/merge", {"into": "nobody"}))[0] == 404


async def test_a_stale_list_parts_nobody_again(town: Town) -> None:
    await town.person("ann")
    await town.person("ben")
    await town.api.post(f"{town.base}/people/ann/merge", {"into": "ben"})
    problem = await town.person("ann", expect=409, email="ann@new.example")
    assert "merged" in problem["detail"]
    assert (await town.api.get(f"{town.base}/people/ann"))["status"] == "closed"


async def test_whoever_is_erased_takes_with_them_what_was_merged_into_them(town: Town) -> None:
    for name in ("ann", "ben", "cho"):
        await town.person(name)
    await town.api.post(f"{town.base}/people/ann/merge", {"into": "ben"})
    await town.api.post(f"{town.base}/people/ben/merge", {"into": "cho"})
    await town.api.ask("DELETE", f"{town.base}/people/cho")
    assert await town.office.rows("SELECT DISTINCT status::text, email FROM person") == [("erased", None)]


# ------------------------------------------------------------------------- is everybody covered?


async def looked(town: Town) -> dict[str, int]:
    """What the alarm finds now."""
    while await look_at_coverage(town.db, town.clock.now()):
        pass
    return dict(next((look.gaps for look in await coverage_of(town.db, "kumo")), {}))


async def metrics(town: Town) -> list[str]:
    """The figures of the alarm, as Prometheus reads them."""
    status, text = await town.api.ask("GET", "/metrics")
    assert status == 200
    return [line for line in text.splitlines() if line.startswith("notifier_uncovered{")]


async def test_also_a_version_whose_campaign_was_cancelled_raises_the_alarm_everywhere(town: Town) -> None:
    await town.person("ann")
    await town.publish("two")
    assert await looked(town) == {}
    await town.api.post(f"{town.base}/campaigns/{town.campaign_id}/cancel", {})
    town.clock.move(HOUR)
    assert await looked(town) == {"no_campaign": 0}
    assert await metrics(town) == [
        'notifier_uncovered{gap="no_campaign",policy="privacy",site="kumo",version="two"} 1.0'
    ]
    (finding,) = await examine_coverage(town.db, town.office.site)
    assert (finding.level, finding.what) == ("fail", "privacy two")


async def test_a_campaign_that_nobody_approved_raises_it_a_week_before_the_effect(town: Town) -> None:
    await town.publish("two")
    town.clock.move(22 * DAY)
    assert await looked(town) == {}
    town.clock.move(4 * DAY)  # the usual date of effect leaves a margin of one to two days
    assert await looked(town) == {"not_begun": 0}


async def test_people_without_a_notice_raise_it_until_they_joined(town: Town) -> None:
    await town.tell("two")
    await town.newcomer("late")
    await town.db.execute("DELETE FROM arrival")
    assert await looked(town) == {"no_notice": 1}
    await town.pass_time(HOUR)
    assert await looked(town) == {}


async def test_people_who_are_not_told_raise_it_and_so_do_those_whom_nothing_reached(town: Town) -> None:
    await town.person("ann")
    await town.person("silent", email="")
    await town.tell("two")
    town.clock.move(22 * DAY)
    assert await looked(town) == {}
    town.clock.move(4 * DAY)  # the usual date of effect leaves a margin of one to two days
    assert await looked(town) == {"untold": 1, "unreachable": 1}
    await town.work()
    town.clock.move(HOUR)
    assert await looked(town) == {"unreachable": 1}


async def test_who_is_told_with_less_evidence_than_the_rule_asks_for_is_not_covered(db: Db, keys: Keys) -> None:
    async with open_town(db, keys, a_site(rule={"preset": "us-contract"})) as town:
        await town.person("ann")
        await town.tell("two")
        await town.work()
        town.clock.move(26 * DAY)
        assert await looked(town) == {"too_little_evidence": 1}
        (finding,) = await examine_coverage(town.db, town.office.site)
        assert finding.level == "look"
        await town.bounce("ann", "accepted_by_recipient", None)
        town.clock.move(HOUR)
        assert await looked(town) == {}


async def test_a_newer_version_takes_the_alarm_over(town: Town) -> None:
    await town.publish("two")
    await town.api.post(f"{town.base}/campaigns/{town.campaign_id}/cancel", {})
    assert await looked(town) == {"no_campaign": 0}
    await town.publish("three")
    assert await looked(town) == {}
    assert await metrics(town) == []


async def test_the_alarm_looks_hourly_and_no_longer_than_a_month_after_the_effect(town: Town) -> None:
    await town.tell("two")
    assert await look_at_coverage(town.db, town.clock.now()) == 1
    assert await look_at_coverage(town.db, town.clock.now()) == 0
    town.clock.move(HOUR)
    assert await look_at_coverage(town.db, town.clock.now()) == 1
    town.clock.move(63 * DAY)
    assert await look_at_coverage(town.db, town.clock.now()) == 0
