"""Talk to a running service over HTTP, as the terminal and the demo do. Errors come back as they were raised."""

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aiohttp
import orjson
from standardwebhooks import Webhook

from notifier.errors import (
    Conflict,
    Fault,
    Forbidden,
    Invalid,
    Malformed,
    NotFound,
    NotifierError,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

FAMILIES: Mapping[int, type[NotifierError]] = {
    family.status: family
    for family in (Malformed, Unauthenticated, Forbidden, NotFound, Conflict, TooLarge, Invalid, Unavailable)
}
# Only silence is limited: an import of millions of lines may take as long as it takes.
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=300)


@dataclass(frozen=True)
class Client:
    """One service, and the token that we ask with."""

    url: str
    session: aiohttp.ClientSession

    async def get(self, path: str, **query: str | int | None) -> Any:
        """The JSON answer to a GET; queries that are None are left out."""
        given = {name: str(value) for name, value in query.items() if value is not None}
        return await self._ask("GET", path, params=given)

    async def post(self, path: str, body: object = None) -> Any:
        """The JSON answer to a POST of JSON. The same call again, after a lost answer, does nothing twice."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
        return await self._ask("POST", path, data=None if body is None else orjson.dumps(body), headers=headers)

    async def patch(self, path: str, body: object) -> Any:
        """The JSON answer to a PATCH of JSON."""
        return await self._ask("PATCH", path, data=orjson.dumps(body), headers={"Content-Type": "application/json"})

    async def delete(self, path: str) -> Any:
        """The JSON answer to a DELETE, None when it has none."""
        return await self._ask("DELETE", path)

    async def send_lines(self, path: str, lines: AsyncIterable[bytes], media_type: str = "application/x-ndjson") -> Any:
        """The JSON answer to a POST of NDJSON that is streamed as it comes. Each line ends in a line feed."""
        return await self._ask("POST", path, data=lines, headers={"Content-Type": media_type})

    async def send_raw(self, path: str, body: bytes, media_type: str) -> Any:
        """The JSON answer to a POST of exactly these bytes, None when it has none."""
        return await self._ask("POST", path, data=body, headers={"Content-Type": media_type})

    async def get_raw(self, path: str, **query: str | int | None) -> tuple[Mapping[str, str], bytes]:
        """The headers and the body of the answer to a GET, whatever it is."""
        given = {name: str(value) for name, value in query.items() if value is not None}
        return await self._receive("GET", path, params=given)

    async def publish(self, site: str, submission: Mapping[str, object], secret: str) -> Any:
        """Publish a version by webhook, signed as Standard Webhooks asks."""
        body, message_id, at = orjson.dumps(submission).decode(), f"msg_{uuid4().hex}", datetime.now(UTC)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign(message_id, at, body),
        }
        return await self._ask("POST", f"/v1/sites/{site}/hooks/versions", data=body.encode(), headers=headers)

    async def _ask(self, method: str, path: str, **given: Any) -> Any:
        headers, body = await self._receive(method, path, **given)
        return orjson.loads(body) if body and "json" in headers.get("Content-Type", "") else None

    async def _receive(self, method: str, path: str, **given: Any) -> tuple[Mapping[str, str], bytes]:
        try:
            async with self.session.request(method, self.url + path, **given) as response:
                body = await response.read()
                if response.status >= 400:
                    raise _problem(response.status, body)
                return response.headers, body
        except aiohttp.ClientConnectorError as error:
            raise Unavailable(
                f"nothing answers at {self.url}; start it with: notifier serve, or say where it is in NOTIFIER_URL"
            ) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            if isinstance(error.__cause__, NotifierError):
                raise error.__cause__ from error  # what we were sending could not be read on
            raise Unavailable(
                f"the connection to {self.url} broke ({error or type(error).__name__}); try again"
            ) from error


def _problem(status: int, body: bytes) -> NotifierError:
    """The error that an RFC 9457 problem tells of."""
    family = FAMILIES.get(status, NotifierError)
    try:
        problem = orjson.loads(body)
        faults = [Fault(fault["pointer"], fault["detail"]) for fault in problem.get("errors", [])]
        return family(str(problem["detail"]), faults)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return family(f"the service answered with status {status} and no explanation")


@asynccontextmanager
async def open_client(url: str, token: str | None) -> AsyncIterator[Client]:
    """A client of the service at ``url``, asking with a bearer token where there is one."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(headers=headers, timeout=TIMEOUT) as session:
        yield Client(url.rstrip("/"), session)
