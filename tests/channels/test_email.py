"""Email against a real SMTP server that misbehaves: nobody is lost, no answer is credited to somebody else."""

import asyncio
import gc
import ssl
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec.structs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.channels.channel import Permit, Sent
from notifier.channels.email import Email
from notifier.channels.envelope import content, xtext
from notifier.channels.smtp import Limits
from notifier.keys import Keys
from notifier.letters.letter import Letter
from notifier.letters.write import Writer
from notifier.sites.site import Site
from tests.channels.smtp_server import DROP, KEEP_AND_DROP, LATER, SILENCE, SmtpServer, smtp_server
from tests.sites import a_site
from tests.telling import a_recipient, a_telling, some_letters

KEYS = Keys(b"a secret that only tests know and that is long enough")
QUICK = Limits(opening=5, reply=0.3, final=0.3)
PLAIN_EXTENSIONS = ("8BITMIME", "SMTPUTF8")


OFFERED = {
    "pipelined": ("PIPELINING", "DSN", *PLAIN_EXTENSIONS),
    "one by one": PLAIN_EXTENSIONS,
    "pipelined chunks": ("PIPELINING", "CHUNKING", "DSN", *PLAIN_EXTENSIONS),
    "chunks": ("CHUNKING", *PLAIN_EXTENSIONS),
}


@pytest.fixture(params=OFFERED)
async def server(request: pytest.FixtureRequest) -> AsyncIterator[SmtpServer]:
    async with smtp_server(extensions=OFFERED[request.param]) as running:
        yield running
        assert "PIPELINING" in running.extensions or not running.pipelined
        verbs = {command.split(" ")[0] for command in running.commands}
        assert not verbs & {"DATA" if "CHUNKING" in running.extensions else "BDAT"}


def reached(server: SmtpServer, stage: str) -> str:
    """The stage, or the last one before it where letters go in chunks: then there is no DATA."""
    return "rcpt" if stage == "data" and server.chunks else stage


@asynccontextmanager
async def email(limits: Limits = QUICK) -> AsyncIterator[Email]:
    channel = Email(KEYS, limits)
    yield channel
    await channel.relays.close()


def site_of(*servers: SmtpServer, **relay: Any) -> Site:
    facts = {"host": "127.0.0.1", "security": "none", "sessions": 1} | relay
    return a_site(relays=[facts | {"port": server.port} for server in servers])


def letters_to(count: int) -> list[Letter]:
    return some_letters(Writer(a_telling(), KEYS, "https://notices.example"), count)


def person(number: int) -> str:
    return f"person{number}@example.net"


async def send(channel: Email, site: Site, letters: list[Letter]) -> dict[str, Sent]:
    """Everything sent, by address; each letter exactly once, and every acceptance with its own recipient's reply."""
    sent = [one async for one in channel.send(site, letters)]
    assert Counter(id(one.letter) for one in sent) == Counter(id(letter) for letter in letters)
    for one in sent:
        if one.kind == "accepted_by_relay":
            assert one.reply == f"250 2.0.0 queued for {one.letter.address}"
    return {one.letter.address: one for one in sent}


def kinds(sent: dict[str, Sent]) -> Counter[tuple[str, str | None]]:
    return Counter((one.kind, one.class_) for one in sent.values())


async def test_every_letter_arrives_once_and_byte_for_byte(server):
    letters = letters_to(60)
    async with email() as channel:
        sent = await send(channel, site_of(server, sessions=3), letters)
    assert kinds(sent) == {("accepted_by_relay", None): 60}
    assert sorted(server.addresses) == sorted(letter.address for letter in letters)
    got = {one.address: one for one in server.got}
    for letter in letters:
        assert got[letter.address].content == letter.body
        assert got[letter.address].mail.startswith(f"MAIL FROM:<{letter.return_path}>")
    assert server.most_open <= 3
    assert server.pipelined == ("PIPELINING" in server.extensions)


async def test_sessions_are_reused_between_batches_and_closed_at_the_end(server):
    async with email() as channel:
        site = site_of(server)
        for _ in range(5):
            await send(channel, site, letters_to(10))
        assert server.connections == 1
    await asyncio.sleep(0.05)
    assert server.open_now == 0
    assert server.commands[-1] == "QUIT"


