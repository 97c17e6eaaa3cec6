"""Pause, cancel and relays at rest: what is not on the wire yet is held back, and nobody is lost or told twice."""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from notifier.campaigns.steer import steer
from notifier.db import Db
from notifier.keys import Keys
from notifier.sites.apply import apply
from tests.channels.smtp_server import smtp_server
from tests.office import NO_STOP, Office, open_office
from tests.sites import a_site

KINDS = "SELECT kind::text, class, count(*)::int FROM outcome GROUP BY kind, class ORDER BY kind, class"


@pytest.fixture
async def office(db: Db, keys: Keys) -> AsyncIterator[Office]:
    async with open_office(db, keys, a_site(rule={"preset": "imacocokara"})) as opened:
        opened.delivery.settings.batch_size = 100
        yield opened


async def in_the_relay(office: Office, people: int) -> asyncio.Task[int]:
    """A campaign whose first batch is going into a slow relay: four letters of it are there."""
    for number in range(people):
        await office.person(f"p{number:03}")
    await office.open()
    office.server.delay = 0.05
    working = asyncio.create_task(office.delivery.deliver_next(NO_STOP))
    while len(office.server.got) < 4:
        await asyncio.sleep(0.005)
    return working


async def step(office: Office, action: str) -> float:
    """Take a step with the campaign. Returns when it was taken, on the clock of the loop."""
    await steer(office.db, "kumo", office.campaign_id, action, "test", "a typo", office.clock.now())
    return asyncio.get_running_loop().time()


async def test_after_a_pause_nothing_begins_later_than_a_second_and_after_resuming_everybody_is_told_once(
    office: Office,
) -> None:
    working = await in_the_relay(office, 80)
    paused = await step(office, "pause")
    await working
    sent = len(office.server.got)
    assert 4 <= sent < 40
    assert max(office.server.mails + office.server.contents) < paused + 1
    assert await office.rows(KINDS) == [("accepted_by_relay", None, sent), ("deferred", "held", 80 - sent)]
    assert await office.rows("SELECT DISTINCT attempt, failures FROM retry") == [(2, 0)]
    await asyncio.sleep(0.5)
    assert await office.deliver() == 0
    assert len(office.server.contents) == sent
    office.server.delay = 0
    await step(office, "resume")
    await office.deliver()
    assert sorted(office.server.addresses) == [f"p{n:03}@people.example" for n in range(80)]
    assert set((await office.statuses()).values()) == {"told"}
    assert await office.rows("SELECT count(*) FROM retry") == [(0,)]


SAID = {
    "DATA": ("PIPELINING", "8BITMIME"),
    "BDAT": ("PIPELINING", "8BITMIME", "CHUNKING"),
    "one command at a time": ("8BITMIME",),
}


@pytest.mark.parametrize("extensions", SAID.values(), ids=SAID.keys())
async def test_after_a_pause_no_content_goes_however_late_a_slow_relay_asks_for_it(
    office: Office, extensions: tuple[str, ...]
) -> None:
    office.server.extensions = extensions
    for number in range(60):
        await office.person(f"p{number:03}")
    await office.open()
    working = asyncio.create_task(office.delivery.deliver_next(NO_STOP))
    while len(office.server.got) < 4:
        await asyncio.sleep(0.001)
    office.server.delay = 1.5
    begun = len(office.server.mails)
    while len(office.server.mails) < begun + 2:
        await asyncio.sleep(0.01)
    paused = await step(office, "pause")
    await working
    assert max(office.server.contents) < paused + 1
    sent = len(office.server.got)
    assert await office.rows(KINDS) == [("accepted_by_relay", None, sent), ("deferred", "held", 60 - sent)]
    office.server.delay = 0
    await step(office, "resume")
    await office.deliver()
    assert sorted(office.server.addresses) == [f"p{n:03}@people.example" for n in range(60)]
    assert "PIPELINING" not in extensions or office.server.pipelined, "what we broke off ourselves casts no doubt on it"


async def test_after_a_cancel_what_was_not_on_the_wire_never_leaves(office: Office) -> None:
    working = await in_the_relay(office, 60)
    cancelled = await step(office, "cancel")
    await working
    assert max(office.server.mails + office.server.contents) < cancelled + 1
    assert await office.deliver() == 0
    sent = len(office.server.got)
    assert await office.rows(KINDS) == [("accepted_by_relay", None, sent), ("deferred", "held", 60 - sent)]


async def test_a_worker_that_lost_its_slice_begins_no_more_letters(office: Office) -> None:
    working = await in_the_relay(office, 60)
    await office.db.execute("UPDATE slice SET epoch = epoch + 1")
    lost = asyncio.get_running_loop().time()
    await working
    assert max(office.server.mails + office.server.contents) < lost + 1
    assert len(await office.outcomes()) == 60


async def test_being_held_back_for_a_week_does_not_use_up_the_time_in_which_a_letter_is_tried(office: Office) -> None:
    working = await in_the_relay(office, 60)
    await step(office, "pause")
    await working
    office.server.delay = 0
    office.server.say("rcpt", "451 4.7.1 greylisted, come back")
    office.clock.move(timedelta(days=7))
    await step(office, "resume")
    await office.deliver()
    waiting = await office.rows("SELECT count(*)::int FROM retry")
    assert waiting == [(60 - len(office.server.got),)]
    office.server.say("rcpt", "", "")
    office.clock.move(timedelta(hours=1))
    await office.deliver()
    assert len(office.server.got) == len(set(office.server.addresses)) == 60


async def test_while_no_relay_can_be_reached_nothing_is_written_down_about_anybody(office: Office) -> None:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    relay = {"host": "127.0.0.1", "port": port, "security": "none"}
    await apply(office.db, a_site(rule={"preset": "imacocokara"}, relays=[relay]), office.clock.now())
    for number in range(30):
        await office.person(f"p{number:02}")
    await office.open(slice_size=10)
    for _ in range(20):
        await office.delivery.deliver_next(NO_STOP)
    assert await office.rows("SELECT count(*) FROM intent") == [(0,)]
    assert await office.outcomes() == []
    touched = await office.rows("SELECT sum(epoch)::int FROM slice")
    assert touched[0][0] < 4, "slices of a resting relay are not claimed again and again"
    async with smtp_server(port=port) as server:
        async with asyncio.timeout(10):
            while len(server.got) < 30:
                await office.delivery.deliver_next(NO_STOP)
                await asyncio.sleep(0.05)
        assert len(set(server.addresses)) == 30
    assert {kind for *_, kind in await office.outcomes()} == {"accepted_by_relay"}


async def test_a_relay_that_goes_away_costs_nobody_but_the_batch_in_hand_anything(office: Office) -> None:
    office.delivery.settings.batch_size = 10
    working = await in_the_relay(office, 60)
    office.server.say("banner", "421 4.3.2 closing for today")
    office.server.drop_all()
    await working
    for _ in range(5):
        await office.delivery.deliver_next(NO_STOP)
    assert await office.rows("SELECT count(*)::int FROM intent") == [(10,)]
    assert await office.rows("SELECT due_at > now() FROM slice WHERE channel = 'email'") == [(True,)]
