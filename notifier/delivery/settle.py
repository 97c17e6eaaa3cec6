"""What a try amounts to (pure), and the one transaction that records it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct
from msgspec.structs import astuple, replace

from notifier.db import Db
from notifier.delivery.retry import Again, again

# A reply is kept raw, but no server may fill our tables with it. RFC 5321, 4.5.3.1.5: a reply line has 512 octets.
REPLY_LIMIT = 512

# In how many rows outcomes of one kind are counted: who counts in another waits for nobody.
SLOTS = 16

# For how long an address is not written to any more; None: until somebody lifts it.
SUPPRESS: dict[str, timedelta | None] = {
    "bad_address": None,
    "mailbox_disabled": timedelta(days=180),
    "complaint": None,
}


class Made(Struct, frozen=True, gc=False):
    """What was tried: when a byte might first leave, filled into what, where to, the SHA-256 of the exact message."""

    tried_at: datetime
    sheet: int
    address: str
    sha256: bytes


class Tried(Struct, frozen=True, gc=False):
    """One try of one notice and what was observed.

    ``asked``: seconds that the server wants us to wait. ``since``: the first try by this channel; None: this was it.
    ``purpose``: whether it only reminded of what was told. ``made``: what was tried, for whoever did; else None.
    ``phase``: which command of SMTP was not answered as it should be.
    """

    lane: int
    person_id: UUID
    attempt: int
    failures: int
    kind: str
    class_: str | None = None
    reply: str = ""
    via: str = ""
    asked: float | None = None
    since: datetime | None = None
    purpose: str = "notice"
    made: Made | None = None
    phase: str | None = None


class OutcomeKey(NamedTuple):
    """What names an outcome within its campaign and channel."""

    lane: int
    person_id: UUID
    attempt: int
    kind: str


@dataclass
class Settlement:
    """The rows that a batch of tries leaves."""

    outcomes: list[Tried] = field(default_factory=list)
    later: list[tuple[Tried, Again]] = field(default_factory=list)
    final: list[Tried] = field(default_factory=list)
    failed: list[Tried] = field(default_factory=list)


def settle(
    tried: Sequence[Tried],
    now: datetime,
    unknown_after: float | None,
    jitter: Callable[[], float],
) -> Settlement:
    """Sort tries into: to be tried again, final, and failed (so that the next channel has its turn)."""
    rows = Settlement()
    for one in tried:
        rows.outcomes.append(one)
        if one.kind in ("deferred", "unknown"):
            next_try = again(one.class_, one.failures, one.asked, jitter(), now, one.since or now, unknown_after)
            if next_try is not None:
                rows.later.append((one, next_try))
                continue
            expired = Tried(
                one.lane, one.person_id, one.attempt, one.failures, "expired", one.class_, one.reply, one.via,
                purpose=one.purpose, phase=one.phase,
            )  # fmt: skip
            rows.outcomes.append(expired)
            rows.failed.append(expired)
        elif one.kind == "refused":
            rows.failed.append(one)
        rows.final.append(one)
    return rows


async def record(
    tx: Db,
    campaign_id: int,
    channel: str,
    slot: int,
    rows: Settlement,
    now: datetime,
    *,
    held: bool,
    queued: bool,
    new: bool,
) -> None:
    """Write a settlement. Outcomes are evidence and always stay, and what failed for good has failed whoever tried.

    The queue of this channel moves only while the lease is ``held``: else it is the next holder's. ``queued``: these
    people may stand in it. ``new``: nobody else is thought to have told of any of these outcomes; raises
    UniqueViolationError when somebody has. Without the lease it is also the next holder who says what was tried.
    """
    where = {"campaign_id": campaign_id, "channel": channel}
    news = rows.outcomes if held else [replace(one, made=None) for one in rows.outcomes]
    failed = rows.failed
    if new:
        await copy_outcomes(tx, campaign_id, channel, news, now)
    else:
        news = await add_outcomes(tx, campaign_id, channel, news, now)
        told = {_key(one) for one in news}
        # Whoever told of the others before has given the next channel its turn: it may be over by now.
        failed = [one for one in failed if _key(one) in told]
    await count(tx, campaign_id, channel, slot, news)
    await fail(tx, campaign_id, failed, now)
    if not held:
        return
    if rows.later:
        await tx.run(
            "delivery.retry_later",
            **where,
            lanes=[t.lane for t, _ in rows.later],
            people=[t.person_id for t, _ in rows.later],
            attempts=[t.attempt + 1 for t, _ in rows.later],
            failures=[a.failures for _, a in rows.later],
            dues=[a.due_at for _, a in rows.later],
            unsures=[t.kind == "unknown" for t, _ in rows.later],
        )
    if queued:
        people = {"lanes": [t.lane for t in rows.final], "people": [t.person_id for t in rows.final]}
        await tx.run("delivery.retry_no_more", **where, **people)


async def count(tx: Db, campaign_id: int, channel: str, slot: int, news: Sequence[Tried]) -> None:
    """Add new outcomes to the counts by kind and class. ``slot``: so that not everybody counts in the same row."""
    counts = Counter((one.kind, one.class_ or "") for one in news)
    await tx.run(
        "delivery.add_progress",
        campaign_id=campaign_id,
        channel=channel,
        slot=slot,
        kinds=[kind for kind, _ in counts],
        classes=[class_ for _, class_ in counts],
        counts=list(counts.values()),
    )


async def add_outcomes(tx: Db, campaign_id: int, channel: str, tried: Sequence[Tried], now: datetime) -> list[Tried]:
    """Append outcomes. Returns those that were news."""
    known = await tx.many(
        OutcomeKey,
        "delivery.add_outcomes",
        campaign_id=campaign_id,
        channel=channel,
        now=now,
        lanes=[t.lane for t in tried],
        people=[t.person_id for t in tried],
        attempts=[t.attempt for t in tried],
        kinds=[t.kind for t in tried],
        classes=[t.class_ for t in tried],
        replies=[_kept(t.reply) for t in tried],
        vias=[t.via for t in tried],
        tries=[t.made and t.made.tried_at for t in tried],
        sheets=[t.made and t.made.sheet for t in tried],
        addresses=[t.made and t.made.address for t in tried],
        digests=[t.made and t.made.sha256 for t in tried],
        purposes=[_purpose(t) for t in tried],
        phases=[t.phase for t in tried],
    )
    by_key = {_key(t): t for t in tried}
    return [by_key[key] for key in known]


async def copy_outcomes(tx: Db, campaign_id: int, channel: str, tried: Sequence[Tried], now: datetime) -> None:
    """Append outcomes that nobody has told of yet: half the work of :func:`add_outcomes`.

    In key order, as there: two who report the same wait for each other instead of locking each other out. Raises
    UniqueViolationError when one of them is known.
    """
    rows = [
        (t.lane, t.person_id, campaign_id, channel, t.attempt, t.kind, now, t.class_, _kept(t.reply), t.via,
         *(astuple(t.made) if t.made else _NOT_MADE), _purpose(t), t.phase)
        for t in sorted(tried, key=_by_key)
    ]  # fmt: skip
    columns = (
        "lane", "person_id", "campaign_id", "channel", "attempt", "kind", "at", "class", "reply", "via",
        "tried_at", "sheet", "address", "sha256", "purpose", "phase",
    )  # fmt: skip
    await tx.copy("outcome", columns, rows)


_NOT_MADE = (None, None, None, None)


def _purpose(tried: Tried) -> str | None:
    return None if tried.made is None or tried.purpose == "notice" else tried.purpose


def _key(tried: Tried) -> OutcomeKey:
    return OutcomeKey(tried.lane, tried.person_id, tried.attempt, tried.kind)


def _by_key(tried: Tried) -> tuple[int, bytes]:
    return tried.lane, tried.person_id.bytes


def _kept(reply: str) -> str:
    return reply.replace("\0", "")[:REPLY_LIMIT]


async def lock_onward(tx: Db, campaign_id: int, channel: str, slice_: int, failed: Sequence[Tried]) -> None:
    """Lock what :func:`fail` will touch, and the slice itself, before anything else of the transaction is locked."""
    if failed:
        await tx.run(
            "delivery.lock_onward",
            campaign_id=campaign_id,
            channel=channel,
            slice=slice_,
            lanes=[t.lane for t in failed],
            people=[t.person_id for t in failed],
        )


async def fail(tx: Db, campaign_id: int, failed: Sequence[Tried], now: datetime) -> None:
    """A channel failed for these people for good: the next channel has its turn, and a dead address is suppressed.

    Who was only to be reminded is told already: no other channel follows.
    """
    if not failed:
        return
    untold = [t for t in failed if t.purpose == "notice"]
    await tx.run(
        "delivery.fall_back",
        campaign_id=campaign_id,
        lanes=[t.lane for t in untold],
        people=[t.person_id for t in untold],
        now=now,
    )
    await suppress(tx, campaign_id, failed, now)


async def suppress(tx: Db, campaign_id: int, tried: Sequence[Tried], now: datetime) -> None:
    """Write no more to addresses of a class that says so. A person's newer address is left alone."""
    dead = [(t, SUPPRESS[t.class_]) for t in tried if t.class_ in SUPPRESS]
    if dead:
        await tx.run(
            "delivery.suppress",
            campaign_id=campaign_id,
            lanes=[t.lane for t, _ in dead],
            people=[t.person_id for t, _ in dead],
            attempts=[t.attempt for t, _ in dead],
            reasons=[t.class_ for t, _ in dead],
            untils=[None if span is None else now + span for _, span in dead],
            now=now,
        )
