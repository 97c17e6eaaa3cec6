"""The pages that anybody may read: the texts of every published version, and what is said when a page is missing."""

from aiohttp import web

from notifier.compose import Service
from notifier.web.context import PAGES, request_id
from notifier.web.page import choose_language, language_of, page
from notifier.web.public import act, feeds, redlines, texts
from notifier.web.public.ready import Kept, by_language, by_path, by_query, by_wishes

# No policy's name has a dot, as the feeds of a site do.
_POLICY = "/p/{site}/{policy:[^/.]+}"
_TEXT = "/p/{site}/{policy}/{label}/{locale}"

KEPT = {
    # Those that are asked for most stand first: routes are tried in order.
    _TEXT: Kept(texts.show_version, by_path),
    _POLICY: Kept(texts.show_current, by_wishes),
    _TEXT + "/raw": Kept(texts.send_bytes, by_path),
    _TEXT + "/since/{old}": Kept(redlines.show_redline, by_path),
    _TEXT + "/since/{old}/json": Kept(redlines.send_redline, by_path),
    _POLICY + "/versions": Kept(texts.show_history, by_language),
    _POLICY + "/feed.atom": Kept(feeds.send_atom, by_query),
    _POLICY + "/feed.json": Kept(feeds.send_json, by_query),
    "/p/{site}": Kept(texts.show_policies, by_language),
    "/p/{site}/feed.atom": Kept(feeds.send_atom, by_query),
    "/p/{site}/feed.json": Kept(feeds.send_json, by_query),
}


def routes(service: Service) -> list[web.RouteDef]:
    """The public routes."""
    return [
        *(web.get(path, kept.answer) for path, kept in KEPT.items()),
        web.get(_POLICY + "/compare", redlines.choose_versions),
        web.get("/", home),
        web.get("/language/{language}", choose_language),
        web.get("/act/{token}", act.show),
        web.post("/act/{token}", act.submit),
    ]


async def home(request: web.Request) -> web.Response:
    """Where to go from here."""
    return page(request, "public/home.html.j2")


def error_page(request: web.Request, status: int, title: str, detail: str) -> web.Response:
    """What a reader sees when a page cannot be shown: in their language, but for the detail. Needs no database.

    The detail of a missing page says what an operator would do, so only the console shows it.
    """
    console = request.path.startswith("/console")
    language = language_of(request)
    words = request.app[PAGES].tongue(language)
    known = f"error.{status}"
    values = {
        "code": status,
        "title": words.t(known) if known in words.words else title,
        "detail": detail if console or status != 404 else "",
        "request_id": request_id(request),
        "home": "/console" if console else "/",
    }
    return page(request, "public/error.html.j2", values, language=language, status=status)
