"""When the last person will be told, and how many too late: from the limits, and from the pace so far. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from zoneinfo import ZoneInfo

from notifier.delivery.bucket import DOUBLING, Bucket, Terms, day_cap, level_at, new, next_day, refreshed
from notifier.delivery.pace import quiet_until, terms_of, ways_of
from notifier.sites.pace import minutes_of
from notifier.sites.site import Site

_STEP, _DAY = timedelta(minutes=15), timedelta(days=1)
_CLOSELY, _WARM = 14, 40  # days to look at by the step; and by the day, as long as a warm-up may change what it takes
_LONGEST, _NOBODY = 36_500, 1e-6  # days; and what rounding leaves of the last person


@dataclass(frozen=True)
class Forecast:
    """When the last person is told at this pace, and when their notice period is over.

    ``too_late``: how many people's notice period ends after the version took effect, so far and to come.
    """

    last_told_at: datetime
    notice_ends_at: datetime
    per_hour: float
    late: bool
    too_late: int


@dataclass(frozen=True)
class Sofar:
    """What was told so far: by letters and how fast (None: nothing is known yet), the latest, and how many too late."""

    per_second: float | None = None
    latest: datetime | None = None
    too_late: int = 0


@dataclass(frozen=True)
class Ceiling:
    """What limits let go. ``caps``: letters of what is left of today, of tomorrow, …; the last one for ever."""

    zone: ZoneInfo
    per_second: float = inf
    level: float = 1.0
    caps: tuple[float, ...] = (inf,)
    quiet_hours: str | None = None

    @property
    def limited(self) -> bool:
        """Whether it says how long anything takes."""
        return self.per_second < inf or self.caps[-1] < inf


def forecast(
    waiting: Sequence[tuple[int, Ceiling]], sofar: Sofar, effective_at: datetime, notice_days: int, now: datetime,
    holds: timedelta = timedelta(),
) -> Forecast | None:  # fmt: skip
    """``waiting``: how many letters wait for what: all for what all wait for, and some for their provider besides.

    ``holds``: what a canary still waits before everybody has their turn. None when neither limits nor a pace so far say
    anything.
    """
    notice, in_time = timedelta(days=notice_days), effective_at - timedelta(days=notice_days)
    if not notice_days:  # nothing was promised, so nobody is told too late for it
        in_time = effective_at = datetime.max.replace(tzinfo=UTC)
    if not any(count for count, _ in waiting):
        if sofar.latest is None:
            return None
        ends = sofar.latest + notice
        return Forecast(sofar.latest, ends, _per_hour(sofar.per_second or 0), ends > effective_at, sofar.too_late)
    if not sofar.per_second and not any(ceiling.limited for _, ceiling in waiting):
        return None
    seen = [
        _seen(list(_walk(count, ceiling, sofar.per_second or inf, now + holds)), in_time)
        for count, ceiling in waiting
        if count
    ]
    last = max([last for last, _ in seen] + [sofar.latest or now])
    too_late = sofar.too_late + max(late for _, late in seen)
    pace = min([ceiling.per_second for _, ceiling in waiting[:1]] + [sofar.per_second or inf])
    if pace == inf:
        pace = waiting[0][0] / max((last - now).total_seconds(), 1.0)
    return Forecast(last, last + notice, _per_hour(pace), last + notice > effective_at, too_late)


def pace_of(told: int, since: datetime, latest: datetime, quiet_hours: str | None) -> float:
    """Letters a second so far, without the hours in which nothing may leave."""
    seconds = max((latest - since).total_seconds(), 1.0)
    if quiet_hours and seconds >= 86400:
        seconds *= 1 - _quiet_minutes(quiet_hours) / 1440
    return told / seconds


def ceilings(
    site: Site, campaign_id: int, pending: int, by_provider: Mapping[str, int], buckets: Mapping[str, Bucket],
    now: datetime,
) -> list[tuple[int, Ceiling]]:  # fmt: skip
    """Everybody with what all need, then the letters of each limited provider with what they need besides."""
    terms = terms_of(site, campaign_id)
    zone = ZoneInfo(site.time_zone)
    one = {name: _ceiling(buckets.get(name), name, given, now) for name, given in terms.items()}
    whole = Ceiling(zone, quiet_hours=site.pace.quiet_hours)
    for name in ("site", f"campaign/{campaign_id}"):
        if name in one:
            whole = _both(whole, one[name])
    ways = ways_of(site, [relay.name for relay in site.relays], terms)
    limited = [one[way.bucket] for way in ways if way.bucket]
    if limited and len(limited) == len(ways):
        whole = _both(whole, _together(zone, limited))
    found = [(pending, whole)]
    found += [(count, _both(whole, one[name])) for name, count in by_provider.items() if name in one]
    return found


def _ceiling(bucket: Bucket | None, name: str, terms: Terms, now: datetime) -> Ceiling:
    bucket = refreshed(bucket or new(name, terms, now), terms, now)
    later = [day_cap(terms, bucket.used + day) for day in range(1, _WARM)]
    caps = (max(0.0, day_cap(terms, bucket.used) - bucket.today), *later)
    return Ceiling(terms.zone, terms.speed, level_at(bucket, now), caps)


def _both(one: Ceiling, other: Ceiling) -> Ceiling:
    slower = min(one, other, key=lambda ceiling: ceiling.per_second * ceiling.level)
    days = range(max(len(one.caps), len(other.caps)))
    caps = tuple(min(_cap(one, day), _cap(other, day)) for day in days)
    return Ceiling(one.zone, slower.per_second, slower.level, caps, one.quiet_hours)


def _together(zone: ZoneInfo, ceilings_: Sequence[Ceiling]) -> Ceiling:
    speed = sum(one.per_second for one in ceilings_)
    now = sum(one.per_second * one.level for one in ceilings_)
    caps = tuple(sum(_cap(one, day) for one in ceilings_) for day in range(_WARM))
    return Ceiling(zone, speed, now / speed if speed < inf else 1.0, caps)


def _cap(ceiling: Ceiling, day: int) -> float:
    return ceiling.caps[min(day, len(ceiling.caps) - 1)]


def _walk(count: int, ceiling: Ceiling, measured: float, now: datetime) -> Iterator[tuple[datetime, datetime, float]]:
    """Stretches of time and how many are told in each: by the quarter of an hour, and what is far ahead at once."""
    left, start, date = float(count), now, now.astimezone(ceiling.zone).date()
    for day in range(_CLOSELY if len(ceiling.caps) == 1 else max(_CLOSELY, _WARM)):
        midnight, budget = next_day(date, ceiling.zone), _cap(ceiling, day)
        step = _STEP if day < _CLOSELY else timedelta(days=2)
        while start < midnight:
            end = min(start + step, midnight)
            doublings = min(20, (start - now) / DOUBLING)
            speed = min(measured, ceiling.per_second * min(1.0, ceiling.level * 2.0**doublings))
            seconds = _open_seconds(start, end, ceiling)
            told = min(left, budget, speed * seconds) if seconds else 0.0
            whole = told == 0 or told == speed * seconds
            yield start, end if whole else start + timedelta(seconds=told / speed), told
            left, budget, start = left - told, budget - told, end
            if left < _NOBODY:
                return
        date = midnight.astimezone(ceiling.zone).date()
    a_day = min(_cap(ceiling, _WARM), min(measured, ceiling.per_second) * _open_seconds(start, start + _DAY, ceiling))
    yield start, start + timedelta(days=min(left / a_day, _LONGEST)), left


def _open_seconds(start: datetime, end: datetime, ceiling: Ceiling) -> float:
    """Seconds of a stretch outside the quiet hours, by the clock of the site."""
    seconds = (end - start).total_seconds()
    if ceiling.quiet_hours is None:
        return seconds
    if end - start > _STEP:
        return seconds * (1 - _quiet_minutes(ceiling.quiet_hours) / 1440)
    return 0.0 if quiet_until(start, ceiling.zone, ceiling.quiet_hours) else seconds


def _quiet_minutes(hours: str) -> int:
    start, end = minutes_of(hours)
    return (end - start) % 1440


def _seen(stretches: Sequence[tuple[datetime, datetime, float]], in_time: datetime) -> tuple[datetime, int]:
    """When the last one is told, and how many after ``in_time``."""
    late = 0.0
    for start, end, told in stretches:
        if end > in_time:
            share = 1.0 if start >= in_time else (end - in_time) / (end - start)
            late += told * share
    return max(end for _, end, told in stretches if told), round(late)


def _per_hour(per_second: float) -> float:
    return round(per_second * 3600, 1)
