"""Fetch what other people's servers show: politely, and guarded against what they might do to us.

Only the internet is asked, by https; the operator may name hosts of their own network. A redirect is followed on the
same host alone. Size, time and what a compressed answer unpacks to are bounded. No cookies, no proxy.
"""

import zlib
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from notifier.outward import Inside, OutwardResolver, objection_to
from notifier.policies.version import TEXT_LIMIT
from notifier.policies.why import Reasoned

_AGENT = "policy-notifier (https://pypi.org/project/policy-notifier/)"
_TIME = aiohttp.ClientTimeout(total=60, sock_connect=10, sock_read=20)
_MOST_REDIRECTS = 5
_PIECE = 64 * 1024
# At once from one process, and from one server.
_AT_ONCE, _FROM_ONE = 32, 2
# What is kept of an answer's headers, beside the body.
KEPT_HEADERS = (
    "content-type", "content-language", "date", "etag", "last-modified", "server", "age", "cache-control",
)  # fmt: skip


class Unfetched(Reasoned):
    """Nothing could be had; says why. ``retry_after`` in seconds, where the server said so."""

    retry_after: float | None = None


def refuse(place: URL, inside: Collection[str]) -> None:
    """Raise Unfetched for an address that must not be asked."""
    if objection_to(place, inside):
        if place.scheme != "https":
            raise Unfetched("plain_http", scheme=place.scheme)
        raise Unfetched("inside", host=place.host or "")


@dataclass(frozen=True)
class Fetched:
    """What a server answered. ``body`` is None when it said that nothing changed since (304)."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(frozen=True)
class Fetcher:
    """Fetches over one pool of connections. ``inside`` are the hosts of one's own network that may be asked."""

    session: aiohttp.ClientSession
    inside: Collection[str]

    async def get(
        self, url: str, headers: Mapping[str, str], etag: str | None = None, modified: str | None = None
    ) -> Fetched:
        """What is at ``url`` now. Raises Unfetched.

        With ``etag`` or ``modified`` of an earlier answer a server may say that nothing changed (RFC 9110, 13.1).
        """
        asked = {"User-Agent": _AGENT, "Accept-Encoding": "gzip", "Accept": "text/html, text/markdown, */*;q=0.5"}
        asked |= headers
        if etag:
            asked["If-None-Match"] = etag
        elif modified:
            asked["If-Modified-Since"] = modified
        try:
            return await self._follow(url, asked)
        except TimeoutError as error:
            raise Unfetched("slow") from error
        except zlib.error as error:
            raise Unfetched("unpackable") from error
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, Inside):
                raise Unfetched("inside", host=error.os_error.host) from error
            raise Unfetched("unreachable", detail=str(error.os_error)) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unfetched("unreachable", detail=str(error) or type(error).__name__) from error

    async def _follow(self, url: str, headers: Mapping[str, str]) -> Fetched:
        first = URL(url)
        for _ in range(_MOST_REDIRECTS + 1):
            place = URL(url)
            refuse(place, self.inside)
            async with self.session.get(place, headers=headers, allow_redirects=False) as answer:
                location = answer.headers.get("Location")
                if answer.status in (301, 302, 303, 307, 308) and location:
                    url = urljoin(url, location)
                    if URL(url).host != first.host:
                        raise Unfetched("elsewhere", host=URL(url).host or "")
                    continue
                return await _taken(url, answer)
        raise Unfetched("round", count=_MOST_REDIRECTS)


async def _taken(url: str, answer: aiohttp.ClientResponse) -> Fetched:
    headers = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
    if answer.status == 304:
        return Fetched(url, 304, headers, None)
    if answer.status != 200:
        wait = answer.headers.get("Retry-After", "")
        refused = Unfetched("status", status=str(answer.status))
        refused.retry_after = float(wait) if wait.isdecimal() and len(wait) < 8 else None
        raise refused
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("gzip", "x-gzip", "identity", ""):
        raise Unfetched("packed", encoding=encoding)
    return Fetched(url, 200, headers, await _read(answer, packed="gzip" in encoding))


async def _read(answer: aiohttp.ClientResponse, *, packed: bool) -> bytes:
    """The body, unpacked by ourselves: so that no more is ever unpacked than is kept."""
    unpacker = zlib.decompressobj(wbits=31) if packed else None
    body = bytearray()
    async for piece in answer.content.iter_chunked(_PIECE):
        body += unpacker.decompress(piece, TEXT_LIMIT + 1 - len(body)) if unpacker else piece
        if len(body) > TEXT_LIMIT:
            raise Unfetched("size", count=TEXT_LIMIT // 1024 // 1024)
    if unpacker and not unpacker.eof:
        raise Unfetched("broken_off")
    return bytes(body)


@asynccontextmanager
async def open_fetcher(inside: Collection[str]) -> AsyncIterator[Fetcher]:
    """Opens no connection yet. ``inside``: hosts of one's own network that may be asked, also by plain http."""
    connector = aiohttp.TCPConnector(resolver=OutwardResolver(inside), limit=_AT_ONCE, limit_per_host=_FROM_ONE)
    async with aiohttp.ClientSession(
        connector=connector, timeout=_TIME, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    ) as session:
        yield Fetcher(session, inside)
