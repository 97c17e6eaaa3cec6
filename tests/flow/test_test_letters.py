"""Test letters: what people will get, and nobody's notice."""

from collections.abc import AsyncIterator
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import pytest

from notifier.campaigns.announce import announce, freeze_next
from notifier.campaigns.campaign import history
from notifier.campaigns.steer import steer
from notifier.campaigns.stop import stop
from notifier.channels.reports import read_report
from notifier.db import Db
from notifier.delivery.test_send import Answer, send_test
from notifier.errors import Conflict, Invalid, Unauthenticated
from notifier.keys import Keys
from notifier.letters.verp import return_path_key
from notifier.outcomes.suppressions import add_suppression
from notifier.sites.apply import apply
from tests.office import Office, open_office
from tests.sites import a_site

CAREFUL = {"people": 1, "test_send": True}


@pytest.fixture
async def office(db: Db, keys: Keys, request: pytest.FixtureRequest) -> AsyncIterator[Office]:
    given = {"rule": {"preset": "pop-japan"}} | getattr(request, "param", {})
    async with open_office(db, keys, a_site(**given)) as opened:
        await opened.person("p1")
        await opened.publish("one", {locale: {"body": f"# one {locale}"} for locale in ("en", "ja")})
        version = await opened.publish("two", {locale: {"body": f"# two {locale}"} for locale in ("en", "ja")})
        opened.campaign_id = await announce(db, opened.site, version, opened.clock.now(), "test")
        yield opened


async def send(office: Office, *addresses: str, locales: Any = ()) -> list[Answer]:
    return await send_test(
        office.db, office.keys, office.delivery.channels["email"], "https://notices.example", "kumo",
        office.campaign_id, addresses, locales, "kei", office.clock.now(),
    )  # fmt: skip


async def facts(office: Office) -> list[Any]:
    tables = ("notice", "intent", "outcome", "progress", "retry", "acceptance", "sheet", "suppression")
    return [await office.rows(f"SELECT count(*) FROM {table}") for table in tables]  # noqa: S608 - our own names


async def test_every_address_gets_every_locale_marked_as_a_test_and_nothing_else_is_left(office: Office) -> None:
    before = await facts(office)
    answers = await send(office, "kei@office.example", "noor@office.example")
    assert [(one.address, one.locale, one.outcome) for one in answers] == [
        (address, locale, "accepted_by_relay")
        for address in ("kei@office.example", "noor@office.example")
        for locale in ("en", "ja")
    ]
    assert all(one.reply.startswith("250") for one in answers)
    letters = [message_from_bytes(got.content, policy=SMTP) for got in office.server.got]
    subjects = {str(letter["Subject"]) for letter in letters}
    assert {subject[:6] for subject in subjects} == {"[Test]", "【テスト】【"}
    assert {letter["X-Notifier-Test"] for letter in letters} == {f"campaign {office.campaign_id}"}
    assert len({letter["Message-ID"] for letter in letters}) == 4
    assert await facts(office) == before


async def test_it_is_the_letter_that_people_will_get_but_for_the_marks(office: Office) -> None:
    await send(office, "p1@people.example", locales=["en"])
    await steer(office.db, "kumo", office.campaign_id, "approve", "kei", "", office.clock.now())
    await freeze_next(office.db, 100, office.clock.now())
    await office.deliver()
    test, real = (message_from_bytes(got.content, policy=SMTP) for got in office.server.got)
    assert isinstance(test, EmailMessage)
    assert isinstance(real, EmailMessage)
    assert test["Subject"] == f"[Test] {real['Subject']}"
    assert set(test.keys()) - set(real.keys()) == {"X-Notifier-Test"}
    for kind in ("plain", "html"):
        bodies = [letter.get_body((kind,)) for letter in (test, real)]
        texts = {body.get_content() for body in bodies if body is not None}
        # The office's addresses stand for people's, and so does our public address.
        assert len({text.replace("http://127.0.0.1:8080", "https://notices.example") for text in texts}) == 1


async def test_what_bounces_of_a_test_is_no_news_of_a_notice(office: Office) -> None:
    await send(office, "kei@office.example", locales=["en"])
    (got,) = office.server.got
    assert got.mail.startswith("MAIL FROM:<privacy@kumo.example>")
    bounce = (
        b"To: privacy@kumo.example\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n"
        b"--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n"
        b"Original-Envelope-Id: privacy\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--x\r\n"
        b"Content-Type: message/rfc822\r\n\r\n" + got.content + b"\r\n--x--\r\n"
    )
    with pytest.raises(Unauthenticated):
        read_report({"X-Original-To": "privacy@kumo.example"}, bounce, return_path_key(office.keys), "email")


async def test_the_history_says_who_sent_it_and_what_the_relay_said_without_whole_addresses(office: Office) -> None:
    office.server.say("rcpt", "550 5.1.1 no such user", to="gone@office.example")
    answers = await send(office, "kei@office.example", "gone@office.example", locales=["en"])
    assert [(one.outcome, one.failure) for one in answers] == [
        ("accepted_by_relay", None), ("refused", "bad_address"),
    ]  # fmt: skip
    _, begun, done = await history(office.db, office.campaign_id)
    assert (begun.action, begun.actor, begun.detail["locales"]) == ("test", "kei", ["en"])
    assert (done.action, done.actor) == ("test_sent", "kei")
    assert "k…@office.example (en): accepted_by_relay 250" in done.reason
    assert "g…@office.example (en): refused 550 5.1.1 no such user" in done.reason
    assert "kei@" not in str((begun, done))
    assert await office.rows("SELECT count(*) FROM suppression") == [(0,)]


