"""Public pages kept ready-made, as long as nothing that they show has changed.

What a site's public pages rest on is asked anew for every request (one query for all that ask at once): published
versions, which of them are in effect, and the applied site.yaml. So a kept page is never out of date, in any process.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from aiohttp import hdrs, web
from multidict import CIMultiDict

from notifier.compose import Service
from notifier.pages import LANGUAGES, best_locale, liked_locales
from notifier.web.page import language_of, wishes_of
from notifier.web.together import Together

# Bytes of all pages that one process keeps, and of one page.
MOST, MOST_OF_ONE = 64 * 1024 * 1024, 8 * 1024 * 1024
# What a page costs beside its bytes.
_OVERHEAD = 2048
_KEPT_BY_304 = (
    hdrs.ETAG, hdrs.CACHE_CONTROL, hdrs.LAST_MODIFIED, hdrs.VARY, hdrs.CONTENT_SECURITY_POLICY, hdrs.CONTENT_LOCATION,
)  # fmt: skip

Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Mark:
    """What the public pages of one site rest on. ``changed_at``: when it last became what it is."""

    site: str
    sha256: bytes
    versions: int
    in_effect: int
    newest: int | None
    locales: Sequence[str]
    changed_at: datetime

    @property
    def stamp(self) -> Hashable:
        """Another one whenever a page may show something else."""
        return self.site, self.sha256, self.versions, self.in_effect, self.newest


@dataclass(frozen=True, slots=True)
class _Page:
    body: bytes
    headers: CIMultiDict[str]
    tag: str
    modified: datetime


KeyOf = Callable[[web.Request, Mark], Hashable | None]


class Ready:
    """The pages of one process: those that were asked for last, ``most`` bytes of them."""

    def __init__(self, service: Service, most: int = MOST) -> None:
        self._most, self._size = most, 0
        self._pages: OrderedDict[Hashable, _Page] = OrderedDict()
        self._making: dict[Hashable, asyncio.Task[_Page]] = {}

        async def look(sites: Sequence[str]) -> Mapping[str, Mark]:
            now = service.clock.now()
            return {mark.site: mark for mark in await service.db.many(Mark, "web.public_marks", sites=sites, now=now)}

        self._marks = Together(look)

    @property
    def size(self) -> int:
        """Bytes of what is kept."""
        return self._size

    async def mark(self, site: str) -> Mark | None:
        """What a site's pages rest on now; None when there is no such site."""
        return await self._marks.find(site)

    def known(self, request: web.Request, key: Hashable, mark: Mark) -> web.Response | None:
        """The page of ``key`` if it is kept; 304 for a reader who has exactly this (RFC 9110, 13.2.2)."""
        found = self._pages.get((mark.stamp, key))
        if found is None:
            return None
        self._pages.move_to_end((mark.stamp, key))
        return _answered(request, found)

    async def answer(self, request: web.Request, key: Hashable, mark: Mark, make: Handler) -> web.Response:
        """The page of ``key``: as it is kept, or made now."""
        known = self.known(request, key, mark)
        return known or _answered(request, await self._make((mark.stamp, key), request, mark, make))

    async def _make(self, key: Hashable, request: web.Request, mark: Mark, make: Handler) -> _Page:
        """Whoever asks for a page that is being made waits for that one."""
        task = self._making.get(key)
        if task is None:
            task = self._making[key] = asyncio.create_task(_made(request, mark, make), name="make a public page")
            task.add_done_callback(lambda _: self._making.pop(key))
        page = await asyncio.shield(task)
        self._keep(key, page)
        return page

    def _keep(self, key: Hashable, page: _Page) -> None:
        size = len(page.body) + _OVERHEAD
        if key in self._pages or size > min(self._most, MOST_OF_ONE):
            return
        self._pages[key] = page
        self._size += size
        while self._size > self._most:
            _, oldest = self._pages.popitem(last=False)
            self._size -= len(oldest.body) + _OVERHEAD


READY = web.AppKey("ready", Ready)


async def _made(request: web.Request, mark: Mark, make: Handler) -> _Page:
    response = await make(request)
    body = response.body
    assert isinstance(body, bytes), "public pages are whole before they are sent"
    tag = response.etag.value if response.etag else hashlib.sha256(body).hexdigest()
    modified = response.last_modified or min(mark.changed_at, datetime.now(UTC))  # never in the future: RFC 9110, 8.8.2
    response.etag, response.last_modified = tag, modified
    return _Page(body, CIMultiDict(response.headers), tag, modified.replace(microsecond=0))


def _answered(request: web.Request, page: _Page) -> web.Response:
    if _is_known(request, page):
        return web.Response(
            status=304, headers={name: page.headers[name] for name in _KEPT_BY_304 if name in page.headers}
        )
    return web.Response(body=page.body, headers=page.headers.copy())


def _is_known(request: web.Request, page: _Page) -> bool:
    """By its tag; by its time only where no tag was given."""
    if hdrs.IF_NONE_MATCH in request.headers:
        return any(etag.value in (page.tag, "*") for etag in request.if_none_match or ())
    since = request.if_modified_since
    return since is not None and page.modified <= since


@dataclass(frozen=True)
class Kept:
    """A handler of ``/p/{site}/…`` whose pages are kept by ``key_of``; None: this one is made each time."""

    handler: Handler
    key_of: KeyOf

    async def quick(self, request: web.Request) -> web.Response | None:
        """The page, if it is kept already."""
        ready = request.app[READY]
        mark = await ready.mark(_site(request))
        key = None if mark is None else self.key_of(request, mark)
        return None if mark is None or key is None else ready.known(request, key, mark)

    async def answer(self, request: web.Request) -> web.Response:
        """The page, made now unless it is kept or being made."""
        ready = request.app[READY]
        mark = await ready.mark(_site(request))
        if mark is None:
            return await self.handler(request)  # which says that there is no such site
        key = self.key_of(request, mark)
        if key is None:
            return _answered(request, await _made(request, mark, self.handler))
        return await ready.answer(request, key, mark, self.handler)


def _site(request: web.Request) -> str:
    return request.match_info["site"].replace("\0", "")


def by_path(request: web.Request, _: Mark) -> Hashable | None:
    """The same page for everybody."""
    return None if request.query_string else request.path


def by_language(request: web.Request, _: Mark) -> Hashable | None:
    """A page in one of our languages, whichever the reader likes best."""
    return None if request.query_string else (request.path, language_of(request))


def by_wishes(request: web.Request, mark: Mark) -> Hashable | None:
    """A text in one of the site's locales, whichever the reader likes best, in one of our languages."""
    return None if request.query_string else (request.path, *_liked(wishes_of(request), *mark.locales))


@lru_cache(maxsize=1024)
def _liked(wishes: str, *locales: str) -> Sequence[str]:
    """The site's locales and then our language, as the wishes would have them: few, whatever browsers send."""
    return *dict.fromkeys(liked_locales(wishes, sorted(locales))), best_locale(wishes, list(LANGUAGES), "en")


def by_query(request: web.Request, _: Mark) -> Hashable | None:
    """The same for everybody who asks the same. What nobody can ask for is no page, and never kept."""
    return request.path, request.query_string
