"""What a worker has in hand: a slice, how far it has come with it, and the rows of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct

from notifier.db import Db
from notifier.delivery.lease import Slice
from notifier.delivery.pace import Ask, provider_of, quiet_until
from notifier.delivery.take import Limits
from notifier.letters.write import Writer
from notifier.sites.site import Site

# Letters of a batch at first, and how many seconds it takes where the next one may be larger, or should be smaller.
FIRST_BATCH, QUICK, SLOW = 250, 0.5, 2.0


def next_size(size: int, seconds: float, most: int) -> int:
    """How many letters the next batch has, after one of ``size`` letters that took so long.

    About as many as leave in a second: what a batch costs in PostgreSQL is shared by more of them, but all of it is
    ``unknown`` when a worker is killed. Pure.
    """
    least = min(FIRST_BATCH, most)
    if seconds < QUICK:
        return min(2 * size, most)
    return max(size // 2, least) if seconds > SLOW else size


class Row(Struct, frozen=True, gc=False):
    """One notice to try now, with what its letter needs of the person as they are now. Fields in the columns' order.

    As the rest says it of who was never tried, it is asked of retries alone.
    """

    lane: int
    person_id: UUID
    locale: str
    address: str | None
    time_zone: str
    external_id: str
    knew: int | None  # the version that they last knew
    overlays: int  # which rules apply to them as well
    status: str
    suppressed: bool
    attempt: int = 1
    failures: int = 0
    since: datetime | None = None  # the first try by this channel
    purpose: str = "notice"  # or reminder-N, nudge-N: see notifier/delivery/remind.py
    sheet: int | None = None  # what a copy that may have arrived was filled into


@dataclass(frozen=True)
class Later:
    """A row that waits in the queue, with its attempt and failures as they are: nothing was tried."""

    row: Row
    due_at: datetime


@dataclass(frozen=True)
class Next:
    """When a slice is due again. Neither: with its first retry; ``fresh``: with that or with this, what is earlier."""

    due: datetime | None = None
    fresh: datetime | None = None


@dataclass
class Hand:
    """A slice that is being worked off. ``emptied``: nothing fresh is left, or none of it before ``fresh_at``."""

    slice: Slice
    writer: Writer
    site: Site
    cursor: tuple[int, UUID]
    limits: Limits | None  # None: this channel knows no pace
    emptied: bool = False
    fresh_at: datetime | None = None
    routes: tuple[str, ...] = ()
    open: Site = field(init=False)  # without the relays that are left alone now

    def __post_init__(self) -> None:
        self.open = self.site

    @property
    def site_channel(self) -> str:
        """What rests when the site may send nothing by this channel."""
        return f"{self.site.site}/{self.slice.channel}"

    @property
    def campaign_channel(self) -> str:
        """What rests when the campaign may."""
        return f"{self.slice.campaign_id}/{self.slice.channel}"

    def ask(self, row: Row, now: datetime, *, sent: bool) -> Ask:
        """What a row needs to go now."""
        pace, provider = self.site.pace, ""
        if self.limits and self.limits.by_provider and self.routes and row.address:
            provider = provider_of(row.address, self.limits.groups)
        zone = ZoneInfo(row.time_zone or self.site.time_zone)
        return Ask(provider, quiet_until(now, zone, pace.quiet_hours) if pace.quiet_hours else None, sent)


async def queue(tx: Db, slice_: Slice, later: Sequence[Later]) -> None:
    """Put letters off that nothing was tried of: their attempts and failures stay as they are."""
    await tx.run(
        "delivery.retry_later",
        campaign_id=slice_.campaign_id,
        channel=slice_.channel,
        lanes=[one.row.lane for one in later],
        people=[one.row.person_id for one in later],
        attempts=[one.row.attempt for one in later],
        failures=[one.row.failures for one in later],
        dues=[one.due_at for one in later],
        unsures=[False] * len(later),
    )
