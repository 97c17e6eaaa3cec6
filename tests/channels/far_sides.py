"""The other side of every channel, for the contract suite: what takes letters, and what reports about them.

A new channel adds a line to ``FAR_SIDES``: a context manager that gives a site to send for, and a way to make the far
side refuse. A channel whose far side cannot refuse says so with None.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from notifier.letters.letter import Letter
from notifier.settings import Settings
from notifier.sites.site import Site
from tests.channels.endpoint import endpoint
from tests.channels.smtp_server import smtp_server
from tests.sites import a_site

Refusal = Literal["for good", "for now"]


@dataclass
class FarSide:
    """``accepted``: the kind of a letter that went well. ``refuse``: makes one letter go wrong."""

    site: Site
    accepted: str
    refuse: Callable[[Letter, Refusal], None] | None
    settings: Settings = field(default_factory=Settings)


@asynccontextmanager
async def mail_server() -> AsyncIterator[FarSide]:
    async with smtp_server(delay=0.002) as server:
        relay = {"host": "127.0.0.1", "port": server.port, "security": "none", "sessions": 2}
        replies = {"for good": "550 5.1.1 user unknown", "for now": "450 4.2.0 later"}

        def refuse(letter: Letter, how: Refusal) -> None:
            server.say("rcpt", replies[how], to=letter.address)

        yield FarSide(a_site(relays=[relay]), "accepted_by_relay", refuse)


@asynccontextmanager
async def nobody() -> AsyncIterator[FarSide]:
    yield FarSide(a_site(), "placed", None)


@asynccontextmanager
async def the_sites_own() -> AsyncIterator[FarSide]:
    async with endpoint(delay=0.01) as there:
        results: dict[Refusal, str] = {"for good": "refused", "for now": "deferred"}

        def refuse(letter: Letter, how: Refusal) -> None:
            there.results[letter.address] = results[how]

        yield FarSide(a_site(webhook={"url": there.url}), "placed", refuse, Settings(webhook_hosts=["127.0.0.1"]))


FAR_SIDES: dict[str, Callable[[], AbstractAsyncContextManager[FarSide]]] = {
    "email": mail_server,
    "inbox": nobody,
    "webhook": the_sites_own,
}
