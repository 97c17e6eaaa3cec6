"""A site's own endpoint for private messages: a real HTTP server that checks signatures and does what a test says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook

from notifier.keys import Keys

SECRET = Keys(b"a secret that only tests know and that is long enough").message_secret("kumo", 1)


@dataclass
class Endpoint:
    """``results``: external_id → result. ``answers``: whole answers to give first, one after the other.

    ``mute``: it takes messages, and closes the connection without a word.
    """

    delay: float = 0
    mute: bool = False
    secret: str = SECRET
    url: str = ""
    results: dict[str, str] = field(default_factory=dict)
    answers: list[web.Response] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def letters(self) -> list[dict[str, Any]]:
        return [letter for body in self.bodies for letter in orjson.loads(body)["letters"]]

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        await asyncio.sleep(self.delay)
        Webhook(self.secret).verify(body, dict(request.headers))  # raises, and so answers 500, when it is forged
        self.ids.append(request.headers["webhook-id"])
        self.bodies.append(body)
        if self.mute:
            assert request.transport
            request.transport.abort()
        if self.answers:
            return self.answers.pop(0)
        people = [letter["external_id"] for letter in orjson.loads(body)["letters"]]
        results = [
            {"external_id": one, "result": self.results.get(one, "accepted"), "reason": f"{one} was seen"}
            for one in people
        ]
        return web.json_response({"results": results})


@asynccontextmanager
async def endpoint(**settings: Any) -> AsyncIterator[Endpoint]:
    """An endpoint on a free port of 127.0.0.1 for as long as the block lasts."""
    there = Endpoint(**settings)
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_post("/messages", there.take)
    async with TestServer(app) as server:
        there.url = str(server.make_url("/messages"))
        yield there
