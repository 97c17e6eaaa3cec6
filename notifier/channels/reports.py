"""What mail servers report about our letters: delivery reports (RFC 3464) and complaints (RFC 5965). Pure.

A report is believed when it carries a return path of ours: in the address that it was sent to, in the envelope id that
we gave (RFC 3461), or in what it quotes of the letter's envelope. The recipient has seen that too, so a recipient can
report a bounce of their own letter, and of nobody else's.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email import message_from_bytes, message_from_string
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any

from notifier.channels.channel import Feedback, FeedbackKind
from notifier.channels.classify import Enhanced, Phase, classify, enhanced_in
from notifier.channels.returned import Returned, read_returned
from notifier.errors import Malformed, Unauthenticated
from notifier.letters.verp import Attempt, find

# Where a mail server notes the address that a message came to.
_CAME_TO = ("To", "Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To")
_ACTIONS: dict[str, FeedbackKind] = {
    "failed": "bounced",
    "delivered": "accepted_by_recipient",
    "relayed": "accepted_by_recipient",
}
_GLOBAL = "message/global-delivery-status"  # RFC 6533: of letters to internationalised addresses
_DELIVERY = ("message/delivery-status", _GLOBAL)
_BLANK_LINE = re.compile(r"(?:\r?\n){2,}")
_COMPLAINTS = frozenset({"abuse", "fraud", "virus", "other"})
# How Postfix, Exim and qmail say which command was refused.
_PHASES: tuple[tuple[re.Pattern[str], Phase], ...] = (
    (re.compile(r"(?:reply to|after) RCPT|does not like recipient", re.IGNORECASE), "rcpt"),
    (re.compile(r"(?:reply to|after) MAIL", re.IGNORECASE), "mail"),
    (re.compile(r"(?:reply to|after) end of DATA|after I sent the message", re.IGNORECASE), "dot"),
    (re.compile(r"(?:reply to|after) DATA", re.IGNORECASE), "data"),
)
_CODE = re.compile(r"(?<![\d.])([45]\d\d)(?![\d.])")
_KEPT = 500
# What matters of a report stands before the letter that it quotes, in parts that are hardly nested. Anybody may send us
# anything, and the parser compares every line with the boundary of each part around it.
_MOST_READ = 256 * 1024
_MOST_BOUNDARIES = 20


def read_report(headers: Mapping[str, str], body: bytes, key: bytes, channel: str) -> list[Feedback]:
    """What a raw message says about letters of ours. ``headers``: what whoever passed it on noted of its envelope.

    ``[]`` for auto-replies, delays and other news that change nothing. Raises Unauthenticated when no return path of
    ours is in it, Malformed when it cannot be parsed.
    """
    body = body[:_MOST_READ]
    if body.lower().count(b"boundary") > _MOST_BOUNDARIES:
        raise Malformed("this message has more parts in parts than a report has")
    try:
        message = message_from_bytes(body)
        parts = message.get_payload() if message.is_multipart() else []
        reports = [part for part in parts if isinstance(part, Message)]
        attempt = _attempt(headers, message, reports, key)
    except RecursionError as error:
        raise Malformed("this message is nested too deep to be a report") from error
    at = _date(message)
    if message.get_content_type() != "multipart/report":
        return _returned(attempt, channel, read_returned(headers, message), at)
    for part in reports:
        blocks = _blocks(part)
        if part.get_content_type() in _DELIVERY and blocks:
            return [_delivery(attempt, channel, blocks[0], block, at) for block in _worst_first(blocks[1:])][:1]
        if part.get_content_type() == "message/feedback-report" and blocks:
            return _complaint(attempt, channel, blocks[0], at)
    return []


def _attempt(headers: Mapping[str, str], message: Any, reports: Iterable[Any], key: bytes) -> Attempt:
    """Which attempt it is about."""
    for text in _places(headers, message, reports):
        if attempt := find(text, key):
            return attempt
    raise Unauthenticated("no return path of ours is in this message, so nothing proves what it is about")


def _places(headers: Mapping[str, str], message: Any, reports: Iterable[Any]) -> Iterator[str]:
    yield from headers.values()
    for name in _CAME_TO:
        yield from map(str, message.get_all(name, []))
    for part in reports:
        for block in _blocks(part):
            for name in ("Original-Envelope-Id", "Original-Mail-From", "Return-Path"):
                # An envelope id is our local part, in xtext (RFC 3461, 4.4); some servers give it back decoded.
                yield _field(block, name).replace("+2B", "+")
                yield _field(block, name)


def _blocks(part: Any) -> list[Any]:
    """The groups of fields of a report's part, or the headers of a message that it quotes."""
    if not part.get_content_type().startswith("message/"):
        return []
    payload = part.get_payload()
    blocks = [block for block in payload if isinstance(block, Message)] if isinstance(payload, list) else []
    if part.get_content_type() == _GLOBAL and blocks:
        # Python parses only the older type into its groups; of this one, the first, with the others as its text.
        blocks += [message_from_string(group) for group in _BLANK_LINE.split(str(blocks[0].get_payload())) if group]
    return blocks


