"""The pages that anybody may read: the texts of every published version, and what is said when a page is missing."""

from aiohttp import web

from notifier.compose import Service
from notifier.web.context import PAGES, request_id
from notifier.web.page import choose_language, language_of, page
from notifier.web.public import act, feeds, redlines, texts
from notifier.web.public.ready import by_language, by_path, by_query, by_wishes, kept

# No policy's name has a dot, as the feeds of a site do.
_POLICY = "/p/{site}/{policy:[^/.]+}"
_TEXT = "/p/{site}/{policy}/{label}/{locale}"


def routes(service: Service) -> list[web.RouteDef]:
    """The public routes."""
    return [
        # Those that are asked for most stand first: routes are tried in order.
        web.get(_TEXT, kept(texts.show_version, by_path)),
        web.get(_POLICY, kept(texts.show_current, by_wishes)),
        web.get(_TEXT + "/raw", kept(texts.send_bytes, by_path)),
        web.get(_TEXT + "/since/{old}", kept(redlines.show_redline, by_path)),
        web.get(_TEXT + "/since/{old}/json", kept(redlines.send_redline, by_path)),
        web.get(_POLICY + "/versions", kept(texts.show_history, by_language)),
        web.get(_POLICY + "/compare", redlines.choose_versions),
        web.get(_POLICY + "/feed.atom", kept(feeds.send_atom, by_query)),
        web.get(_POLICY + "/feed.json", kept(feeds.send_json, by_query)),
        web.get("/p/{site}", kept(texts.show_policies, by_language)),
        web.get("/p/{site}/feed.atom", kept(feeds.send_atom, by_query)),
        web.get("/p/{site}/feed.json", kept(feeds.send_json, by_query)),
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