async def test_a_session_is_replaced_after_enough_letters(server):
    async with email(replace(QUICK, letters=10)) as channel:
        await send(channel, site_of(server), letters_to(45))
    assert server.connections == 5
    assert len(server.got) == 45


async def test_a_session_is_replaced_when_it_is_old(server):
    async with email(replace(QUICK, age=0.05)) as channel:
        await send(channel, site_of(server), letters_to(2))
        await asyncio.sleep(0.1)
        await send(channel, site_of(server), letters_to(2))
    assert server.connections == 2


@pytest.mark.parametrize("data", ["354 go on then", "503 5.5.1 no recipients", "554 5.5.1 no valid recipients"])
async def test_a_refused_recipient_costs_nobody_else_anything(server, data):
    server.data_without_recipient = data
    for number in (1, 5, 6, 20):
        server.say("rcpt", f"550 5.1.1 <{person(number)}>: user unknown", to=person(number))
    async with email() as channel:
        sent = await send(channel, site_of(server), letters_to(20))
    assert kinds(sent) == {("accepted_by_relay", None): 16, ("refused", "bad_address"): 4}
    for number in (1, 5, 6, 20):
        assert person(number) in sent[person(number)].reply
    assert server.connections == 1
    assert not [command for command in server.commands if "nested" in command]


@pytest.mark.parametrize(
    ("stage", "reply", "kind", "class_"),
    [
        ("rcpt", "450 4.2.0 greylisted, try again in 5 minutes", "deferred", "greylisted"),
        ("rcpt", "451 4.7.1 later", "deferred", "greylisted"),
        ("rcpt", "452 4.2.2 mailbox full", "deferred", "mailbox_full"),
        ("rcpt", "552 5.2.2 mailbox full", "deferred", "mailbox_full"),
        ("rcpt", "554 5.7.1 blocked using zen.spamhaus.org", "deferred", "policy"),
        ("rcpt", "550 5.2.1 mailbox disabled", "refused", "mailbox_disabled"),
        ("data", "451 4.3.0 not now", "deferred", "network"),
        ("data", "554 5.7.1 no", "deferred", "policy"),
        ("dot", "451 4.3.0 queue full", "deferred", "network"),
        ("dot", "554 5.6.0 this is spam", "deferred", "content"),
        ("dot", "550 5.1.1 unknown after all", "refused", "bad_address"),
    ],
)
async def test_a_refusal_in_any_phase_is_credited_to_its_own_letter(server, stage, reply, kind, class_):
    stage = reached(server, stage)
    server.say(stage, reply, to=person(3))
    async with email() as channel:
        sent = await send(channel, site_of(server), letters_to(6))
    assert (sent[person(3)].kind, sent[person(3)].class_, sent[person(3)].reply) == (kind, class_, reply)
    assert sent[person(3)].retry_after == (300 if "5 minutes" in reply else None)
    assert kinds(sent)["accepted_by_relay", None] == 5
    assert sent[person(3)].via == f"127.0.0.1:{server.port}"


async def test_a_passing_refusal_of_the_sender_defers_that_letter_only(server):
    server.say("mail", "250 2.1.0 ok", "451 4.3.0 not now", "250 2.1.0 ok")
    async with email() as channel:
        sent = await send(channel, site_of(server), letters_to(5))
    assert kinds(sent) == {("accepted_by_relay", None): 4, ("deferred", "network"): 1}
    assert sent[person(2)].reply == "451 4.3.0 not now"


async def test_a_relay_that_refuses_our_sender_for_good_is_left_alone_and_nobody_fails(server):
    server.say("mail", "550 5.7.1 you may not send from here")
    async with email() as channel:
        sent = await send(channel, site_of(server), letters_to(30))
        assert kinds(sent) == {("deferred", "session"): 30}
        commands = len(server.commands)
        assert kinds(await send(channel, site_of(server), letters_to(30))) == {("deferred", "session"): 30}
        assert len(server.commands) == commands


@pytest.mark.parametrize("stage", ["rcpt", "data"])
async def test_a_connection_lost_before_the_content_is_replaced_and_nobody_notices(server, stage):
    stage = reached(server, stage)
    server.say(stage, DROP, "421 4.3.2 closing", to=person(4))
    server.say(stage, DROP, to=person(7))
    async with email() as channel:
        sent = await send(channel, site_of(server), letters_to(9))
    assert kinds(sent) == {("accepted_by_relay", None): 7, ("deferred", "network"): 2}
    assert sent[person(4)].reply == "421 4.3.2 closing"
    assert sent[person(7)].reply == "connection closed by the server"


