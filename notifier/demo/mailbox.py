"""The mails that the catcher keeps: the last few thousand, compressed, and counts of all. No I/O."""

import email
import email.policy
import zlib
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.parser import BytesHeaderParser

KEPT = 5000


@dataclass(frozen=True, slots=True)
class Mail:
    """One caught mail, with its exact bytes compressed."""

    number: int
    at: datetime
    return_path: str
    recipients: tuple[str, ...]
    subject: str
    packed: bytes

    @property
    def raw(self) -> bytes:
        """The exact bytes as they came."""
        return zlib.decompress(self.packed)


@dataclass(frozen=True)
class Reading:
    """One mail opened: what a mail client would show."""

    mail: Mail
    headers: tuple[tuple[str, str], ...]
    text: str
    html: str


class Mailbox:
    """Keeps the last ``kept`` mails and counts everything."""

    def __init__(self, kept: int = KEPT) -> None:
        self.counts: Counter[str] = Counter()
        self._mails: deque[Mail] = deque(maxlen=kept)

    def __len__(self) -> int:
        return len(self._mails)

    def keep(self, at: datetime, return_path: str, recipients: tuple[str, ...], raw: bytes) -> Mail:
        """Keep one mail; the oldest makes room."""
        self.counts["accepted"] += 1
        subject = readable(headers_of(raw).get("Subject", ""))
        mail = Mail(self.counts["accepted"], at, return_path, recipients, subject, zlib.compress(raw, 1))
        self._mails.append(mail)
        return mail

    def find(self, number: int) -> Mail | None:
        """The mail with this number, unless it never came or had to make room."""
        if not self._mails or not self._mails[0].number <= number <= self._mails[-1].number:
            return None
        return self._mails[number - self._mails[0].number]

    def search(self, words: str) -> Iterator[Mail]:
        """The mails whose subject and addresses contain every word, newest first."""
        wanted = words.casefold().split()
        for mail in reversed(self._mails):
            where = f"{mail.subject} {mail.return_path} {' '.join(mail.recipients)}".casefold()
            if all(word in where for word in wanted):
                yield mail


def headers_of(raw: bytes) -> Message:
    """The headers alone: a tenth of the cost of parsing the mail."""
    return BytesHeaderParser().parsebytes(raw)


def readable(value: str) -> str:
    """A header as people read it (RFC 2047 decoded), or as it came when it is broken."""
    try:
        return str(make_header(decode_header(value)))
    except (ValueError, LookupError):
        return value


def read(mail: Mail) -> Reading:
    """Open a mail."""
    message = email.message_from_bytes(mail.raw, policy=email.policy.default)
    headers = tuple((name, readable(str(value))) for name, value in message.items())
    return Reading(mail, headers, _part(message, "plain"), _part(message, "html"))


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    content = part.get_content() if part is not None else ""
    return content if isinstance(content, str) else ""
