"""Sessions of the console: the cookie, its end, and other sites' pages that try to act in it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.typedefs import Handler

from notifier.compose import Service
from notifier.pages import Pages
from notifier.sites.tokens import revoke_token
from notifier.web import auth
from notifier.web.context import PAGES, SERVICE
from notifier.web.problems import answer_or_explain
from tests.web.asking import Client

Token = Callable[..., Awaitable[str]]
OURS = {"Sec-Fetch-Site": "same-origin"}


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    return await answer_or_explain(request, handler)


async def _login(request: web.Request) -> web.Response:
    response = web.Response()
    await auth.open_session(request, (await request.text()), response)
    return response


async def _who(request: web.Request) -> web.Response:
    return web.Response(text=auth.grant_of(request).name)


async def _logout(request: web.Request) -> web.Response:
    response = web.Response()
    auth.close_session(response)
    return response


@pytest.fixture
async def console(service: Service) -> AsyncIterator[Client]:
    app = web.Application(middlewares=[problems, auth.guard_console])
    app[SERVICE], app[PAGES], app[auth.LOOKS] = service, Pages(), auth.Looks(service.db)
    app.add_routes([web.post("/console/login", _login), web.get("/console", _who), web.post("/console/act", _who)])
    app.add_routes([web.post("/console/logout", _logout)])
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_whoever_is_not_logged_in_is_asked_to(console: Client) -> None:
    async with console.get("/console?campaign=1", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/console/login?next=/console")


async def test_a_token_opens_a_session_that_the_page_cannot_read(console: Client, token: Token) -> None:
    async with console.post("/console/login", data=await token(name="aoi"), headers=OURS) as answer:
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "Path=/console" in cookie
        assert "Max-Age=43200" in cookie
    async with console.get("/console") as answer:
        assert (answer.status, await answer.text()) == (200, "aoi")
    async with console.post("/console/logout", headers=OURS):
        pass
    async with console.get("/console", allow_redirects=False) as answer:
        assert answer.status == 303


async def test_a_wrong_token_opens_nothing(console: Client) -> None:
    async with console.post("/console/login", data="notifier_wrong", headers=OURS) as answer:
        assert answer.status == 401
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("value", ["", "x", "a.b.c", "00.99999999999.00", "é.1.é", "." * 50, "00" * 32 + ".1."])
async def test_a_made_up_cookie_opens_nothing(console: Client, value: str) -> None:
    headers = {"Cookie": f"{auth.COOKIE}={value}"}
    async with console.get("/console", headers=headers, allow_redirects=False) as answer:
        assert answer.status == 303


async def test_a_revoked_token_ends_its_sessions(console: Client, token: Token, service: Service) -> None:
    async with console.post("/console/login", data=await token(name="leaving"), headers=OURS):
        pass
    await revoke_token(service.db, None, "leaving", service.clock.now())
    async with console.get("/console", allow_redirects=False) as answer:
        assert answer.status == 303


async def test_a_session_ends_after_twelve_hours(
    console: Client, token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with console.post("/console/login", data=await token(), headers=OURS):
        pass

    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime.now(UTC) + timedelta(hours=12, seconds=1)

    monkeypatch.setattr(auth, "datetime", Later)
    async with console.get("/console", allow_redirects=False) as answer:
        assert answer.status == 303


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200), ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403), ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "http://notices.example"}, 200), ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403), ({}, 403),
    ],
    ids=str,
)  # fmt: skip
async def test_only_our_own_pages_act_in_a_session(
    console: Client, token: Token, headers: dict[str, str], expected: int
) -> None:
    async with console.post("/console/login", data=await token(), headers=OURS):
        pass
    async with console.post("/console/act", headers=headers) as answer:
        assert answer.status == expected


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("/console", "/console"), ("/console/sites/kumo", "/console/sites/kumo"), ("https://evil.example", "/console"),
        ("//evil.example", "/console"), ("/console//evil.example", "/console"), ("/console\r\nX: y", "/console"),
        ("/consolex", "/console"), ("javascript:alert(1)", "/console"), ("", "/console"),
    ],
)  # fmt: skip
def test_after_the_login_one_lands_in_the_console_and_nowhere_else(asked: str, given: str) -> None:
    assert auth.safe_next(asked) == given
