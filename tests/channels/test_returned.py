"""Bounces as old servers write them, and what else comes back to where a letter came from."""

from textwrap import dedent
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels.channel import Feedback
from notifier.channels.email import Email
from notifier.errors import Unauthenticated
from notifier.keys import Keys
from notifier.letters.verp import Attempt, return_path_key, seal

KEYS = Keys(b"a secret that only tests know and that is long enough")
LOCAL = seal(Attempt(7, 321, UUID(int=99), 3), return_path_key(KEYS))
RETURN_PATH = f"{LOCAL}@kumo.example"
CHANNEL = Email(KEYS)
FROM_NOBODY = {"Return-Path": "<>", "X-Original-To": RETURN_PATH}


def hear(text: str, envelope: dict[str, str] | None = None) -> list[Feedback]:
    raw = dedent(text).lstrip("\n").replace("\n", "\r\n").encode()
    return CHANNEL.hear(FROM_NOBODY if envelope is None else envelope, raw)


QMAIL = """
    From: MAILER-DAEMON@mx.example.net
    Subject: failure notice

    Hi. This is the qmail-send program at mx.example.net.
    I'm afraid I wasn't able to deliver your message to the following addresses.
    This is a permanent error; I've given up. Sorry it didn't work out.

    <x@example.net>:
    {reason}

    --- Below this line is a copy of the message.

    Return-Path: <b+x@kumo.example>
    Subject: if it could not be delivered, 550 5.7.1 is what spam gets
    """
EXCHANGE = """
    From: System Administrator <postmaster@corp.example>
    Subject: Undeliverable: Changes to our Privacy Policy
    MIME-Version: 1.0
    Content-Type: multipart/mixed; boundary="x"

    --x
    Content-Type: text/plain; charset="iso-8859-1"

    Your message

      To:      x@corp.example
      Subject: Changes to our Privacy Policy

    did not reach the following recipient(s):

    x@corp.example on Mon, 2 Mar 2026 10:00:00 +0900
        {reason}

    --x
    Content-Type: message/rfc822

    Subject: the letter
    --x--
    """
NOTES = """
    From: Mail-Daemon@notes.example
    Subject: DELIVERY FAILURE: {reason}
    Content-Type: text/html; charset=us-ascii

    <html><style>p {{color: red}}</style><p>Your message</p><p>could not be delivered to:</p>
    <p>x@notes.example</p>

    <p>because:</p>

    <p>{reason}</p></html>
    """
SENDMAIL = """
    From: Mail Delivery Subsystem <MAILER-DAEMON@old.example>
    Subject: Returned mail: see transcript for details

    The original message was received at Mon, 2 Mar 2026 10:00:00 +0900

       ----- The following addresses had permanent fatal errors -----
    <x@old.example>

       ----- Transcript of session follows -----
    ... while talking to mail.old.example.:
    >>> DATA
    <<< {reason}
    """
JAPANESE = """
    From: Mail Delivery System <MAILER-DAEMON@mail.example.jp>
    Subject: =?utf-8?b?6YWN5L+h44Gn44GN44G+44Gb44KT44Gn44GX44Gf?=
    Content-Type: text/plain; charset=utf-8

    次のあて先に配信できませんでした。

    {reason}
    """


@pytest.mark.parametrize(
    ("bounce", "reason", "class_"),
    [
        (QMAIL, "Sorry, no mailbox here by that name. (#5.1.1)", "bad_address"),
        (QMAIL, "192.0.2.7 does not like recipient.\n    Remote host said: 550 not here\n    Giving up on 192.0.2.7.",
         "bad_address"),
        (QMAIL, "192.0.2.7 failed after I sent the message.\n    Remote host said: 554 looks like spam", "content"),
        (QMAIL, "Sorry, I couldn't find any host named gone.example. (#5.1.2)", "bad_domain"),
        (QMAIL, "The users mailfolder is over the allowed quota (size). (#5.2.2)", "mailbox_full"),
        (QMAIL, "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)", "expired"),
        (QMAIL, "user is over quota", "mailbox_full"),
        (QMAIL, "it did not work", "unclear"),
        (EXCHANGE, "The e-mail account does not exist. <mail.corp.example #5.1.1>", "bad_address"),
        (EXCHANGE, "MSEXCH:IMS:CORP:EXCHANGE:MAIL 0 (000C05A6) Unknown", "unclear"),
        (NOTES, "User x (x@notes.example) not listed in Domino Directory: 550 no such user", "bad_address"),
        (NOTES, "Router: no route found", "unclear"),
        (SENDMAIL, "550 5.7.1 rejected, see zen.spamhaus.org", "policy"),
        (SENDMAIL, "550 5.1.1 <x@old.example>... User unknown", "bad_address"),
        (JAPANESE, "<x@example.jp>: 550 5.2.1 mailbox disabled", "mailbox_disabled"),
    ],
)  # fmt: skip
def test_a_bounce_in_a_form_of_its_own_has_the_class_of_what_it_says(bounce, reason, class_):
    [news] = hear(bounce.format(reason=reason))
    assert (news.kind, news.class_, news.person_id, news.attempt) == ("bounced", class_, UUID(int=99), 3)
    assert news.reply


