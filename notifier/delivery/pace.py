"""Which letters of a batch may go now, which wait in the queue, and for what. Pure.

Names of buckets within a site: ``site``, ``campaign/12``, ``relay/host:port``, ``provider/gmail`` or a domain instead.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from math import ceil, inf
from zoneinfo import ZoneInfo

from notifier.delivery.bucket import Bucket, Terms, available, booked, next_at, taken
from notifier.sites.pace import minutes_of, rate_of
from notifier.sites.site import Relay, Site

# What a relay or provider without a limit of its own is given, from when it asks us to slow down until it recovered.
CAUTIOUS = (20, 1)


@dataclass(frozen=True, slots=True)
class Ask:
    """One row of a batch. ``provider``: the bucket of who receives it. ``sent``: whether a letter leaves at all."""

    provider: str = ""
    quiet_until: datetime | None = None
    sent: bool = True


@dataclass(frozen=True, slots=True)
class Way:
    """A route in use: its share of the letters, and its bucket, if it is limited."""

    route: str
    share: float
    bucket: str | None


@dataclass(slots=True)
class Shares:
    """What a batch was given. Rows from ``looked`` on wait until ``wait``; those ``later`` go to the queue.

    ``granted``: letters by route; a route that is not named is not limited. ``by_site``: the wait is for what all
    campaigns of the site need. ``quiet``: nobody of the batch is awake before.
    """

    now: list[int] = field(default_factory=list)
    later: list[tuple[int, datetime]] = field(default_factory=list)
    looked: int = 0
    wait: datetime | None = None
    by_site: bool = False
    quiet: datetime | None = None
    granted: dict[str, int] = field(default_factory=dict)
    buckets: dict[str, Bucket] = field(default_factory=dict)


def terms_of(site: Site, campaign_id: int) -> dict[str, Terms]:
    """Everything of a site that is limited, for one campaign, by bucket."""
    pace, zone, found = site.pace, ZoneInfo(site.time_zone), {}
    if pace.limit or pace.per_day:
        found["site"] = _terms(zone, pace.limit, pace.per_day)
    if pace.campaign_limit:
        found[f"campaign/{campaign_id}"] = _terms(zone, pace.campaign_limit)
    for relay in site.relays:
        if relay.limit or relay.per_day or relay.warm_up:
            found[f"relay/{relay.name}"] = relay_terms(zone, relay, slow_start=pace.slow_start)
    for name, one in pace.providers.items():
        if one.limit or one.per_day:
            found[f"provider/{name}"] = _terms(zone, one.limit, one.per_day, slow_start=pace.slow_start)
    return found


def relay_terms(zone: ZoneInfo, relay: Relay, *, slow_start: bool) -> Terms:
    """What a relay may be given."""
    warm_up = (relay.warm_up.first_day, relay.warm_up.growth) if relay.warm_up else None
    return _terms(zone, relay.limit, relay.per_day, warm_up, slow_start=slow_start)


def _terms(
    zone: ZoneInfo, rate: str | None, per_day: int | None = None, warm_up: tuple[int, float] | None = None,
    *, slow_start: bool = False,
) -> Terms:  # fmt: skip
    count, seconds = rate_of(rate) if rate else (None, 1)
    return Terms(zone, count, seconds, per_day, warm_up, slow_start and count is not None)


def cautious(zone: ZoneInfo) -> Terms:
    """For what has no limit of its own and asked us to slow down."""
    return Terms(zone, *CAUTIOUS)


def provider_of(address: str, groups: Mapping[str, str]) -> str:
    """The bucket of who receives letters for an address: of a known group of domains, or of its own domain."""
    domain = address.rpartition("@")[2].lower()
    above = domain
    while above:
        if above in groups:
            return f"provider/{groups[above]}"
        above = above.partition(".")[2]
    return f"provider/{domain}"


def quiet_until(now: datetime, zone: ZoneInfo, hours: str) -> datetime | None:
    """When the quiet hours in which ``now`` lies are over by the clocks of ``zone``; None outside of them."""
    start, end = minutes_of(hours)
    local = now.astimezone(zone)
    minute = local.hour * 60 + local.minute
    inside = start <= minute < end if start < end else minute >= start or minute < end
    if not inside:
        return None
    day = local.date() + timedelta(days=int(minute >= end))
    return datetime.combine(day, time(end // 60, end % 60), zone).astimezone(UTC)


def ways_of(site: Site, routes: Sequence[str], terms: Mapping[str, Terms]) -> list[Way]:
    """The routes that letters take now: the relays with a weight that take letters, or else the first that does."""
    open_ = [relay for relay in site.relays if relay.name in routes]
    used = [relay for relay in open_ if relay.weight] or open_[:1]
    total = sum(relay.weight or 1 for relay in used)
    found = {}
    for relay in used:
        bucket = f"relay/{relay.name}"
        found[relay.name] = Way(relay.name, (relay.weight or 1) / total, bucket if bucket in terms else None)
    return list(found.values())


def share_out(
    asks: Sequence[Ask], *, fresh: bool, whole: Sequence[str], ways: Sequence[Way],
    buckets: Mapping[str, Bucket], terms: Mapping[str, Terms],
) -> Shares:  # fmt: skip
    """Give a batch what its buckets hold, in its order. ``whole``: buckets that every letter needs. All are refreshed.

    A letter whose provider has none left, or behind whom others wait already, is booked for later; one that nothing
    else is left for ends the batch: it, and all after it, wait.
    """
    shares, waiting = Shares(looked=len(asks), buckets=dict(buckets)), defaultdict[str, list[int]](list)
    left = _left(whole, ways, shares.buckets, terms)
    room: dict[str, float] = {}
    letters = 0
    for number, ask in enumerate(asks):
        if not ask.sent:
            shares.now.append(number)
        elif ask.quiet_until is not None:
            shares.later.append((number, ask.quiet_until))
        elif ask.provider in terms and not _has_room(ask.provider, room, fresh, shares.buckets, terms):
            waiting[ask.provider].append(number)
        elif letters >= left:
            shares.looked = number
            break
        else:
            letters += 1
            room[ask.provider] = room.get(ask.provider, inf) - 1
            shares.now.append(number)
    _take(shares, asks, letters, whole, ways, terms)
    for provider, numbers in waiting.items():
        dues, shares.buckets[provider] = booked(shares.buckets[provider], terms[provider], len(numbers))
        shares.later += zip(numbers, dues, strict=True)
    if shares.looked < len(asks):
        shares.wait, shares.by_site = _wait(whole, ways, shares.buckets, terms)
    if asks and all(ask.quiet_until for ask in asks):
        shares.quiet = min(ask.quiet_until for ask in asks if ask.quiet_until)
    return shares


def _left(
    whole: Sequence[str], ways: Sequence[Way], buckets: Mapping[str, Bucket], terms: Mapping[str, Terms]
) -> float:
    by_way = sum(available(buckets[way.bucket], terms[way.bucket]) if way.bucket else inf for way in ways)
    return min([by_way if ways else inf, *(available(buckets[name], terms[name]) for name in whole)])


def _has_room(
    provider: str, room: dict[str, float], fresh: bool, buckets: Mapping[str, Bucket], terms: Mapping[str, Terms]
) -> bool:
    if provider not in room:
        bucket = buckets[provider]
        room[provider] = 0 if fresh and bucket.booked_at > bucket.at else available(bucket, terms[provider])
    return room[provider] >= 1


def _take(
    shares: Shares, asks: Sequence[Ask], letters: int, whole: Sequence[str], ways: Sequence[Way],
    terms: Mapping[str, Terms],
) -> None:  # fmt: skip
    counts = defaultdict[str, int](int)
    for number in shares.now:
        if asks[number].sent and asks[number].provider in terms:
            counts[asks[number].provider] += 1
    counts.update(dict.fromkeys(whole, letters))
    for way, count in _divided(letters, ways, shares.buckets, terms):
        shares.granted[way.route] = count
        counts[way.bucket or ""] = count
    for name, count in counts.items():
        if count:
            shares.buckets[name] = taken(shares.buckets[name], terms[name], count)


def _divided(
    letters: int, ways: Sequence[Way], buckets: Mapping[str, Bucket], terms: Mapping[str, Terms]
) -> list[tuple[Way, int]]:
    """Letters for each limited route: by its share, and what others cannot take besides when all are limited."""
    rooms = [(way, available(buckets[way.bucket], terms[way.bucket])) for way in ways if way.bucket]
    given = [int(min(room, ceil(letters * way.share))) for way, room in rooms]
    rest = letters - sum(given) if len(rooms) == len(ways) else 0
    for number, (_, room) in enumerate(rooms):
        more = int(min(max(rest, -given[number]), room - given[number]))
        given[number] += more
        rest -= more
    return [(way, count) for (way, _), count in zip(rooms, given, strict=True)]


def _wait(
    whole: Sequence[str], ways: Sequence[Way], buckets: Mapping[str, Bucket], terms: Mapping[str, Terms]
) -> tuple[datetime | None, bool]:
    """When all that every letter needs, and one of the routes, have something again; and whether that is site-wide."""
    empty = [name for name in whole if available(buckets[name], terms[name]) < 1]
    waits = {name: next_at(buckets[name], terms[name]) for name in empty}
    limited = [way.bucket for way in ways if way.bucket]
    if limited and len(limited) == len(ways) and all(available(buckets[b], terms[b]) < 1 for b in limited):
        waits["routes"] = min(next_at(buckets[b], terms[b]) for b in limited)
    last = max(waits, key=lambda name: waits[name], default=None)
    return (waits[last], not last.startswith("campaign/")) if last else (None, False)


def asked_to_slow(
    site: Site, groups: Mapping[str, str], answers: Iterable[tuple[str | None, str, str, str]]
) -> set[str]:
    """The buckets of those who said that we are too fast, from the class, reply, relay and address of each answer.

    421 is said by the relay itself (RFC 5321, 3.8); whatever else comes by it, by the recipient's provider.
    """
    relays = {relay.name for relay in site.relays}
    slower = set()
    for class_, reply, via, address in answers:
        if class_ == "throttled" and via in relays:
            slower.add(f"relay/{via}" if reply.startswith("421") else provider_of(address, groups))
    return slower