async def test_a_relay_that_is_away_is_said_and_is_no_test_that_was_sent(office: Office) -> None:
    office.server.say("rcpt", "451 4.3.0 not now")
    (answer,) = await send(office, "kei@office.example", locales=["ja"])
    assert answer.outcome == "deferred"
    assert (await history(office.db, office.campaign_id))[-1].action == "test_failed"


async def test_a_suppressed_address_gets_nothing(office: Office) -> None:
    now = office.clock.now()
    await add_suppression(office.db, office.keys, "kumo", "left@office.example", "left us", None, "kei", now)
    answers = await send(office, "left@office.example", "kei@office.example", locales=["en"])
    assert [(one.outcome, one.failure) for one in answers] == [
        ("refused", "suppressed"), ("accepted_by_relay", None),
    ]  # fmt: skip
    assert office.server.addresses == ["kei@office.example"]


async def test_what_may_not_be_sent_is_refused_before_anything_is_recorded(office: Office) -> None:
    with pytest.raises(Invalid) as refused:
        await send(office, "kei@office.example", locales=["fr"])
    assert refused.value.faults[0].pointer == "/locales"
    for _ in range(10):
        await send(office, "kei@office.example", locales=["en"])
    with pytest.raises(Conflict, match="wait 10 minutes"):
        await send(office, "kei@office.example", locales=["en"])
    office.clock.move(timedelta(minutes=11))
    await stop(office.db, "kumo", "noor", "no", office.clock.now())
    with pytest.raises(Conflict, match="stopped by noor: no"):
        await send(office, "kei@office.example")
    assert len(office.server.got) == 10
    assert len(await history(office.db, office.campaign_id)) == 1 + 20


async def test_a_campaign_that_is_over_sends_no_test(office: Office) -> None:
    await steer(office.db, "kumo", office.campaign_id, "cancel", "kei", "", office.clock.now())
    with pytest.raises(Conflict, match="is cancelled"):
        await send(office, "kei@office.example")


@pytest.mark.parametrize("office", [{"approval": CAREFUL}], indirect=True)
async def test_where_the_site_asks_for_a_test_nobody_approves_before_a_relay_took_one(office: Office) -> None:
    async def approve() -> str:
        return (await steer(office.db, "kumo", office.campaign_id, "approve", "kei", "", office.clock.now())).state

    with pytest.raises(Conflict, match="send a test letter first"):
        await approve()
    office.server.say("rcpt", "451 4.3.0 not now", "")
    await send(office, "kei@office.example", locales=["en"])
    with pytest.raises(Conflict, match="send a test letter first"):
        await approve()
    await send(office, "kei@office.example", locales=["en"])
    assert await approve() == "approved"


@pytest.mark.parametrize(
    "office", [{"approval": CAREFUL, "rule": {"preset": "jp-appi-notice", "channels": ["inbox"]}}], indirect=True
)
async def test_where_there_are_no_letters_none_is_asked_for(office: Office) -> None:
    with pytest.raises(Conflict, match="tells nobody by email"):
        await send(office, "kei@office.example")
    campaign = await steer(office.db, "kumo", office.campaign_id, "approve", "kei", "", office.clock.now())
    assert campaign.state == "approved"


BY_MESSAGE = {"preset": "jp-appi-notice", "channels": ["inbox"], "also": [{"preset": "us-contract"}]}


@pytest.mark.parametrize("office", [{"approval": CAREFUL, "rule": BY_MESSAGE}], indirect=True)
async def test_where_letters_are_for_some_people_only_one_is_tested_all_the_same(office: Office) -> None:
    with pytest.raises(Conflict, match="test letter"):
        await steer(office.db, "kumo", office.campaign_id, "approve", "kei", "", office.clock.now())
    assert {one.outcome for one in await send(office, "kei@office.example")} == {"accepted_by_relay"}
    campaign = await steer(office.db, "kumo", office.campaign_id, "approve", "kei", "", office.clock.now())
    assert campaign.state == "approved"


async def test_test_letters_take_of_the_pace_like_all_letters(office: Office) -> None:
    relay = {"host": "127.0.0.1", "port": office.server.port, "security": "none"}
    paced = a_site(rule={"preset": "pop-japan"}, relays=[relay], pace={"per_day": 3, "slow_start": False})
    await apply(office.db, paced, office.clock.now())
    first = await send(office, "kei@office.example")
    assert [one.outcome for one in first] == ["accepted_by_relay"] * 2
    second = await send(office, "noor@office.example")
    assert [(one.outcome, one.failure) for one in second] == [("accepted_by_relay", None), ("deferred", "held")]
    assert "limits of the site's pace" in second[1].reply
    assert len(office.server.got) == 3
    assert await office.rows("SELECT name, today FROM bucket") == [("site", 3)]
    office.clock.move(timedelta(days=1))
    assert [one.outcome for one in await send(office, "noor@office.example")] == ["accepted_by_relay"] * 2
