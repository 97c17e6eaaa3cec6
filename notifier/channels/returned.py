"""Bounces in no form of a standard: what old servers write back to where a letter came from. Pure.

The return path has said already whose letter it is, so the words must only say that it failed, and why. They are
believed only of what a mail server sends (RFC 5321, 4.5.5: a null sender): automatic answers come back there as well
(RFC 3834), and say nothing of the letter's fate.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from html import unescape

_SERVER = re.compile(r"\b(?:mailer-daemon|postmaster|mail-?daemon|mailsystem)@", re.IGNORECASE)
_ANSWERS = ("X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Auto-Response-ID", "List-Id")
_AWAY = re.compile(
    r"out of (?:the )?office|automatic reply|auto(?:matic)?[- ]?re(?:ply|sponse)|^auto:|vacation|"
    r"自動応答|自動返信|不在",
    re.IGNORECASE,
)
_WAITING = re.compile(
    r"delayed|still trying|(?:will|to) (?:keep trying|be retried|retry|try again)|not yet been delivered|"
    r"warning: (?:message|could not send)|no action is required|遅延",
    re.IGNORECASE,
)
_FAILED = re.compile(
    r"undeliver|delivery (?:has )?fail|delivery failure|failure (?:notice|delivery)|mail delivery (?:failed|problem)|"
    r"returned (?:mail|to sender)|(?:could not|couldn't|cannot|can't|not) be delivered|"
    r"(?:was|has) not (?:been )?delivered|(?:unable|wasn't able|failed) to deliver|permanent (?:fatal )?error|"
    r"did not reach|unzustellbar|non remis|配信できません|配信されません|送信できません|届きません",
    re.IGNORECASE,
)
# Where the letter itself begins to be quoted: what stands there was written by us.
_QUOTED = re.compile(
    r"^-+ ?(?:below this line|original message|this is a copy|the (?:header|body) of|returned mail|transcript ends)|"
    r"^(?:received|return-path|message-id): ",
    re.IGNORECASE | re.MULTILINE,
)
_TAG = re.compile(r"<(?:style|script).*?</(?:style|script)>|</?[a-z][^<>@]*>", re.IGNORECASE | re.DOTALL)
# A reply code with words, or an enhanced status; qmail writes (#5.1.1).
_REASON = re.compile(r"(?<![\d.])(?:[45]\d\d[ -]\D|[45]\.\d{1,3}\.\d{1,3}(?![\d.]))")
_READ = 8000  # characters


@dataclass(frozen=True)
class Returned:
    """What a server said of a letter that it gave up. ``reason``: the line that says why, or "" where none does."""

    subject: str
    reason: str


def read_returned(headers: Mapping[str, str], message: Message) -> Returned | None:
    """A bounce, or None when this is none: written by a person or a machine of theirs, or only news of a delay.

    ``headers``: what whoever passed the message on noted of its envelope.
    """
    subject = " ".join(str(message.get("Subject", "")).split())
    if not _from_a_server(headers, message) or _AWAY.search(subject):
        return None
    if any(name in message for name in _ANSWERS) or str(message.get("Precedence", "")).lower() == "auto_reply":
        return None
    text = _QUOTED.split(_text(message), maxsplit=1)[0][:_READ]
    words = f"{subject}\n{text}"
    if _WAITING.search(words) or not _FAILED.search(words):
        return None
    return Returned(subject, next(_reasons(text), ""))


def _from_a_server(headers: Mapping[str, str], message: Message) -> bool:
    noted = {name.lower(): value for name, value in headers.items()}
    sender = noted.get("return-path", message.get("Return-Path"))
    if sender is not None:
        return str(sender).strip() in ("<>", "")
    return _SERVER.search(str(message.get("From", ""))) is not None


def _reasons(text: str) -> Iterator[str]:
    """Paragraphs that say why, the one with a code first; a server's words are often broken over lines."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text)]
    yield from (one for one in paragraphs if _REASON.search(one))
    yield from (one for one in paragraphs if one.startswith("<") and ">:" in one)


def _text(message: Message) -> str:
    """The first part that is text, without the marks of HTML."""
    for part in message.walk():
        if part.get_content_maintype() != "text":
            continue
        raw = part.get_payload(decode=True)
        raw = raw if isinstance(raw, bytes) else b""
        try:
            text = raw.decode(part.get_content_charset("utf-8"), "replace")
        except LookupError:
            text = raw.decode("latin-1")
        return unescape(_TAG.sub(" ", text)) if part.get_content_subtype() == "html" else text
    return ""
