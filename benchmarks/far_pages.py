"""The far side of ``watching``: pages of 20 kB on many addresses. Prints its port.

Every tenth sends no ETag, so that its bytes come each time; of every hundredth the surroundings, and now and then the
words, are others each time.
"""

import asyncio
from collections import Counter

from aiohttp import web

_CLAUSE = "<p>We keep what you give us for as long as you are with us, and tell you before we change this.</p>"
_BODY = "".join(f"<h2>Clause {number}</h2>{_CLAUSE * 3}" for number in range(60))
_asked: Counter[str] = Counter()


async def _answer(request: web.Request) -> web.Response:
    number = int(request.match_info["number"])
    _asked[request.path] += 1
    tag = f'"{number}"'
    if number % 10 and request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers={"ETag": tag})
    token = _asked[request.path] if number % 100 == 0 else 0
    words = _BODY.replace("before we", f"{token // 4} days before we") if number % 100 == 0 else _BODY
    page = f"<html lang=en><title>{number}</title><script>{token}</script><main><h1>Privacy {number}</h1>{words}</main>"
    return web.Response(text=page, content_type="text/html", headers={"ETag": tag} if number % 10 else {})


async def _serve() -> None:
    app = web.Application()
    app.router.add_get("/{number}", _answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 0).start()  # noqa: S104 - all of 127.0.1.x
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
