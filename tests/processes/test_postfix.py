"""A real Postfix as the relay: it takes our letters, and tells in bounces and in its log what became of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from notifier.channels.email import Email
from notifier.channels.postfix_log import PostfixLog
from notifier.db import Db
from notifier.keys import Keys
from notifier.letters.verp import return_path_key
from notifier.outcomes.follow import record_log
from notifier.outcomes.hear import hear
from notifier.outcomes.listen import Listener, listening
from notifier.sites.apply import apply
from notifier.sites.site import Site
from tests.office import Office, open_office
from tests.processes.postfix import Postfix, missing, postfix

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

PEOPLE = r"@people\.example$"
BOUNCES = r"^b\+[a-f0-9]{62}@kumo\.example$"  # as docs/bounces.md says


async def until(true: Callable[[], Awaitable[Any]]) -> None:
    """Wait until something has become true."""
    async with asyncio.timeout(30):
        while not await true():
            await asyncio.sleep(0.1)


async def once(data: bytes) -> AsyncIterator[bytes]:
    """A log as it stands."""
    yield data


@pytest.fixture
async def office(db: Db, keys: Keys, site: Site) -> AsyncIterator[Office]:
    described = Site.model_validate(site.model_dump() | {"rule": {"preset": "imacocokara"}})
    async with open_office(db, keys, described) as opened:
        yield opened


async def through(office: Office, relay: Postfix) -> None:
    """Let the site's letters go through a relay; the office's own server is the recipients' now."""
    relays = [{"host": "127.0.0.1", "port": relay.port, "security": "none"}]
    office.site = Site.model_validate(office.site.model_dump() | {"relays": relays})
    await apply(office.db, office.site, office.clock.now())


async def test_a_bounce_comes_back_through_postfix_and_its_log_says_who_took_the_others(office: Office) -> None:
    key, email = return_path_key(office.keys), Email(office.keys)

    async def take(sender: str, address: str, message: bytes) -> None:
        envelope = {"Return-Path": f"<{sender}>", "X-Original-To": address}
        await hear(office.db, email.hear(envelope, message), office.clock.now())

    for name in ("aoi", "gone", "mia"):
        await office.person(name)
    office.server.say("rcpt", "550 5.1.1 no such user here", to="gone@people.example")
    async with (
        listening(Listener(take, key), "127.0.0.1", 0) as bounces,
        postfix({PEOPLE: office.server.port, BOUNCES: bounces}) as relay,
    ):
        await through(office, relay)
        await office.open()
        await office.deliver()
        assert [kind for *_, kind in await office.outcomes()] == ["accepted_by_relay"] * 3
        await until(lambda: office.rows("SELECT FROM outcome WHERE kind = 'bounced'"))
        assert await office.rows("SELECT class, via FROM outcome WHERE kind = 'bounced'") == [
            ("bad_address", "relay.kumo.example")
        ]
        assert await office.rows("SELECT reason FROM suppression") == [("bad_address",)]
        await office.deliver()
        await until(lambda: asyncio.to_thread(lambda: relay.log.read_text().count("status=sent") == 3))
        log = relay.log.read_bytes()
    for news in (2, 0):  # the bounce is known already
        assert await record_log(office.db, office.clock, PostfixLog(key, "email", own=()), once(log)) == news
    assert await office.outcomes() == [
        ("aoi", "email", 1, "accepted_by_recipient"), ("aoi", "email", 1, "accepted_by_relay"),
        ("gone", "email", 1, "accepted_by_relay"), ("gone", "email", 1, "bounced"), ("gone", "inbox", 1, "placed"),
        ("mia", "email", 1, "accepted_by_recipient"), ("mia", "email", 1, "accepted_by_relay"),
    ]  # fmt: skip
    replies = await office.rows("SELECT DISTINCT reply FROM outcome WHERE kind = 'accepted_by_recipient'")
    assert all(reply.startswith("250 ") for (reply,) in replies)
    assert sorted(got.address for got in office.server.got) == ["aoi@people.example", "mia@people.example"]


async def test_the_log_alone_tells_of_a_bounce_that_never_came_back(office: Office) -> None:
    await office.person("gone")
    await office.person("full")
    office.server.say("dot", "552 5.2.2 mailbox full", to="full@people.example")
    office.server.say("rcpt", "550 5.1.1 no such user here", to="gone@people.example")
    async with postfix({PEOPLE: office.server.port}) as relay:
        await through(office, relay)
        await office.open()
        await office.deliver()
        await until(lambda: asyncio.to_thread(lambda: relay.log.read_text().count(" said: 55") == 2))
        log = relay.log.read_bytes()
    reader = PostfixLog(return_path_key(office.keys), "email", own=())
    assert await record_log(office.db, office.clock, reader, once(log)) == 2
    found = await office.rows(
        "SELECT external_id, class FROM outcome JOIN person USING (lane, person_id) WHERE kind = 'bounced' ORDER BY 1"
    )
    assert found == [("full", "mailbox_full"), ("gone", "bad_address")]
