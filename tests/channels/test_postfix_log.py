"""Lines of Postfix's log as it writes them: who took a letter of ours, and who did not."""

from dataclasses import astuple
from uuid import UUID

import pytest

from notifier.channels import postfix_log
from notifier.channels.channel import Feedback
from notifier.channels.postfix_log import PostfixLog
from notifier.keys import Keys
from notifier.letters.verp import Attempt, return_path_key, seal

KEY = return_path_key(Keys(b"a secret that only tests know and that is long enough"))
ATTEMPT = Attempt(7, 321, UUID(int=99), 3)
SENDER = f"{seal(ATTEMPT, KEY)}@kumo.example"
QUEUE = "4BzX2y1Tp3z9sVJ"


def syslog(daemon: str, rest: str, queue: str = QUEUE) -> str:
    return f"Mar  2 10:00:01 mail postfix/{daemon}[4242]: {queue}: {rest}\n"


def begins(sender: str = SENDER, queue: str = QUEUE) -> str:
    return syslog("qmgr", f"from=<{sender}>, size=2417, nrcpt=1 (queue active)", queue)


def tried(status: str, reply: str, relay: str = "mx.example.net[192.0.2.7]:25", dsn: str = "2.0.0") -> str:
    return (
        f"to=<x@example.net>, relay={relay}, conn_use=3, delay=1.2, delays=0.1/0/0.6/0.5, dsn={dsn}, "
        f"status={status} ({reply})"
    )


def read(*lines: str, log: PostfixLog | None = None) -> list[Feedback]:
    log = log or PostfixLog(KEY, "email")
    return [news for line in lines if (news := log.read(line)) is not None]


def test_the_reply_of_the_recipients_server_is_the_news() -> None:
    reply = "250 2.0.0 OK  1772442001 abc-def - gsmtp"
    (news,) = read(begins(), syslog("smtp", tried("sent", reply)), syslog("qmgr", "removed"))
    assert astuple(news) == (
        7, 321, ATTEMPT.person_id, "email", 3, "accepted_by_recipient", None, reply,
        "mx.example.net[192.0.2.7]:25, by the log of Postfix", None,
    )  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "2026-03-02T10:00:01.123456+09:00 mail postfix/smtp[1]: {queue}: {rest}",
        "Mar  2 10:00:01 mail postfix-out/smtp[1]: {queue}: {rest}",
        "Mar  2 10:00:01 mail postfix/relay/smtp[1]: {queue}: {rest}",
        "<22>Mar  2 10:00:01 mail postfix/lmtp[1]: {queue}: {rest}\r",
    ],
)
def test_lines_are_read_in_every_form_that_syslog_gives_them(line: str) -> None:
    rest = tried("sent", "250 2.0.0 Ok: queued as 12345")
    assert len(read(begins(), line.format(queue=QUEUE, rest=rest))) == 1


@pytest.mark.parametrize(
    ("dsn", "reply", "class_"),
    [
        ("5.1.1", "host mx.example.net[192.0.2.7] said: 550 5.1.1 <x@example.net>: User unknown (in reply to RCPT TO"
         " command)", "bad_address"),
        ("5.2.2", "host mx.example.net[192.0.2.7] said: 552 5.2.2 mailbox full (in reply to end of DATA command)",
         "mailbox_full"),
        ("5.4.4", "Host or domain name not found. Name service error for name=nowhere.example type=A: Host not found",
         "bad_domain"),
        ("5.0.0", "host mx.example.net[192.0.2.7] said: 550 no thanks (in reply to RCPT TO command)", "bad_address"),
    ],
)  # fmt: skip
def test_what_was_given_up_is_a_bounce_with_its_class(dsn: str, reply: str, class_: str) -> None:
    (news,) = read(begins(), syslog("smtp", tried("bounced", reply, dsn=dsn)))
    assert (news.kind, news.class_) == ("bounced", class_)
    assert news.reply.startswith(f"{dsn} ")


def test_a_letter_that_stayed_too_long_is_expired() -> None:
    deferred = tried("deferred", "connect to mx.example.net[192.0.2.7]:25: Connection timed out", "none", "4.4.1")
    (news,) = read(
        begins(), syslog("smtp", deferred), syslog("qmgr", f"from=<{SENDER}>, status=expired, returned to sender")
    )
    assert (news.kind, news.class_) == ("bounced", "expired")


@pytest.mark.parametrize(
    ("daemon", "rest"),
    [
        ("smtp", tried("deferred", "host mx.example.net[192.0.2.7] said: 451 4.7.1 later", dsn="4.7.1")),
        ("smtp", tried("sent", "250 2.0.0 from MTA: 250 Ok: queued as 1", "127.0.0.1[127.0.0.1]:10024")),
        ("smtp", tried("sent", "250 2.0.0 Ok", "filter[::1]:10024")),
        ("smtp", tried("sent", "250 2.0.0 Ok: queued as 1", "smart.example[192.0.2.9]:25")),
        ("local", tried("sent", "forwarded as 12345", "local")),
        ("local", tried("sent", "delivered to command: /usr/bin/procmail", "pipe").replace("delivered to", "put into")),
        ("discard", tried("sent", "nowhere", "none")),
        ("pipe", tried("sent", "delivered via dovecot service", "dovecot")),
        ("smtp", "to=<x@example.net>, relay=none, status=sent"),
        ("cleanup", "message-id=<7.1@kumo.example>"),
    ],
)
def test_what_says_nothing_of_the_recipients_server_is_no_news(daemon: str, rest: str) -> None:
    log = PostfixLog(KEY, "email", (*postfix_log.OWN_RELAYS, "smart.example"))
    assert read(begins(), syslog(daemon, rest), log=log) == []


def test_a_mailbox_on_this_very_server_is_the_recipients_server() -> None:
    (news,) = read(begins(), syslog("virtual", tried("sent", "delivered to maildir", "virtual")))
    assert news.kind == "accepted_by_recipient"


@pytest.mark.parametrize("sender", ["", "shop@kumo.example", SENDER.replace("b+0", "b+1", 1), "b+short@kumo.example"])
def test_other_peoples_mail_and_forged_senders_are_none_of_ours(sender: str) -> None:
    assert sender != SENDER
    assert read(begins(sender), syslog("smtp", tried("sent", "250 2.0.0 Ok"))) == []


def test_a_queue_id_that_is_used_again_belongs_to_its_new_letter() -> None:
    sent = syslog("smtp", tried("sent", "250 2.0.0 Ok"))
    assert read(begins(), syslog("qmgr", "removed"), sent) == []
    assert read(begins(), begins("shop@kumo.example"), sent) == []


def test_lines_of_a_letter_whose_beginning_was_not_seen_say_nothing() -> None:
    assert read(syslog("smtp", tried("sent", "250 2.0.0 Ok")), "not a line of Postfix", "") == []


def test_a_long_log_is_read_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postfix_log, "MOST_LETTERS", 10)
    log = PostfixLog(KEY, "email")
    read(*(begins(queue=f"ABCDEF{number}") for number in range(100)), log=log)
    sent = [syslog("smtp", tried("sent", "250 2.0.0 Ok"), f"ABCDEF{number}") for number in range(100)]
    assert len(read(*sent, log=log)) == 10