async def test_a_second_session_takes_a_letter_whose_first_was_lost_before_its_content(server):
    server.say("rcpt", DROP, "250 2.1.5 ok", to=person(4))
    async with email() as channel:
        assert kinds(await send(channel, site_of(server), letters_to(9))) == {("accepted_by_relay", None): 9}
    assert sorted(server.addresses) == sorted(person(n) for n in range(1, 10))


@pytest.mark.parametrize(("last", "kept"), [(DROP, False), (KEEP_AND_DROP, True), (SILENCE, False), ("hello", False)])
async def test_no_reply_after_the_final_dot_is_unknown_and_only_for_that_letter(server, last, kept):
    server.say("dot", last, to=person(5))
    async with email() as channel:
        sent = await send(channel, site_of(server), letters_to(9))
    assert kinds(sent) == {("accepted_by_relay", None): 8, ("unknown", "unknown"): 1}
    assert sent[person(5)].kind == "unknown"
    assert (person(5) in server.addresses) == kept
    assert max(Counter(server.addresses).values()) == 1


async def test_421_to_the_final_dot_is_a_refusal_and_the_next_letter_goes_elsewhere(server):
    server.say("dot", "421 4.7.0 too many messages, slow down", "250 2.0.0 x", to=person(2))
    async with email() as channel:
        sent = await send(channel, site_of(server), letters_to(4))
    assert (sent[person(2)].kind, sent[person(2)].class_) == ("deferred", "throttled")
    assert person(2) not in server.addresses
    # The relay asks for rest: whoever was not begun waits as long as it rests.
    assert kinds(sent) == {("accepted_by_relay", None): 1, ("deferred", "throttled"): 2, ("deferred", "held"): 1}


async def test_silence_before_the_content_is_waited_for_only_so_long(server):
    server.say("rcpt", SILENCE, to=person(2))
    async with email() as channel:
        sent = await send(channel, site_of(server), letters_to(4))
    assert sent[person(2)].reply == "no reply in time"
    assert kinds(sent) == {("accepted_by_relay", None): 3, ("deferred", "network"): 1}


async def test_replies_of_many_lines_in_single_bytes_are_understood(server):
    server.piece = 1
    server.say("rcpt", "250 2.1.5 one\n250 2.1.5 two\n250 2.1.5 three", to=person(2))
    server.say("rcpt", "550 5.1.1 no\n550 5.1.1 such user", to=person(3))
    async with email(Limits(opening=5, reply=5, final=5)) as channel:
        sent = await send(channel, site_of(server), letters_to(4))
    assert kinds(sent) == {("accepted_by_relay", None): 3, ("refused", "bad_address"): 1}
    assert sent[person(3)].reply == "550 5.1.1 no 5.1.1 such user"


@pytest.mark.parametrize(
    "nonsense",
    [
        "hello",
        "250-one\n550 two",
        "250 2.1.5 ok\r\n250 2.1.5 an answer too many",
        "354 too early",
        "199 what",
        "\udcff\udcfe\x00",
        "250 2.1.5 " + "x" * 20_000,
        "220 STARTTLS?",
    ],
)
async def test_what_does_not_fit_ends_the_connection_and_costs_one_letter(server, nonsense):
    server.say("rcpt", nonsense, to=person(3))
    async with email() as channel:
        sent = await send(channel, site_of(server), letters_to(6))
    assert sent[person(3)].kind in ("deferred", "accepted_by_relay")  # a long reply is odd, and still a reply
    if sent[person(3)].kind == "deferred":
        assert person(3) not in server.addresses
    assert kinds(sent)["accepted_by_relay", None] >= 5
    assert "\0" not in sent[person(3)].reply


async def test_an_answer_too_many_after_the_dot_is_credited_to_nobody_else(server):
    server.say("dot", f"250 2.0.0 queued for {person(3)}\r\n250 2.0.0 queued for another", to=person(3))
    async with email() as channel:
        sent = await send(channel, site_of(server), letters_to(6))
    # Where the next commands were sent along, nothing is odd yet when the first answer comes; else nobody can say.
    assert sent[person(3)].kind == ("accepted_by_relay" if server.pipelined else "unknown")
    assert kinds(sent)["accepted_by_relay", None] >= 5
    assert server.connections == 2


