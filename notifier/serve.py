"""One process of the service: the web app, and as many workers as it is given, until told to stop."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from notifier.compose import Service
from notifier.outcomes.hear import hear
from notifier.outcomes.listen import open_listener
from notifier.web.app import build_app
from notifier.worker import work

# For answers that are under way when we are told to stop.
LAST_ANSWERS_SECONDS = 5.0


async def serve(
    service: Service, stopping: asyncio.Event, workers: int = 1, ready: Callable[[str], None] = lambda _: None
) -> None:
    """Answer requests and do the duties until ``stopping`` is set; what is in hand by then is finished.

    ``ready`` is called with the address once requests are answered. Raises OSError when the port is taken.
    """
    async with listening(service) as address:
        ready(address)
        await work_until(service, stopping, workers)


@asynccontextmanager
async def listening(service: Service) -> AsyncIterator[str]:
    """Answer requests on the host and port of the settings (0: a free one); yields the address."""
    host = service.settings.host
    runner = web.AppRunner(build_app(service), access_log=None, shutdown_timeout=LAST_ANSWERS_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, service.settings.port).start()
        port = runner.addresses[0][1]
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def work_until(service: Service, stopping: asyncio.Event, workers: int) -> None:
    """Do the duties with so many workers (none: only wait), and take bounces, until ``stopping`` is set."""
    async with take_bounces(service), asyncio.TaskGroup() as group:
        for number in range(1, workers + 1):
            group.create_task(work(service, worker_name(number), stopping), name=f"worker {number}")
        await stopping.wait()


@asynccontextmanager
async def take_bounces(service: Service) -> AsyncIterator[int | None]:
    """Take by mail what comes back to our return paths, where the settings say; yields the port, None when off."""

    async def take(sender: str, address: str, message: bytes) -> None:
        envelope = {"Return-Path": f"<{sender}>", "X-Original-To": address}
        feedback = service.channels["email"].hear(envelope, message)
        await hear(service.db, feedback, service.clock.now())

    async with open_listener(service.settings, service.keys, take) as port:
        yield port


def worker_name(number: int) -> str:
    """A name that no other worker has now, and that says where to look for it."""
    return f"{socket.gethostname()}/{os.getpid()}/{number}"
