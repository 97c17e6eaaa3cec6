"""The contract of a channel. A new channel is one module with ``open_channel``; the contract suite finds it. Pure."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from msgspec import Struct

from notifier.keys import Keys
from notifier.letters.letter import Letter
from notifier.settings import Settings
from notifier.sites.site import Site

SentKind = Literal["accepted_by_relay", "placed", "deferred", "refused", "unknown"]
FeedbackKind = Literal["accepted_by_recipient", "bounced", "complained"]


class Sent(Struct, frozen=True, gc=False):
    """What is known of one try to hand a letter over. The kinds say what to do; classes are in docs/delivery.md.

    ``accepted_by_relay`` and ``placed``: handed over, which is not yet received. ``deferred``: not handed over, may
    work later. ``refused``: not handed over, and will not be. ``unknown``: may have been handed over.
    ``reply`` is the other side's own words; ``via`` says who said them; ``retry_after`` is in seconds, if asked for.
    ``phase`` is the command of SMTP that was not answered as it should be: connect, ehlo, auth, mail, rcpt, data, dot.
    """

    letter: Letter
    kind: SentKind
    class_: str | None
    reply: str
    via: str
    retry_after: float | None = None
    phase: str | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """News of an earlier attempt. ``at`` is what the report says of itself: nothing may rest on it but order."""

    campaign_id: int
    lane: int
    person_id: UUID
    channel: str
    attempt: int
    kind: FeedbackKind
    class_: str | None
    reply: str
    via: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Ready:
    """Whether a channel takes a site's letters now. ``rests``: seconds until it may take some again; 0: it does now.

    ``routes``: the ways out that take letters now, where a channel has several: names of relays.
    """

    rests: float = 0
    why: str = ""
    routes: tuple[str, ...] = ()


class Permit:
    """Leave to hand a batch of letters over, until it is withdrawn. ``withdrawn`` says why; empty while it holds.

    ``granted``: how many by each route; a route that is not named is not limited.
    """

    def __init__(self, granted: Mapping[str, int] | None = None) -> None:
        self.withdrawn = ""
        self._left = dict(granted or {})
        self._told: list[Callable[[], None]] = []

    def limits(self, route: str) -> bool:
        """Whether a route is limited."""
        return route in self._left

    def allows(self, route: str) -> bool:
        """Whether one more may go by a route."""
        return self._left.get(route, 1) > 0

    def use(self, route: str) -> None:
        """One more begins to go by a route."""
        if route in self._left:
            self._left[route] -= 1

    def when_withdrawn(self, tell: Callable[[], None]) -> None:
        """Call ``tell`` once, when the leave is taken back."""
        self._told.append(tell)

    def withdraw(self, why: str) -> None:
        """Take the leave back: nothing more may be begun."""
        if not self.withdrawn:
            self.withdrawn = why
            for tell in self._told:
                tell()


def held(letter: Letter, why: str, retry_after: float | None = None) -> Sent:
    """A letter that we ourselves held back: nothing of it was handed over."""
    return Sent(letter, "deferred", "held", why, "", retry_after)


class Channel(Protocol):
    """One way to reach people."""

    @property
    def name(self) -> str:
        """What sites call it in their rule."""

    @property
    def batch(self) -> int:
        """How many letters it takes at once, whatever ``NOTIFIER_BATCH_SIZE`` says. 0: as that says."""

    def endpoint(self, site: Site) -> str:
        """What takes the site's letters, where it may say once and for all that it is gone (class ``gone``); or "".

        Nothing more is sent there, by any process and for any campaign, until the site has another endpoint.
        """

    @property
    def paced(self) -> bool:
        """Whether a letter goes somewhere and may disturb somebody: then rates, caps and quiet hours hold."""

    async def ready(self, site: Site) -> Ready:
        """Whether letters can be handed over now. Asked before anything is written down about any of them."""

    def send(self, site: Site, letters: Sequence[Letter], permit: Permit | None = None) -> AsyncIterator[Sent]:
        """Hand letters over, and say of each exactly once what came of it, in any order, as soon as it is known.

        Once the permit is withdrawn nothing more is begun: what was not is :func:`held`, what was is finished.
        Raises nothing on account of one letter. When it is cancelled or closed early, connections in use are
        destroyed; whatever was not yielded may or may not have been handed over.
        """

    def hear(self, headers: Mapping[str, str], body: bytes) -> list[Feedback]:
        """Read a report that reached ``/hooks/{channel}``. ``[]`` when it is genuine and of no interest.

        Raises Unauthenticated when nothing proves that it is about a letter of ours, Malformed when it is unreadable.
        """


class OpenChannel(Protocol):
    """``open_channel`` of a channel's module: opens what the channel needs for as long as the block lasts."""

    def __call__(self, settings: Settings, keys: Keys) -> AbstractAsyncContextManager[Channel]: ...
