"""Private messages in our own inbox. Nothing is handed over: the person's pages read them from the campaign."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from notifier.channels.channel import Feedback, Permit, Ready, Sent
from notifier.errors import Unauthenticated
from notifier.keys import Keys
from notifier.letters.letter import Letter
from notifier.settings import Settings
from notifier.sites.site import Site


@dataclass(frozen=True)
class Inbox:
    """Fan-out on read: a letter is placed by there being an outcome that says so."""

    name: str = "inbox"
    paced: bool = False
    batch: int = 0

    async def ready(self, site: Site) -> Ready:
        """Always: nobody else is needed."""
        return Ready()

    async def send(self, site: Site, letters: Sequence[Letter], permit: Permit | None = None) -> AsyncIterator[Sent]:
        """Every letter is placed, all of them at once."""
        for letter in letters:
            yield Sent(letter, "placed", None, "", site.site)

    def endpoint(self, site: Site) -> str:
        """Our own does not end."""
        return ""

    def hear(self, headers: Mapping[str, str], body: bytes) -> list[Feedback]:
        """Nobody reports about our own inbox. Raises Unauthenticated."""
        raise Unauthenticated("private messages have no reports: the person's own requests say what was shown")


@asynccontextmanager
async def open_channel(settings: Settings, keys: Keys) -> AsyncIterator[Inbox]:
    """There is nothing to open."""
    yield Inbox()
