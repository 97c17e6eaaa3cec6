"""Whom we need not ask about again: people with nothing to accept, as long as nothing changed. Pure.

It saves work and never changes an answer. What is remembered of a person holds while the same campaigns of their site
are open, no other version takes effect between then and the use, and nothing was taken back in their lane (an
acceptance, or the person): the ``Ground``, which is read anew for every batch, says all three.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property

LONG_AGO = datetime.min.replace(tzinfo=UTC)
MOST = 200_000  # people remembered per process: about 60 MB


@dataclass(frozen=True)
class Ground:
    """What the uses of one site are judged by now. ``effective``: when the versions of ``campaigns`` take effect."""

    kinds: Sequence[str] | None
    campaigns: tuple[int, ...]
    effective: tuple[datetime, ...]
    epochs: Mapping[int, int]

    @cached_property
    def last_effect(self) -> datetime:
        """When the last of the versions takes effect."""
        return max(self.effective, default=LONG_AGO)

    def epoch(self, lane: int) -> int:
        """How often something was taken back in a lane."""
        return self.epochs.get(lane, 0)


@dataclass(frozen=True, slots=True)
class Settled:
    """One person: no use of theirs at or after ``since`` can matter, and they are known to be seen on ``day``."""

    lane: int
    since: datetime
    day: date
    epoch: int
    campaigns: tuple[int, ...]

    def covers(self, at: datetime, ground: Ground) -> bool:
        """Whether a use can be answered without asking: the database would find nothing open and nothing to note."""
        return (
            self.since <= at
            and at.date() <= self.day
            and self.epoch == ground.epoch(self.lane)
            and self.campaigns == ground.campaigns
            and (self.since >= ground.last_effect or not any(self.since < one <= at for one in ground.effective))
        )


class Memory:
    """At most ``most`` people; those not asked about for long are forgotten first, in halves."""

    def __init__(self, most: int = MOST) -> None:
        self._half = max(1, most // 2)
        self._young: dict[tuple[str, str], Settled] = {}
        self._old: dict[tuple[str, str], Settled] = {}
        self._campaigns: dict[str, tuple[int, ...]] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def forget(self) -> None:
        """Forget everybody: what was found out was not committed."""
        self._young, self._old = {}, {}

    def recall(self, site: str, external_id: str) -> Settled | None:
        """What is remembered of a person; whether it still holds is for :meth:`Settled.covers` to say."""
        found = self._young.get((site, external_id))
        if found is None and (found := self._old.pop((site, external_id), None)) is not None:
            self._put((site, external_id), found)
        return found

    def settle(self, site: str, external_id: str, lane: int, since: datetime, day: date, ground: Ground) -> None:
        """Remember that the database found nothing open at ``since``, on ground that was read before it was asked."""
        campaigns = self._campaigns.get(site)
        if campaigns != ground.campaigns:  # one tuple for all its people
            campaigns = self._campaigns[site] = ground.campaigns
        self._old.pop((site, external_id), None)
        self._put((site, external_id), Settled(lane, since, day, ground.epoch(lane), campaigns))

    def _put(self, key: tuple[str, str], settled: Settled) -> None:
        if len(self._young) >= self._half and key not in self._young:
            self._old, self._young = self._young, {}
        self._young[key] = settled