@pytest.mark.parametrize(
    ("stage", "reply"),
    [
        ("mail", f"250 2.1.0 sender ok{LATER}250 2.1.0 sender ok"),
        ("rcpt", f"250 2.1.5 recipient ok{LATER}250 2.1.5 recipient ok"),
        ("rcpt", f"550 5.1.1 no such user{LATER}550 5.1.1 no such user"),
        ("dot", f"250 2.0.0 queued for {{to}}{LATER}250 2.0.0 queued"),
        ("dot", f"250 2.0.0 queued for {{to}}{LATER}250 2.1.0 sender ok"),
        ("dot", f"550 5.1.1 no such user{LATER}550 5.1.1 no such user"),
    ],
)
async def test_an_answer_too_many_that_comes_later_tells_nothing_of_anybody_else(server, stage, reply):
    """Each answer after it would be credited to the command after the one that it answers."""
    if stage == "mail":
        server.say("mail", "250 2.1.0 sender ok", "250 2.1.0 sender ok", reply, "250 2.1.0 sender ok")
    else:
        server.say(stage, reply, to=person(3))
    server.say("dot", "451 4.3.0 queue full", to=person(5))
    server.say("rcpt", "550 5.1.1 no such user", to=person(8))
    async with email() as channel:
        sent = await send(channel, site_of(server), letters_to(9))
    refused = {address for address, one in sent.items() if one.kind == "refused"}
    assert refused <= {person(3), person(8)}
    assert (person(3) in refused) == reply.startswith("550")
    for address, one in sent.items():
        assert one.kind != "accepted_by_relay" or address in server.addresses
        assert one.kind in ("accepted_by_relay", "unknown") or address not in server.addresses
        assert one.reply != "451 4.3.0 queue full" or address == person(5)
    if (stage, reply[:3]) != ("dot", "550"):  # which is taken for what it would be after MAIL: nobody's letters go
        assert person(8) in refused
        assert kinds(sent)["accepted_by_relay", None] >= 9 - len(refused) - 2


async def test_a_relay_whose_answers_do_not_say_what_they_answer_is_sent_data():
    for pipelining in (("PIPELINING",), ()):
        for stage in ("mail", "rcpt"):
            async with smtp_server(extensions=(*pipelining, "CHUNKING")) as server, email() as channel:
                server.say(stage, "250 ok")
                server.say("rcpt", "550 5.1.1 no such user", to=person(1))
                sent = await send(channel, site_of(server), letters_to(20))
            assert kinds(sent) == {("accepted_by_relay", None): 19, ("refused", "bad_address"): 1}
            assert server.connections == 1 or stage == "rcpt"  # the first who was granted RCPT came too late for it
            assert any(command == "DATA" for command in server.commands)


async def test_a_session_that_the_server_closed_meanwhile_is_not_used_again(server):
    async with email() as channel:
        await send(channel, site_of(server), letters_to(3))
        server.drop_all()
        await asyncio.sleep(0.05)
        assert kinds(await send(channel, site_of(server), letters_to(3))) == {("accepted_by_relay", None): 3}
    assert server.connections == 2


async def test_a_cancelled_send_destroys_its_sessions_and_no_late_answer_is_believed(server):
    server.say("dot", SILENCE, to=person(4))
    async with email(Limits()) as channel:
        site, heard = site_of(server), []

        async def listen() -> None:
            async for one in channel.send(site, letters_to(9)):
                heard.append(one)  # noqa: PERF401 - what was heard so far matters

        task = asyncio.create_task(listen())
        while len(heard) < 3:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.05)
        assert server.open_now == 0 or server.commands[-1] != "QUIT"
        assert [one.letter.address for one in heard] == [person(1), person(2), person(3)]
        server.say("dot", "250 2.0.0 late", "", to=person(4))
        server.say("dot", "", to=person(4))
        sent = await send(channel, site, letters_to(9)[4:])
        assert kinds(sent) == {("accepted_by_relay", None): 5}
    assert server.connections == 2


async def test_a_consumer_that_stops_listening_leaves_no_session_in_use(server):
    async with email() as channel:
        async with aclosing(channel.send(site_of(server, sessions=2), letters_to(50))) as sending:  # type: ignore[type-var]
            async for _ in sending:
                break
        assert kinds(await send(channel, site_of(server, sessions=2), letters_to(5))) == {
            ("accepted_by_relay", None): 5
        }
    gc.collect()


