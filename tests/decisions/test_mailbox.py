"""What the mail catcher keeps."""

from datetime import UTC, datetime

from notifier.demo.mailbox import Mailbox, read

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def kept(mailbox: Mailbox, number: int) -> None:
    mailbox.keep(NOW, "", (f"p{number}@example.com",), f"Subject: No {number}\r\n\r\nHello\r\n".encode())


def test_only_the_last_mails_are_kept_and_all_are_counted() -> None:
    mailbox = Mailbox(kept=3)
    for number in range(1, 6):
        kept(mailbox, number)
    assert len(mailbox) == 3
    assert mailbox.counts["accepted"] == 5
    assert [mail.number for mail in mailbox.search("")] == [5, 4, 3]
    assert mailbox.find(2) is None
    assert mailbox.find(6) is None
    found = mailbox.find(4)
    assert found is not None
    assert found.subject == "No 4"


def test_a_broken_mail_is_kept_and_shown_as_far_as_it_goes() -> None:
    mailbox = Mailbox()
    mail = mailbox.keep(NOW, "", ("a@example.com",), b"Subject: =?no-such?q?x?=\r\nContent-Type: image/png\r\n\r\n\xff")
    assert mail.subject == "=?no-such?q?x?="
    reading = read(mail)
    assert reading.text == ""
    assert reading.html == ""
