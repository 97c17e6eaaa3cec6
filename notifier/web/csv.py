"""Answer with a CSV of any length, streamed straight from PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aiohttp import web

CSV = "text/csv"
# A reader who takes nothing for so long is given up: they hold a connection of the database.
READER_SECONDS = 60

Write = Callable[[bytes], Coroutine[Any, Any, None]]


def wants_csv(request: web.Request, asked: str | None) -> bool:
    """Whether the answer is to be CSV: as the query says, or else the header Accept."""
    return asked == "csv" or (asked is None and CSV in request.headers.get("Accept", ""))


async def stream_csv(request: web.Request, name: str, export: Callable[[Write], Awaitable[None]]) -> web.StreamResponse:
    """The answer under a file name. Nothing is sent before ``export`` writes, so until then it may still fail."""
    response = web.StreamResponse(
        headers={
            "Content-Type": f"{CSV}; charset=utf-8; header=present",
            "Content-Disposition": f'attachment; filename="{name}"',
        }
    )

    async def write(data: bytes) -> None:
        if not response.prepared:
            await response.prepare(request)
        async with asyncio.timeout(READER_SECONDS):
            await response.write(data)

    await export(write)
    await response.write_eof()
    return response
