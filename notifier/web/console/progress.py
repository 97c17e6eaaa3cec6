"""How far a campaign has come, from its counters. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Letters that somebody took over; the rest of the final kinds are failures.
HANDED_OVER = ("accepted_by_relay", "placed")
FAILED = ("refused", "expired")
# The order in which a reader wants them.
KINDS = (
    *HANDED_OVER, "accepted_by_recipient", "shown", "acknowledged",
    "deferred", "unknown", *FAILED, "bounced", "complained", "withheld",
)  # fmt: skip
# There for the person from the moment the last stage began: no letter leaves, so none is counted.
FANNED_OUT_ON_READ = "inbox"


@dataclass(frozen=True)
class Counter:
    """One counter: outcomes of a kind on a channel."""

    campaign_id: int
    channel: str
    kind: str
    count: int


@dataclass(frozen=True)
class Planned:
    """How many people a channel tells at once."""

    campaign_id: int
    channel: str
    count: int


@dataclass(frozen=True)
class ChannelProgress:
    """One channel of a campaign: what was planned and the outcomes so far."""

    channel: str
    planned: int
    counts: dict[str, int]
    there: bool  # private messages are visible

    @property
    def settled(self) -> int:
        """Planned letters that nothing more will be done for. An unknown one that was sent twice counts once."""
        if self.channel == FANNED_OUT_ON_READ:
            return self.planned if self.there else 0
        return min(self.planned, sum(self.counts.get(kind, 0) for kind in (*HANDED_OVER, *FAILED)))


@dataclass(frozen=True)
class Progress:
    """A whole campaign's letters."""

    channels: tuple[ChannelProgress, ...]

    @property
    def planned(self) -> int:
        """All letters, one per person and channel told at once."""
        return sum(channel.planned for channel in self.channels)

    @property
    def settled(self) -> int:
        """Those that nothing more will be done for."""
        return sum(channel.settled for channel in self.channels)

    @property
    def failed(self) -> int:
        """Letters refused for good, or given up."""
        return sum(channel.counts.get(kind, 0) for channel in self.channels for kind in FAILED)

    @property
    def kinds(self) -> list[str]:
        """The kinds of outcome that occurred, in a reader's order."""
        return [kind for kind in KINDS if any(channel.counts.get(kind) for channel in self.channels)]


def progress_of(campaign_id: int, planned: Iterable[Planned], counters: Sequence[Counter], *, there: bool) -> Progress:
    """One campaign's progress from the rows of any number of campaigns. ``there``: private messages are visible."""
    plans = {row.channel: row.count for row in planned if row.campaign_id == campaign_id}
    mine = [counter for counter in counters if counter.campaign_id == campaign_id]
    names = sorted(plans.keys() | {counter.channel for counter in mine})
    return Progress(
        tuple(
            ChannelProgress(name, plans.get(name, 0), {c.kind: c.count for c in mine if c.channel == name}, there)
            for name in names
        )
    )
