"""Bodies of any length, line by line, in constant memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import StreamReader, web

# A body that stands still for longer than this is given up.
BODY_SECONDS = 60
# A person or an activity fits many times over. What is longer is cut there, so that it is refused as one bad line.
LINE_LIMIT = 256 * 1024


async def lines_of(content: StreamReader) -> AsyncIterator[bytes]:
    """The lines without their ends. One over LINE_LIMIT bytes comes cut; never more than that is held of it."""
    rest = b""
    async for chunk in _chunks(content):
        piece = rest + chunk
        *whole, rest = piece.split(b"\n")
        if b"\r" in piece or len(piece) > LINE_LIMIT:
            whole = [line[:LINE_LIMIT].removesuffix(b"\r") for line in whole]
        for line in whole:
            yield line
        rest = rest[:LINE_LIMIT]
    if rest:
        yield rest


async def _chunks(content: StreamReader) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                chunk = await content.readany()
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        if not chunk:
            return
        yield chunk


@asynccontextmanager
async def in_time() -> AsyncIterator[None]:
    """At most BODY_SECONDS; then the request is answered with 408."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            yield
    except TimeoutError:
        raise web.HTTPRequestTimeout from None


async def whole(request: web.Request) -> bytes:
    """The body of a request, in time. Raises HTTPRequestEntityTooLarge (413), HTTPRequestTimeout (408)."""
    if request.content.is_eof():  # a short one is all there already
        return await request.read()
    async with in_time():
        return await request.read()