async def test_slices_at_once_share_the_sessions_of_a_relay(server):
    async with email() as channel:
        site = site_of(server, sessions=2)
        results = await asyncio.gather(*(send(channel, site, letters_to(40)) for _ in range(4)))
    assert all(kinds(sent) == {("accepted_by_relay", None): 40} for sent in results)
    assert server.most_open <= 2


async def test_a_relay_that_has_enough_connections_is_in_no_trouble(server):
    server.room = 2
    async with email() as channel:
        site = site_of(server, sessions=5)
        for _ in range(3):
            assert kinds(await send(channel, site, letters_to(120))) == {("accepted_by_relay", None): 120}
        assert (await channel.ready(site)).rests == 0
        assert server.connections == 5, "it is asked for more once, and then left in peace for a while"


async def test_slices_at_once_share_the_few_connections_that_a_relay_takes(server):
    server.room = 1
    async with email() as channel:
        site = site_of(server, sessions=3)
        results = await asyncio.gather(*(send(channel, site, letters_to(60)) for _ in range(4)))
    assert all(kinds(sent) == {("accepted_by_relay", None): 60} for sent in results)


async def test_more_connections_are_opened_as_soon_as_a_relay_takes_them(server, monkeypatch):
    monkeypatch.setattr("notifier.channels.relays._PAUSE", 0.05)
    server.room, server.delay = 1, 0.002
    async with email() as channel:
        site = site_of(server, sessions=3)
        await send(channel, site, letters_to(60))
        server.room = None
        await asyncio.sleep(0.1)
        assert kinds(await send(channel, site, letters_to(60))) == {("accepted_by_relay", None): 60}
        assert len(channel.relays._pool(site.relays[0]).idle) == 3


async def test_a_relay_whose_connections_others_have_makes_letters_wait_and_is_not_slowed(server):
    server.room = 1
    async with email() as channel, email() as another_process:
        site = site_of(server, sessions=3)
        await send(another_process, site, letters_to(3))
        # Of class throttled they would wait for a quarter of an hour, and the relay's pace would be halved.
        assert kinds(await send(channel, site, letters_to(60))) == {("deferred", "held"): 60}
        assert (await channel.ready(site)).rests > 1


@pytest.mark.parametrize("banner", ["421 4.7.0 too many connections from you", "554 5.7.1 go away", DROP])
async def test_a_relay_that_turns_all_away_is_in_trouble(server, banner):
    server.say("banner", banner)
    async with email() as channel:
        site = site_of(server, sessions=3)
        assert {one.kind for one in (await send(channel, site, letters_to(60))).values()} == {"deferred"}
        assert (await channel.ready(site)).rests >= 1
        assert server.connections == 3


async def test_the_next_relay_takes_over_when_the_first_cannot_be_reached(server):
    async with smtp_server() as gone:
        pass
    async with email() as channel:
        sent = await send(channel, site_of(gone, server), letters_to(10))
        assert kinds(sent) == {("accepted_by_relay", None): 10}
        only = await send(channel, site_of(gone), letters_to(10))
        assert kinds(only) == {("deferred", "held"): 10}, "nobody pays for a relay that is away"


@pytest.mark.parametrize(
    ("banner", "class_"), [("554 5.7.1 go away", "session"), ("421 4.3.2 closing", "held"), (DROP, "held")]
)
async def test_the_next_relay_takes_over_when_the_first_turns_us_away(server, banner, class_):
    async with smtp_server() as rude, email() as channel:
        rude.say("banner", banner)
        assert kinds(await send(channel, site_of(rude, server), letters_to(10))) == {("accepted_by_relay", None): 10}
        assert rude.connections == 1
        assert kinds(await send(channel, site_of(rude), letters_to(10))) == {("deferred", class_): 10}


async def test_a_relay_that_breaks_every_session_is_left_for_the_next(server):
    async with smtp_server() as broken, email() as channel:
        broken.say("mail", DROP)
        sent = await send(channel, site_of(broken, server), letters_to(10))
    assert kinds(sent) == {("accepted_by_relay", None): 9, ("deferred", "network"): 1}
    assert broken.connections == 3


async def test_without_a_relay_every_letter_waits():
    async with email() as channel:
        assert kinds(await send(channel, a_site(), letters_to(3))) == {("deferred", "session"): 3}


