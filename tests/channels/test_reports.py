"""Reports that mail servers send to our return paths: believed when ours, read as they are written, else refused."""

import time
from datetime import UTC, datetime
from textwrap import dedent
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels.channel import Feedback
from notifier.channels.email import Email
from notifier.channels.envelope import xtext
from notifier.errors import Malformed, Unauthenticated
from notifier.keys import Keys
from notifier.letters.verp import Attempt, return_path_key, seal

KEYS = Keys(b"a secret that only tests know and that is long enough")
ATTEMPT = Attempt(7, 321, UUID(int=99), 3)
LOCAL = seal(ATTEMPT, return_path_key(KEYS))
RETURN_PATH = f"{LOCAL}@kumo.example"
CHANNEL = Email(KEYS)


def hear(body: str | bytes, headers: dict[str, str] | None = None) -> list[Feedback]:
    raw = body if isinstance(body, bytes) else body.replace("\n", "\r\n").encode()
    return CHANNEL.hear(headers or {"Content-Type": "message/rfc822"}, raw)


def a_report(
    action: str = "failed",
    status: str = "5.1.1",
    diagnosis: str = "smtp; 550 5.1.1 <x@example.net>: user unknown (in reply to RCPT TO command)",
    to: str = RETURN_PATH,
    envelope_id: str = "",
    quoted: str = "Subject: the letter",
) -> str:
    return dedent("""\
        Date: Mon, 02 Mar 2026 10:00:00 +0900
        From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
        Subject: Undelivered Mail Returned to Sender
        To: {to}
        Auto-Submitted: auto-replied
        MIME-Version: 1.0
        Content-Type: multipart/report; report-type=delivery-status; boundary="b"

        --b
        Content-Type: text/plain

        Your message could not be delivered.

        --b
        Content-Type: message/delivery-status

        Reporting-MTA: dns; mx.example.net
        {envelope_id}Arrival-Date: Mon, 02 Mar 2026 09:59:00 +0900

        Final-Recipient: rfc822; x@example.net
        Action: {action}
        Status: {status}
        Diagnostic-Code: {diagnosis}

        --b
        Content-Type: message/rfc822

        {quoted}

        words
        --b--
        """).format(
        to=to, action=action, status=status, diagnosis=diagnosis, quoted=quoted,
        envelope_id=f"Original-Envelope-Id: {envelope_id}\n" if envelope_id else "",
    )  # fmt: skip


def a_complaint(kind: str = "abuse", mail_from: str = RETURN_PATH) -> str:
    return dedent(f"""\
        Date: Mon, 02 Mar 2026 10:00:00 +0900
        From: feedback@provider.example
        To: fbl@kumo.example
        Content-Type: multipart/report; report-type=feedback-report; boundary="b"

        --b
        Content-Type: text/plain

        This is a complaint.

        --b
        Content-Type: message/feedback-report

        Feedback-Type: {kind}
        User-Agent: Provider/1.0
        Version: 1
        Original-Mail-From: <{mail_from}>

        --b
        Content-Type: message/rfc822

        Subject: the letter

        words
        --b--
        """)


def test_a_bounce_names_its_attempt_its_class_and_the_servers_words():
    [news] = hear(a_report())
    assert news == Feedback(
        7, 321, UUID(int=99), "email", 3, "bounced", "bad_address",
        "5.1.1 550 5.1.1 <x@example.net>: user unknown (in reply to RCPT TO command)", "mx.example.net",
        datetime(2026, 3, 2, 1, 0, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "diagnosis", "class_"),
    [
        ("5.1.1", "smtp; 550 5.1.1 unknown", "bad_address"),
        ("5.0.0", "smtp; 550 5.1.1 unknown", "bad_address"),
        ("5.0.0", "smtp; 550 no (in reply to RCPT TO command)", "bad_address"),
        ("5.0.0", "smtp; 550-no\n such\n user", "bad_address"),
        ("5.2.2", "smtp; 552 5.2.2 over quota", "mailbox_full"),
        ("4.2.2", "smtp; 452 4.2.2 over quota", "mailbox_full"),
        ("4.4.1", "X-Postfix; connect to mx.example.net: Connection timed out", "expired"),
        ("4.4.7", "", "expired"),
        ("5.4.4", "X-Postfix; Host or domain name not found", "bad_domain"),
        ("5.7.1", "smtp; 550 5.7.1 blocked using zen.spamhaus.org", "policy"),
        ("5.7.1", "smtp; 554 5.7.1 looks like spam (in reply to end of DATA command)", "content"),
        ("5.0.0", "", "unclear"),
        ("5.1.0", "smtp; delivery failed", "unclear"),
        ("nonsense", "", "unclear"),
        ("5.0.0", "smtp; 554 transaction failed", "policy"),
    ],
)
def test_a_failure_has_the_class_that_the_same_reply_would_have(status, diagnosis, class_):
    [news] = hear(a_report(status=status, diagnosis=diagnosis))
    assert (news.kind, news.class_) == ("bounced", class_)


@pytest.mark.parametrize("action", ["delivered", "relayed", "Delivered"])
def test_a_delivery_is_the_word_of_the_recipients_server(action):
    [news] = hear(a_report(action=action, status="2.0.0", diagnosis="smtp; 250 ok"))
    assert (news.kind, news.class_) == ("accepted_by_recipient", None)


@pytest.mark.parametrize("action", ["delayed", "expanded", "", "nonsense"])
def test_delays_and_lists_change_nothing(action):
    assert hear(a_report(action=action, status="4.4.1")) == []


