"""Hold back, within a second, what a pause, a cancel or a stop no longer lets go."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from notifier.channels.channel import Permit
from notifier.db import Db
from notifier.delivery.lease import Slice

# Letters go out in these; in any other state they are held. Done: a late bounce can make a slice due again.
SENDING = frozenset({"sending", "done"})
# Seconds between two looks while letters are out.
LOOK = 0.3


@asynccontextmanager
async def watched(db: Db, slice_: Slice, permit: Permit, seconds: float) -> AsyncIterator[None]:
    """While letters are out: withdraw the permit as soon as the campaign no longer sends, or the slice is not ours.

    Or after so many ``seconds``: what was not begun by then is not begun within this lease.
    """
    late = asyncio.get_running_loop().call_later(seconds, permit.withdraw, "held back: those before took too long")
    looking = asyncio.create_task(_look(db, slice_, permit))
    try:
        yield
    finally:
        late.cancel()
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def _look(db: Db, slice_: Slice, permit: Permit) -> None:
    while not permit.withdrawn:
        await asyncio.sleep(LOOK)
        try:
            state = await db.value("delivery.state", **slice_.key, epoch=slice_.epoch)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            continue  # a batch does not stop for a database that is away: its outcomes wait for it
        if state not in SENDING:
            permit.withdraw(
                f"held back: the campaign is {state}" if state else "held back: the slice went on to another"
            )
