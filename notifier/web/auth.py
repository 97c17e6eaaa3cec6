"""Who is asking: API tokens for programs, sessions for the console, person tokens for the inbox.

A token of one site learns nothing about another: there, everything is simply not found.
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from notifier.campaigns.stop import Stop, stops
from notifier.db import Db
from notifier.delivery.relays import PausedRelay, paused_relays
from notifier.errors import Forbidden, NotFound, Unauthenticated
from notifier.keys import PersonToken
from notifier.policies.posting import Alarmed, alarms
from notifier.sites.tokens import ApiToken, digest_of, find_tokens
from notifier.web.context import SERVICE
from notifier.web.together import Together

COOKIE = "notifier-session"
SESSION = timedelta(hours=12)
# Pages under /console that are shown without a session.
OPEN_PAGES = frozenset({"/console/login"})
NO_SITE = "there is no site {!r}, or this token is not for it"
MOST_GRANTS = 10_000  # remembered by a process
SAFE_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Grant:
    """Who asks, for which site (None: every site) and what they may do."""

    name: str
    site: str | None
    scopes: frozenset[str]

    def sees(self, site: str) -> bool:
        """Whether this site is any of their business."""
        return self.site is None or self.site == site

    def demand(self, site: str | None, scope: str) -> None:
        """Raise NotFound for a site that is not theirs, Forbidden for a scope that they lack."""
        if site is not None and not self.sees(site):
            raise NotFound(NO_SITE.format(site))
        if scope not in self.scopes:
            raise Forbidden(f"this needs the scope {scope!r}; the token has {', '.join(sorted(self.scopes)) or 'none'}")

    def demand_every_site(self, scope: str) -> None:
        """Raise Forbidden for who is here for one site only, or lacks the scope."""
        if self.site is not None:
            raise Forbidden(f"this is about every site, and the token is for {self.site} only")
        self.demand(None, scope)


GRANT = web.RequestKey("grant", Grant)
# What is stopped, as far as whoever is logged in may know: every page of the console says it.
STOPS = web.RequestKey("stops", list[Stop])
PAUSED = web.RequestKey("paused", list[PausedRelay])
ALARMS = web.RequestKey("alarms", list[Alarmed])


class Looks:
    """Who asks and for which site, looked up for many requests at once: each is asked about at every request.

    ``grants`` are those that were good once, by digest: what a token may do never changes, only whether it is good.
    """

    def __init__(self, db: Db) -> None:
        self.grants: dict[bytes, Grant] = {}

        async def tokens(digests: Sequence[bytes]) -> Mapping[bytes, ApiToken]:
            return await find_tokens(db, digests)

        async def sites(names: Sequence[str]) -> Mapping[str, bool]:
            return {row["site"]: True for row in await db.many(dict, "web.sites_known", sites=names)}

        self.tokens = Together(tokens)
        self.sites = Together(sites)


LOOKS = web.AppKey("looks", Looks)


async def demand(request: web.Request, grant: Grant, site: str | None, scope: str) -> None:
    """As :meth:`Grant.demand`; a token for every site also finds nothing where there is no such site."""
    grant.demand(site, scope)
    if site is None or grant.site is not None:
        return
    if await request.app[LOOKS].sites.find(site.replace("\0", "")) is None:
        raise NotFound(NO_SITE.format(site))


def bearer(request: web.Request) -> str:
    """The token of the Authorization header (RFC 6750, 2.1). Raises Unauthenticated."""
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not text.strip():
        raise Unauthenticated("send the header Authorization: Bearer <token>")
    return text.strip()


async def authenticate(request: web.Request) -> Grant:
    """Whose API token came with the request. Raises Unauthenticated."""
    return await _grant(request, digest_of(bearer(request)))


def authenticate_person(request: web.Request) -> PersonToken:
    """Whose person token came with the request. Raises Unauthenticated."""
    service = request.app[SERVICE]
    return PersonToken.open(bearer(request), service.keys, service.clock.now())


async def _grant(request: web.Request, sha256: bytes) -> Grant:
    # Found by its hash: how long the look-up takes says nothing about the token.
    looks = request.app[LOOKS]
    token = await looks.tokens.find(sha256)
    if token is None:
        looks.grants.pop(sha256, None)
        raise Unauthenticated("this token is unknown or was revoked")
    if len(looks.grants) >= MOST_GRANTS:
        looks.grants.clear()
    grant = looks.grants[sha256] = Grant(token.name, token.site, frozenset(token.scopes))
    return grant


def known_grant(request: web.Request, site: str, scope: str) -> tuple[bytes, Grant] | None:
    """The digest of the API token and its grant, where it was good for this site and scope when it last came.

    Whether it still is remains to be asked. None: see :func:`authenticate`. Raises Unauthenticated.
    """
    sha256 = digest_of(bearer(request))
    grant = request.app[LOOKS].grants.get(sha256)
    return None if grant is None or grant.site != site or scope not in grant.scopes else (sha256, grant)


# ---------------------------------------------------------------- console sessions


def grant_of(request: web.Request) -> Grant:
    """Who is logged in, in a handler under /console."""
    return request[GRANT]


async def open_session(request: web.Request, token: str, response: web.StreamResponse) -> Grant:
    """Log in with an API token: the answer gets the cookie. Raises Unauthenticated."""
    service = request.app[SERVICE]
    sha256 = digest_of(token.strip())
    grant = await _grant(request, sha256)
    body = f"{sha256.hex()}.{int((datetime.now(UTC) + SESSION).timestamp())}"
    response.set_cookie(
        COOKIE,
        f"{body}.{service.keys.mac('console-session', body).hex()}",
        max_age=int(SESSION.total_seconds()),
        path="/console",
        httponly=True,
        samesite="Strict",
        secure=service.settings.public_url.startswith("https:"),
    )
    return grant


def close_session(response: web.StreamResponse) -> None:
    """Log out."""
    response.del_cookie(COOKIE, path="/console", httponly=True, samesite="Strict")


async def _session(request: web.Request) -> Grant:
    """Who the cookie says is logged in. A revoked token ends its sessions too. Raises Unauthenticated."""
    service = request.app[SERVICE]
    cookie = request.cookies.get(COOKIE, "")
    body, _, seal = cookie.rpartition(".")
    if not cookie.isascii() or not hmac.compare_digest(seal, service.keys.mac("console-session", body).hex()):
        raise Unauthenticated("nobody is logged in")
    sha256, _, until = body.partition(".")
    if int(until) <= datetime.now(UTC).timestamp():
        raise Unauthenticated("the session is over")
    return await _grant(request, bytes.fromhex(sha256))


def safe_next(text: str) -> str:
    """Where to go after the login: a path of the console, whatever the form says."""
    return text if re.fullmatch(r"/console(/[\w./?&=%-]*)?", text) and "//" not in text else "/console"


@web.middleware
async def guard_console(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let nobody into the console without a session, and let no other site's page act in it."""
    if not (request.path == "/console" or request.path.startswith("/console/")):
        return await handler(request)
    if request.method not in SAFE_METHODS and not _same_origin(request):
        raise Forbidden("this form was sent from another site; open the console itself and try again")
    if request.path not in OPEN_PAGES:
        try:
            request[GRANT] = await _session(request)
        except Unauthenticated:
            raise web.HTTPSeeOther(f"/console/login?next={quote(safe_next(request.path))}") from None
        service, site = request.app[SERVICE], request[GRANT].site
        request[STOPS] = await stops(service.db, site)
        request[PAUSED] = await paused_relays(service.db, site, service.clock.now())
        request[ALARMS] = await alarms(service.db, site)
    return await handler(request)


def _same_origin(request: web.Request) -> bool:
    """Whether our own page sent this. Browsers set these headers and pages cannot (Fetch, Sec-Fetch-Site)."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin", "")
    own = urlsplit(request.app[SERVICE].settings.public_url)
    return bool(origin) and origin in {f"{own.scheme}://{own.netloc}", f"{request.scheme}://{request.host}"}
