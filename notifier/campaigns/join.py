"""People join audiences that were frozen without them: who registered late, came back, or has another address.

The people stage leaves an ``arrival``. For each campaign of their site that may still be joined, one transaction holds
the campaign and writes the ``notice``, the ``joined`` row that says why and what stood there before, the ``retry`` row
by which it is tried, and the epoch that voids what processes remember. The arrival goes last: a crash before it leaves
everything to be looked at again, and looking again changes nothing.

A freeze reads everybody as of one moment, and who came during it may be missed; so all people are compared with the
audience after an hour, then daily, and once when the version took effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

from notifier.campaigns.announce import insert_plans, overlays_of, plans_for, question_of
from notifier.campaigns.campaign import Campaign, load_campaign, lock_campaign
from notifier.campaigns.plan import Plan
from notifier.campaigns.since import Earlier
from notifier.campaigns.since import question as knew
from notifier.db import Db

PEOPLE = 2000  # looked at in one turn of the duty
# Nobody joins what is not frozen yet, or tells nobody any more.
JOINED_IN = ("sending", "paused", "done")


@dataclass(frozen=True)
class _Arrival:
    lane: int
    person_id: UUID
    site: str
    mark: int


async def join_late(db: Db, now: datetime) -> int:
    """Let people who arrived since the last look join what is being told. Returns how many were looked at."""
    arrived = await db.many(_Arrival, "campaigns.arrivals", most=PEOPLE)
    for site, group in groupby(sorted(arrived, key=attrgetter("site")), key=attrgetter("site")):
        people = list(group)
        for row in await db.many(dict, "campaigns.joinable", site=site):
            await _join(db, row["campaign_id"], people, now)
    if arrived:
        await db.run("campaigns.welcomed", **_keys(arrived), marks=[one.mark for one in arrived])
    return len(arrived)


async def reconcile(db: Db, now: datetime) -> int:
    """Compare everybody with one audience that it is time to compare with. Returns 0 when there is none."""
    campaign_id = await db.value("campaigns.to_reconcile", now=now)
    if campaign_id is None:
        return 0
    campaign = await load_campaign(db, None, campaign_id)
    where = {"campaign_id": campaign_id, "effective_at": campaign.effective_at}
    async with db.transaction() as tx:
        await tx.run("campaigns.reconcile", **where, site=campaign.site)
        await tx.run("campaigns.reconciled", **where, now=now)
    return 1


async def _join(db: Db, campaign_id: int, people: Sequence[_Arrival], now: datetime) -> None:
    async with db.transaction() as tx:
        campaign = await lock_campaign(tx, None, campaign_id)  # waits for a freeze that is under way
        if campaign.state not in JOINED_IN or campaign.superseded_by is not None:
            return
        keys = _keys(people)
        plans = await _late_plans(tx, campaign, keys, now)
        await tx.run("campaigns.join_slices", campaign_id=campaign_id)
        await tx.run("campaigns.lock_slices", campaign_id=campaign_id, **keys)
        about = {"version_id": campaign.version_id, "effective_at": campaign.effective_at}
        question = await question_of(tx, campaign, plans, now)
        question |= knew(await tx.many(Earlier, "campaigns.earlier", version_id=campaign.version_id))
        joined = await tx.many(dict, "campaigns.join", campaign_id=campaign_id, **about, **question, **keys)
        if joined:
            await tx.run("people.next_epoch", lanes=[row["lane"] for row in joined])
            await tx.notify("notifier", "slice")


async def _late_plans(tx: Db, campaign: Campaign, keys: dict[str, Any], now: datetime) -> dict[int, Plan]:
    """The plans for some people who join, by number: those that others joined with, and new ones for new kinds."""
    kinds = await tx.many(dict, "campaigns.kinds_of", **keys, now=now, **overlays_of(campaign))
    known = await tx.many(dict, "campaigns.plans", campaign_id=campaign.campaign_id)
    numbers = {_plan(row): row["plan"] for row in known if row["late"]}
    wanted = await plans_for(tx, campaign, kinds)
    new = [plan for plan in wanted if plan not in numbers]
    added = dict(enumerate(new, start=max((row["plan"] for row in known), default=-1) + 1))
    await insert_plans(tx, campaign, added, late=True)
    return {numbers[plan]: plan for plan in wanted if plan in numbers} | added


def _plan(row: dict[str, Any]) -> Plan:
    lists = {name: tuple(row[name]) for name in ("preference", "channels", "fallback")}
    return Plan(**{name: row[name] for name in Plan.__dataclass_fields__} | lists)


def _keys(people: Sequence[_Arrival]) -> dict[str, Any]:
    return {"lanes": [one.lane for one in people], "people": [one.person_id for one in people]}
