"""Leave a relay alone by which receivers refuse our letters: one row per relay, which every worker sees.

A relay that was never refused so costs nothing: no row is written, and the rows there are are read once a second.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from notifier.channels.channel import Sent
from notifier.channels.smtp import Trouble
from notifier.db import Db
from notifier.delivery.refusals import Refusals, counted
from notifier.errors import NotFound
from notifier.log import log
from notifier.sites.site import Site, load_site

# Seconds for which a worker relies on what it read, and for which it rests while all relays are paused.
LOOK_AGAIN, REST = 1.0, 30.0


@dataclass
class Refusing:
    """What one worker knows of the relays that refuse."""

    db: Db
    _seen: dict[str, tuple[float, dict[str, Refusals]]] = field(default_factory=dict)

    async def look(self, site: str) -> Mapping[str, Refusals]:
        """The site's relays that ever refused, by name; as of a second ago at the most."""
        at, seen = self._seen.get(site, (0.0, {}))
        if not at or time.monotonic() - at >= LOOK_AGAIN:
            seen = {one.relay: one for one in await self.db.many(Refusals, "delivery_relays.of_site", site=site)}
            self._seen[site] = time.monotonic(), seen
        return seen

    async def paused(self, site: Site, now: datetime) -> list[Refusals]:
        """Relays of the site by which nothing goes now."""
        seen = await self.look(site.site)
        return [seen[r.name] for r in site.relays if r.name in seen and seen[r.name].paused(now)] if seen else []

    async def note(self, site: Site, sents: Sequence[Sent], now: datetime) -> frozenset[str]:
        """Count what relays answered. Returns those that are paused by it, or already.

        What they answer is counted from the first refusal of policy on; without one nothing is.
        """
        seen = await self.look(site.site)
        refused = Counter(one.via for one in sents if one.class_ == "policy" and one.kind == "deferred")
        watched = {name for name, one in seen.items() if one.counting(now)} | refused.keys()
        names = watched & {relay.name for relay in site.relays}
        if not names:
            return frozenset()
        answered = Counter(one.via for one in sents if one.kind in ("accepted_by_relay", "refused")) + refused
        words = {v.via: Trouble("policy", v.reply, v.via).reply for v in sents if v.class_ == "policy"}  # about nobody
        await self._count(site.site, sorted(names & answered.keys()), refused, answered, words, now)
        self._seen.pop(site.site, None)
        return frozenset(one.relay for one in await self.paused(site, now))

    async def _count(
        self, site: str, names: Sequence[str], refused: Counter[str], answered: Counter[str],
        words: Mapping[str, str], now: datetime,
    ) -> None:  # fmt: skip
        async with self.db.transaction() as tx:
            await tx.run("delivery_relays.add", site=site, relays=names, now=now)
            for before in await tx.many(Refusals, "delivery_relays.lock", site=site, relays=names):
                name = before.relay
                after = counted(before, refused[name], answered[name], words.get(name, ""), now)
                if after == before:
                    continue
                await tx.run("delivery_relays.write", site=site, **asdict(after))
                if after.paused_at != before.paused_at:
                    await _tell(tx, site, after, now)


async def _tell(tx: Db, site: str, one: Refusals, now: datetime) -> None:
    what = {"site": site, "relay": one.relay, "action": "paused", "actor": "notifier", "now": now}
    await tx.run("delivery_relays.record", **what, reason=one.reason, until=one.paused_until)
    log.warning("relay paused", site=site, relay=one.relay, until=str(one.paused_until), reason=one.reason)


def without(site: Site, paused: Sequence[Refusals]) -> Site:
    """The site with the relays that its letters may go by."""
    names = {one.relay for one in paused}
    return site.model_copy(update={"relays": [relay for relay in site.relays if relay.name not in names]})


@dataclass(frozen=True)
class RelayState:
    """A relay of the site as it stands. ``paused_until`` None: letters go by it."""

    relay: str
    paused_at: datetime | None = None
    paused_until: datetime | None = None
    reason: str = ""


async def list_relays(db: Db, site: str, now: datetime) -> list[RelayState]:
    """A site's relays in their order, and which of them are left alone. Raises NotFound."""
    seen = {one.relay: one for one in await db.many(Refusals, "delivery_relays.of_site", site=site)}
    return [
        RelayState(name, seen[name].paused_at, seen[name].paused_until, seen[name].reason)
        if name in seen and seen[name].paused(now)
        else RelayState(name)
        for name in (relay.name for relay in (await load_site(db, site)).relays)
    ]


@dataclass(frozen=True)
class RelayEvent:
    """A relay was paused, or somebody let it be used again. ``until``: when a pause ends by itself."""

    relay: str
    at: datetime
    action: str
    actor: str
    reason: str
    until: datetime | None


async def relay_events(db: Db, site: str, most: int) -> list[RelayEvent]:
    """What became of a site's relays, the latest first."""
    return await db.many(RelayEvent, "delivery_relays.events", site=site, most=most)


@dataclass(frozen=True)
class PausedRelay:
    """A relay of any site by which nothing goes now."""

    site: str
    relay: str
    paused_at: datetime
    paused_until: datetime
    reason: str


async def paused_relays(db: Db, site: str | None, now: datetime) -> list[PausedRelay]:
    """Relays that are left alone now, of a site or (None) of every one."""
    return await db.many(PausedRelay, "delivery_relays.paused", site=site, now=now)


async def resume_relay(db: Db, site: str, relay: str, actor: str, reason: str, now: datetime) -> None:
    """Let letters go by a relay again, within half a minute. Raises NotFound when it is not paused."""
    async with db.transaction() as tx:
        if not await tx.run("delivery_relays.resume", site=site, relay=relay, now=now):
            raise NotFound(f"{relay} is no relay of {site} that is paused")
        what = {"site": site, "relay": relay, "action": "resumed", "actor": actor, "now": now}
        await tx.run("delivery_relays.record", **what, reason=reason, until=None)
