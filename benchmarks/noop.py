"""The peer of ``using`` and ``showing``: an aiohttp server that reads a POST and answers it, or sends so many bytes.

Prints its port.
"""

import asyncio
import importlib
from functools import cache

from aiohttp import web


async def _answer(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=b"{}", content_type="application/json")


@cache
def _page(size: int) -> bytes:
    return b"." * size


async def _send(request: web.Request) -> web.Response:
    return web.Response(body=_page(int(request.match_info["size"])), content_type="text/html")


async def _serve() -> None:
    app = web.Application()
    app.router.add_post("/v1/sites/{site}/activities", _answer)
    app.router.add_get("/page/{size}", _send)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=importlib.import_module("uvloop").new_event_loop) as loop:  # as ours has it
        loop.run(_serve())
