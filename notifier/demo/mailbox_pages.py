"""The catcher's pages: the list of caught mails, and one mail as its reader would see it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

from aiohttp import web

from notifier.demo.mailbox import Mail, Mailbox, read
from notifier.errors import Unavailable
from notifier.pages import LANGUAGES, Pages, language_for
from notifier.resources import resource

MAILBOX = web.AppKey("mailbox", Mailbox)
PAGES = web.AppKey("pages", Pages)
A_PAGE = 50
POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'"
# A letter runs no script and loads nothing, and its links open beside it.
LETTER_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
)

routes = web.RouteTableDef()


@asynccontextmanager
async def show_mailbox(mailbox: Mailbox, host: str, port: int) -> AsyncIterator[str]:
    """Show a mailbox on ``host:port`` (0: a free port); yields its address. Raises Unavailable when that fails."""
    app = web.Application()
    app[MAILBOX], app[PAGES] = mailbox, Pages()
    app.add_routes(routes)
    app.router.add_static("/static", resource("templates") / "static")
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    except OSError as error:
        raise Unavailable(f"the mailbox cannot listen on {host}:{port} ({error.strerror}); choose another") from error
    finally:
        await runner.cleanup()


@routes.get("/")
async def list_mails(request: web.Request) -> web.Response:
    """The newest mails, or those that a search finds."""
    mailbox, words = request.app[MAILBOX], request.query.get("q", "")
    first = int(request.query["from"]) if request.query.get("from", "").isdecimal() else 0
    found = list(islice(mailbox.search(words), first, first + A_PAGE + 1))
    return _page(
        request, "list",
        mails=found[:A_PAGE], words=words, counts=mailbox.counts, kept=len(mailbox),
        older=first + A_PAGE if len(found) > A_PAGE else None, newer=max(first - A_PAGE, 0) if first else None,
    )  # fmt: skip


@routes.get(r"/mails/{number:\d+}")
async def show_mail(request: web.Request) -> web.Response:
    """One mail: as its reader sees it, as plain text, its headers and its bytes."""
    mail = _mail(request)
    return _page(request, "mail", reading=read(mail), raw=mail.raw.decode("utf-8", "replace"))


@routes.get(r"/mails/{number:\d+}/html")
async def show_html(request: web.Request) -> web.Response:
    """The HTML part alone, locked in."""
    body = f'<base target="_blank">{read(_mail(request)).html}'
    return web.Response(text=body, content_type="text/html", headers={"Content-Security-Policy": LETTER_POLICY})


@routes.get(r"/mails/{number:\d+}/raw")
async def show_raw(request: web.Request) -> web.Response:
    """The exact bytes, to be saved and looked at with other tools."""
    mail = _mail(request)
    headers = {"Content-Disposition": f'attachment; filename="{mail.number}.eml"'}
    return web.Response(body=mail.raw, content_type="message/rfc822", headers=headers)


@routes.get("/language/{code}")
async def choose_language(request: web.Request) -> web.Response:
    """Remember the language of the pages, and go back to where one was."""
    back, code = request.query.get("back", "/"), request.match_info["code"]
    local = back.startswith("/") and not back.startswith(("//", "/\\"))
    answer = web.Response(status=303, headers={"Location": back if local else "/"})
    if code in LANGUAGES:
        answer.set_cookie("language", code, samesite="Lax", httponly=True)
    return answer


def _mail(request: web.Request) -> Mail:
    mail = request.app[MAILBOX].find(int(request.match_info["number"]))
    if mail is None:
        raise web.HTTPNotFound(text="This mail never came, or had to make room for newer ones.")
    return mail


def _page(request: web.Request, name: str, **values: Any) -> web.Response:
    language = language_for(request.headers.get("Accept-Language", ""), request.cookies.get("language"))
    text = request.app[PAGES].render(f"mailbox/{name}.html.j2", language, here=request.path_qs, home="/", **values)
    headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
    return web.Response(text=text, content_type="text/html", headers=headers)
