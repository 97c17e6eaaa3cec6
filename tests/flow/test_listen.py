"""Bounces that come by mail: over real sockets, into a real database, and believed only when they are ours."""

import asyncio
import smtplib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiosmtplib
import pytest

from notifier.channels.email import Email
from notifier.db import Db
from notifier.keys import Keys
from notifier.letters.verp import Attempt, return_path_key, seal
from notifier.outcomes import listen
from notifier.outcomes.hear import hear
from notifier.outcomes.listen import Listener, listening
from tests.flow.story import POSTED, Somebody, Story, begin

DAY_AFTER = POSTED + timedelta(days=1)


def a_bounce(quoted: str = "") -> str:
    """A report without a word of whom it is about: only the address that it comes to says so."""
    return (
        "From: MAILER-DAEMON@mx.example.net\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\n..one dot begins this line\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx.example.net\r\n\r\nFinal-Recipient: rfc822; x@example.net\r\nAction: failed\r\n"
        "Status: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n\r\n"
        f"--b\r\nContent-Type: text/plain\r\n\r\n{quoted}\r\n--b--\r\n"
    )


@dataclass
class Desk:
    """A listener on a database with one person who was told."""

    story: Story
    who: Somebody
    return_path: str
    port: int
    taken: list[bytes]
    fail: Callable[[], None]

    async def outcomes(self) -> list[tuple[str, str | None]]:
        rows = await self.story.rows("SELECT kind::text, class FROM outcome ORDER BY kind")
        return [(row["kind"], row["class"]) for row in rows]

    @asynccontextmanager
    async def smtp(self) -> AsyncIterator[aiosmtplib.SMTP]:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=self.port, start_tls=False) as client:
            yield client

    async def talk(self, *sent: bytes) -> list[str]:
        """Send bytes as they stand, and return all that is said until the other side closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"".join(sent))
        said = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return said.decode().splitlines()


@pytest.fixture
async def desk(db: Db, keys: Keys, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    story = await begin(db)
    who = await story.person("aoi")
    await story.told(who)
    key = return_path_key(keys)
    local = seal(Attempt(story.campaign_id, who.lane, who.person_id, 1), key)
    taken: list[bytes] = []
    failing: list[Exception] = []
    email = Email(keys)

    async def take(sender: str, address: str, message: bytes) -> None:
        if failing:
            raise failing.pop()
        taken.append(message)
        await hear(db, email.hear({"X-Original-To": address}, message), DAY_AFTER)

    options: dict[str, Any] = getattr(request, "param", {})
    async with listening(Listener(take, key, **options), "127.0.0.1", 0) as port:
        yield Desk(
            story, who, f"{local}@kumo.example", port, taken, lambda: failing.append(OSError("the database is away"))
        )


async def test_a_bounce_to_a_return_path_of_ours_is_recorded_once_however_often_it_comes(desk: Desk) -> None:
    for _ in range(3):
        async with desk.smtp() as client:
            refused, reply = await client.sendmail("", [desk.return_path], a_bounce())
            assert (refused, reply.split()[0]) == ({}, "2.0.0")
    assert await desk.outcomes() == [("accepted_by_relay", None), ("bounced", "bad_address")]
    assert desk.taken[0] == a_bounce().encode()


async def test_a_mail_server_may_fold_the_case_of_the_address(desk: Desk) -> None:
    async with desk.smtp() as client:
        await client.sendmail("", [desk.return_path.upper()], a_bounce())
    assert ("bounced", "bad_address") in await desk.outcomes()


async def test_no_other_address_is_taken_and_a_forged_one_is_none_of_ours(desk: Desk) -> None:
    forged = desk.return_path.replace("b+0", "b+1", 1)
    assert forged != desk.return_path
    async with desk.smtp() as client:
        await client.mail("")
        for address in ("postmaster@kumo.example", "b+short@kumo.example", forged, ""):
            with pytest.raises(aiosmtplib.SMTPRecipientRefused) as refused:
                await client.rcpt(address)
            assert refused.value.code == 550
            assert "5.1.1" in refused.value.message
    assert await desk.outcomes() == [("accepted_by_relay", None)]


async def test_while_the_database_is_away_the_sender_keeps_the_report(desk: Desk) -> None:
    desk.fail()
    async with desk.smtp() as client:
        with pytest.raises(aiosmtplib.SMTPDataError) as refused:
            await client.sendmail("", [desk.return_path], a_bounce())
        assert refused.value.code == 451
        await client.sendmail("", [desk.return_path], a_bounce())
    assert ("bounced", "bad_address") in await desk.outcomes()


async def test_without_a_database_nothing_is_acknowledged(desk: Desk) -> None:
    async with desk.smtp() as client:
        await desk.story.db.pool.close()
        for _ in range(2):
            with pytest.raises(aiosmtplib.SMTPDataError) as refused:
                await client.sendmail("", [desk.return_path], a_bounce())
            assert (refused.value.code, refused.value.message.split()[0]) == (451, "4.3.0")


async def test_the_news_is_committed_before_it_is_acknowledged(desk: Desk) -> None:
    async with desk.smtp() as client:
        await client.sendmail("", [desk.return_path], a_bounce())
        assert ("bounced", "bad_address") in await desk.outcomes()


async def test_mail_that_says_nothing_is_taken_and_changes_nothing(desk: Desk) -> None:
    async with desk.smtp() as client:
        await client.sendmail("aoi@people.example", [desk.return_path], "Subject: on holiday\r\n\r\nuntil Monday\r\n")
    assert await desk.outcomes() == [("accepted_by_relay", None)]


async def test_a_report_over_the_limit_is_refused_and_the_session_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "MESSAGE_BYTES", 20_000)
    async with desk.smtp() as client:
        for quoted in ("x" * 50_000, "x\r\n" * 20_000):
            await client.mail("")
            await client.rcpt(desk.return_path)
            with pytest.raises(aiosmtplib.SMTPDataError) as refused:
                await client.data(a_bounce(quoted).encode())
            assert refused.value.code == 552
        with pytest.raises(aiosmtplib.SMTPResponseException) as refused_at_once:
            await client.mail("", options=["SIZE=20001"])
        assert refused_at_once.value.code == 552
        await client.sendmail("", [desk.return_path], a_bounce("y" * 15_000))
    assert [len(message) > 15_000 for message in desk.taken] == [True]


@pytest.mark.parametrize("end", [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n"])
async def test_only_a_whole_line_with_a_dot_ends_a_message(desk: Desk, end: bytes) -> None:
    smuggled = b"x" + end + b"MAIL FROM:<>\r\nRCPT TO:<postmaster@kumo.example>\r\nDATA\r\nmore\r\n.\r\nQUIT\r\n"
    envelope = f"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<{desk.return_path}>\r\nDATA\r\n".encode()
    said = await desk.talk(envelope, smuggled)
    assert [line[:3] for line in said if line[3] == " "] == ["220", "250", "250", "250", "354", "250", "221"]
    assert len(desk.taken) == 1


async def test_what_makes_no_sense_is_said_to_make_none_and_too_much_of_it_ends_the_session(desk: Desk) -> None:
    said = await desk.talk(
        b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\nLHLO a\r\nEHLO a\r\nMAIL FROM\r\nMAIL FROM:<>\r\nMAIL FROM:<>\r\n",
        b"\xff\xfe\r\nRCPT TO:a\r\nVRFY a\r\nNOOP\r\nRSET\r\nDATA\r\n" + b"x" * 10_000 + b"\r\n" * 40,
    )
    codes = [line[:3] for line in said if line[3] == " "]
    assert codes[:10] == ["220", "503", "503", "503", "500", "250", "501", "250", "503", "500"]
    assert codes[10:16] == ["501", "252", "250", "250", "503", "500"]
    assert said[-1].startswith("421 4.7.0")
    assert desk.taken == []


async def test_a_report_has_one_recipient(desk: Desk) -> None:
    async with desk.smtp() as client:
        await client.mail("")
        await client.rcpt(desk.return_path)
        with pytest.raises(aiosmtplib.SMTPRecipientRefused) as refused:
            await client.rcpt(desk.return_path)
        assert refused.value.code == 452


async def test_somebody_who_goes_away_in_the_middle_leaves_nothing(desk: Desk) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.port)
    writer.write(f"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<{desk.return_path}>\r\nDATA\r\n{a_bounce()}".encode())
    await reader.readuntil(b"354 ")
    writer.close()
    async with desk.smtp() as client:
        await client.noop()
    assert desk.taken == []


@pytest.mark.parametrize("desk", [{"silence": 0.2}], indirect=True)
async def test_who_says_nothing_is_not_waited_for(desk: Desk) -> None:
    assert [line[:9] for line in await desk.talk()] == ["220 notif", "421 4.4.2"]


async def test_there_is_a_limit_to_how_many_may_talk_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "SESSIONS", 1)
    async with desk.smtp():
        assert (await desk.talk())[0].startswith("421 4.3.2")


@pytest.mark.parametrize("desk", [{"lmtp": True}], indirect=True)
async def test_over_lmtp_the_same(desk: Desk) -> None:
    def send() -> Any:
        with smtplib.LMTP("127.0.0.1", desk.port) as client:
            return client.sendmail("", [desk.return_path], a_bounce())

    assert await asyncio.to_thread(send) == {}
    assert ("bounced", "bad_address") in await desk.outcomes()
    assert [line[:3] for line in await desk.talk(b"EHLO a\r\nQUIT\r\n")] == ["220", "500", "221"]
