"""Find what is on record: of one person everything, of a campaign or a version page by page."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar, get_args
from uuid import UUID

from notifier.acceptance.decide import Grade
from notifier.acceptance.facts import Somebody
from notifier.compliance.figures import ACCEPTED
from notifier.compliance.words import Said, said
from notifier.db import Db
from notifier.errors import Fault, Invalid

LONGEST_PAGE = 1000
Status = Literal["told", "too_little_evidence", "pending", "unreachable", "suppressed", "superseded", "excluded"]
Reason = Literal[
    "in_scope", "unreachable", "suppressed",
    "erased", "closed", "suspended", "dormant", "registered_with_it", "already_accepted", "outside_rule",
    "not_reached",
]  # fmt: skip
STATUSES: tuple[Status, ...] = get_args(Status)
REASONS: tuple[Reason, ...] = get_args(Reason)
_FIRST_KEY = (-1, UUID(int=0))


# Revisions that are said otherwise than others of their kind: kind and reason → words
_BY_REASON = {
    ("accepted_deemed", "silence"): "accepted_silence",
    ("accepted_void", "objected"): "accepted_void_objected",
    ("accepted_void", "account_closed"): "accepted_void_account_closed",
}


@dataclass(frozen=True)
class Event:
    """One fact about a person. ``detail`` holds what only this kind of fact has."""

    at: datetime
    kind: str
    policy: str | None
    label: str | None
    campaign_id: int | None
    corrects: int | None  # the campaign that this one corrects
    channel: str | None
    attempt: int | None
    detail: dict[str, Any]

    @property
    def words(self) -> Said:
        """What happened, in words."""
        code = _BY_REASON.get((self.kind, self.detail.get("evidence", {}).get("reason")), self.kind)
        return Said(f"event.{code}", self.detail)

    @property
    def is_merger(self) -> bool:
        """Whether it says that two accounts became one."""
        return self.kind in ("merged_into", "merged_from")


@dataclass(frozen=True)
class PersonNotice:
    """One notice of a person and where it stands. ``locale`` is the one used, ``told_at`` the first that holds.

    ``corrects``: the campaign whose notice this one only corrects.
    """

    campaign_id: int
    corrects: int | None
    policy: str
    label: str
    published_at: datetime
    effective_at: datetime
    reason: str
    status: str
    requested_locale: str
    locale: str
    channels: list[str]
    fallback: list[str]
    told_at: datetime | None
    told_by: str | None
    recipient_at: datetime | None
    shown_at: datetime | None


@dataclass(frozen=True)
class PersonAcceptance:
    """One revision of an acceptance. A ``void`` one has no grade and no date: what stood before it holds no longer."""

    policy: str
    label: str
    revision: int
    kind: str
    grade: str | None
    accepted_at: datetime | None
    counts_from: datetime | None
    recorded_at: datetime
    evidence: dict[str, Any]


async def timeline(db: Db, person: Somebody) -> list[Event]:
    """Every fact about a person, in the order of time; with those of accounts that were merged into theirs, which
    say so (``detail["account"]``)."""
    them = {"lane": person.lane, "person_id": person.person_id}
    events = await db.many(Event, "compliance.timeline", **them)
    mergers = any(event.kind == "merged_from" for event in events)
    for merged in await db.many(dict, "people.merged_from", **them) if mergers else ():
        where = {"lane": merged["lane"], "person_id": merged["person_id"]}
        found = await db.many(Event, "compliance.timeline", **where)
        events += [replace(e, detail=e.detail | {"account": merged["external_id"]}) for e in found if not e.is_merger]
    return sorted(events, key=lambda event: event.at)


async def notices(db: Db, person: Somebody) -> list[PersonNotice]:
    """Every notice of a person and where it stands, the newest version first."""
    return await db.many(PersonNotice, "compliance.notices", lane=person.lane, person_id=person.person_id)


async def acceptances(db: Db, person: Somebody) -> list[PersonAcceptance]:
    """Every acceptance of a person with all its revisions, the newest version first."""
    return await db.many(PersonAcceptance, "compliance.acceptances", lane=person.lane, person_id=person.person_id)


@dataclass(frozen=True)
class Told:
    """The telling that answers "was this person validly told before that day": it holds to this day.

    ``told_at``: since when there is the evidence of it that the rule asks for.
    """

    channel: str
    attempt: int
    told_at: datetime
    recipient_at: datetime | None
    shown_at: datetime | None


async def told_before(db: Db, person: Somebody, version_id: int, before: datetime) -> Told | None:
    """How a person was validly told of a version before a moment; None when they were not."""
    return await db.first(
        Told, "compliance.told_before",
        lane=person.lane, person_id=person.person_id, version_id=version_id, before=before,
    )  # fmt: skip


def validly_told(policy: str, label: str, before: datetime, told: Told | None) -> Said:
    """The same in words."""
    if told is None:
        return said("not_validly_told", policy=policy, label=label, before=before)
    return said("validly_told", policy=policy, label=label, before=before, told_at=told.told_at, channel=told.channel)


@dataclass(frozen=True)
class Filters:
    """Which notices of a campaign: every field that is given must fit. ``channel`` is the one that told.

    ``late``: only of people told so late that their notice period ends after the version takes effect.
    """

    statuses: Sequence[str] = ()
    reasons: Sequence[str] = ()
    channel: str | None = None
    locale: str | None = None
    late: bool = False

    def parameters(self) -> dict[str, object]:
        """As the queries take them. Raises Invalid for a status or a reason that does not exist."""
        for pointer, given, known in (("/status", self.statuses, STATUSES), ("/reason", self.reasons, REASONS)):
            if strange := sorted(set(given) - set(known)):
                raise Invalid("no such notices", [Fault(pointer, f"{strange[0]!r} is none of {', '.join(known)}")])
        return {
            "statuses": list(self.statuses),
            "reasons": list(self.reasons),
            "channel": self.channel,
            "locale": self.locale,
            "late": self.late,
        }


@dataclass(frozen=True)
class CampaignNotice:
    """One notice of a campaign, where it stands, what last failed, and the acceptance that followed."""

    lane: int = field(repr=False)
    person_id: UUID = field(repr=False)
    external_id: str
    reason: str
    status: str
    requested_locale: str
    locale: str
    channels: list[str]
    fallback: list[str]
    told_at: datetime | None
    told_by: str | None
    recipient_at: datetime | None
    shown_at: datetime | None
    accepted: str | None
    grade: str | None
    accepted_at: datetime | None
    failed_class: str | None
    failed_reply: str | None


@dataclass(frozen=True)
class VersionAcceptance:
    """Who accepted a version, and how: the latest revision."""

    lane: int = field(repr=False)
    person_id: UUID = field(repr=False)
    external_id: str
    revision: int
    kind: str
    grade: str
    accepted_at: datetime
    counts_from: datetime | None
    recorded_at: datetime


Row = TypeVar("Row", bound=Somebody)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows, and the cursor that continues behind them; None at the end."""

    rows: list[Row]
    cursor: str | None


