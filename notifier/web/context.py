"""What every request can reach: the open service, its own id, and what serves live updates."""

import re
import secrets
from collections.abc import Mapping

from aiohttp import web

from notifier.compose import Service
from notifier.outcomes.providers.provider import Provider
from notifier.pages import Pages

SERVICE = web.AppKey("service", Service)
PROVIDERS = web.AppKey("providers", Mapping[str, Provider])
PAGES = web.AppKey("pages", Pages)
REQUEST_ID = web.RequestKey("request_id", str)

_GIVEN_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


def request_id(request: web.Request) -> str:
    """The request's id: the caller's ``X-Request-Id`` where it is a plain word, otherwise one of ours."""
    known = request.get(REQUEST_ID)
    if known is None:
        given = request.headers.get("X-Request-Id", "")
        known = given if _GIVEN_ID.fullmatch(given) else secrets.token_hex(8)
        request[REQUEST_ID] = known
    return known


def is_api(request: web.Request) -> bool:
    """Whether the caller is a program, which wants problems and JSON, rather than a reader of pages."""
    return request.path.startswith(("/v1/", "/hooks/", "/openapi.json", "/healthz", "/readyz", "/metrics"))
