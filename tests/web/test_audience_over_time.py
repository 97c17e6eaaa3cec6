"""The audience goes on after the freeze: late registrants, accounts that are open again, other addresses."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from notifier.campaigns.campaign import list_campaigns
from notifier.campaigns.join import join_late, reconcile
from notifier.campaigns.stages import move_stages
from notifier.db import Db
from notifier.keys import Keys
from notifier.web.console.overview import in_scope_of
from tests.sites import a_site
from tests.web.town import DAY, HOUR, Town, open_town

PRIVATE_TOO: dict[str, Any] = {"preset": "imacocokara", "channels": ["email", "inbox"]}


@pytest.fixture
async def town(db: Db, keys: Keys, request: pytest.FixtureRequest) -> AsyncIterator[Town]:
    """Thirty days of notice, by email only, unless the test says otherwise."""
    async with open_town(db, keys, a_site(rule={"preset": "pop-japan"} | getattr(request, "param", {}))) as opened:
        yield opened


def ruled(**rule: Any) -> pytest.MarkDecorator:
    """The site's own rule for one test."""
    return pytest.mark.parametrize("town", [rule], indirect=True)


async def test_case_06_who_registers_before_the_effect_and_was_shown_the_old_version_joins_and_is_told(
    town: Town,
) -> None:
    await town.person("before")
    await town.tell("two")
    await town.work()
    town.clock.move(5 * DAY)
    await town.newcomer("late", registration_version="one")
    await town.work()
    assert town.letters() == ["before", "late"]
    assert await town.stands("late") == ("in_scope", "told")
    report = await town.report()
    assert (report["population"], report["in_scope"], report["told"]) == (2, 2, 2)
    assert report["joined"] == {"registered": 1, "restored": 0, "new_address": 0}
    campaigns = await list_campaigns(town.db, "kumo")
    assert await in_scope_of(town.db, campaigns) == {town.campaign_id: 2}  # as the overview says
    assert "joined_registered" in await town.events("late")
    words = (await town.api.get(f"{town.base}/people/late/explain?policy=privacy&version=two"))["words"]
    assert any("became known to us after the audience was frozen" in one for one in words)
    await town.pass_time(31 * DAY)  # the version took effect; thirty days after they were told
    await town.use("late")
    assert await town.accepted("late") == [("two", "deemed", "D"), ("one", "registration", "A")]


async def test_case_06_who_was_shown_the_coming_version_accepted_it_and_is_left_out_with_that_reason(
    town: Town,
) -> None:
    await town.tell("two")
    await town.newcomer("late", registration_version="two")
    await town.work()
    assert town.letters() == []
    assert await town.stands("late") == ("registered_with_it", "excluded")
    assert await town.accepted("late") == [("two", "registration", "A")]
    report = await town.report()
    assert (report["population"], report["excluded"]) == (1, {"registered_with_it": 1})


async def test_case_06_a_late_registrants_own_date_is_thirty_days_after_they_were_told(town: Town) -> None:
    await town.tell("two")
    await town.pass_time(29 * DAY)
    await town.newcomer("late")
    await town.work()
    await town.pass_time(29 * DAY)
    await town.use("late")
    assert await town.accepted("late") == []
    await town.pass_time(2 * DAY)
    await town.use("late")
    assert await town.accepted("late") == [("two", "deemed", "D")]


async def test_use_that_was_settled_for_somebody_is_asked_about_again_once_they_join(town: Town) -> None:
    await town.person("gone", status="suspended")
    await town.tell("two")
    await town.use("gone")  # this process remembers now that nothing waits for them
    await town.person("gone")
    await town.work()
    await town.pass_time(33 * DAY)
    await town.use("gone")
    await town.pass_time(4 * DAY)
    assert await town.accepted("gone") == [("two", "deemed", "D")]


async def test_who_registers_once_it_is_in_force_is_not_told_of_it(town: Town) -> None:
    await town.tell("two")
    await town.pass_time(33 * DAY)
    await town.newcomer("after")
    await town.pass_time(2 * HOUR)
    assert await town.stands("after") == (None, None)
    assert (await town.report())["population"] == 0


async def test_who_registered_in_time_and_is_heard_of_after_the_effect_joins_still(town: Town) -> None:
    await town.tell("two")
    await town.pass_time(33 * DAY)
    await town.person("old")  # registered in 2020, in a list that came late
    await town.work()
    assert await town.stands("old") == ("in_scope", "told")


@ruled(**PRIVATE_TOO, notice_days=14)
async def test_a_private_message_to_a_late_registrant_is_told_when_it_is_placed_and_not_before(town: Town) -> None:
    await town.person("before")
    await town.tell("two")
    await town.pass_time(5 * DAY)
    await town.newcomer("late", email="")
    await town.work()
    notice = await town.notice("late")
    assert (notice["status"], notice["told_by"]) == ("told", "inbox")
    told = await town.api.get(
        f"{town.base}/people/late/told?policy=privacy&version=two"
        f"&before={(town.clock.now() - DAY).isoformat().replace('+00:00', 'Z')}"
    )
    assert told["told"] is False


