"""The style sheets, scripts and pictures of templates/static, and the widget among them."""

import hashlib
from functools import cache

from aiohttp import web
from aiohttp.typedefs import Handler

from notifier.resources import resource
from notifier.web.page import unless_known

PREFIX = "/static/"


def static_files() -> list[web.AbstractRouteDef]:
    """Serve the folder; it is read-only and holds nothing of anybody."""
    return [web.get(PREFIX + "widget.js", send_widget), web.static(PREFIX, resource("templates") / "static")]


@web.middleware
async def cache_static(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A file whose address carries its digest never changes."""
    response = await handler(request)
    if request.path.startswith(PREFIX) and "v" in request.query:
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


async def send_widget(request: web.Request) -> web.Response:
    """The widget, compressed. It stands on the sites' pages: also on those that isolate themselves."""
    body = _widget()
    headers = {
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Cache-Control": "public, max-age=3600",
        "Vary": "Accept-Encoding",
    }
    response = web.Response(body=body, content_type="text/javascript", charset="utf-8", headers=headers)
    response.enable_compression()
    return unless_known(request, response, hashlib.sha256(body).hexdigest())


@cache
def _widget() -> bytes:
    return (resource("templates") / "static" / "widget.js").read_bytes()
