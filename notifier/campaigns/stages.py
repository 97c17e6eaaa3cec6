"""What moves a campaign by itself: the stages of its canary, and the breaker. Any number of workers may do it at once.

Each step is one transaction that holds the campaign first: a crash in between leaves it to be taken again, and whoever
comes second sees that it was taken.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from notifier.campaigns.announce import look_later
from notifier.campaigns.breaker import Tally, Trip, judge, judge_lately, moves_on
from notifier.campaigns.campaign import Campaign, load_campaign, lock_campaign, record_event
from notifier.db import Db
from notifier.log import log
from notifier.sites.site import Breaker


async def trip_breakers(db: Db, now: datetime) -> int:
    """Pause every campaign whose rates are over its site's limits. Returns how many."""
    tripped = 0
    for row in await db.many(dict, "campaigns.watched", campaign_id=None):
        if _judged(row) is not None:
            async with db.transaction() as tx:
                campaign = await lock_campaign(tx, None, row["campaign_id"])
                trip = await pause_if_over(tx, campaign, now)
            tripped += trip is not None
        elif (lately := _moved_on(row)) is not None:
            was = row["lately"]
            await db.run("campaigns.look_on", campaign_id=row["campaign_id"], lately=lately, was=was)
    return tripped


async def pause_if_over(tx: Db, campaign: Campaign, now: datetime, after: int | None = None) -> Trip | None:
    """Pause a campaign that we hold, if a rate is over its limit. ``after``: how few letters mean something."""
    rows = await tx.many(dict, "campaigns.watched", campaign_id=campaign.campaign_id)
    trip = _judged(rows[0], after) if rows else None
    if trip is None:
        return None
    figures = {"rate": trip.rate, "channel": trip.channel, "count": trip.count, "of": trip.of}
    limit = float(trip.limit)
    await tx.run("campaigns.step", campaign_id=campaign.campaign_id, state="paused", now=now)
    await record_event(tx, campaign.campaign_id, now, "notifier", "breaker", str(trip), **figures, limit=limit)
    await tx.notify("notifier", "campaign")
    log.warning("breaker", campaign=campaign.campaign_id, site=campaign.site, reason=str(trip))
    return trip


def _judged(row: dict[str, Any], after: int | None = None) -> Trip | None:
    limits, tallies = Breaker.model_validate(row["limits"] or {}), _read(row["tallies"])
    enough = after or limits.after
    earlier, _ = row["lately"]
    return judge(tallies, _read(row["tallied"]), limits, enough) or judge_lately(
        tallies, _read(earlier), limits, enough
    )


def _moved_on(row: dict[str, Any]) -> list[Any] | None:
    """What stands in the place of ``lately`` from now on, if that is to move."""
    _, lately = row["lately"]
    return [lately, row["tallies"]] if moves_on(_read(row["tallies"]), _read(lately)) else None


def _read(tallies: Sequence[dict[str, Any]]) -> list[Tally]:
    return [Tally(**tally) for tally in tallies]


async def move_stages(db: Db, now: datetime) -> int:
    """Hold what was handed over, and open the next stage where the hold is over. Returns how many were opened."""
    await db.run("campaigns.hold_stages", now=now)
    opened = 0
    for row in await db.many(dict, "campaigns.held", now=now):
        async with db.transaction() as tx:
            campaign = await lock_campaign(tx, None, row["campaign_id"])
            due = campaign.goes_on_at
            if campaign.state != "sending" or due is None or due > now:
                continue  # another worker was first, or somebody steered it
            # What a stage was for is judged at its end, however small it was.
            if await pause_if_over(tx, campaign, now, after=1) is None:
                await open_stage(tx, campaign, now, "notifier", "stage_opened", "")
                opened += 1
    return opened


async def open_stage(tx: Db, campaign: Campaign, now: datetime, actor: str, action: str, reason: str) -> None:
    """Let the next stage of a campaign that we hold be sent; with the last one private messages become visible."""
    campaign_id = campaign.campaign_id
    await tx.run("campaigns.next_stage", campaign_id=campaign_id, now=now)
    opened = await load_campaign(tx, None, campaign_id)
    await record_event(tx, campaign_id, now, actor, action, reason, stage=opened.stage, stages=opened.stages)
    if opened.inbox_at is not None:
        await look_later(tx, campaign_id, now)
    await tx.notify("notifier", "campaign")
