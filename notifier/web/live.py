"""Live updates: one listening connection per process wakes every open stream; a slow poll guarantees."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import asyncpg
from aiohttp import web

from notifier.compose import Service, follow_clock
from notifier.log import log, where
from notifier.web.context import SERVICE

# Streams look again this often even when nothing wakes them.
POLL_SECONDS = 30.0
# Whoever was woken looks once for everything that happened meanwhile.
COALESCE_SECONDS = 0.5
# After a lost connection to the database, before the next try.
AGAIN_SECONDS = 2.0


class Live:
    """Wakes whoever waits, when something happened anywhere in the service; closed when the server stops."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._soon: asyncio.TimerHandle | None = None
        self.closed = False

    def hear(self, *_: Any) -> None:
        """Something happened. A campaign that is being sent says so many times a second, so the waking waits a bit."""
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(COALESCE_SECONDS, self.wake)

    def wake(self) -> None:
        """Let everybody who waits look again."""
        self._soon = None
        self._woken.set()
        self._woken = asyncio.Event()

    def close(self) -> None:
        """End all waiting for good."""
        self.closed = True
        self.wake()

    async def wait(self, seconds: float = POLL_SECONDS) -> None:
        """Until something happened, or for ``seconds``."""
        if not self.closed:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), seconds)


LIVE = web.AppKey("live", Live)


async def keep_listening(app: web.Application) -> AsyncIterator[None]:
    """While the application runs: listen, and follow a clock that another process moved."""
    live = app[LIVE]
    listening = asyncio.create_task(_listen(app[SERVICE], live))
    yield
    live.close()
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening


async def end_streams(app: web.Application) -> None:
    """Before the server stops: open streams would otherwise hold it up."""
    app[LIVE].close()


async def _listen(service: Service, live: Live) -> None:
    # Asked for and not only cancelled: Python 3.11's wait_for may swallow a cancellation that meets the waking.
    while not live.closed:
        try:
            await _listen_once(service, live)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("not listening", error=where(error))
            await asyncio.sleep(AGAIN_SECONDS)


async def _listen_once(service: Service, live: Live) -> None:
    async with service.db.pool.acquire() as connection:
        await connection.add_listener("notifier", live.hear)
        try:
            while not live.closed:
                await follow_clock(service.db, service.clock)
                await connection.fetchval("SELECT 1")  # notices a connection that is gone
                await live.wait()
        finally:
            with suppress(asyncpg.InterfaceError):
                await connection.remove_listener("notifier", live.hear)
