"""Receivers refuse a relay: it is left alone by every worker, nobody pays for it, and letters go by another one."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from notifier.campaigns.stages import trip_breakers
from notifier.db import Db
from notifier.delivery.deliver import Delivery
from notifier.delivery.refusals import PAUSES
from notifier.delivery.relays import list_relays, resume_relay
from notifier.errors import NotFound
from notifier.keys import Keys
from notifier.sites.apply import apply
from tests.channels.smtp_server import SmtpServer, smtp_server
from tests.office import NO_STOP, Office, open_office
from tests.sites import a_site

NO = "550 5.7.26 unauthenticated mail is not accepted"


@pytest.fixture
async def office(db: Db, keys: Keys) -> AsyncIterator[Office]:
    async with open_office(db, keys, a_site(rule={"preset": "pop-japan"})) as opened:
        yield opened


async def relays(office: Office, *servers: SmtpServer, **more: Any) -> list[str]:
    """Let the site's letters go by these; the first is used as long as it can be. Returns their names."""
    described = [{"host": "127.0.0.1", "port": one.port, "security": "none", "sessions": 2} for one in servers]
    site = a_site(rule={"preset": "pop-japan"}, relays=described, **more)
    await apply(office.db, site, office.clock.now())
    return [relay.name for relay in site.relays]


async def people(office: Office, count: int) -> None:
    for number in range(count):
        await office.person(f"p{number:03}")


def colleague(office: Office) -> Delivery:
    """Another worker, with what it knows of its own."""
    one = office.delivery
    return Delivery(one.db, one.clock, one.keys, one.channels, one.settings, "colleague")


async def test_letters_go_by_another_relay_and_by_the_first_again_when_its_pause_is_over(office: Office) -> None:
    async with smtp_server() as other:
        names = await relays(office, office.server, other)
        office.server.say("rcpt", NO)
        await people(office, 40)
        await office.open()
        await office.deliver()
        assert sorted(Counter(other.addresses).values()) == [1] * 40, "whom the first refused went by the other at once"
        refused = [c for c in office.server.commands if c.startswith("RCPT")]
        assert len(refused) == 10, "one batch found it out"
        states = await list_relays(office.db, "kumo", office.clock.now())
        assert [(one.relay, one.reason, one.paused_until is None) for one in states] == [
            (names[0], NO, False), (names[1], "", True),
        ]  # fmt: skip
        assert await office.rows("SELECT count(*) FROM suppression") == [(0,)]
        office.server.say("rcpt", "")
        office.clock.move(PAUSES[0] + timedelta(seconds=1))
        await office.publish("three", {"en": {"body": "# three"}, "ja": {"body": "# 三"}})
        await office.tell(await office.publish("four", {"en": {"body": "# four"}, "ja": {"body": "# 四"}}))
        await office.deliver()
        assert len(office.server.got) == 40


async def test_without_another_relay_everybody_waits_and_no_attempt_is_made(office: Office) -> None:
    (name,) = await relays(office, office.server)
    office.server.say("rcpt", NO)
    await people(office, 60)
    await office.open(slice_size=30)
    await office.deliver()
    assert not await trip_breakers(office.db, office.clock.now()), "the relay is paused, not the campaign"
    worker = colleague(office)
    for _ in range(20):
        office.clock.move(timedelta(minutes=2))
        await office.deliver()
        while await worker.deliver_next(NO_STOP):
            pass
    tried = await office.rows("SELECT count(*)::int, max(attempt) FROM intent")
    assert tried == [(10, 1)], "one batch was refused, and no worker tried anybody since"
    assert await office.rows("SELECT DISTINCT failures FROM retry") == [(0,)]
    assert await office.rows("SELECT relay, action, actor FROM relay_event") == [(name, "paused", "notifier")]
    office.server.say("rcpt", "")
    office.clock.move(timedelta(minutes=31))
    await office.deliver()
    assert sorted(Counter(office.server.addresses).values()) == [1] * 60


async def test_one_persons_own_block_stops_no_relay(office: Office) -> None:
    await relays(office, office.server)
    for number in (3, 14, 27, 38):
        office.server.say("rcpt", "550 5.7.1 this person takes nothing from you", to=f"p{number:03}@people.example")
    await people(office, 40)
    await office.open()
    await office.deliver()
    assert len(office.server.got) == 36
    assert await office.rows("SELECT refused, paused_at FROM relay_refusal") == [(4, None)]
    assert await office.rows("SELECT count(*)::int, min(attempt), max(failures) FROM retry") == [(4, 2, 0)]


async def test_somebodys_word_ends_a_pause_and_is_on_record(office: Office) -> None:
    (name,) = await relays(office, office.server)
    office.server.say("rcpt", NO)
    await people(office, 20)
    await office.open()
    await office.deliver()
    now = office.clock.now()
    with pytest.raises(NotFound, match="no relay of kumo that is paused"):
        await resume_relay(office.db, "kumo", "elsewhere:25", "kei", "", now)
    office.server.say("rcpt", "")
    await resume_relay(office.db, "kumo", name, "kei", "SPF is mended", now)
    with pytest.raises(NotFound):
        await resume_relay(office.db, "kumo", name, "kei", "again", now)
    assert await office.rows("SELECT action, actor, reason FROM relay_event ORDER BY action") == [
        ("paused", "notifier", NO), ("resumed", "kei", "SPF is mended"),
    ]  # fmt: skip
    office.delivery = colleague(office)  # or a second and half a minute later
    office.clock.move(timedelta(seconds=31))
    await office.deliver()
    assert len(office.server.got) == 10, "who was refused waits out the hour"


async def test_refused_for_its_content_pauses_the_campaign_and_no_relay(office: Office) -> None:
    await relays(office, office.server, breaker={"after": 10})
    office.server.say("dot", "554 5.7.1 this message looks like spam")
    await people(office, 20)
    await office.open()
    await office.deliver()
    assert await trip_breakers(office.db, office.clock.now()) == 1
    assert await office.rows("SELECT state::text FROM campaign") == [("paused",)]
    assert await office.rows("SELECT count(*) FROM relay_refusal") == [(0,)]