async def test_delivery_reports_are_asked_for_where_the_relay_offers_them(server):
    async with email() as channel:
        [letter] = letters_to(1)
        await send(channel, site_of(server), [letter])
    mail, rcpt = server.got[0].mail, server.got[0].rcpt
    if "DSN" in server.extensions:
        assert mail.endswith(f" RET=HDRS ENVID={xtext(letter.return_path.split('@')[0])}")
        assert rcpt == f"RCPT TO:<{letter.address}> NOTIFY=FAILURE,DELAY ORCPT=rfc822;{letter.address}"
    else:
        assert (mail, rcpt) == (f"MAIL FROM:<{letter.return_path}>", f"RCPT TO:<{letter.address}>")


def test_parameters_are_written_in_xtext():
    assert xtext("b+a=b c@d") == "b+2Ba+3Db+20c@d"


async def test_an_address_outside_ascii_goes_only_where_it_can(server):
    writer = Writer(a_telling(), KEYS, "https://notices.example")
    people = [a_recipient(1), a_recipient(2, address="太郎@例え.jp"), a_recipient(3)]
    letters = [one for one in writer.write("email", people) if isinstance(one, Letter)]
    async with email() as channel, smtp_server(extensions=("PIPELINING", "8BITMIME")) as ascii_only:
        sent = await send(channel, site_of(ascii_only), letters)
        assert kinds(sent) == {("accepted_by_relay", None): 2, ("refused", "unsupported"): 1}
        sent = await send(channel, site_of(server), letters)
        assert kinds(sent) == {("accepted_by_relay", None): 3}
    [got] = [got for got in server.got if got.address == "太郎@例え.jp"]
    assert "BODY=8BITMIME SMTPUTF8" in got.mail
    assert got.content == letters[1].body


def letters_outside_ascii(count: int) -> list[Letter]:
    writer = Writer(a_telling(), KEYS, "https://notices.example")
    people = [a_recipient(n, address=f"太郎{n}@例え.jp") for n in range(1, count + 1)]
    return [one for one in writer.write("email", people) if isinstance(one, Letter)]


ASCII_ONLY = ("PIPELINING", "8BITMIME", "DSN")


@pytest.mark.parametrize("weight", [0, 1])
async def test_what_one_relay_cannot_carry_goes_by_another(server, weight):
    async with email() as channel, smtp_server(extensions=ASCII_ONLY) as one, smtp_server(extensions=ASCII_ONLY) as two:
        site = site_of(one, two, server, sessions=2, weight=weight)
        letters = [*letters_outside_ascii(30), *letters_to(30)]
        assert kinds(await send(channel, site, letters)) == {("accepted_by_relay", None): 60}
        assert not [address for address in (*one.addresses, *two.addresses) if not address.isascii()]
        nowhere = site_of(one, two, weight=weight)
        assert kinds(await send(channel, nowhere, letters)) == {
            ("accepted_by_relay", None): 30, ("refused", "unsupported"): 30,
        }  # fmt: skip


async def test_what_only_a_relay_in_trouble_may_be_able_to_carry_waits_for_it(server):
    server.say("banner", "421 4.3.2 not now")
    async with email() as channel, smtp_server(extensions=ASCII_ONLY) as able:
        sent = await send(channel, site_of(able, server), [*letters_outside_ascii(3), *letters_to(3)])
    assert kinds(sent) == {("accepted_by_relay", None): 3, ("deferred", "held"): 3}


@pytest.mark.parametrize(("weight", "expected"), [(1, ("deferred", "network")), (0, ("refused", "unsupported"))])
async def test_what_cannot_go_by_a_relay_in_use_takes_no_leave_that_the_other_was_not_given(server, weight, expected):
    """One that stands by is given none as long as the others take letters: to wait for it would be for ever."""
    async with email() as channel, smtp_server(extensions=ASCII_ONLY) as able:
        site = site_of(able, server, weight=weight)
        permit = Permit({site.relays[1].name: 0})
        sent = [one async for one in channel.send(site, letters_outside_ascii(3), permit)]
    assert [(one.kind, one.class_) for one in sent] == [expected] * 3
    assert not server.got


