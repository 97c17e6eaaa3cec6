"""Take what a batch may use of the limits that it shares with everybody else's, in one short transaction.

Whoever is killed after it has taken more than was sent: tokens are lost, never a letter, and never sent one too many.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from notifier.db import Db
from notifier.delivery.bucket import Bucket, Terms, new, recovered, refreshed, slowed
from notifier.delivery.pace import Ask, Shares, cautious, share_out, terms_of, ways_of
from notifier.sites.site import Site


@dataclass(frozen=True)
class Limits:
    """What is limited for one campaign's letters, by bucket, and which provider a domain belongs to."""

    site: Site
    campaign_id: int
    terms: dict[str, Terms]
    groups: Mapping[str, str]

    @property
    def any(self) -> bool:
        """Whether anything is limited."""
        return bool(self.terms or self.site.pace.quiet_hours)

    @property
    def whole(self) -> list[str]:
        """The buckets that every letter needs."""
        return [name for name in ("site", f"campaign/{self.campaign_id}") if name in self.terms]

    @property
    def by_provider(self) -> bool:
        """Whether a provider is limited."""
        return any(name.startswith("provider/") for name in self.terms)


async def limits_of(db: Db, site: Site, campaign_id: int, now: datetime) -> Limits:
    """What the site limits, and what asked to go slower lately."""
    terms = terms_of(site, campaign_id)
    others = [one for one in await db.many(Bucket, "delivery_pace.slowed", site=site.site) if one.name not in terms]
    done = [one.name for one in others if recovered(one, now)]
    if done:
        await db.run("delivery_pace.forget", site=site.site, names=done)
    zone = ZoneInfo(site.time_zone)
    terms |= {
        one.name: cautious(zone)
        for one in others
        if one.name not in done and one.name.startswith(("relay/", "provider/"))
    }
    return Limits(site, campaign_id, terms, site.pace.groups)


async def take(
    db: Db, limits: Limits, asks: Sequence[Ask], routes: Sequence[str], now: datetime, *, fresh: bool
) -> Shares:
    """What of a batch may go now. Touches no row where nothing is limited."""
    ways = ways_of(limits.site, routes, limits.terms)
    names = {*limits.whole, *(way.bucket for way in ways if way.bucket)}
    names |= {ask.provider for ask in asks if ask.sent and ask.provider in limits.terms}
    async with db.transaction() as tx:
        buckets = await _locked(tx, limits, names, now) if names else {}
        shares = share_out(asks, fresh=fresh, whole=limits.whole, ways=ways, buckets=buckets, terms=limits.terms)
        await _write(tx, limits.site.site, shares.buckets.values())
    # Relays that stand by are given nothing of their limits; where they must step in, the next batch asks for them.
    shares.granted = {
        relay.name: 0 for relay in limits.site.relays if f"relay/{relay.name}" in limits.terms
    } | shares.granted
    return shares


async def slow_down(db: Db, limits: Limits, names: Iterable[str], now: datetime) -> None:
    """Halve the speed of what asked for it. What has no limit of its own has one until it recovered."""
    asked = set(names)
    zone = ZoneInfo(limits.site.time_zone)
    limits.terms.update({name: cautious(zone) for name in asked if name not in limits.terms})
    async with db.transaction() as tx:
        buckets = await _locked(tx, limits, asked, now)
        await _write(tx, limits.site.site, [slowed(one, now) for one in buckets.values()])


async def _locked(tx: Db, limits: Limits, names: Iterable[str], now: datetime) -> dict[str, Bucket]:
    site, wanted = limits.site.site, sorted(names)
    rows = await tx.many(Bucket, "delivery_pace.lock", site=site, names=wanted)
    if len(rows) < len(wanted):
        known = {row.name for row in rows}
        added = [new(name, limits.terms[name], now) for name in wanted if name not in known]
        await tx.run("delivery_pace.add", site=site, **_columns(added))
        rows = await tx.many(Bucket, "delivery_pace.lock", site=site, names=wanted)
    return {row.name: refreshed(row, limits.terms[row.name], now) for row in rows}


async def _write(tx: Db, site: str, buckets: Iterable[Bucket]) -> None:
    if rows := list(buckets):
        await tx.run("delivery_pace.write", site=site, **_columns(rows))


def _columns(rows: Sequence[Bucket]) -> dict[str, object]:
    return {
        "names": [b.name for b in rows],
        "tokens": [b.tokens for b in rows],
        "ats": [b.at for b in rows],
        "levels": [b.level for b in rows],
        "levels_at": [b.level_at for b in rows],
        "booked_ats": [b.booked_at for b in rows],
        "days": [b.day for b in rows],
        "todays": [b.today for b in rows],
        "useds": [b.used for b in rows],
    }
