"""What a look at a page that must show a version amounts to, when to look next, and when to raise an alarm. Pure.

A page may show the version, an earlier one, a text that is no version at all (a silent change), or nothing that could
be a policy. One odd look is nothing: an alarm wants several in a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from notifier.policies.capture import doubt
from notifier.policies.clauses import clauses_of
from notifier.policies.diff import compare, fingerprint
from notifier.policies.display import MARKDOWN
from notifier.policies.extract import Reading
from notifier.policies.why import Why, why

Sight = Literal["shown", "earlier", "other", "doubtful", "failed"]
# drift: the page changed without a version. missing: it does not show the version, or nothing that could be one.
Alarm = Literal["drift", "missing"]
Happening = Literal["posted", "drift", "missing", "mended"]

# So many looks in a row that do not show the version raise an alarm: a deployment, a broken cache pass by.
SURE = 3
DAILY = timedelta(days=1)
# Until a version was seen: often while it is new, so that it counts as posted from near when it was.
_NEW, _SOON = timedelta(hours=1), timedelta(minutes=5)
_RECENT, _HOURLY = timedelta(days=2), timedelta(hours=1)
# After a look that did not show what it had shown.
_AGAIN = timedelta(minutes=15)


@dataclass(frozen=True)
class Edition:
    """One published version's text in the locale of the page."""

    version_id: int
    label: str
    media_type: str
    body: bytes


@dataclass(frozen=True)
class Seen:
    """What a look found. ``shows``: the version whose text it is; ``text_sha256``: see :func:`diff.fingerprint`."""

    sight: Sight
    shows: int | None = None
    text_sha256: bytes | None = None
    reason: Why | None = None


@dataclass(frozen=True)
class Stands:
    """How it stood with a page before the look. ``posted``: it has shown the version before."""

    published_at: datetime
    effective_at: datetime
    posted: bool = False
    odd: int = 0
    alarm: Alarm | None = None


@dataclass(frozen=True)
class Follows:
    """What follows from a look: when to look next, looks in a row that were odd, the alarm, and what happened."""

    due_at: datetime
    odd: int
    alarm: Alarm | None
    happenings: tuple[Happening, ...] = ()


def recognise(reading: Reading, expected: Edition, earlier: Sequence[Edition]) -> Seen:
    """Which version a page shows, if any. ``earlier``: the versions before the expected one, the newest first."""
    body = reading.text.encode()
    mark = fingerprint(MARKDOWN, body)
    for edition in (expected, *earlier):
        if mark == fingerprint(edition.media_type, edition.body):
            return _shows(edition, expected, mark)
    found = compare(expected.media_type, expected.body, MARKDOWN, body)
    if not found.meaning_changed:
        return Seen("shown", expected.version_id, mark)
    for edition in earlier[:1]:
        if not compare(edition.media_type, edition.body, MARKDOWN, body).meaning_changed:
            return _shows(edition, expected, mark)
    words = "\n".join(clause.text for clause in clauses_of(expected.media_type, expected.body))
    if reason := doubt(reading, Reading(words)):
        return Seen("doubtful", None, mark, reason)
    sections = sum(change.change not in ("same", "moved") for change in found.changes)
    return Seen("other", None, mark, why("shows_other", sections=sections, expected=expected.label))


def _shows(edition: Edition, expected: Edition, mark: bytes) -> Seen:
    if edition.version_id == expected.version_id:
        return Seen("shown", edition.version_id, mark)
    return Seen("earlier", edition.version_id, mark, why("shows_earlier", shown=edition.label, expected=expected.label))


def follow(sight: Sight, stands: Stands, now: datetime) -> Follows:
    """What follows from a look. An earlier text is in order until the new version takes effect or was seen."""
    if sight == "shown":
        happenings: tuple[Happening, ...] = () if stands.posted else ("posted",)
        happenings += ("mended",) if stands.alarm else ()
        return Follows(_next_of_shown(stands, now), 0, None, happenings)
    if sight == "earlier" and not stands.posted and now < stands.effective_at:
        mended: tuple[Happening, ...] = ("mended",) if stands.alarm else ()
        return Follows(min(now + _waiting(stands, now), stands.effective_at), 0, None, mended)
    odd = stands.odd + 1
    alarm: Alarm = "drift" if sight == "other" else "missing"
    if odd < SURE:
        return Follows(now + min(_AGAIN, _waiting(stands, now)), odd, stands.alarm)
    return Follows(now + _HOURLY, odd, alarm, () if alarm == stands.alarm else (alarm,))


def _next_of_shown(stands: Stands, now: datetime) -> datetime:
    """Daily, and when the version takes effect."""
    tomorrow = now + DAILY
    return min(tomorrow, stands.effective_at) if stands.effective_at > now else tomorrow


def _waiting(stands: Stands, now: datetime) -> timedelta:
    """How long to wait for a version that was not seen yet."""
    age = now - stands.published_at
    return _SOON if age < _NEW else _HOURLY if age < _RECENT else DAILY