async def test_lines_that_begin_with_a_dot_arrive_as_they_are(server):
    [letter] = letters_to(1)
    body = b".\r\n..\r\nX: y\r\n\r\n.\r\n.dots\r\n...\r\nend\r\n"
    async with email() as channel:
        await send(channel, site_of(server), [msgspec.structs.replace(letter, pieces=[body], dotted=True)])
    assert server.got[0].content == body
    # Ours have none, and so are not searched for them.
    assert b"".join(content(letter)) == b"".join(content(msgspec.structs.replace(letter, dotted=True)))


# ---------------------------------------------------------------- secured sessions


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key.pem",
         "-out", folder / "cert.pem"],
        capture_output=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture
def context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("implicit", [True, False])
async def test_letters_travel_over_tls_with_a_login(context, certificate, monkeypatch, implicit, pipelining):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    monkeypatch.setenv("RELAY_PASSWORD", "s3cret")
    extensions = ("PIPELINING", *PLAIN_EXTENSIONS) if pipelining else PLAIN_EXTENSIONS
    async with (
        smtp_server(context=context, implicit_tls=implicit, users={"kumo": "s3cret"}, extensions=extensions) as server,
        email() as channel,
    ):
        server.say("rcpt", "550 5.1.1 no", to=person(7))
        server.say("rcpt", DROP, "250 2.1.5 ok", to=person(9))
        site = site_of(
            server, host="localhost", security="tls" if implicit else "starttls", username="kumo",
            password_env="RELAY_PASSWORD", sessions=2,
        )  # fmt: skip
        sent = await send(channel, site, letters_to(50))
    assert kinds(sent) == {("accepted_by_relay", None): 49, ("refused", "bad_address"): 1}
    assert all(got.secured and got.user == "kumo" for got in server.got)


@pytest.mark.parametrize(("logins", "auth"), [("PLAIN", "password"), ("LOGIN", "password"), ("XOAUTH2", "xoauth2")])
@pytest.mark.parametrize("secret", ["s3cret", "wrong"])
async def test_each_way_to_log_in_is_spoken(monkeypatch, logins, auth, secret):
    monkeypatch.setenv("RELAY_PASSWORD", secret)
    async with smtp_server(users={"kumo": "s3cret"}, logins=logins) as server, email() as channel:
        site = site_of(server, username="kumo", auth=auth, password_env="RELAY_PASSWORD")
        sent = await send(channel, site, letters_to(3))
    assert kinds(sent) == {("accepted_by_relay", None): 3} if secret == "s3cret" else {("deferred", "session"): 3}
    assert [got.user for got in server.got] == ["kumo"] * (3 if secret == "s3cret" else 0)


@pytest.mark.parametrize(
    ("command", "words"),
    [("echo s3cret", None), ("false", "printed no secret"), ("printf ''", "printed no secret"),
     ("/nowhere/token", "cannot be run"), ("sleep 9", "takes too long"), (None, "TOKEN_COMMAND is not set")],
)  # fmt: skip
async def test_a_command_prints_the_token_of_every_new_session(monkeypatch, command, words):
    monkeypatch.setattr("notifier.channels.login._PATIENCE", 0.5)
    if command is not None:
        monkeypatch.setenv("TOKEN_COMMAND", command)
    async with smtp_server(users={"kumo": "s3cret"}, logins="XOAUTH2") as server, email() as channel:
        site = site_of(server, username="kumo", auth="xoauth2", command_env="TOKEN_COMMAND")
        sent = await send(channel, site, letters_to(2))
    assert kinds(sent) == ({("deferred", "session"): 2} if words else {("accepted_by_relay", None): 2})
    assert (words or "250") in sent[person(1)].reply


async def test_letters_are_shared_out_by_weight_and_a_relay_without_one_stands_by():
    async with smtp_server() as one, smtp_server() as three, smtp_server() as standby, email() as channel:
        weights = {one.port: 1, three.port: 3, standby.port: 0}
        relays = [
            {"host": "127.0.0.1", "security": "none", "sessions": 1, "port": port, "weight": weight}
            for port, weight in weights.items()
        ]
        site = a_site(relays=relays)
        for _ in range(8):
            assert kinds(await send(channel, site, letters_to(10))) == {("accepted_by_relay", None): 10}
        assert (len(one.got), len(three.got), len(standby.got)) == (20, 60, 0)
        for server in (one, three):
            server.say("banner", "554 5.3.2 closed")
            server.drop_all()
        await asyncio.sleep(0.05)
        assert kinds(await send(channel, site, letters_to(10))) == {("accepted_by_relay", None): 10}
        assert len(standby.got) == 10


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_nobody_vouches_for_gets_no_letter(context, security):
    async with smtp_server(context=context, implicit_tls=security == "tls") as server, email() as channel:
        sent = await send(channel, site_of(server, host="localhost", security=security), letters_to(3))
    assert kinds(sent) == {("deferred", "held"): 3}
    assert "certificate" in sent[person(1)].reply.lower()
    assert not [command for command in server.commands if command.startswith("MAIL")]


