"""One limited thing (a relay, a provider, a site, a campaign): how many letters it lets go, and when. Pure.

A token bucket that is exact over its whole unit: it holds up to a twentieth of the limit, and fills so slowly that what
it holds and what flows in during one unit are the limit together. So no window of that length ever sees one letter
more, however many workers take, and in whatever order; the price is at most 5 % of the limit.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from math import floor, inf
from zoneinfo import ZoneInfo

# Where a new or long idle bucket begins, how long its speed takes to double, and what counts as long.
START, DOUBLING, LONG = 1 / 16, timedelta(minutes=15), timedelta(days=1)
# A receiver that asks us to slow down halves the speed, down to this; once in a while only.
LEAST, ONCE_IN = 1 / 64, timedelta(seconds=30)
_BURSTS = 20  # in one unit, at the least
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a bucket may let go: ``count`` letters in any ``seconds``, and so many in a calendar day of ``zone``.

    ``warm_up``: the most on the first day of use, and how many times more on each next one.
    """

    zone: ZoneInfo
    count: int | None = None
    seconds: int = 1
    per_day: int | None = None
    warm_up: tuple[int, float] | None = None
    slow_start: bool = False

    @property
    def burst(self) -> int:
        """The most letters at once."""
        return max(1, (self.count or 0) // _BURSTS)

    @property
    def speed(self) -> float:
        """Letters a second, at the full level."""
        return inf if self.count is None else (self.count - self.burst + 1) / self.seconds


@dataclass(frozen=True, slots=True)
class Bucket:
    """A row of the table ``bucket``. ``level``: the share of the speed that it had at ``level_at``, in (0, 1].

    ``tokens`` were there at ``at``; ``today`` letters went on ``day``, the ``used``-th day of use before it is over;
    letters wait in the queue for tokens until ``booked_at``.
    """

    name: str
    tokens: float
    at: datetime
    level: float
    level_at: datetime
    booked_at: datetime
    day: date
    today: int
    used: int


def new(name: str, terms: Terms, now: datetime) -> Bucket:
    """A bucket that nothing was taken from."""
    level = START if terms.slow_start else 1.0
    return Bucket(name, 1.0, now, level, now, now, now.astimezone(terms.zone).date(), 0, 0)


def level_at(bucket: Bucket, when: datetime) -> float:
    """The level, which doubles with time until it is 1."""
    doublings = min(20.0, max(timedelta(), when - bucket.level_at) / DOUBLING)
    return min(1.0, bucket.level * float(2.0**doublings))


def refreshed(bucket: Bucket, terms: Terms, now: datetime) -> Bucket:
    """The bucket as it is now. A clock that lags behind another worker's lets nothing flow in."""
    now = max(now, bucket.at)
    if terms.slow_start and now - bucket.at > LONG:
        bucket = replace(bucket, level=START, level_at=now, tokens=min(bucket.tokens, 1.0))
    elif terms.count is not None:
        gained = (now - bucket.at).total_seconds() * terms.speed * level_at(bucket, bucket.at)
        bucket = replace(bucket, tokens=min(float(terms.burst), bucket.tokens + gained))
    today = now.astimezone(terms.zone).date()
    if today > bucket.day:
        bucket = replace(bucket, day=today, today=0, used=bucket.used + (bucket.today > 0))
    return replace(bucket, at=now)


def available(bucket: Bucket, terms: Terms) -> float:
    """How many letters may go, of a refreshed bucket: a whole number, or infinity."""
    tokens = inf if terms.count is None else floor(bucket.tokens)
    return max(0, min(tokens, day_cap(terms, bucket.used) - bucket.today))


def day_cap(terms: Terms, used: int) -> float:
    """The most letters of a day after ``used`` days of use."""
    cap = inf if terms.per_day is None else terms.per_day
    if terms.warm_up is not None:
        first, growth = terms.warm_up
        cap = min(cap, floor(first * growth ** min(used, 60)))
    return cap


def taken(bucket: Bucket, terms: Terms, count: int) -> Bucket:
    """The refreshed bucket after so many letters."""
    tokens = bucket.tokens if terms.count is None else bucket.tokens - count
    return replace(bucket, tokens=tokens, today=bucket.today + count)


def next_at(bucket: Bucket, terms: Terms) -> datetime:
    """When asking again is worth while: with half a burst there, or on the next day, if this one is used up."""
    if bucket.today >= day_cap(terms, bucket.used):
        return next_day(bucket.day, terms.zone)
    if terms.count is None:
        return bucket.at
    wanted = max(1.0, terms.burst / 2) - bucket.tokens
    if wanted <= 0:
        return bucket.at
    return bucket.at + timedelta(seconds=wanted / (terms.speed * level_at(bucket, bucket.at))) + _TICK


def next_day(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of the day after (it has 23 to 25 hours where clocks are changed), in UTC."""
    return datetime.combine(day + timedelta(days=1), time(), zone).astimezone(ZoneInfo("UTC"))


def booked(bucket: Bucket, terms: Terms, count: int) -> tuple[list[datetime], Bucket]:
    """When each of so many letters can expect a token, behind all that wait already. In groups of half a burst."""
    first = next_at(bucket, terms)
    speed = terms.speed * level_at(bucket, bucket.at)
    if bucket.today >= (cap := day_cap(terms, bucket.used)):
        speed = min(speed, cap / 86400)
    start = max(first, bucket.booked_at)
    if speed == inf:
        return [start] * count, bucket
    group = max(1, terms.burst // 2) if terms.count is not None else 1
    dues = [start + timedelta(seconds=number // group * group / speed) for number in range(count)]
    return dues, replace(bucket, booked_at=start + timedelta(seconds=count / speed))


def slowed(bucket: Bucket, now: datetime) -> Bucket:
    """The bucket after its receiver asked us to slow down."""
    if bucket.level < 1 and now - bucket.level_at < ONCE_IN:
        return bucket
    level = max(LEAST, level_at(bucket, now) / 2)
    return replace(bucket, level=level, level_at=max(now, bucket.level_at), tokens=min(bucket.tokens, 0.0))


def recovered(bucket: Bucket, now: datetime) -> bool:
    """Whether it has its full speed again."""
    return level_at(bucket, now) >= 1
