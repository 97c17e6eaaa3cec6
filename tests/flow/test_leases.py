"""What becomes of notices when a worker loses its slice, or dies, at the worst moment."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from notifier.campaigns.steer import steer
from notifier.db import Db
from notifier.delivery.batch import Batches
from notifier.delivery.lease import claim, give_back, recover
from notifier.delivery.settle import Settlement, Tried, record, settle
from notifier.keys import Keys
from notifier.outcomes.hear import hear
from notifier.people.erase import erase_person
from notifier.people.roster import get_person
from tests.channels.smtp_server import SILENCE
from tests.office import NO_STOP, Office, open_office
from tests.sites import a_site

LOST = "UPDATE slice SET leased_until = leased_until - interval '1 hour' WHERE leased_until IS NOT NULL"


@pytest.fixture
async def office(db: Db, keys: Keys) -> AsyncIterator[Office]:
    """Letters first; a private message for whom no letter reaches."""
    async with open_office(db, keys, a_site(rule={"preset": "imacocokara"})) as opened:
        yield opened


async def begun(office: Office) -> asyncio.Task[int]:
    """A worker that has written down what is under way and now hangs in the relay."""
    working = asyncio.create_task(office.delivery.deliver_next(NO_STOP))
    while not await office.rows("SELECT FROM under_way"):
        await asyncio.sleep(0.005)
    return working


async def test_a_refusal_that_comes_after_the_lease_was_lost_still_gives_the_next_channel_its_turn(
    office: Office,
) -> None:
    await office.person("gone")
    office.server.say("rcpt", "550 5.1.1 no such user", to="gone@people.example")
    await office.open()
    office.server.delay = 0.3
    slow = await begun(office)
    await office.db.execute(LOST)
    other = replace(office.delivery, worker="another")
    assert await other.deliver_next(NO_STOP) == 1
    await slow
    office.clock.move(timedelta(hours=1))
    await office.deliver()
    assert await office.outcomes() == [
        ("gone", "email", 1, "refused"),
        ("gone", "email", 1, "unknown"),
        ("gone", "inbox", 1, "placed"),
    ]
    assert await office.statuses() == {"gone": "told"}


async def test_what_somebody_told_of_meanwhile_is_counted_once_and_costs_nobody_else_their_outcome(
    office: Office,
) -> None:
    for name in ("ann", "bob"):
        await office.person(name)
    await office.open()
    office.server.delay = 0.2
    slow = await begun(office)
    ann = await get_person(office.db, office.keys, office.site.site, "ann")
    told = Tried(ann.lane, ann.person_id, 1, 0, "accepted_by_relay", reply="250 told before")
    async with office.db.transaction() as tx:
        rows = settle([told], office.clock.now(), 60, float)
        await record(tx, office.campaign_id, "email", 3, rows, office.clock.now(), held=False, queued=True, new=False)
    assert await slow == 1
    assert await office.outcomes() == [
        ("ann", "email", 1, "accepted_by_relay"),
        ("bob", "email", 1, "accepted_by_relay"),
    ]
    assert await office.rows("SELECT reply FROM outcome WHERE reply LIKE '%before'") == [("250 told before",)]
    assert await office.rows("SELECT kind::text, sum(count)::int FROM progress GROUP BY kind") == [
        ("accepted_by_relay", 2)
    ]


async def test_nothing_sets_out_behind_the_back_of_the_next_holder(office: Office) -> None:
    for number in range(5):
        await office.person(f"p{number}")
    await office.open()
    set_out = Batches._set_out
    now, real = office.clock.now(), office.clock.real()

    async def stalled(batches: Batches, *what: Any) -> bool:
        await office.db.execute(LOST)
        next_ = await claim(office.db, "another", timedelta(seconds=60), now, real)
        assert next_ is not None
        await recover(office.db, next_, 60, now)
        written = await set_out(batches, *what)
        await give_back(office.db, next_, now)
        return written

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batches, "_set_out", stalled)
        await office.delivery.deliver_next(NO_STOP)
    async with asyncio.timeout(5):
        await office.deliver()
    assert await office.rows("SELECT count(*), max(attempt) FROM intent") == [(5, 1)]
    assert len(office.server.got) == 5


async def test_what_the_last_holder_and_the_next_one_say_at_once_is_counted_once(office: Office) -> None:
    for number in range(5):
        await office.person(f"p{number}")
    await office.open()
    office.server.say("dot", SILENCE)
    slow = await begun(office)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    await office.db.execute(LOST)
    now = office.clock.now()
    next_ = await claim(office.db, "another", timedelta(seconds=60), now, office.clock.real())
    assert next_ is not None
    attempts = await office.rows("SELECT lane, person_id FROM attempt")
    assert len(attempts) == 5
    too_late = settle([Tried(*key, 1, 0, "unknown", "unknown") for key in attempts], now, 60, float)
    async with office.db.transaction() as tx, asyncio.timeout(10):
        await record(tx, office.campaign_id, "email", 0, too_late, now, held=False, queued=True, new=False)
        recovering = asyncio.create_task(recover(office.db, next_, 60, now))
        waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        while not await office.rows(waiting):
            await asyncio.sleep(0.01)
    await recovering
    assert await office.rows("SELECT kind::text, sum(count)::int FROM progress GROUP BY kind") == [("unknown", 5)]
    assert (
        await office.rows("SELECT count(*) FROM outcome") == await office.rows("SELECT count(*) FROM intent") == [(5,)]
    )
    assert await office.rows("SELECT count(*) FROM retry") == [(5,)]


async def test_who_got_no_letter_in_a_batch_that_died_is_not_passed_over(office: Office) -> None:
    for number in range(10):
        await office.person(f"p{number}")
    await office.open()
    (first, second) = await office.rows("SELECT external_id FROM person ORDER BY lane, person_id LIMIT 2")
    await office.person(first[0], email=None)
    await office.person(second[0], status="closed")
    office.server.say("dot", SILENCE)
    dying = await begun(office)
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    office.server.say("dot", "")
    await office.db.execute(LOST)
    await office.deliver()
    office.clock.move(timedelta(hours=1))
    await office.deliver()
    statuses = await office.statuses()
    assert statuses.pop(second[0]) == "unreachable"
    assert set(statuses.values()) == {"told"}
    assert await office.rows("SELECT count(*) FROM retry") == [(0,)]


async def test_somebody_erased_while_waiting_for_another_try_is_not_pending_for_ever(office: Office) -> None:
    await office.person("erased")
    office.server.say("rcpt", "451 4.7.1 greylisted", to="erased@people.example")
    await office.open()
    await office.deliver()
    await erase_person(office.db, office.keys, "kumo", "erased", office.clock.now())
    office.clock.move(timedelta(hours=1))
    await office.deliver()
    assert set((await office.statuses()).values()) == {"unreachable"}
    assert await office.rows("SELECT count(*) FROM retry") == [(0,)]


async def test_a_fallback_that_is_given_up_at_its_first_try_does_not_come_up_again(office: Office) -> None:
    await office.person("late")
    await office.open()
    await office.deliver()
    who = await get_person(office.db, office.keys, "kumo", "late")
    now = office.clock.now()
    await hear(office.db, [await office.feedback("late", "bounced", "bad_address")], now)
    tried = [Tried(who.lane, who.person_id, 1, 0, "deferred", "network", since=now - timedelta(days=6))]
    rows = settle(tried, now, 60, float)
    async with office.db.transaction() as tx:
        await record(tx, office.campaign_id, "webhook", 1, rows, now, held=True, queued=True, new=False)
    stretch = {"from_lane": -1, "from_person": who.person_id, "to_lane": 1024, "to_person": who.person_id}
    await office.db.execute("UPDATE retry SET channel = 'webhook'")
    await office.db.run("delivery.drop_answered", campaign_id=office.campaign_id, channel="webhook", **stretch)
    assert await office.rows("SELECT count(*) FROM retry") == [(0,)]


async def test_a_failure_waits_for_the_next_channel_without_holding_its_own(office: Office) -> None:
    await office.person("gone")
    office.server.say("rcpt", "550 5.1.1 no such user", to="gone@people.example")
    await office.open()
    await office.db.execute("UPDATE slice SET channel = 'a-message' WHERE channel = 'inbox'")
    await office.db.execute("UPDATE plan SET fallback = '{a-message}'")
    lock = "SELECT FROM slice WHERE channel = '{}' FOR UPDATE"
    async with office.db.transaction() as other:
        await other.execute(lock.format("a-message"))
        working = asyncio.create_task(office.delivery.deliver_next(NO_STOP))
        while not await office.rows("SELECT FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
        await other.execute("SET LOCAL lock_timeout = '2s'; " + lock.format("email"))
    await working
    assert await office.outcomes() == [("gone", "email", 1, "refused")]
    assert await office.rows("SELECT channel FROM retry") == [("a-message",)]


async def test_a_letter_that_cannot_be_written_gives_the_channel_after_it_its_turn(office: Office) -> None:
    await office.person("gone")
    office.server.say("rcpt", "550 5.1.1 no such user", to="gone@people.example")
    await office.open()
    await office.db.execute("UPDATE plan SET fallback = '{webhook,inbox}'")
    await office.deliver()
    assert await office.rows("SELECT channel FROM retry") == [("webhook",)]
    who = await get_person(office.db, office.keys, "kumo", "gone")
    unwritable = Tried(who.lane, who.person_id, 1, 0, "refused", "unsupported", "no such address")
    rows, now = Settlement(outcomes=[unwritable], final=[unwritable], failed=[unwritable]), office.clock.now()
    async with office.db.transaction() as tx:
        await record(tx, office.campaign_id, "webhook", 1, rows, now, held=True, queued=True, new=False)
    await office.deliver()
    assert await office.statuses() == {"gone": "told"}


async def test_a_campaign_that_was_paused_for_a_week_still_tries_again(office: Office) -> None:
    await office.person("busy")
    office.server.say("rcpt", "451 4.7.1 greylisted, come back", "", to="busy@people.example")
    await office.open()
    await steer(office.db, "kumo", office.campaign_id, "pause", "test", "", office.clock.now())
    office.clock.move(timedelta(days=7))
    await steer(office.db, "kumo", office.campaign_id, "resume", "test", "", office.clock.now())
    await office.deliver()
    office.clock.move(timedelta(minutes=6))
    await office.deliver()
    assert await office.outcomes() == [
        ("busy", "email", 1, "deferred"),
        ("busy", "email", 2, "accepted_by_relay"),
    ]
