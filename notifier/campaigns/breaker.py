"""When a campaign pauses by itself. Pure. Only what speaks of the list or of the content counts.

A relay that is out of reach, a login that fails or a provider that asks for less speed says nothing of either, and is
waited out. What each rate is measured over is said in docs/delivery.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from notifier.sites.site import Breaker, share_of

# One or two letters are no rate, however few there were.
_FEWEST = 3
_LIST = frozenset({"bad_address", "bad_domain", "mailbox_disabled"})
_PUT_OFF = frozenset({"greylisted", "mailbox_full"})  # policy pauses the relay: delivery/refusals.py


@dataclass(frozen=True)
class Tally:
    """So many outcomes of a kind and class on a channel; or so many letters that are ``under_way``."""

    channel: str
    kind: str
    class_: str
    count: int

    @property
    def taken(self) -> bool:
        """A letter that the other side took over."""
        return self.kind in ("accepted_by_relay", "placed")

    @property
    def out(self) -> bool:
        """A letter that may come back: taken over, or under way, which may have been taken over a moment ago."""
        return self.taken or self.kind == "under_way"

    @property
    def tried(self) -> bool:
        """What a try of ours came to: no report of a letter that left long ago."""
        return self.kind in ("accepted_by_relay", "placed", "refused", "deferred")

    @property
    def dead(self) -> bool:
        """A letter refused at once because there is no such mailbox."""
        return self.kind == "refused" and self.class_ in _LIST


@dataclass(frozen=True)
class Trip:
    """A rate over its limit: ``count`` of ``of`` on a channel. ``limit`` from 0 to 1. ``lately``: of the last."""

    rate: str
    channel: str
    count: int
    of: int
    limit: Decimal
    lately: bool = False

    def __str__(self) -> str:
        share, of = _percent(Decimal(self.count) / self.of), f"{'the last ' * self.lately}{self.of:,} letters"
        return f"paused by the breaker: {share} of {of} {_WORDS[self.rate]}; limit {_percent(self.limit)}"


_WORDS = {
    "content": "were refused for their content",
    "bounces": "bounced",
    "complaints": "were complained about",
    "deferrals": "were put off",
}
# rate → (what counts, what it is measured over)
_RATES: dict[str, tuple[Callable[[Tally], bool], Callable[[Tally], bool]]] = {
    "content": (
        lambda t: t.kind == "deferred" and t.class_ == "content",
        lambda t: t.taken or t.dead or (t.kind == "deferred" and t.class_ == "content"),
    ),
    "bounces": (lambda t: t.dead or (t.kind == "bounced" and t.class_ in _LIST), lambda t: t.out or t.dead),
    "complaints": (lambda t: t.kind == "complained", lambda t: t.out),
    "deferrals": (
        lambda t: t.kind == "deferred" and t.class_ in _PUT_OFF,
        lambda t: t.taken or t.dead or (t.kind == "deferred" and t.class_ in _PUT_OFF),
    ),
}


# How many tries are lately: what turns bad in the middle of a million is seen by the last ones, not by all.
LATELY = 10_000


def judge(tallies: Sequence[Tally], before: Sequence[Tally], limits: Breaker, after: int) -> Trip | None:
    """The first rate that is over its limit on a channel since the counters stood at ``before``; None when none is.

    ``after``: how many letters there must be before a rate means anything.
    """
    since = since_then(tallies, before)
    for channel in sorted({tally.channel for tally in since}):
        mine = [tally for tally in since if tally.channel == channel]
        for rate, (counts, of) in _RATES.items():
            part, whole = (sum(t.count for t in mine if such(t)) for such in (counts, of))
            limit = share_of(getattr(limits, rate))
            if part >= _FEWEST and whole >= after and part > limit * whole:
                return Trip(rate, channel, part, whole, limit)
    return None


def judge_lately(tallies: Sequence[Tally], before: Sequence[Tally], limits: Breaker, after: int) -> Trip | None:
    """The same of what our own tries came to since: reports come for letters of any age, not of the last."""
    trip = judge([t for t in tallies if t.tried], [t for t in before if t.tried], limits, after)
    return trip and replace(trip, lately=True)


def moves_on(tallies: Sequence[Tally], lately: Sequence[Tally]) -> bool:
    """Whether there were so many tries since ``lately`` that the next ones are to be looked at by themselves."""
    return sum(tally.count for tally in since_then(tallies, lately) if tally.tried) >= LATELY


def since_then(tallies: Sequence[Tally], before: Sequence[Tally]) -> list[Tally]:
    """What was counted since the counters stood at ``before``."""
    return [*tallies, *(Tally(t.channel, t.kind, t.class_, -t.count) for t in before)]


def _percent(share: Decimal) -> str:
    return f"{(share * 100).quantize(Decimal('0.1')).normalize():f} %"
