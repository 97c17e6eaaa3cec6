"""Feedback that arrives after a letter was handed over: appended, never rewritten, and the same news only once."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from notifier.channels.channel import Feedback
from notifier.db import Db
from notifier.delivery.settle import Tried, add_outcomes, count, fail, suppress


class AttemptKey(NamedTuple):
    """What names an attempt within its campaign and channel."""

    lane: int
    person_id: UUID
    attempt: int


class _Attempted(NamedTuple):
    lane: int
    person_id: UUID
    attempt: int
    purpose: str


async def hear(db: Db, feedback: Iterable[Feedback], now: datetime) -> int:
    """Record feedback about attempts that we made; anything else changes nothing. Returns how much of it was news.

    A bounce gives the next channel of the person's plan its turn, and leaves a doubt about what was deemed on the
    telling that failed. Feedback about an erased person is dropped.
    """
    news = 0
    for (campaign_id, channel), group in groupby(sorted(feedback, key=_where), key=_where):
        async with db.transaction() as tx:
            news += await _hear(tx, campaign_id, channel, list(group), now)
            await tx.notify("notifier", "outcome")
    return news


def _where(one: Feedback) -> tuple[int, str]:
    return one.campaign_id, one.channel


async def _for_companions(tx: Db, campaign_id: int, heard: Sequence[Feedback]) -> list[Feedback]:
    """The same news of the other accounts of a mailbox that a letter told as well; also where its lead was erased."""
    letters = {"campaign_id": campaign_id, "lanes": [f.lane for f in heard], "people": [f.person_id for f in heard]}
    if not await tx.run("outcomes.hold_companions", **letters):
        return []
    told = await tx.many(dict, "outcomes.companions", **letters, attempts=[f.attempt for f in heard])
    return [replace(heard[one["place"] - 1], lane=one["lane"], person_id=one["person_id"]) for one in told]


async def _hear(tx: Db, campaign_id: int, channel: str, heard: Sequence[Feedback], now: datetime) -> int:
    group = [*heard, *(await _for_companions(tx, campaign_id, heard) if channel == "email" else ())]
    attempted = await tx.many(
        _Attempted,
        "outcomes.attempted",
        campaign_id=campaign_id,
        channel=channel,
        lanes=[f.lane for f in group],
        people=[f.person_id for f in group],
        attempts=[f.attempt for f in group],
    )
    ours = {AttemptKey(*one[:3]): one.purpose for one in attempted}
    tried = [
        Tried(f.lane, f.person_id, f.attempt, 0, f.kind, f.class_, f.reply, f.via, purpose=purpose)
        for f in group
        if (purpose := ours.get(AttemptKey(f.lane, f.person_id, f.attempt))) is not None
    ]
    failed = [t for t in tried if t.kind == "bounced"]
    await tx.run(
        "outcomes.lock",
        campaign_id=campaign_id, channel=channel, lanes=[t.lane for t in tried], people=[t.person_id for t in tried],
        failed_lanes=[t.lane for t in failed], failed_people=[t.person_id for t in failed],
    )  # fmt: skip
    news = await add_outcomes(tx, campaign_id, channel, tried, now)
    if news:
        await count(tx, campaign_id, channel, 0, news)
        lanes, people = [t.lane for t in news], [t.person_id for t in news]
        await tx.run(
            "outcomes.wake", campaign_id=campaign_id, channel=channel, lanes=lanes, people=people, now=now
        )  # fmt: skip
    if bounced := [t for t in news if t.kind == "bounced"]:
        await fail(tx, campaign_id, bounced, now)
        await tx.run(
            "outcomes.doubt",
            campaign_id=campaign_id, channel=channel, lanes=[t.lane for t in bounced],
            people=[t.person_id for t in bounced], attempts=[t.attempt for t in bounced],
        )  # fmt: skip
    await suppress(tx, campaign_id, [t for t in news if t.kind == "complained"], now)
    return len(news)
