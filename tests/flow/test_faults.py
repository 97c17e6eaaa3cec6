"""A relay that does everything wrong, with the whole delivery on our side of it.

Nobody is lost, every second copy has an ``unknown`` before it, no reply is credited to somebody else, and no session is
left open.
"""

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier.channels.email import Email
from notifier.channels.smtp import Limits
from notifier.db import Db
from notifier.keys import Keys
from notifier.people.roster import import_people
from tests.accounts import Accounts, accounts_of
from tests.channels.certificates import DAY, Authority, make_authority
from tests.channels.smtp_server import DROP, ENDLESS, KEEP_AND_DROP, LATER, SILENCE, SLOWLY, SmtpServer
from tests.office import Office, open_office
from tests.sites import a_site
from tests.telling import some_letters

PEOPLE, BATCH, SESSIONS = 60, 45, 3
QUICK = Limits(opening=2, reply=0.3, final=0.3)
ROUNDS = 4  # with the fault; then it is mended


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a relay in trouble is left alone for: these tests move the service's clock, and not the real one."""
    monkeypatch.setattr("notifier.channels.relays._PAUSE", 0.02)
    monkeypatch.setattr("notifier.channels.relays._FIRST_PAUSE", 0.01)


@asynccontextmanager
async def an_office(db: Db, keys: Keys, people: int, limits: Limits = QUICK, **relay: Any) -> AsyncIterator[Office]:
    """People with an address each, and a campaign that is open for them."""
    site = a_site(rule={"preset": "pop-japan"})
    async with open_office(db, keys, site, relay={"sessions": SESSIONS} | relay, batch_size=BATCH) as office:
        channel = Email(keys, limits)
        office.delivery = replace(office.delivery, channels={**office.delivery.channels, "email": channel})
        await import_people(db, keys, "kumo", lines(people), office.clock.now())
        await office.open(slice_size=max(100, people // 8))
        yield office
        await channel.relays.close()
        await connected(office.server, 0)


async def lines(people: int) -> AsyncIterator[bytes]:
    for n in range(people):
        yield b'{"external_id": "p%d", "email": "%s", "registered_at": "2020-01-01T00:00:00Z"}\n' % (n, who(n).encode())


def who(number: int) -> str:
    return f"p{number}@people.example"


async def connected(server: SmtpServer, most: int) -> None:
    """As soon as the server has noticed who left, no more sessions are open than that."""
    async with asyncio.timeout(5):
        while server.open_now > most:
            await asyncio.sleep(0.01)


async def deliver_all(office: Office, step: timedelta, rounds: int) -> None:
    """Deliver what is due, and move on in time, until nothing waits any more or so many times."""
    for _ in range(rounds):
        await office.deliver()
        await connected(office.server, SESSIONS)
        if await office.rows("SELECT count(*) FROM retry") == [(0,)] and await office.rows(
            "SELECT count(*) FROM slice WHERE due_at IS NOT NULL AND channel = 'email'"
        ) == [(0,)]:
            return
        office.clock.move(step)
        await asyncio.sleep(0.05)


async def check(office: Office, refused: Iterable[str] = ()) -> Accounts:
    """Everybody was told once, or more often with a flag; but for those whom the server refused for good."""
    accounts = await accounts_of(office.db, office.keys, office.campaign_id, office.server.got)
    assert accounts.audience - accounts.told == set(refused)
    assert accounts.told <= set(office.server.addresses)
    counted = dict(await office.rows("SELECT kind::text, sum(count)::int FROM progress GROUP BY kind"))
    assert counted == dict(await office.rows("SELECT kind::text, count(*)::int FROM outcome GROUP BY kind"))
    assert set((await office.statuses()).values()) <= {"told", "unreachable"}
    return accounts


@dataclass(frozen=True)
class Fault:
    """``begin`` makes the server misbehave. ``doubles``: second copies that it causes; ``refused``: whom it refuses."""

    name: str
    begin: Callable[[SmtpServer], None]
    doubles: int = 0
    refused: tuple[int, ...] = ()


SOME = (0, 7, 8, 20, 44, 45, 59)


def says(name: str, stage: str, *replies: str, **more: Any) -> Fault:
    """The same words for some of the people; for ever, or in turn."""

    def begin(server: SmtpServer) -> None:
        for number in SOME:
            server.say(stage, *replies, to=who(number))

    return Fault(name, begin, **more)


def always(name: str, stage: str, *replies: str, **more: Any) -> Fault:
    """The same words for everybody; for ever, or in turn."""
    return Fault(name, lambda server: server.say(stage, *replies), **more)


def muddles(pipelining: Any) -> Fault:
    def begin(server: SmtpServer) -> None:
        server.pipelining = pipelining

    return Fault(f"PIPELINING {pipelining}", begin)


def speaks(name: str, **manners: Any) -> Fault:
    def begin(server: SmtpServer) -> None:
        for manner, value in manners.items():
            setattr(server, manner, value)

    return Fault(name, begin)


FAULTS = [
    says("drop at RCPT", "rcpt", DROP, "250 2.1.5 ok"),
    says("drop at RCPT, always", "rcpt", DROP),
    says("drop at DATA", "data", DROP),
    says("drop in mid-DATA", "content", DROP),
    says("drop in mid-DATA, once", "content", DROP, ""),
    says("drop after the dot, letter lost", "dot", DROP),
    says("drop after the dot, letter kept", "dot", KEEP_AND_DROP, KEEP_AND_DROP, "", doubles=2 * len(SOME)),
    says("silence at RCPT", "rcpt", SILENCE, "250 2.1.5 ok"),
    says("silence after the dot", "dot", SILENCE, "", doubles=0),
    says("slow to the dot", "dot", SLOWLY + "250 2.0.0 queued for {to}"),
    says("slow to RCPT", "rcpt", SLOWLY + "250 2.1.5 <{to}> ok"),
    says("many lines", "rcpt", "250 2.1.5 <{to}>\n250 2.1.5 is\n250 2.1.5 fine"),
    says("many lines of refusal", "rcpt", "550 5.1.1 <{to}>\n550 5.1.1 user unknown", refused=SOME),
    says("421 at RCPT", "rcpt", "421 4.3.2 <{to}> closing"),
    says("421 to the dot", "dot", "421 4.3.2 {to}: closing", ""),
    says("421, too many", "rcpt", "421 4.7.0 <{to}> too many connections, slow down", "250 2.1.5 ok"),
    says("greylisting", "rcpt", "450 4.2.0 <{to}> greylisted, try again in 5 minutes", "250 2.1.5 ok"),
    says("greylisting to the dot", "dot", "451 4.7.1 {to}: come back", ""),
    says("452", "rcpt", "452 4.2.2 <{to}> mailbox full", "250 2.1.5 ok"),
    says("452 at DATA", "data", "452 4.3.1 {to}: insufficient system storage", "354 go on"),
    says("refused after the dot", "dot", "550 5.1.1 {to}: no such user", refused=SOME),
    says("refused by name", "rcpt", "550 5.1.1 <{to}>: no such user", refused=SOME),
    says("garbage at RCPT", "rcpt", "\udcff\udcfe\x00 hello"),
    says("garbage to the dot", "dot", "what was that?"),
    says("an answer too many", "rcpt", "250 2.1.5 <{to}> ok\r\n250 2.1.5 <{to}> ok", "250 2.1.5 ok"),
    says("an answer too many, later", "rcpt", f"250 2.1.5 <{{to}}> ok{LATER}250 2.1.5 <{{to}}> ok", "250 2.1.5 ok"),
    says("a refusal too many, later", "rcpt", f"550 5.1.1 <{{to}}>{LATER}550 5.1.1 <{{to}}>", refused=SOME),
    says("an answer too many to the dot, later", "dot", f"250 2.0.0 queued for {{to}}{LATER}250 2.0.0 for {{to}}", ""),
    says("354 too early", "rcpt", "354 <{to}> go on"),
    says("354 to the dot", "dot", "354 {to}: go on"),
    says("endless answer to RCPT", "rcpt", ENDLESS),
    says("endless answer to the dot", "dot", ENDLESS, ""),
    always("no banner", "banner", SILENCE, SILENCE, ""),
    always("endless banner", "banner", ENDLESS, ENDLESS, ""),
    always("garbage for a banner", "banner", "SSH-2.0-OpenSSH_9.6"),
    always("turned away", "banner", "554 5.7.1 no mail from you"),
    always("421 for a banner", "banner", "421 4.3.2 not now"),
    always("EHLO refused", "ehlo", "550 5.7.1 who are you?"),
    always("sender refused", "mail", "550 5.7.1 not from here"),
    always("sender refused now and then", "mail", "250 2.1.0 ok", "451 4.3.0 not now", "250 2.1.0 ok"),
    always("drop at MAIL", "mail", *[DROP] * 9, ""),
    muddles("lost"),
    muddles("merged"),
    muddles("reversed"),
    muddles("refused"),
    speaks("no PIPELINING", extensions=("8BITMIME",)),
    speaks("byte by byte", piece=1),
    speaks("slow replies", delay=0.01),
]


@pytest.mark.parametrize("more", [(), ("CHUNKING",)], ids=["", "CHUNKING"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_nobody_is_lost_whatever_a_relay_does(db: Db, keys: Keys, fault: Fault, more: tuple[str, ...]) -> None:
    async with an_office(db, keys, PEOPLE) as office:
        usual = SmtpServer(port=office.server.port)
        usual.extensions = office.server.extensions = (*usual.extensions, *more)
        fault.begin(office.server)
        await deliver_all(office, timedelta(minutes=40), ROUNDS)
        office.server._said.clear()
        for manner in ("extensions", "pipelining", "piece", "delay"):
            setattr(office.server, manner, getattr(usual, manner))
        await deliver_all(office, timedelta(hours=5), 18)
        accounts = await check(office, map(who, fault.refused))
        # On a busy machine an answer may also be too late for us, and the letter is then sent again with its flag.
        assert fault.doubles <= accounts.doubles <= accounts.unknown
        assert accounts.copies == PEOPLE - len(fault.refused) + accounts.doubles


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


TLS_FAULTS: dict[str, Callable[[SmtpServer, Authority], None]] = {
    "expired": lambda server, authority: setattr(server, "context", authority.context(ends=-DAY)),
    "for another name": lambda server, authority: setattr(server, "context", authority.context("other.example")),
    "self-signed": lambda server, authority: setattr(server, "context", authority.context(own=True)),
    "STARTTLS stripped": lambda server, authority: setattr(server, "context", None),
    "STARTTLS refused": lambda server, authority: server.say("starttls", "454 4.7.0 TLS not available"),
    "handshake cut": lambda server, authority: server.say("handshake", DROP),
    "no handshake": lambda server, authority: server.say("handshake", SILENCE),
}


@pytest.mark.parametrize("fault", TLS_FAULTS)
async def test_nothing_leaves_over_a_connection_that_is_not_secure_and_nobody_is_lost(
    db: Db, keys: Keys, authority: Authority, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    limits = Limits(opening=0.5, reply=0.5, final=0.5)
    async with an_office(db, keys, PEOPLE, limits, host="localhost", security="starttls") as office:
        good = office.server.context = authority.context()
        TLS_FAULTS[fault](office.server, authority)
        await deliver_all(office, timedelta(minutes=40), ROUNDS)
        assert office.server.got == []
        assert not [command for command in office.server.commands if command.startswith(("MAIL", "RCPT"))]
        office.server._said.clear()
        office.server.context = good
        await deliver_all(office, timedelta(hours=5), 18)
        accounts = await check(office)
        assert accounts.copies == PEOPLE + accounts.doubles <= PEOPLE + accounts.unknown
        assert all(got.secured for got in office.server.got)


async def test_what_was_said_before_tls_began_is_no_answer_to_anything_said_in_it(
    db: Db, keys: Keys, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with an_office(db, keys, PEOPLE, host="localhost", security="starttls") as office:
        office.server.context = authority.context()
        office.server.say("starttls", "220 2.0.0 ready\r\n250 2.0.0 queued for somebody")
        await deliver_all(office, timedelta(hours=5), 18)
        accounts = await check(office)
        assert accounts.copies == PEOPLE + accounts.doubles <= PEOPLE + accounts.unknown
        assert all(got.secured for got in office.server.got)


# ---------------------------------------------------------------- all at once

STAGES: dict[str, tuple[str, ...]] = {
    "rcpt": (DROP, SILENCE, "450 4.2.0 <{to}> later", "421 4.3.2 <{to}> bye", "garbage", "354 what",
             "250 <{to}>\n250 ok", SLOWLY + "250 <{to}> ok", "452 4.2.2 <{to}> full", "250 <{to}>\r\n250 <{to}>"),
    "data": (DROP, "451 4.3.0 {to}: no", "250 what", "421 4.3.2 bye"),
    "content": (DROP,),
    "dot": (DROP, KEEP_AND_DROP, SILENCE, "451 4.3.0 {to}: no", "354 what", "421 4.3.2 {to}: bye", "garbage",
            "250 2.0.0 queued for {to}\n250 2.0.0 indeed", "250 2.0.0 queued for {to}\r\n250 2.0.0 and another",
            f"250 2.0.0 queued for {{to}}{LATER}250 2.0.0 and another"),
}  # fmt: skip
REFUSALS = ("550 5.1.1 <{to}> no such user", "550 5.2.1 <{to}> disabled\n550 5.2.1 for long")
LOTS = 2000
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="open files are counted in /proc")


@pytest.mark.long
@LINUX
async def test_thousands_of_letters_through_a_relay_that_does_all_of_it_at_random(db: Db, keys: Keys) -> None:
    dice = random.Random(20260301)
    refused = set()
    async with an_office(db, keys, LOTS, Limits(opening=2, reply=0.1, final=0.1, letters=50)) as office:
        for number in range(LOTS):
            if dice.random() < 0.01:
                refused.add(who(number))
                office.server.say("rcpt", dice.choice(REFUSALS), to=who(number))
            elif dice.random() < 0.15:
                stage = dice.choice(list(STAGES))
                faults = dice.choices(STAGES[stage], k=dice.randint(1, 3))
                office.server.say(stage, *faults, "", to=who(number))
        before = open_files()
        await deliver_all(office, timedelta(hours=1), 100)
        accounts = await check(office, refused)
        assert accounts.unknown > 50
        assert 0 < accounts.doubles <= accounts.unknown
        assert office.server.connections > 100
        assert open_files() <= before + 2 * SESSIONS + 6


@LINUX
async def test_a_thousand_broken_sessions_leave_nothing_open(db: Db, keys: Keys) -> None:
    async with an_office(db, keys, 1, Limits(opening=2, reply=0.1, final=0.1)) as office:
        channel, site = office.delivery.channels["email"], office.site
        breaks = [DROP, "garbage", "421 4.3.2 bye", "250 a\r\n250 b", "354 what"]
        letters = await a_batch(office)
        counts = []
        for number in range(1000):
            stage = ("mail", "rcpt", "data", "dot")[number % 4]
            office.server.say(stage, breaks[number % len(breaks)], "")
            async for _ in channel.send(site, letters):
                pass
            if number % 250 == 249:
                await asyncio.sleep(0.05)
                counts.append((open_files(), office.server.open_now))
        assert office.server.connections > 900
        assert max(counts)[0] - min(counts)[0] <= SESSIONS
        assert all(connected <= SESSIONS for _, connected in counts)


async def a_batch(office: Office) -> list[Any]:
    return some_letters(await office.delivery._writer(office.campaign_id), 2)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