async def test_a_certificate_for_another_name_gets_no_letter(context, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    async with smtp_server(context=context) as server, email() as channel:
        sent = await send(channel, site_of(server, host="127.0.0.1", security="starttls"), letters_to(3))
    assert kinds(sent) == {("deferred", "held"): 3}
    assert server.got == []


async def test_nothing_is_sent_in_the_clear_where_starttls_is_wanted_and_not_offered(server):
    async with email() as channel:
        sent = await send(channel, site_of(server, security="starttls"), letters_to(3))
    assert kinds(sent) == {("deferred", "session"): 3}
    assert not [command for command in server.commands if command.startswith("MAIL")]


async def test_a_wrong_or_missing_password_stops_the_relay_and_fails_nobody(monkeypatch):
    async with smtp_server(users={"kumo": "s3cret"}) as server, email() as channel:
        site = site_of(server, username="kumo", password_env="RELAY_PASSWORD")
        monkeypatch.delenv("RELAY_PASSWORD", raising=False)
        sent = await send(channel, site, letters_to(3))
        assert kinds(sent) == {("deferred", "session"): 3}
        assert "RELAY_PASSWORD" in sent[person(1)].reply
    async with smtp_server(users={"kumo": "s3cret"}) as server, email() as channel:
        monkeypatch.setenv("RELAY_PASSWORD", "wrong")
        sent = await send(channel, site_of(server, username="kumo", password_env="RELAY_PASSWORD"), letters_to(3))
        assert kinds(sent) == {("deferred", "session"): 3}
        assert sent[person(1)].reply == "535 5.7.8 wrong password"


# ---------------------------------------------------------------- anything at any time

FAULTS = [
    ("rcpt", "550 5.1.1 no"), ("rcpt", "450 4.2.0 later"), ("rcpt", DROP), ("rcpt", "421 4.3.2 bye"),
    ("rcpt", "nonsense"),
    ("rcpt", f"250 2.1.5 ok{LATER}250 2.1.5 ok"), ("rcpt", f"550 5.1.1 no{LATER}550 5.1.1 no"),
    ("data", "451 4.3.0 no"), ("data", DROP), ("data", "250 what"), ("dot", "451 4.3.0 no"), ("dot", "554 5.6.0 spam"),
    ("dot", DROP), ("dot", KEEP_AND_DROP), ("dot", "354 what"), ("dot", "421 4.3.2 bye"),
    ("dot", f"250 2.0.0 queued for {{to}}{LATER}250 2.0.0 and another"), ("dot", f"550 5.1.1 no{LATER}550 5.1.1 no"),
]  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.integers(1, 25), st.sampled_from(FAULTS), max_size=10),
    st.sampled_from(list(OFFERED)),
    st.sampled_from([None, 1, 7]),
    st.sampled_from(["354 go on", "503 5.5.1 no", "554 5.5.1 no"]),
    st.integers(1, 3),
)
def test_whatever_happens_every_letter_is_accounted_for_truly(faults, offered, piece, data, sessions):
    async def play() -> None:
        async with smtp_server(extensions=OFFERED[offered], piece=piece, data_without_recipient=data) as server:
            for number, (stage, reply) in faults.items():
                server.say(stage, reply, to=person(number))
            async with email(Limits(opening=5, reply=5, final=5)) as channel:
                sent = await send(channel, site_of(server, sessions=sessions), letters_to(25))
        kept = Counter(server.addresses)
        for address, one in sent.items():
            if one.kind == "accepted_by_relay":
                assert kept[address] == 1
            elif one.kind != "unknown":
                assert kept[address] == 0
            else:
                assert kept[address] <= 1
            number = int(address.removeprefix("person").partition("@")[0])
            if number not in faults:
                assert one.kind in ("accepted_by_relay", "deferred")

    asyncio.run(play())
