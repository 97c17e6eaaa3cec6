"""One process of the service: the web app, and as many workers as it is given, until told to stop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from notifier.compose import Service
from notifier.web.app import build_app
from notifier.worker import work_until

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