def test_several_groups_about_one_letter_are_one_piece_of_news_and_the_failure_counts():
    body = a_report(action="relayed", status="2.0.0").replace(
        "Diagnostic-Code:", "Final-Recipient: rfc822; y@example.net\nX: y\nDiagnostic-Code:"
    )
    body = body.replace("X: y", "\nFinal-Recipient: rfc822; z@example.net\nAction: failed\nStatus: 5.1.1")
    [news] = hear(body)
    assert news.kind == "bounced"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (a_report(to=RETURN_PATH.upper()), {}),
        (a_report(to="postmaster@kumo.example"), {"X-Original-To": RETURN_PATH}),
        (a_report(to="postmaster@kumo.example").replace("To: ", f"Delivered-To: {RETURN_PATH}\nTo: "), {}),
        (a_report(to="postmaster@kumo.example", envelope_id=xtext(LOCAL)), {}),
        (a_report(to="postmaster@kumo.example", envelope_id=LOCAL), {}),
        (a_report(to="x@kumo.example", envelope_id=xtext(LOCAL)), {"X-Original-To": "postmaster@kumo.example"}),
        (a_report(to="postmaster@kumo.example", quoted=f"Return-Path: <{RETURN_PATH}>\nSubject: x"), {}),
    ],
)
def test_the_proof_may_stand_in_the_address_the_envelope_or_the_quoted_letter(body, headers):
    [news] = hear(body, headers)
    assert (news.campaign_id, news.lane, news.person_id, news.attempt) == (7, 321, UUID(int=99), 3)


FORGED = seal(ATTEMPT, return_path_key(Keys(b"somebody else's secret, long enough for a key")))


@pytest.mark.parametrize(
    "body",
    [
        a_report(to="postmaster@kumo.example"),
        a_report(to=f"{FORGED}@kumo.example"),
        a_report(to="postmaster@kumo.example", envelope_id=xtext(FORGED)),
        a_report(to="postmaster@kumo.example", envelope_id=FORGED),
        a_report(to="postmaster@kumo.example", envelope_id="b+2B" + "a" * 62),
        a_report(to=f"{LOCAL[:-1]}{'a' if LOCAL[-1] != 'a' else 'b'}@kumo.example"),
        a_report(to="x@kumo.example", quoted=f"Message-ID: <{RETURN_PATH}>"),
        a_complaint(mail_from="b+short@kumo.example"),
        "",
        "\0\xff nonsense",
    ],
)
def test_a_report_without_our_proof_is_refused(body):
    with pytest.raises(Unauthenticated):
        hear(body)


def test_a_complaint_is_heard_and_a_not_spam_report_is_not():
    [news] = hear(a_complaint())
    assert (news.kind, news.class_, news.attempt, news.via) == ("complained", "complaint", 3, "Provider/1.0")
    assert hear(a_complaint("not-spam")) == []
    assert hear(a_complaint("auth-failure")) == []


def test_an_automatic_answer_changes_nothing():
    assert hear(f"To: {RETURN_PATH}\nAuto-Submitted: auto-replied\nSubject: away\n\nI am on holiday.\n") == []


def test_a_report_about_a_report_deep_inside_is_not_read():
    inner = a_report(to="x@kumo.example")
    outer = f"To: {RETURN_PATH}\nMIME-Version: 1.0\nContent-Type: message/rfc822\n\n{inner}"
    assert hear(outer) == []


def test_what_is_nested_too_deep_is_refused_and_breaks_nothing():
    parts = "".join(
        f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(2000)
    )  # deeper than Python's own parser goes
    with pytest.raises((Malformed, Unauthenticated)):
        hear(f"To: postmaster@kumo.example\nMIME-Version: 1.0\n{parts}")


@given(st.text(max_size=200), st.text(max_size=30), st.text(max_size=60))
def test_hostile_fields_are_kept_as_harmless_words(diagnosis, status, date):
    body = a_report(status=status, diagnosis=diagnosis).replace("Mon, 02 Mar 2026 10:00:00 +0900", date)
    # The proof comes along with the report: a date with a line break in it may end the headers before "To".
    for news in CHANNEL.hear({"X-Original-To": RETURN_PATH}, body.encode("utf-8", "surrogatepass")):
        assert news.reply.isprintable()
        assert len(news.reply) <= 500
        assert news.at is None or news.at.tzinfo is not None


@given(st.binary(max_size=400))
def test_any_bytes_after_our_proof_are_no_news_and_no_crash(noise):
    raw = f"To: {RETURN_PATH}\r\nContent-Type: multipart/report; boundary=b\r\n".encode() + noise
    assert isinstance(CHANNEL.hear({}, raw), list)


def test_a_report_about_an_internationalised_address_is_read_too() -> None:
    report = a_report(action="failed", status="5.1.1").replace(
        "message/delivery-status", "message/global-delivery-status"
    ).replace("Final-Recipient: rfc822; x@example.net", "Final-Recipient: utf-8; 葵@example.net")  # fmt: skip
    for text in (report, report.replace("\nAction:", "\nX-Note: 不明\nAction:")):
        (news,) = hear(text)
        assert (news.kind, news.class_, news.via) == ("bounced", "bad_address", "mx.example.net")
    assert hear(report.replace("Action: failed", "Action: delayed")) == []


@pytest.mark.parametrize("depth", [10, 200, 900])
@pytest.mark.parametrize("line", [b"\n", b"--x\n", b"A: b\n"])
def test_a_message_made_to_take_long_is_given_up_soon(depth: int, line: bytes) -> None:
    parts = (b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(depth))
    began = time.process_time()
    with pytest.raises((Malformed, Unauthenticated)):
        hear(b"".join(parts) + b"\n" + line * 1_000_000)
    assert time.process_time() - began < 5


def test_a_report_that_quotes_a_huge_letter_is_read() -> None:
    assert hear(a_report(quoted="Subject: long\n\n" + "words " * 1_000_000)) == hear(a_report())
