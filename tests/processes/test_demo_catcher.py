"""The mail catcher, over real SMTP and real HTTP."""

import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage

import aiohttp
import aiosmtplib
import pytest
from aiohttp import web

from notifier.demo.catcher import Catcher, catch_mail
from notifier.demo.mailbox_pages import show_mailbox
from notifier.errors import Unavailable


def letter(to: str, subject: str = "A change of our policy", html: str = "<p>Hello</p>") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "privacy@kumo-store.example"
    message["To"] = to
    message["Subject"] = subject
    message["Message-ID"] = f"<{to}>"
    message.set_content("Hello in plain text")
    message.add_alternative(html, subtype="html")
    return message


async def send(catcher: Catcher, message: EmailMessage, sender: str = "back+7@kumo-store.example") -> int:
    """Send one letter; returns the code of the last reply."""
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=catcher.smtp_port) as smtp:
        try:
            await smtp.sendmail(sender, [message["To"]], message.as_bytes())
        except aiosmtplib.SMTPRecipientsRefused as refusal:
            return int(refusal.recipients[0].code)
        return 250


@asynccontextmanager
async def hook() -> AsyncIterator[tuple[str, list[tuple[str, bytes]]]]:
    """A service that takes bounces, and what it got."""
    got: list[tuple[str, bytes]] = []

    async def take(request: web.Request) -> web.Response:
        got.append((request.content_type, await request.read()))
        return web.Response(status=503 if len(got) == 1 else 202)

    app = web.Application()
    app.router.add_post("/hooks/email", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hooks/email", got
    finally:
        await runner.cleanup()


async def test_an_address_decides_how_its_mail_is_treated() -> None:
    async with catch_mail("127.0.0.1", 0) as catcher:
        assert await send(catcher, letter("aoi@example.com")) == 250
        assert [await send(catcher, letter("aoi+full@example.com")) for _ in range(4)] == [452, 250, 452, 250]
        assert [await send(catcher, letter("aoi+grey@example.com")) for _ in range(2)] == [451, 250]
        assert [await send(catcher, letter("aoi+gone@example.com")) for _ in range(2)] == [550, 550]
        assert await send(catcher, letter("aoi+bounce@example.com")) == 250
    assert catcher.mailbox.counts == {"accepted": 5, "put off": 3, "refused": 2}


async def test_a_bounce_is_a_delivery_status_notification_to_the_return_path_and_is_posted_until_it_is_taken() -> None:
    async with hook() as (url, got), catch_mail("127.0.0.1", 0, bounce_to=url) as catcher:
        assert await send(catcher, letter("aoi+bounce@example.com")) == 250
        assert await send(catcher, letter("mia+bounce@example.com"), sender="") == 250  # RFC 3464: never to nobody
        await catcher.all_bounces_posted()
    assert [kind for kind, _ in got] == ["message/rfc822"] * 2
    assert got[0] == got[1]
    report = email.message_from_bytes(got[0][1], policy=email.policy.default)
    parts = [part.get_content_type() for part in report.iter_parts()]
    assert report["To"] == "back+7@kumo-store.example"
    assert report.get_content_type() == "multipart/report"
    assert parts == ["text/plain", "message/delivery-status", "text/rfc822-headers"]
    assert b"Final-Recipient: rfc822; aoi+bounce@example.com" in got[0][1]
    assert b"Status: 5.1.1" in got[0][1]
    assert b"Message-ID: <aoi+bounce@example.com>" in got[0][1]


async def test_closing_the_catcher_ends_sessions_that_are_open() -> None:
    async with catch_mail("127.0.0.1", 0) as catcher:
        smtp = aiosmtplib.SMTP(hostname="127.0.0.1", port=catcher.smtp_port)
        await smtp.connect()
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await smtp.noop()
    smtp.close()


async def test_a_port_that_is_taken_is_named() -> None:
    async with catch_mail("127.0.0.1", 0) as catcher:
        with pytest.raises(Unavailable, match=f"127.0.0.1:{catcher.smtp_port}"):
            async with catch_mail("127.0.0.1", catcher.smtp_port):
                pass


async def test_the_page_lists_and_finds_letters_in_both_languages() -> None:
    async with catch_mail("127.0.0.1", 0) as catcher, show_mailbox(catcher.mailbox, "127.0.0.1", 0) as url:
        await send(catcher, letter("aoi@example.com", "ポリシー変更のお知らせ"))
        await send(catcher, letter("mia@example.com", "A change"))
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            page = await (await session.get(f"{url}/")).text()
            assert "ポリシー変更のお知らせ" in page
            assert "mia@example.com" in page
            found = await (await session.get(f"{url}/", params={"q": "MIA change"})).text()
            assert "mia@example.com" in found
            assert "aoi@example.com" not in found
            japanese = await (await session.get(f"{url}/language/ja", params={"back": "/?q=aoi"})).text()
            assert 'lang="ja"' in japanese
            elsewhere = await session.get(f"{url}/language/en?back=//evil.example", allow_redirects=False)
            assert elsewhere.headers["Location"] == "/"


async def test_a_letter_is_shown_locked_in_and_can_be_saved_byte_for_byte() -> None:
    hostile = "<script>alert(1)</script><p>Hello</p>"
    async with catch_mail("127.0.0.1", 0) as catcher, show_mailbox(catcher.mailbox, "127.0.0.1", 0) as url:
        await send(catcher, letter("aoi@example.com", "<b>bold</b>", hostile))
        async with aiohttp.ClientSession() as session:
            page = await (await session.get(f"{url}/mails/1")).text()
            assert "&lt;b&gt;bold" in page
            assert "<script>alert" not in page
            assert "Hello in plain text" in page
            frame = await session.get(f"{url}/mails/1/html")
            assert hostile in await frame.text()
            assert frame.headers["Content-Security-Policy"].startswith("sandbox")
            assert "allow-scripts" not in frame.headers["Content-Security-Policy"]
            raw = await session.get(f"{url}/mails/1/raw")
            mail = catcher.mailbox.find(1)
            assert mail is not None
            assert await raw.read() == mail.raw
            assert (await session.get(f"{url}/mails/2")).status == 404