def test_what_is_kept_is_the_line_that_says_why_or_the_subject():
    [news] = hear(QMAIL.format(reason="Sorry, no mailbox here by that name. (#5.1.1)"))
    assert news.reply == "<x@example.net>: Sorry, no mailbox here by that name. (#5.1.1)"
    [news] = hear(EXCHANGE.format(reason="nothing that anybody understands"))
    assert news.reply == "Undeliverable: Changes to our Privacy Policy"


AWAY = """
    From: x@example.net
    Subject: {subject}
    Auto-Submitted: auto-replied

    {words}
    """
PLAIN = QMAIL.format(reason="no mailbox here (#5.1.1)")


@pytest.mark.parametrize(
    "text",
    [
        AWAY.format(subject="Out of Office: x", words="I am away. Mail to me could not be delivered to my deputy."),
        AWAY.format(subject="自動応答", words="不在です。"),
        AWAY.format(subject="Re: your letter", words="Thank you, I have read it."),
        AWAY.format(subject="Re: your letter", words="Thank you.\n\n    > if it could not be delivered, do").replace(
            "auto-replied", "auto-replied\n    X-Autoreply: yes"),
        AWAY.format(subject="Delivery delayed", words="It could not be delivered. We are still trying."),
        QMAIL.format(reason="4.4.1").replace("This is a permanent error; I've given up.", "It will be retried."),
        "\nFrom: MAILER-DAEMON@x.example\nSubject: hello\n\n--- Below this line is a copy\n\nundeliverable\n",
        "\nFrom: MAILER-DAEMON@x.example\nSubject: hello\n\n",
    ],
)  # fmt: skip
def test_absence_delays_and_answers_say_nothing_of_the_letters_fate(text):
    assert hear(text) == []


def test_only_what_a_mail_server_sends_is_a_bounce():
    person = PLAIN.replace("MAILER-DAEMON@mx.example.net", "x@example.net")
    to_us = {"X-Original-To": RETURN_PATH}
    assert len(hear(PLAIN, FROM_NOBODY)) == len(hear(person, FROM_NOBODY)) == 1
    assert hear(PLAIN, to_us | {"Return-Path": "<x@example.net>"}) == []
    assert len(hear(PLAIN, to_us)) == 1
    assert hear(person, to_us) == []
    assert hear(f"\n    Return-Path: <x@example.net>{PLAIN}", to_us) == []
    assert len(hear(f"\n    Return-Path: <>{person}", to_us)) == 1


def test_without_a_return_path_of_ours_it_is_refused():
    with pytest.raises(Unauthenticated):
        hear(PLAIN, {"Return-Path": "<>", "X-Original-To": "postmaster@kumo.example"})
    with pytest.raises(Unauthenticated):  # quoted in the words, it proves nothing: anybody may have forwarded them
        hear(PLAIN + f"\n    Return-Path: <{RETURN_PATH}>\n", {"Return-Path": "<>"})


@given(
    st.text(max_size=300), st.text(max_size=80), st.sampled_from(["text/plain", "text/html; charset=nonsense", "x/y"])
)
def test_any_words_are_no_crash_and_what_is_kept_of_them_is_harmless(words, subject, kind):
    raw = f"Subject: failure notice {subject}\r\nContent-Type: {kind}\r\n\r\n<x@y>: 550 {words}"
    for news in CHANNEL.hear(FROM_NOBODY, raw.encode("utf-8", "surrogatepass")):
        assert news.kind == "bounced"
        assert news.reply.isprintable()
        assert len(news.reply) <= 500
