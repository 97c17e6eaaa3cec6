"""Sign in with an API token, and sign out."""

from aiohttp import web

from notifier.errors import Unauthenticated
from notifier.web.auth import close_session, open_session, safe_next
from notifier.web.page import page
from notifier.web.reading import read_form


async def show_form(request: web.Request) -> web.Response:
    """The form that takes a token."""
    return _form(request, request.query.get("next", ""))


async def sign_in(request: web.Request) -> web.StreamResponse:
    """Check the token; a cookie stands for it from then on."""
    form = await read_form(request)
    then = str(form.get("next", ""))
    response = web.Response(status=303, headers={"Location": safe_next(then)})
    try:
        await open_session(request, str(form.get("token", "")), response)
    except Unauthenticated:
        return _form(request, then, failed=True)
    return response


async def sign_out(request: web.Request) -> web.StreamResponse:
    """Forget the cookie."""
    response = web.Response(status=303, headers={"Location": "/console/login"})
    close_session(response)
    return response


def _form(request: web.Request, then: str, *, failed: bool = False) -> web.Response:
    values = {"next": safe_next(then), "failed": failed}
    return page(request, "console/login.html.j2", values, status=401 if failed else 200)