@ruled(**PRIVATE_TOO, telling="all")
async def test_where_every_channel_tells_late_registrants_get_every_one(town: Town) -> None:
    await town.person("before")
    await town.tell("two")
    await town.newcomer("late")
    await town.work()
    assert sorted(one for one in await town.office.outcomes() if one[0] == "late") == [
        ("late", "email", 1, "accepted_by_relay"),
        ("late", "inbox", 1, "placed"),
    ]


async def test_two_workers_let_a_late_registrant_join_once(town: Town) -> None:
    await town.person("before")
    await town.tell("two")
    for number in range(20):
        await town.newcomer(f"late{number}")
    now = town.clock.now()
    await asyncio.gather(*(join_late(town.db, now) for _ in range(4)))
    await asyncio.gather(*(town.office.deliver() for _ in range(3)))
    assert sorted(town.letters()) == sorted(["before", *(f"late{number}" for number in range(20))])
    assert (await town.report())["joined"]["registered"] == 20


async def test_a_worker_that_dies_before_the_arrival_is_taken_away_changes_nothing(town: Town) -> None:
    await town.tell("two")
    await town.newcomer("late")
    arrivals = await town.office.rows("SELECT lane, person_id, site, mark FROM arrival")
    await town.join()
    await town.db.copy("arrival", ("lane", "person_id", "site", "mark"), arrivals)
    await town.work()
    assert town.letters() == ["late"]
    assert (await town.report())["joined"]["registered"] == 1
    assert await town.office.rows("SELECT * FROM arrival") == []


async def test_who_came_while_the_audience_was_frozen_is_found_by_comparing(town: Town) -> None:
    await town.tell("two")
    await town.newcomer("missed")
    await town.db.execute("DELETE FROM arrival")  # as if the import had not seen the campaign yet
    await town.work()
    assert await town.stands("missed") == (None, None)
    await town.pass_time(HOUR)
    assert await town.stands("missed") == ("in_scope", "told")


async def test_people_are_compared_daily_until_the_effect_and_once_after_it(town: Town) -> None:
    await town.tell("two")
    ((effective_at,),) = await town.office.rows("SELECT max(effective_at) FROM version")
    days = (effective_at - town.clock.now()).days  # the usual date is a midnight: it depends on the hour of the test
    looks = 0
    for _ in range(40 * 4):
        town.clock.move(6 * HOUR)
        looks += await reconcile(town.db, town.clock.now())
    assert days - 2 <= looks <= days + 2
    assert await reconcile(town.db, town.clock.now() + 400 * DAY) == 0


async def test_nobody_joins_what_was_cancelled_or_superseded(town: Town) -> None:
    old = await town.tell("two")
    await town.tell("three")
    await town.newcomer("late")
    await town.work()
    assert await town.office.rows("SELECT campaign_id FROM notice") == [(old + 1,)]
    await town.api.post(f"{town.base}/campaigns/{town.campaign_id}/cancel", {})
    await town.newcomer("later")
    await town.work()
    assert await town.stands("later") == (None, None)
    assert town.letters() == ["late"]


async def test_where_nothing_is_told_an_import_leaves_nothing_behind(town: Town) -> None:
    await town.person("ann")
    assert await town.office.rows("SELECT * FROM arrival") == []


async def test_who_joins_a_campaign_that_holds_its_canary_waits_for_their_turn(db: Db, keys: Keys) -> None:
    canary = {"stages": [1], "go_on": "by_hand"}
    async with open_town(db, keys, a_site(canary=canary)) as town:
        for number in range(10):
            await town.person(f"p{number}")
        await town.tell("two")
        await town.work()
        for number in range(10):
            await town.newcomer(f"late{number}")
        await town.work()
        before = len(town.letters())
        assert before < 20
        await move_stages(db, town.clock.now())
        await town.api.post(f"{town.base}/campaigns/{town.campaign_id}/go_on", {})
        await town.work()
        assert len(town.letters()) == len(set(town.letters())) == 20


async def test_somebody_between_the_batches_is_neither_lost_nor_told_twice(db: Db, keys: Keys) -> None:
    async with open_town(db, keys, a_site(), batch_size=2) as town:
        for number in range(12):
            await town.person(f"p{number}")
        await town.tell("two")
        worker = asyncio.create_task(town.office.deliver())
        for number in range(12):
            await town.newcomer(f"late{number}")
            await join_late(db, town.clock.now())
        await worker
        await town.work()
        assert len(town.letters()) == len(set(town.letters())) == 24
        assert (await town.report())["told"] == 24


# ------------------------------------------------------------------------- accounts that are open again


@pytest.mark.parametrize("away", ["suspended", "closed"])
async def test_who_was_left_out_and_whose_account_is_open_again_joins(town: Town, away: str) -> None:
    await town.person("back", status=away)
    await town.tell("two")
    await town.work()
    assert await town.stands("back") == (away, "excluded")
    await town.pass_time(3 * DAY)
    await town.person("back")
    await town.work()
    assert await town.stands("back") == ("in_scope", "told")
    assert town.letters() == ["back"]
    report = await town.report()
    assert (report["population"], report["told"], report["joined"]["restored"]) == (1, 1, 1)
    assert await town.events("back") == ["registered", "considered", "joined_restored", "tried", "accepted_by_relay"]


