"""A page as the answer to a request: in the reader's language, with what every template may ask."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from aiohttp import web
from yarl import URL

from notifier.pages import LANGUAGES, best_locale
from notifier.web.context import PAGES

LANGUAGE_COOKIE = "notifier-language"
_YEAR = 365 * 24 * 3600
# A path of ours: not //elsewhere, nor /\elsewhere, which browsers read as the same.
_LOCAL = re.compile(r"/(?![/\\])[^\s\\]*")


def language_of(request: web.Request) -> str:
    """The language of the pages that the reader likes best."""
    return best_locale(wishes_of(request), list(LANGUAGES), "en")


def wishes_of(request: web.Request) -> str:
    """What the reader would like to read, as an Accept-Language: what they chose by the switch comes first."""
    # Reading cookies takes longer than all the rest here.
    chosen = request.cookies.get(LANGUAGE_COOKIE, "") if "Cookie" in request.headers else ""
    wanted = request.headers.get("Accept-Language", "")
    return f"{chosen},{wanted}" if chosen in LANGUAGES else wanted


def page(
    request: web.Request,
    template: str,
    values: Mapping[str, object] = MappingProxyType({}),
    *,
    language: str | None = None,
    time_zone: str = "UTC",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """The template filled in. ``language`` overrules the reader's: a text in Japanese has a Japanese frame."""
    text = request.app[PAGES].render(
        template, language or language_of(request), time_zone=time_zone, **{"here": str(request.rel_url)} | dict(values)
    )
    return web.Response(text=text, content_type="text/html", status=status, headers=headers)


async def choose_language(request: web.Request) -> web.Response:
    """The language switch: keep the choice in a cookie and go back to where it was made."""
    language = request.match_info["language"]
    back = request.query.get("back", "/")
    response = web.Response(status=303, headers={"Location": str(URL(back if _LOCAL.fullmatch(back) else "/"))})
    if language in LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, language, max_age=_YEAR, httponly=True, samesite="Lax")
    return response


def unless_known(request: web.Request, response: web.Response, tag: str) -> web.Response:
    """304 for a reader who has exactly this already (RFC 9110, 13.1.2)."""
    response.etag = tag
    if any(etag.value in (tag, "*") for etag in request.if_none_match or ()):
        kept = {name: value for name, value in response.headers.items() if name in _KEPT_BY_304}
        return web.Response(status=304, headers=kept)
    return response


_KEPT_BY_304 = frozenset({"ETag", "Etag", "Cache-Control", "Vary", "Access-Control-Allow-Origin"})
