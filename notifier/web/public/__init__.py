"""The pages that anybody may read: the texts of every published version, and what is said when a page is missing."""

from aiohttp import web

from notifier.compose import Service
from notifier.web.context import PAGES, request_id
from notifier.web.page import choose_language, language_of, page
from notifier.web.public import act, redlines, texts


def routes(service: Service) -> list[web.RouteDef]:
    """The public routes."""
    return [
        web.get("/", home),
        web.get("/language/{language}", choose_language),
        web.get("/act/{token}", act.show),
        web.post("/act/{token}", act.submit),
        web.get("/p/{site}", texts.show_policies),
        web.get("/p/{site}/{policy}", texts.show_current),
        web.get("/p/{site}/{policy}/versions", texts.show_history),
        web.get("/p/{site}/{policy}/compare", redlines.choose_versions),
        web.get("/p/{site}/{policy}/{label}/{locale}", texts.show_version),
        web.get("/p/{site}/{policy}/{label}/{locale}/raw", texts.send_bytes),
        web.get("/p/{site}/{policy}/{label}/{locale}/since/{old}", redlines.show_redline),
        web.get("/p/{site}/{policy}/{label}/{locale}/since/{old}/json", redlines.send_redline),
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
