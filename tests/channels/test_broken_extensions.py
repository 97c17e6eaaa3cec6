"""Relays that announce PIPELINING or CHUNKING and cannot: everybody gets their letter once, over sessions without."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from notifier.channels.channel import Sent
from notifier.channels.email import Email
from notifier.channels.smtp import Limits
from notifier.keys import Keys
from notifier.letters.letter import Letter
from notifier.letters.write import Writer
from notifier.sites.site import Site
from tests.channels.smtp_server import DROP, SmtpServer, smtp_server
from tests.sites import a_site
from tests.telling import a_telling, some_letters

KEYS = Keys(b"a secret that only tests know and that is long enough")


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.channels.relays._PAUSE", 0.05)
    monkeypatch.setattr("notifier.channels.relays._FIRST_PAUSE", 0.05)


@pytest.fixture
async def channel() -> AsyncIterator[Email]:
    opened = Email(KEYS, Limits(opening=5, reply=0.2, final=0.2))
    yield opened
    await opened.relays.close()


def site_of(server: SmtpServer) -> Site:
    return a_site(relays=[{"host": "127.0.0.1", "port": server.port, "security": "none", "sessions": 1}])


async def send_until_taken(channel: Email, site: Site, letters: list[Letter]) -> list[Sent]:
    """Send, and send again what was put off, as a worker does later."""
    sent: list[Sent] = []
    for _ in range(8):
        await asyncio.sleep(0.06)  # until the relay is tried again
        answers = [one async for one in channel.send(site, letters)]
        sent += answers
        letters = [one.letter for one in answers if one.kind in ("deferred", "unknown")]
        if not letters:
            break
    return sent


@pytest.mark.parametrize("pipelining", ["lost", "merged", "reversed", "refused"])
async def test_a_relay_that_gets_pipelining_wrong_is_spoken_to_one_by_one(channel, pipelining):
    async with smtp_server(pipelining=pipelining) as server:
        letters = some_letters(Writer(a_telling(), KEYS, "https://notices.example"), 25)
        sent = await send_until_taken(channel, site_of(server), letters)
        taken = [one for one in sent if one.kind == "accepted_by_relay"]
        assert len(taken) == 25
        assert all(one.reply == f"250 2.0.0 queued for {one.letter.address}" for one in taken)
        assert Counter(server.addresses) == Counter(letter.address for letter in letters)
        assert server.connections <= 4
        before = server.connections
        assert {one.kind for one in await send_until_taken(channel, site_of(server), letters)} == {"accepted_by_relay"}
        assert server.connections == before


class _KnowsNoBdat(SmtpServer):
    """It passes on what the server behind it offers, and not what that would be told."""

    @property
    def chunks(self) -> bool:
        return False


@pytest.mark.parametrize("others", [("PIPELINING",), ()])
async def test_a_relay_that_knows_no_bdat_after_all_is_sent_data(channel, others):
    async with smtp_server(_KnowsNoBdat, extensions=(*others, "CHUNKING", "8BITMIME")) as server:
        letters = some_letters(Writer(a_telling(), KEYS, "https://notices.example"), 12)
        sent = await send_until_taken(channel, site_of(server), letters)
        assert Counter(one.kind for one in sent)["accepted_by_relay"] == 12
        assert {(one.kind, one.class_) for one in sent} <= {("accepted_by_relay", None), ("deferred", "network")}
        assert Counter(server.addresses) == Counter(letter.address for letter in letters)
        assert server.connections <= 4


async def test_pipelining_is_used_again_where_it_was_not_to_blame(channel):
    async with smtp_server() as server:
        server.say("mail", DROP, DROP, DROP)  # the third of these sessions does without, and breaks too
        letters = some_letters(Writer(a_telling(), KEYS, "https://notices.example"), 25)
        await send_until_taken(channel, site_of(server), letters)
        assert sorted(server.addresses) == sorted(letter.address for letter in letters)
        assert not channel.relays._pools[site_of(server).relays[0]].one_by_one
