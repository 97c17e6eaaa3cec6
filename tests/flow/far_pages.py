"""A web server whose pages change, misbehave and lie, for the tests that watch pages."""

import asyncio
import gzip
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass
class Pages:
    """``bodies``: path → what it shows. A few paths misbehave on their own account."""

    url: str = ""
    bodies: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[web.BaseRequest] = field(default_factory=list)
    repository: Path | None = None

    def page(self, text: str, path: str = "/privacy") -> None:
        """Show a page with this text as its main part."""
        self.bodies[path] = f"<html lang=en><title>Privacy</title><nav>Menu</nav><main>{text}</main></html>".encode()


@cache
def _bomb() -> bytes:
    return gzip.compress(b"\0" * 50_000_000, 1)


async def _answer(pages: Pages, request: web.Request) -> web.StreamResponse:
    pages.asked.append(request)
    match request.path:
        case "/slow":
            await asyncio.sleep(60)
        case "/endless":
            return await _endless(request)
        case "/bomb":
            return web.Response(body=_bomb(), headers={"Content-Encoding": "gzip"}, content_type="text/html")
        case "/broken-gzip":
            headers = {"Content-Encoding": "gzip"}
            return web.Response(body=b"not packed", headers=headers, content_type="text/html")
        case "/half-gzip":
            headers = {"Content-Encoding": "gzip"}
            return web.Response(body=gzip.compress(b"x" * 9999)[:-9], headers=headers, content_type="text/html")
        case "/inward":
            raise web.HTTPFound("http://127.0.0.2:1/")
        case "/inward6":
            raise web.HTTPFound("http://[::1]:1/")
        case "/metadata":
            raise web.HTTPFound("http://169.254.169.254/latest/meta-data/")
        case "/round":
            raise web.HTTPFound("/round")
        case "/moved":
            raise web.HTTPMovedPermanently("/privacy")
        case "/busy":
            return web.Response(status=503, headers={"Retry-After": "86000"})
    if pages.repository is not None and request.path.startswith("/legal.git/"):
        return await _git(pages.repository, request)
    body = pages.bodies.get(request.path)
    if body is None:
        return web.Response(status=404)
    if pages.headers.get("ETag") and request.headers.get("If-None-Match") == pages.headers["ETag"]:
        return web.Response(status=304, headers=pages.headers)
    return web.Response(body=body, headers={"Content-Type": "text/html; charset=utf-8", **pages.headers})


async def _endless(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "text/html"})
    await answer.prepare(request)
    for _ in range(400):  # 26 MB: more than anybody may send
        await answer.write(b"<p>more</p>" * 6000)
    return answer


def _git_programs() -> str:
    return subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()


async def _git(repository: Path, request: web.Request) -> web.Response:
    """git's own server, by CGI (RFC 3875)."""
    environment = {
        "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(repository.parent), "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": request.path, "QUERY_STRING": request.query_string, "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        f"{_git_programs()}/git-http-backend",
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate(await request.read())
    head, _, body = said.partition(b"\r\n\r\n")
    headers = dict(line.decode().split(": ", 1) for line in head.split(b"\r\n"))
    return web.Response(body=body, status=int(headers.pop("Status", "200 OK").split()[0]), headers=headers)


def git_is_here() -> bool:
    """Whether git and its server are installed."""
    return shutil.which("git") is not None


@asynccontextmanager
async def far_pages() -> AsyncIterator[Pages]:
    """The server, on 127.0.0.1."""
    pages = Pages()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, web.Request)
        return await _answer(pages, request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app, host="127.0.0.1") as server:
        pages.url = str(server.make_url("/")).rstrip("/")
        yield pages
