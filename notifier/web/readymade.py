"""Answers of which nothing but the request's id and the time is made for each request, and the headers that all have.

aiohttp makes and writes a response's head anew every time, which takes longer than it takes to read an activity.
"""

import time
from email.utils import formatdate

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from multidict import istr

from notifier.web.context import request_id

CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
EVERYWHERE = (
    (istr("X-Content-Type-Options"), "nosniff"),
    (istr("Referrer-Policy"), "no-referrer"),
    (istr("Content-Security-Policy"), CONTENT_POLICY),
)


class ReadyMade(web.StreamResponse):
    """A JSON answer of the API with status 200, for any number of requests that :func:`may_be_ready_made`."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        own = ("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")
        self._before = "HTTP/1.1 200 OK\r\n" + "".join(f"{name}: {value}\r\n" for name, value in (*own, *EVERYWHERE))
        self._document = body
        self._second, self._head = 0, ""

    @property
    def keep_alive(self) -> bool:
        """The connection stays open."""
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send all of it."""
        assert isinstance(request, web.Request)
        second = int(time.time())
        if second != self._second:
            self._second, self._head = (
                second,
                f"{self._before}Date: {formatdate(second, usegmt=True)}\r\nX-Request-Id: ",
            )
        writer = request.writer
        await writer.write(f"{self._head}{request_id(request)}\r\n\r\n".encode() + self._document)
        await writer.drain()
        return writer

    async def write_eof(self, data: bytes = b"") -> None:
        """It is sent already."""


def may_be_ready_made(request: web.Request) -> bool:
    """Whether the head of a ready-made answer fits: the connection stays open, as HTTP/1.1 has it by itself."""
    return request.keep_alive and request.version == HttpVersion11