def _returned(attempt: Attempt, channel: str, said: Returned | None, at: datetime | None) -> list[Feedback]:
    """What a bounce comes to that is in no form of a standard."""
    if said is None:
        return []
    words = _printable(said.reason)
    return [_feedback(attempt, channel, "bounced", class_of("", words), words or _printable(said.subject), "", at)]


def _worst_first(recipients: list[Any]) -> list[Any]:
    """The groups that are news; a failure before anything else, because each letter has one recipient."""
    news = [block for block in recipients if _field(block, "Action").lower() in _ACTIONS]
    return sorted(news, key=lambda block: _field(block, "Action").lower() != "failed")


def _delivery(attempt: Attempt, channel: str, about: Any, recipient: Any, at: datetime | None) -> Feedback:
    kind = _ACTIONS[_field(recipient, "Action").lower()]
    status, diagnosis = _field(recipient, "Status"), _field(recipient, "Diagnostic-Code").partition(";")[2].strip()
    class_ = class_of(status, diagnosis) if kind == "bounced" else None
    via = _field(about, "Reporting-MTA").partition(";")[2].strip()
    when = _date(recipient, "Last-Attempt-Date") or at
    return _feedback(attempt, channel, kind, class_, f"{status} {diagnosis}".strip(), via, when)


def class_of(status: str, diagnosis: str) -> str:
    """The class of a delivery that somebody gave up, by an enhanced status (RFC 3463) and the words with it."""
    enhanced = _more_exact(enhanced_in(status), enhanced_in(diagnosis))
    code = _CODE.search(diagnosis)
    phase: Phase = next((phase for words, phase in _PHASES if words.search(diagnosis)), "report")
    class_ = classify(phase, int(code[1]) if code else None, enhanced or (5, 0, 0), diagnosis)
    if enhanced and enhanced[0] == 4 and class_ != "mailbox_full":
        return "expired"  # a passing failure that somebody gave up on
    return class_


def _more_exact(status: Enhanced | None, diagnosis: Enhanced | None) -> Enhanced | None:
    """The report's own status unless it only says "failed" and the server that refused said more."""
    return diagnosis if diagnosis and (status is None or status[1:] == (0, 0)) else status


def _complaint(attempt: Attempt, channel: str, report: Any, at: datetime | None) -> list[Feedback]:
    kind = _field(report, "Feedback-Type").lower()
    if kind not in _COMPLAINTS:
        return []
    via = _field(report, "Reporting-MTA").partition(";")[2].strip() or _field(report, "User-Agent")
    return [_feedback(attempt, channel, "complained", "complaint", kind, via, _date(report, "Arrival-Date") or at)]


def _feedback(
    attempt: Attempt, channel: str, kind: FeedbackKind, class_: str | None, reply: str, via: str, at: datetime | None
) -> Feedback:
    return Feedback(
        attempt.campaign_id, attempt.lane, attempt.person_id, channel, attempt.attempt,
        kind, class_, reply[:_KEPT], via[:_KEPT], at,
    )  # fmt: skip


def _field(block: Any, name: str) -> str:
    """A field on one line of printable characters; "" when it is not there."""
    return _printable(" ".join(str(block.get(name, "")).split()))


def _printable(words: str) -> str:
    return "".join(character if character.isprintable() else " " for character in words)


def _date(block: Any, name: str = "Date") -> datetime | None:
    try:
        at = parsedate_to_datetime(_field(block, name))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
