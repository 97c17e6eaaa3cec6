"""The style sheets, scripts and pictures of templates/static."""

from aiohttp import web
from aiohttp.typedefs import Handler

from notifier.resources import resource

PREFIX = "/static/"


def static_files() -> web.StaticDef:
    """Serve the folder; it is read-only and holds nothing of anybody."""
    return web.static(PREFIX, resource("templates") / "static")


@web.middleware
async def cache_static(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A file whose address carries its digest never changes."""
    response = await handler(request)
    if request.path.startswith(PREFIX) and "v" in request.query:
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response
