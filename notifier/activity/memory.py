"""Whom we need not ask about again: people with nothing to accept, as long as nothing changed. Pure.

It saves work and never changes an answer. What is remembered of a person holds while the same campaigns of their site
are open, no other version takes effect between then and the use, and nothing was taken back in their lane (an
acceptance, or the person): the ``Ground``, which is read anew for every batch, says all three.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property, lru_cache
from typing import TypeVar

import msgspec

Same = TypeVar("Same", date, tuple[int, ...])

LONG_AGO = datetime.min.replace(tzinfo=UTC)
MOST = 240_000  # people remembered per process: about 60 MB
CAREFUL = 64  # batches, after one that held a day that was on record


@dataclass(frozen=True)
class Ground:
    """What the uses of one site are judged by now. ``effective``: from when on uses may matter to the versions of
    ``campaigns``: their effect and, where a policy's own words ask for no more, their posting.

    ``kinds`` count by the frozen rule of some of the campaigns, ``shared`` by that of each; None: every kind does.
    """

    kinds: Sequence[str] | None
    shared: Sequence[str] | None
    campaigns: tuple[int, ...]
    effective: tuple[datetime, ...]
    epochs: Mapping[int, int]

    @cached_property
    def last_effect(self) -> datetime:
        """The last of these moments."""
        return max(self.effective, default=LONG_AGO)

    def epoch(self, lane: int) -> int:
        """How often something was taken back in a lane."""
        return self.epochs.get(lane, 0)


class Settled(msgspec.Struct, frozen=True, gc=False):
    """One person: no use of theirs at or after ``since`` can matter, and they are known to be seen on ``day``.

    None of them is part of a cycle, and there are many: they are not looked at for one.
    """

    lane: int
    since: datetime
    day: date
    epoch: int
    campaigns: tuple[int, ...]

    def covers(self, at: datetime, ground: Ground) -> bool:
        """Whether a use can be answered without asking: the database would find nothing open and nothing to note."""
        since = self.since
        return (
            since <= at
            and at.date() <= self.day
            and self.epoch == ground.epochs.get(self.lane, 0)
            and self.campaigns == ground.campaigns
            and (since >= ground.last_effect or not any(since < one <= at for one in ground.effective))
        )


class Memory:
    """At most ``most`` people; those not asked about for long are forgotten first, in halves."""

    def __init__(self, most: int = MOST) -> None:
        self._half = max(1, most // 2)
        self._careful: Counter[str] = Counter()
        self.forget()

    def __len__(self) -> int:
        return sum(len(people) for half in (self._young, self._old) for people in half.values())

    def forget(self) -> None:
        """Forget everybody: what was found out was not committed."""
        self._young, self._old = _half(), _half()
        self._in_young = 0

    def expects_known_days(self, site: str) -> bool:
        """Whether the next batch may well hold days that are on record: one of the last ones did. Counts down."""
        self._careful[site] = left = max(0, self._careful[site] - 1)
        return left > 0

    def met_known_day(self, site: str) -> None:
        """A batch held a day that was on record: people are using the site again and again before it is decided."""
        self._careful[site] = CAREFUL

    def recall(self, site: str, people: Sequence[str]) -> list[Settled | None]:
        """What is remembered of some people; whether it still holds is for :meth:`Settled.covers` to say."""
        found = list(map(self._young[site].get, people))
        old = self._old[site]
        if not old.keys().isdisjoint(people):
            for place, who in enumerate(people):
                if found[place] is None and (settled := old.pop(who, None)) is not None:
                    found[place] = settled
                    self._put(site, who, settled)
        return found

    def settle(self, site: str, external_id: str, lane: int, since: datetime, day: date, ground: Ground) -> None:
        """Remember that the database found nothing open at ``since``, on ground that was read before it was asked."""
        self._old[site].pop(external_id, None)
        self._put(site, external_id, Settled(lane, since, _one(day), ground.epoch(lane), _one(ground.campaigns)))

    def _put(self, site: str, external_id: str, settled: Settled) -> None:
        if external_id not in self._young[site]:
            if self._in_young >= self._half:
                self._old, self._young, self._in_young = self._young, _half(), 0
            self._in_young += 1
        self._young[site][external_id] = settled


@lru_cache(256)
def _one(value: Same) -> Same:
    """One object for everybody who has the same: less memory, and it is at hand when they are looked at."""
    return value


def _half() -> defaultdict[str, dict[str, Settled]]:
    return defaultdict(dict)
