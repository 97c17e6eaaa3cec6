"""Which other sites' pages may ask the inbox: those that a site.yaml names, and no others (Fetch, CORS).

They ask with a token and never with cookies, so no answer allows credentials.
"""

from collections.abc import Mapping, Sequence

from aiohttp import web

from notifier.db import Db
from notifier.web.together import Together

PREFIX = "/v1/inbox"
_ANY_SITE = ""


class Origins:
    """Which origins the sites name, looked up for many requests at once."""

    def __init__(self, db: Db) -> None:
        async def named(keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], bool]:
            sites, origins = zip(*keys, strict=True)
            rows = await db.many(dict, "web.origins_named", sites=sites, origins=origins)
            return {(row["site"], row["origin"]): True for row in rows}

        self.named = Together(named)


ORIGINS = web.AppKey("origins", Origins)


async def allow_origin(request: web.Request, response: web.StreamResponse) -> None:
    """Let the page read the answer if the token's site names its origin. A preflight has no token: any site may."""
    origin = request.headers.get("Origin", "")
    response.headers.add("Vary", "Origin")
    if not origin or "\0" in origin:
        return
    # The site is only claimed here; whoever claims a wrong one is not let in anyway, and reads a 401.
    site = request.headers.get("Authorization", "").removeprefix("Bearer ").partition(".")[0].replace("\0", "")
    if await request.app[ORIGINS].named.find((site or _ANY_SITE, origin)):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "X-Request-Id, Retry-After"


async def preflight(request: web.Request) -> web.Response:
    """What a page may send, if it is one that may ask at all."""
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": "GET, POST",
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
            "Access-Control-Max-Age": "600",
        },
    )


ROUTES = [web.options(PREFIX, preflight), web.options(PREFIX + "/{rest:.+}", preflight)]