async def test_who_was_away_when_it_was_their_turn_is_told_once_they_are_back(town: Town) -> None:
    await town.person("back")
    await town.tell("two")
    await town.person("back", status="suspended")
    await town.work()
    assert await town.stands("back") == ("in_scope", "unreachable")
    await town.person("back")
    await town.join()
    assert await town.stands("back") == ("in_scope", "pending")
    await town.work()
    assert await town.stands("back") == ("in_scope", "told")
    assert town.letters() == ["back"]
    # And once more: away again, back again, and nothing further to be told.
    await town.person("back", status="suspended")
    await town.person("back")
    await town.pass_time(2 * DAY)
    assert town.letters() == ["back"]


async def test_who_comes_back_before_it_is_their_turn_is_told_as_everybody(town: Town) -> None:
    await town.person("back")
    await town.tell("two")
    await town.person("back", status="suspended")
    await town.person("back")
    await town.work()
    assert town.letters() == ["back"]
    assert (await town.report())["joined"]["restored"] == 0


async def test_who_is_away_twice_is_told_at_the_third_turn(town: Town) -> None:
    await town.person("back")
    await town.tell("two")
    for _ in range(2):
        await town.person("back", status="suspended")
        await town.work()
        await town.person("back")
        await town.join()
    await town.work()
    assert await town.stands("back") == ("in_scope", "told")
    assert town.letters() == ["back"]


# ------------------------------------------------------------------------- another address (case 4)


async def test_case_04_a_new_address_after_a_bounce_is_tried_and_old_rows_keep_the_old_one(town: Town) -> None:
    await town.person("ann")
    await town.tell("two")
    await town.work()
    await town.bounce("ann")
    assert await town.stands("ann") == ("in_scope", "unreachable")
    await town.pass_time(2 * DAY)
    await town.person("ann", email="ann@new.example")
    await town.work()
    assert await town.stands("ann") == ("in_scope", "told")
    assert [got.address for got in town.server.got] == ["ann@people.example", "ann@new.example"]
    rows = await town.office.rows("SELECT attempt, address FROM intent ORDER BY attempt")
    assert rows == [(1, "ann@people.example"), (2, "ann@new.example")]
    assert (await town.report())["joined"]["new_address"] == 1
    assert await town.bounce("ann") == 0  # the old one's report once more
    assert await town.stands("ann") == ("in_scope", "told")
    assert await town.office.rows("SELECT count(*) FROM suppression") == [(1,)]


async def test_case_04_who_was_validly_told_gets_nothing_more_at_a_new_address(town: Town) -> None:
    await town.person("ann")
    await town.tell("two")
    await town.work()
    await town.person("ann", email="ann@new.example")
    await town.pass_time(2 * DAY)
    assert town.letters() == ["ann"]


@ruled(**PRIVATE_TOO)
async def test_case_04_whom_the_other_channel_told_after_the_bounce_gets_nothing_more(town: Town) -> None:
    await town.person("ann")
    await town.tell("two")
    await town.work()
    await town.bounce("ann")
    await town.work()
    await town.person("ann", email="ann@new.example")
    await town.pass_time(2 * DAY)
    assert town.letters() == ["ann"]
    assert (await town.notice("ann"))["told_by"] == "inbox"


async def test_whom_no_channel_could_reach_is_told_at_their_first_address(town: Town) -> None:
    await town.person("ann", email="")
    await town.tell("two")
    await town.work()
    assert await town.stands("ann") == ("unreachable", "unreachable")
    await town.person("ann")
    await town.work()
    assert await town.stands("ann") == ("in_scope", "told")


async def test_a_new_address_that_bounces_too_ends_the_matter(town: Town) -> None:
    await town.person("ann")
    town.server.say("rcpt", "550 5.1.1 no such user", to="ann@people.example")
    town.server.say("rcpt", "550 5.1.1 no such user", to="ann@new.example")
    await town.tell("two")
    await town.work()
    await town.person("ann", email="ann@new.example")
    await town.pass_time(timedelta(days=1))
    assert await town.stands("ann") == ("in_scope", "unreachable")
    await town.person("ann", email="ann@third.example")
    await town.work()
    assert await town.stands("ann") == ("in_scope", "told")


async def test_who_joins_reads_what_changed_since_the_version_that_they_knew(town: Town) -> None:
    await town.person("before")
    await town.tell("two")
    await town.work()
    await town.newcomer("late", registration_version="one")
    await town.work()
    knew = await town.office.rows("SELECT DISTINCT label FROM notice JOIN version ON version_id = since")
    assert knew == [("one",)]
    first, second = (got.content.decode() for got in town.server.got)
    assert ("What changed" in first) == ("What changed" in second)
