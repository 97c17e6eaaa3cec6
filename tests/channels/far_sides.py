"""The other side of every channel, for the contract suite: what takes letters, and what reports about them.

A new channel adds a line to ``FAR_SIDES``: a context manager that gives a site to send for, and a way to make the far
side refuse. A channel whose far side cannot refuse says so with None.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from notifier.letters.letter import Letter
from notifier.sites.site import Site
from tests.channels.smtp_server import smtp_server
from tests.telling import a_site

Refusal = Literal["for good", "for now"]


@dataclass
class FarSide:
    """``accepted``: the kind of a letter that went well. ``refuse``: makes one letter go wrong."""

    site: Site
    accepted: str
    refuse: Callable[[Letter, Refusal], None] | None


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


FAR_SIDES: dict[str, Callable[[], AbstractAsyncContextManager[FarSide]]] = {"email": mail_server, "inbox": nobody}
