"""Letters of unknown fate that wait for somebody's word: send them all again, or give them up.

The word is one transaction that holds the campaign and all its slices, so it meets no batch half recorded: a crash
before its end leaves everything waiting, and whoever says it again finds nobody twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Literal
from uuid import UUID

from notifier.campaigns.campaign import Campaign, lock_campaign, record_event
from notifier.db import Db
from notifier.delivery.settle import Settlement, Tried, record
from notifier.errors import Conflict

Word = Literal["resend", "give_up"]
WORDS: tuple[Word, ...] = ("resend", "give_up")
_IN_STATES = ("sending", "paused")


@dataclass(frozen=True)
class _Held:
    lane: int
    person_id: UUID
    channel: str
    attempt: int
    failures: int


async def held_letters(db: Db, campaign_id: int) -> int:
    """How many letters of a campaign are of unknown fate and wait for somebody's word."""
    found: int = await db.value("delivery_unknown.count", campaign_id=campaign_id)
    return found


async def resolve_unknown(
    db: Db, site: str, campaign_id: int, word: Word, actor: str, reason: str, now: datetime
) -> int:
    """Send every letter that waits for a word again, or give them up, so that the next channel has its turn.

    Returns how many they were. Raises NotFound, or Conflict where none waits or the campaign is over.
    """
    async with db.transaction() as tx:
        campaign = await lock_campaign(tx, site, campaign_id)
        await tx.run("delivery_unknown.lock", campaign_id=campaign_id)
        held = await tx.many(_Held, "delivery_unknown.held", campaign_id=campaign_id)
        _check(campaign, held)
        if word == "resend":
            await tx.run("delivery_unknown.release", campaign_id=campaign_id, now=now)
        else:
            for channel, group in groupby(held, key=lambda one: one.channel):
                await _give_up(tx, campaign_id, channel, list(group), actor, now)
        await tx.run("delivery_unknown.wake", campaign_id=campaign_id, now=now)
        await record_event(tx, campaign_id, now, actor, f"unknown_{word}", reason, letters=len(held))
        await tx.notify("notifier", "slice")
    return len(held)


def _check(campaign: Campaign, held: Sequence[_Held]) -> None:
    if campaign.state not in _IN_STATES:
        raise Conflict(f"campaign {campaign.campaign_id} is {campaign.state}; nothing of it is sent any more")
    if not held:
        raise Conflict(f"no letter of campaign {campaign.campaign_id} is of unknown fate and waits for a word")


async def _give_up(tx: Db, campaign_id: int, channel: str, held: Sequence[_Held], actor: str, now: datetime) -> None:
    words = f"given up by {actor}: whether it arrived is unknown"
    given_up = [
        Tried(one.lane, one.person_id, one.attempt - 1, one.failures, "expired", "unknown", words) for one in held
    ]
    rows = Settlement(outcomes=given_up, final=given_up, failed=given_up)
    await record(tx, campaign_id, channel, 0, rows, now, held=True, queued=True, new=False)
