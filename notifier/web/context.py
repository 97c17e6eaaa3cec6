"""What every request can reach: the open service, its own id, and what serves live updates."""

import random
import re
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from notifier.compose import Service
from notifier.outcomes.providers.provider import Provider
from notifier.pages import Pages

SERVICE = web.AppKey("service", Service)
PROVIDERS = web.AppKey("providers", Mapping[str, Provider])
PAGES = web.AppKey("pages", Pages)
REQUEST_ID = web.RequestKey("request_id", str)

# Answers a plain request in a fraction of the time that its handler takes; None: the handler is to answer.
Quick = Callable[[web.Request], Awaitable[web.StreamResponse | None]]

_GIVEN_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


def request_id(request: web.Request) -> str:
    """The request's id: the caller's ``X-Request-Id`` where it is a plain word, otherwise one of ours."""
    known = request.get(REQUEST_ID)
    if known is None:
        given = request.headers.get("X-Request-Id")
        if given is None or _GIVEN_ID.fullmatch(given) is None:
            given = f"{random.getrandbits(64):016x}"  # told apart, not kept secret
        known = given
        request[REQUEST_ID] = known
    return known


def is_api(request: web.Request) -> bool:
    """Whether the caller is a program, which wants problems and JSON, rather than a reader of pages."""
    return request.path.startswith(("/v1/", "/hooks/", "/openapi.json", "/healthz", "/readyz", "/metrics"))
