"""The peer of ``using``: an aiohttp server that reads a POST and answers it. Prints its port."""

import asyncio
import importlib

from aiohttp import web


async def _answer(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=b"{}", content_type="application/json")


async def _serve() -> None:
    app = web.Application()
    app.router.add_post("/v1/sites/{site}/activities", _answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=importlib.import_module("uvloop").new_event_loop) as loop:  # as ours has it
        loop.run(_serve())