async def campaign_notices(
    db: Db, campaign_id: int, filters: Filters, after: str | None = None, limit: int = 100
) -> Page[CampaignNotice]:
    """A page of a campaign's notices in the order of their keys; as quick at any depth.

    Raises Invalid for a strange filter, cursor or limit (1 to 1,000).
    """
    return await _page(
        db, CampaignNotice, "compliance.campaign_notices", after, limit, campaign_id=campaign_id, **filters.parameters()
    )


async def version_acceptances(
    db: Db, version_id: int, kind: str | None = None, grade: str | None = None,
    after: str | None = None, limit: int = 100,
) -> Page[VersionAcceptance]:  # fmt: skip
    """A page of who accepted a version, how, and with which grade. Raises Invalid like :func:`campaign_notices`."""
    for pointer, given, known in (("/kind", kind, ACCEPTED), ("/grade", grade, get_args(Grade))):
        if given is not None and given not in known:
            raise Invalid("no such acceptances", [Fault(pointer, f"{given!r} is none of {', '.join(known)}")])
    return await _page(
        db, VersionAcceptance, "compliance.version_acceptances", after, limit,
        version_id=version_id, kind=kind, grade=grade,
    )  # fmt: skip


async def _page(
    db: Db, shape: Callable[..., Row], query: str, after: str | None, limit: int, **parameters: object
) -> Page[Row]:
    if not 1 <= limit <= LONGEST_PAGE:
        raise Invalid("no such page", [Fault("/limit", f"ask for 1 to {LONGEST_PAGE} rows")])
    lane, person_id = _FIRST_KEY if after is None else read_cursor(after)
    found = await db.many(
        dict, query, after_lane=lane, after_person=person_id, most=limit + 1, **parameters
    )  # fmt: skip
    rows = [shape(**row) for row in found]
    return Page(rows[:limit], write_cursor(rows[limit - 1]) if len(rows) > limit else None)


def write_cursor(row: Somebody) -> str:
    """The place behind a row, opaque on purpose: callers only hand it back."""
    return base64.urlsafe_b64encode(row.lane.to_bytes(2) + row.person_id.bytes).decode()


def read_cursor(cursor: str) -> tuple[int, UUID]:
    """The key in a cursor. Raises Invalid for one that we did not make."""
    try:
        raw = base64.b64decode(cursor, altchars=b"-_", validate=True)
        if len(raw) == 18:
            return int.from_bytes(raw[:2]) & 0x7FFF, UUID(bytes=raw[2:])
    except (ValueError, binascii.Error):
        pass
    raise Invalid("no such page", [Fault("/cursor", "is none of ours; begin again without a cursor")])
