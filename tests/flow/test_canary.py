"""A few people first, then more, then everybody; and the breaker that stops in between. On a real SMTP server."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from notifier.campaigns.campaign import Campaign, history, load_campaign
from notifier.campaigns.stages import move_stages, trip_breakers
from notifier.campaigns.steer import steer
from notifier.campaigns.stop import go, stop
from notifier.compose import Service
from notifier.db import Db
from notifier.delivery.unknown import resolve_unknown
from notifier.errors import Conflict
from notifier.keys import Keys
from notifier.outcomes.hear import hear
from notifier.outcomes.inbox import list_messages
from notifier.people.roster import get_person
from notifier.presenting.pending import load_pending
from notifier.worker import work
from tests.channels.smtp_server import DROP, KEEP_AND_DROP
from tests.office import NO_STOP, Office, open_office
from tests.sites import a_site

CANARY = {"stages": [5, "40%"], "hold": 60}
HOLD = timedelta(minutes=60)


@pytest.fixture
async def office(db: Db, keys: Keys, request: pytest.FixtureRequest) -> AsyncIterator[Office]:
    given = {"rule": {"preset": "pop-japan"}, "canary": CANARY} | getattr(request, "param", {})
    async with open_office(db, keys, a_site(**given)) as opened:
        yield opened


def site(**settings: Any) -> Any:
    return pytest.mark.parametrize("office", [settings], indirect=True)


async def people(office: Office, count: int) -> list[str]:
    for number in range(count):
        await office.person(f"p{number:02}")
    return [f"p{number:02}@people.example" for number in range(count)]


async def campaign(office: Office) -> Campaign:
    return await load_campaign(office.db, None, office.campaign_id)


async def move(office: Office) -> int:
    return await move_stages(office.db, office.clock.now())


async def events(office: Office) -> list[str]:
    return [event.action for event in await history(office.db, office.campaign_id)]


async def in_key_order(office: Office) -> list[str]:
    rows = await office.rows("SELECT email FROM notice JOIN person USING (lane, person_id) ORDER BY lane, person_id")
    return [row[0] for row in rows]


async def test_stages_are_sent_in_order_with_a_hold_after_each_and_nobody_twice(office: Office) -> None:
    everybody = await people(office, 30)
    await office.open(slice_size=3)
    order = await in_key_order(office)
    for stage, told in ((1, 5), (2, 12), (3, 30)):
        found = await campaign(office)
        assert (found.stage, found.stages, found.held_at) == (stage, 3, None)
        await office.deliver()
        assert sorted(office.server.addresses) == sorted(order[:told])
        if stage < 3:
            assert await move(office) == 0
            await office.db.run("campaigns.close_finished", now=office.clock.now())
            office.clock.move(HOLD - timedelta(minutes=1))
            assert await move(office) == 0
            assert await office.deliver() == 0
            office.clock.move(timedelta(minutes=2))
            assert await move(office) == 1
    await office.db.run("campaigns.close_finished", now=office.clock.now())
    assert (await campaign(office)).state == "done"
    assert Counter(office.server.addresses) == Counter(everybody)
    assert await events(office) == [
        "announced", "approve", "opened", "held", "stage_opened", "held", "stage_opened", "done",
    ]  # fmt: skip


async def test_a_stage_is_handed_over_though_a_letter_of_it_was_put_off(office: Office) -> None:
    await people(office, 10)
    office.server.say("rcpt", "451 4.7.1 greylisted, come back", "")
    await office.open()
    await office.deliver()
    await move(office)
    assert (await campaign(office)).held_at is not None
    assert len(office.server.addresses) == 4


async def untested(office: Office) -> None:
    """However long it takes, the stage is not held and the next one does not open."""
    for _ in range(2):
        assert await move(office) == 0
        found = await campaign(office)
        assert (found.stage, found.held_at) == (1, None)
        office.clock.move(HOLD)


async def judged(office: Office) -> None:
    """The stage is held, and the next one opens after it."""
    await office.deliver()
    assert await move(office) == 0
    assert (await campaign(office)).held_at is not None
    office.clock.move(HOLD)
    assert await move(office) == 1


async def test_a_stage_that_was_only_queued_as_its_relay_went_away_is_not_held(office: Office) -> None:
    await people(office, 30)
    await office.open()
    office.server.say("banner", "220 test.example ESMTP", *["421 4.3.2 closing for today"] * 50)
    office.server.say("mail", DROP, "")
    await office.delivery.deliver_next(NO_STOP)
    assert await office.rows("SELECT DISTINCT class FROM outcome") == [("held",)]
    assert await office.rows("SELECT count(*)::int FROM retry") == [(5,)], "the cursor is behind all of them"
    await untested(office)
    office.server.say("banner", "")
    await asyncio.sleep(1.1)  # a relay that is out of reach is left alone for a second
    await judged(office)
    assert len(office.server.addresses) == 5


@site(pace={"quiet_hours": "21:00-08:00", "slow_start": False})
async def test_a_stage_of_which_some_are_asleep_waits_for_them(office: Office) -> None:
    await people(office, 30)
    midnight = datetime(2030, 3, 1, 15, tzinfo=UTC)  # in Tokyo
    office.clock.move(midnight - office.clock.now())
    await office.open()
    awake = (await in_key_order(office))[4]
    await office.person(awake.partition("@")[0], time_zone="Europe/Berlin")
    await office.deliver()
    assert office.server.addresses == [awake]
    await untested(office)
    office.clock.move(timedelta(hours=7))
    await judged(office)
    assert len(office.server.addresses) == 5


async def test_a_stage_that_nobody_answered_anything_about_its_letters_taught_nothing(office: Office) -> None:
    await people(office, 30)
    office.server.say("rcpt", "450 4.7.28 too many letters of yours")
    await office.open()
    await office.delivery.deliver_next(NO_STOP)
    assert await office.rows("SELECT class, count(*)::int FROM outcome GROUP BY class") == [("throttled", 5)]
    await untested(office)
    assert await office.rows("SELECT count(*)::int FROM outcome") == [(5,)]
    office.server.say("rcpt", "")
    await judged(office)
    assert len(office.server.addresses) == 5


@site(unknown={"then": "hold"})
async def test_a_stage_whose_letters_are_all_of_unknown_fate_waits_for_somebodys_word(office: Office) -> None:
    await people(office, 30)
    office.server.say("dot", KEEP_AND_DROP)
    await office.open()
    await office.deliver()
    await asyncio.sleep(1.1)  # a relay that breaks three sessions in a row is left alone for a second
    office.clock.move(timedelta(seconds=5))
    await office.deliver()
    await untested(office)
    now = office.clock.now()
    assert await resolve_unknown(office.db, "kumo", office.campaign_id, "give_up", "kei", "", now) == 5
    await judged(office)


async def test_a_stage_of_people_who_all_left_opens_the_next(office: Office) -> None:
    await people(office, 30)
    await office.open()
    for address in (await in_key_order(office))[:5]:
        await office.person(address.partition("@")[0], status="closed")
    await judged(office)
    assert office.server.addresses == []


async def test_a_stage_that_is_being_sent_is_not_held(office: Office) -> None:
    await people(office, 10)
    await office.open()
    await move(office)
    assert (await campaign(office)).held_at is None


@site(canary={"stages": [5], "go_on": "by_hand", "hold": 0})
async def test_by_hand_the_next_stage_waits_for_somebody_s_word(office: Office) -> None:
    await people(office, 10)
    await office.open()
    with pytest.raises(Conflict, match="stage 1 of 2 is being sent"):
        await steer(office.db, "kumo", office.campaign_id, "go_on", "kei", "", office.clock.now())
    await office.deliver()
    await move(office)
    office.clock.move(timedelta(days=3))
    assert await move(office) == 0
    after = await steer(office.db, "kumo", office.campaign_id, "go_on", "kei", "looks good", office.clock.now())
    assert (after.stage, after.held_at) == (2, None)
    await office.deliver()
    assert len(office.server.addresses) == 10
    last = (await history(office.db, office.campaign_id))[-1]
    assert (last.action, last.actor, last.reason) == ("go_on", "kei", "looks good")
    assert last.detail == {"stage": 2, "stages": 2}


async def test_somebody_s_word_ends_a_hold_early_but_not_while_sending_is_stopped(office: Office) -> None:
    await people(office, 10)
    await office.open()
    await office.deliver()
    await move(office)
    await stop(office.db, None, "kei", "wait", office.clock.now())
    with pytest.raises(Conflict, match="all sending was stopped by kei: wait"):
        await steer(office.db, "kumo", office.campaign_id, "go_on", "kei", "", office.clock.now())
    office.clock.move(2 * HOLD)
    assert await move(office) == 0
    await go(office.db, None, "kei", "", office.clock.now())
    assert await move(office) == 1


async def test_of_many_workers_one_opens_the_next_stage(office: Office) -> None:
    await people(office, 30)
    await office.open()
    await office.deliver()
    await asyncio.gather(*(move(office) for _ in range(4)))
    office.clock.move(2 * HOLD)
    assert sum(await asyncio.gather(*(move(office) for _ in range(6)))) == 1
    assert (await campaign(office)).stage == 2
    assert (await events(office)).count("stage_opened") == 1
    assert (await events(office)).count("held") == 1


async def test_a_crash_between_the_opening_of_a_stage_and_its_event_leaves_neither(office: Office) -> None:
    await people(office, 30)
    await office.open()
    await office.deliver()
    await move(office)
    office.clock.move(2 * HOLD)
    # The connection is cut where the event is written, after the stage was opened.
    await office.db.execute(
        "CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"
    )
    await office.db.execute(
        "CREATE TRIGGER crash BEFORE INSERT ON campaign_event FOR EACH ROW EXECUTE FUNCTION crash()"
    )
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError)):
        await move(office)
    await office.db.execute("DROP TRIGGER crash ON campaign_event")
    assert ((await campaign(office)).stage, (await events(office)).count("stage_opened")) == (1, 0)
    assert await move(office) == 1
    assert ((await campaign(office)).stage, (await events(office)).count("stage_opened")) == (2, 1)


async def messages(office: Office, name: str) -> int:
    person = await get_person(office.db, office.keys, "kumo", name)
    return len(await list_messages(office.db, person.lane, person.person_id))


@site(rule={"preset": "imacocokara"}, canary={"stages": [2]})
async def test_private_messages_wait_for_the_last_stage_and_their_people_are_told_from_then_on(office: Office) -> None:
    await people(office, 3)
    for number in range(4):
        await office.person(f"reader{number}", email=None)
    await office.open()
    await office.deliver()
    assert await messages(office, "reader0") == 0
    assert Counter((await office.statuses()).values()) == {"told": 2, "pending": 5}
    await move(office)
    office.clock.move(2 * HOLD)
    assert await move(office) == 1
    assert await messages(office, "reader0") == 1
    await office.deliver()
    assert set((await office.statuses()).values()) == {"told"}
    since = (await campaign(office)).inbox_at
    told = await office.rows("SELECT told_at FROM standing WHERE told_by = 'inbox'")
    assert told == [(since,)] * 4


@site(rule={"preset": "imacocokara"}, canary={"stages": [2]})
async def test_who_fell_back_to_a_private_message_in_an_early_stage_has_it_at_once(office: Office) -> None:
    await people(office, 6)
    office.server.say("rcpt", "550 5.1.1 no such user")
    await office.open()
    await office.deliver()
    unlucky = {name for name, channel, _, kind in await office.outcomes() if (channel, kind) == ("inbox", "placed")}
    assert len(unlucky) == 2
    for number in range(6):
        assert await messages(office, f"p{number:02}") == (f"p{number:02}" in unlucky)


@site(canary={"stages": [100, "1%"]})
async def test_a_small_audience_is_told_at_once(office: Office) -> None:
    everybody = await people(office, 20)
    await office.open()
    assert (await campaign(office)).stages == 1
    await office.deliver()
    assert sorted(office.server.addresses) == everybody


# ---------------------------------------------------------------- the breaker

LIMITS = {"bounces": "20%", "after": 10}


async def trip(office: Office) -> int:
    return await trip_breakers(office.db, office.clock.now())


async def dead(office: Office, addresses: Sequence[str]) -> None:
    for address in addresses:
        office.server.say("rcpt", "550 5.1.1 no such user", to=address)


@site(canary=None, breaker=LIMITS)
async def test_the_breaker_holds_everybody_else_back_and_after_a_resume_they_are_told(office: Office) -> None:
    everybody = await people(office, 40)
    await office.open(slice_size=10)
    gone = (await in_key_order(office))[:3]
    await dead(office, gone)
    while await office.delivery.deliver_next(bool):
        await trip(office)
    assert ((await campaign(office)).state, len(office.server.addresses)) == ("paused", 7)
    assert await office.deliver() == 0
    await steer(office.db, "kumo", office.campaign_id, "resume", "kei", "", office.clock.now())
    while await office.delivery.deliver_next(bool):
        assert await trip(office) == 0
    assert Counter(office.server.addresses) == Counter(set(everybody) - set(gone))
    assert await events(office) == ["announced", "approve", "opened", "breaker", "resume"]
    differing = await office.rows(
        "SELECT kind, class FROM (SELECT kind::text, class, sum(count) AS n FROM progress GROUP BY 1, 2) p"
        " FULL JOIN (SELECT kind::text, coalesce(class, '') AS class, count(*) AS n FROM outcome GROUP BY 1, 2) o"
        " USING (kind, class) WHERE p.n IS DISTINCT FROM o.n"
    )
    assert differing == []


@site(canary={"stages": [5], "hold": 0}, breaker={"bounces": "20%", "after": 1000})
async def test_a_stage_is_judged_at_its_end_however_small_it_was(office: Office) -> None:
    await people(office, 20)
    await office.open()
    await dead(office, (await in_key_order(office))[:3])
    await office.deliver()
    assert await trip(office) == 0
    assert await move(office) == 0
    found = await campaign(office)
    assert (found.state, found.stage) == ("paused", 1)
    await steer(office.db, "kumo", office.campaign_id, "resume", "kei", "", office.clock.now())
    assert await move(office) == 1
    await office.deliver()
    assert len(office.server.addresses) == 17


@site(canary=None, breaker=LIMITS)
async def test_a_relay_that_is_away_is_no_reason(office: Office) -> None:
    await people(office, 30)
    office.server.say("connect", *["421 4.3.2 shutting down"] * 40)
    await office.open()
    await office.deliver()
    assert await trip(office) == 0


@site(canary=None, breaker=LIMITS)
async def test_of_a_pause_and_the_breaker_at_once_one_pauses(office: Office) -> None:
    await people(office, 20)
    await office.open(slice_size=10)
    await dead(office, (await in_key_order(office))[:5])
    await office.delivery.deliver_next(bool)

    async def pause() -> str:
        return (await steer(office.db, "kumo", office.campaign_id, "pause", "kei", "", office.clock.now())).state

    tries = await asyncio.gather(pause(), *(trip(office) for _ in range(4)), return_exceptions=True)
    assert all(isinstance(one, int | str | Conflict) for one in tries), tries
    assert (await campaign(office)).state == "paused"
    taken = [step for step in await events(office) if step in ("pause", "breaker")]
    assert len(taken) == 1
    assert sum(one for one in tries if isinstance(one, int)) == taken.count("breaker")


@site(canary=None, breaker=LIMITS)
async def test_bounces_that_come_later_count_too(office: Office) -> None:
    await people(office, 12)
    await office.person("waits", email="waits@people.example")
    office.server.say("rcpt", "451 4.2.0 later", "", to="waits@people.example")
    await office.open()
    await office.deliver()
    assert await trip(office) == 0
    for name in ("p01", "p02", "p03"):
        await hear(office.db, [await office.feedback(name, "bounced", "bad_address")], office.clock.now())
    assert await trip(office) == 1
    last = (await history(office.db, office.campaign_id))[-1]
    assert last.reason == "paused by the breaker: 25 % of 12 letters bounced; limit 20 %"
    assert last.detail == {"rate": "bounces", "channel": "email", "count": 3, "of": 12, "limit": 0.2}
    assert await trip(office) == 0
    await steer(office.db, "kumo", office.campaign_id, "resume", "kei", "old list, known", office.clock.now())
    assert await trip(office) == 0, "what came before was looked into"
    office.clock.move(timedelta(hours=1))
    await office.deliver()
    assert (await office.statuses())["waits"] == "told"


@site(canary=None, breaker=LIMITS)
async def test_a_bounce_that_is_heard_before_its_batch_is_recorded_counts_with_its_batch(office: Office) -> None:
    await people(office, 20)
    await office.open(slice_size=10)
    order = [address.partition("@")[0] for address in await in_key_order(office)]
    await office.delivery.deliver_next(NO_STOP)
    office.server.delay = 0.1
    slow = asyncio.create_task(office.delivery.deliver_next(NO_STOP))
    while not await office.rows("SELECT FROM under_way"):
        await asyncio.sleep(0.005)
    for name in (order[0], order[1], order[10]):
        await hear(office.db, [await office.feedback(name, "bounced", "bad_address")], office.clock.now())
    assert await trip(office) == 0, "three of twenty, ten of which are out; not of the ten that are recorded"
    await slow
    assert await trip(office) == 0
    for name in order[2:4]:
        await hear(office.db, [await office.feedback(name, "bounced", "bad_address")], office.clock.now())
    assert await trip(office) == 1, "five of twenty"


@site(canary=None, breaker={"content": "20%", "after": 5})
async def test_what_turns_bad_in_the_middle_pauses_though_most_went_well(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifier.campaigns.breaker.LATELY", 10)
    await people(office, 60)
    await office.open(slice_size=10)
    for number in range(6):
        if number == 5:
            office.server.say("dot", *["554 5.6.0 not this content"] * 10)
        await office.delivery.deliver_next(NO_STOP)
        tripped = await trip(office)
        assert tripped == (number == 5), number
    last = (await history(office.db, office.campaign_id))[-1]
    assert (
        last.reason == "paused by the breaker: 50 % of the last 20 letters were refused for their content; limit 20 %"
    )
    await steer(office.db, "kumo", office.campaign_id, "resume", "kei", "", office.clock.now())
    assert await trip(office) == 0


@site(canary=None, breaker=LIMITS)
async def test_a_worker_notices_by_itself_before_many_more_are_written_to(office: Office) -> None:
    await people(office, 400)
    await office.open(slice_size=100)
    office.server.say("rcpt", *["550 5.1.1 no such user"] * 400)
    service = Service(office.delivery.settings, office.db, office.clock, office.keys, office.delivery.channels)
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group, asyncio.timeout(30):
        group.create_task(work(service, "worker", stopping))
        while (await campaign(office)).state != "paused":
            await asyncio.sleep(0.02)
        stopping.set()
    ((tried,),) = await office.rows("SELECT count(*) FROM outcome")
    # Four slices at a time in batches of ten: a batch each before the look and a few while it is taken.
    assert 10 <= tried <= 200
    assert office.server.addresses == []


async def test_whose_stage_has_not_begun_is_shown_nothing_at_a_login_either(office: Office) -> None:
    await people(office, 20)
    await office.open()
    order = await in_key_order(office)

    async def why(address: str) -> str:
        found = await load_pending(office.db, office.keys, "kumo", address.partition("@")[0], office.clock.now())
        return str(found[0].presentation.why)

    assert [await why(order[place]) for place in (0, 4, 5, 19)] == ["not_yet_told"] * 2 + ["held"] * 2
    await office.deliver()
    await move(office)
    office.clock.move(HOLD)
    assert await move(office) == 1
    assert [await why(order[place]) for place in (5, 7, 8)] == ["not_yet_told"] * 2 + ["held"]


async def due(office: Office) -> int:
    soon = office.clock.now() + timedelta(minutes=5)
    found = await office.db.many(dict, "web.campaigns_due", soon=soon)
    return int(found[0]["campaigns"])


async def test_a_campaign_that_only_waits_has_nothing_due(office: Office) -> None:
    await people(office, 20)
    await office.open()
    assert await due(office) == 1
    await office.deliver()
    assert await due(office) == 0, "a stage is handed over, and held"
    await move(office)
    office.clock.move(HOLD)
    await move(office)
    assert await due(office) == 1


async def test_what_waited_of_a_campaign_that_is_over_ends(office: Office) -> None:
    await people(office, 20)
    office.server.say("rcpt", "451 4.7.1 later")
    await office.open()
    await office.deliver()
    assert await office.rows("SELECT count(*) FROM retry") == [(5,)]
    await office.db.run("delivery.end_over")
    assert await office.rows("SELECT count(*) FROM retry") == [(5,)], "it is not over yet"
    await steer(office.db, "kumo", office.campaign_id, "cancel", "test", "", office.clock.now())
    await office.db.run("delivery.end_over")
    assert await office.rows("SELECT count(*) FROM retry") == [(0,)]
    assert await office.rows("SELECT count(*) FROM slice WHERE due_at IS NOT NULL") == [(0,)]
    assert set((await office.statuses()).values()) == {"pending"}, "what became of each stays on record"
