"""What becomes of notices when a worker loses its slice, or dies, at the worst moment."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from notifier.campaigns.steer import steer
from notifier.db import AWAY, Db
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
from tests.waiting import WAITING

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
        while not await office.rows(WAITING):
            await asyncio.sleep(0.01)
    await recovering
    assert await office.rows("SELECT kind::text, sum(count)::int FROM progress GROUP BY kind") == [("unknown", 5)]
    assert (
        await office.rows("SELECT count(*) FROM outcome") == await office.rows("SELECT count(*) FROM intent") == [(5,)]
    )
    assert await office.rows("SELECT count(*) FROM retry") == [(5,)]


async def test_what_came_of_letters_is_kept_while_the_database_breaks_connections(office: Office) -> None:
    for number in range(5):
        await office.person(f"p{number}")
    await office.open()
    # The connection is cut where outcomes are written, when the letters have left.
    await office.db.execute(
        "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;"
        " CREATE TRIGGER cut BEFORE INSERT ON outcome FOR EACH STATEMENT EXECUTE FUNCTION cut()"
    )
    working = asyncio.create_task(office.delivery.deliver_next(NO_STOP))
    while len(office.server.got) < 5:
        await asyncio.sleep(0.01)
    await asyncio.sleep(1.2)
    assert not working.done(), "it keeps what it knows"
    assert await office.outcomes() == []
    await office.db.execute("DROP TRIGGER cut ON outcome")
    assert await working == 1
    assert await office.outcomes() == [(f"p{n}", "email", 1, "accepted_by_relay") for n in range(5)]
    await office.deliver()
    assert len(office.server.got) == 5
    assert await office.rows("SELECT kind::text, sum(count)::int FROM progress GROUP BY kind") == [
        ("accepted_by_relay", 5)
    ]


async def test_a_database_that_stays_away_is_waited_for_no_longer_than_the_lease_lasts(office: Office) -> None:
    await office.person("ann")
    await office.open()
    office.delivery.settings.lease_seconds = 1.5
    await office.db.execute(
        "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;"
        " CREATE TRIGGER cut BEFORE INSERT ON outcome FOR EACH STATEMENT EXECUTE FUNCTION cut()"
    )
    begun_at = asyncio.get_running_loop().time()
    with pytest.raises(AWAY):
        await office.delivery.deliver_next(NO_STOP)
    assert asyncio.get_running_loop().time() - begun_at < 3
    await office.db.execute("DROP TRIGGER cut ON outcome")
    await office.deliver()
    assert await office.outcomes() == [("ann", "email", 1, "unknown")]


async def test_what_was_recorded_although_no_answer_came_is_recorded_once(office: Office) -> None:
    await office.person("gone")
    await office.person("here")
    office.server.say("rcpt", "550 5.1.1 no such user", to="gone@people.example")
    await office.open()
    await office.db.execute("UPDATE plan SET fallback = '{inbox,webhook}'")
    record_ = Batches._record
    other = replace(office.delivery, worker="another")
    answers = []

    async def unheard(batches: Batches, *what: Any, **how: Any) -> bool:
        answers.append(await record_(batches, *what, **how))
        if len(answers) == 1:
            await other.deliver_next(NO_STOP)  # the next channel has its turn, and this slice another holder
            raise asyncpg.ConnectionDoesNotExistError
        return answers[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batches, "_record", unheard)
        await office.delivery.deliver_next(NO_STOP)
    await office.deliver()
    assert await office.outcomes() == [
        ("gone", "email", 1, "refused"),
        ("gone", "inbox", 1, "placed"),
        ("here", "email", 1, "accepted_by_relay"),
    ]
    assert await office.rows("SELECT count(*) FROM retry") == [(0,)], "and no third channel"
    progress = await office.rows("SELECT kind::text, sum(count)::int FROM progress GROUP BY kind ORDER BY kind::text")
    assert progress == [("accepted_by_relay", 1), ("placed", 1), ("refused", 1)]


async def test_of_a_batch_behind_a_relay_that_hangs_only_what_was_begun_is_of_unknown_fate(office: Office) -> None:
    for number in range(60):
        await office.person(f"p{number:02}")
    await office.open()
    office.delivery.settings.lease_seconds, office.delivery.settings.batch_size = 2, 100
    office.server.say("dot", SILENCE)
    stopped = asyncio.Event()
    asyncio.get_running_loop().call_later(1, stopped.set)
    await office.delivery.deliver_next(stopped.is_set)
    counts = dict(await office.rows("SELECT kind::text, count(*)::int FROM outcome GROUP BY kind"))
    assert counts["unknown"] <= 4, "what was out in two sessions, and what had been begun behind it"
    assert counts == {"unknown": counts["unknown"], "deferred": 60 - counts["unknown"]}
    assert await office.rows("SELECT DISTINCT class FROM outcome WHERE kind = 'deferred'") == [("held",)]


async def test_a_batch_has_the_whole_lease_however_long_its_worker_waited_before(office: Office) -> None:
    await office.person("ann")
    await office.open()
    set_out, left = Batches._set_out, []

    async def late(batches: Batches, *what: Any) -> bool:
        await office.db.execute("UPDATE slice SET leased_until = now() + interval '1 second' WHERE worker IS NOT NULL")
        written = await set_out(batches, *what)
        left.extend(await office.rows("SELECT leased_until - now() FROM slice WHERE worker IS NOT NULL"))
        return written

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batches, "_set_out", late)
        await office.delivery.deliver_next(NO_STOP)
    assert left[0][0] > timedelta(seconds=50)


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
        while not await office.rows(WAITING):
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
