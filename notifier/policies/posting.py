"""Look whether the site's own pages really show what was published: the posting record, and alarms when they do not.

The rows it leaves: a ``posting_look`` for every look (its bytes once, in ``posting_body``), ``posting`` once a page was
first seen to show a version, ``posting_event`` for what happened, and how it stands in ``posted_page``. One look is one
transaction, which holds only while its page is still taken: a crash before it is a look that did not happen, and of two
workers only one writes. Nobody is ever told anything from here.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from yarl import URL

from notifier.db import Db
from notifier.log import log, where
from notifier.policies.extract import Unreadable, read_answer
from notifier.policies.fetch import Fetched, Fetcher, Unfetched, open_fetcher
from notifier.policies.posted import DAILY, Alarm, Edition, Follows, Happening, Seen, Stands, follow, recognise
from notifier.policies.sources import source_of
from notifier.sites.site import PostedPage, Site, load_site

HOSTED = "hosted"
# Where our own public page has the text.
_OUR_TEXT = ("article.prose",)
_AT_ONCE = 16
# Longer than any look takes: after it somebody else may try.
_TAKEN_FOR = timedelta(minutes=10)
# Versions before the newest that a page is compared with.
_EARLIER = 10
_SAID: Mapping[Happening, str] = {
    "posted": "the page shows the version",
    "drift": "the page changed without a version",
    "missing": "the page does not show the version",
    "mended": "the page shows the version again",
}


@dataclass(frozen=True)
class Due:
    """A page to look at: the version that it must show, and how it stood."""

    site: str
    policy: str
    locale: str
    version_id: int
    label: str
    published_at: datetime
    effective_at: datetime
    posted: bool
    odd: int
    alarm: Alarm | None

    @property
    def key(self) -> dict[str, object]:
        return {"site": self.site, "policy": self.policy, "locale": self.locale}


@dataclass(frozen=True)
class Alarmed:
    """A page that does not show what was published."""

    site: str
    policy: str
    locale: str
    address: str
    label: str
    alarm: Alarm
    alarm_at: datetime
    reason: str
    why: Mapping[str, str | int] | None


@dataclass(frozen=True)
class _Look:
    """What was looked at, and what came: ``fetched`` is None when nothing did."""

    due: Due
    address: str
    seen: Seen
    fetched: Fetched | None = None
    wait: timedelta = timedelta()  # for so long the server does not want to be asked again

    @property
    def sha256(self) -> bytes | None:
        body = self.fetched.body if self.fetched else None
        return None if body is None else hashlib.sha256(body).digest()


@dataclass(frozen=True)
class _Outside:
    """Fetchers: one for the site's pages, one that may ask nobody but ourselves."""

    theirs: Fetcher
    ours: Fetcher
    public_url: str


@asynccontextmanager
async def _open(inside: Collection[str], public_url: str) -> AsyncIterator[_Outside]:
    async with open_fetcher(inside) as theirs, open_fetcher((URL(public_url).host or "",)) as ours:
        yield _Outside(theirs, ours, public_url.rstrip("/"))


async def look_at_postings(db: Db, inside: Collection[str], public_url: str, now: datetime) -> int:
    """Look once at every page that is due. Returns how many there were.

    ``inside``: hosts of one's own network that may be asked; ``public_url``: where our own pages are.
    """
    await db.run("posting.follow_settings", now=now)
    until = now + _TAKEN_FOR
    due = await db.many(Due, "posting.take_due", now=now, until=until, limit=_AT_ONCE)
    if not due:
        return 0
    sites = {name: await load_site(db, name) for name in {one.site for one in due}}
    async with _open(inside, public_url) as outside:
        looks = (_look(db, outside, sites[one.site], one, until, now) for one in due)
        ended = await asyncio.gather(*looks, return_exceptions=True)
    for one, error in zip(due, ended, strict=True):
        if isinstance(error, Exception):  # a fault of ours: it costs the other pages nothing
            log.error("page not looked at", site=one.site, policy=one.policy, error=where(error))
    return len(due)


async def alarms(db: Db, site: str | None) -> list[Alarmed]:
    """The pages of a site, or (None) of every site, that do not show what was published: the oldest alarm first."""
    return await db.many(Alarmed, "posting.alarms", site=site)


async def _look(db: Db, outside: _Outside, site: Site, due: Due, until: datetime, now: datetime) -> None:
    page = site.policies[due.policy].posted_at_url.get(due.locale) if due.policy in site.policies else None
    if page is None:
        return  # site.yaml was applied anew a moment ago
    address = address_of(page, due, outside.public_url)
    try:
        # Without validators: what is compared is what was sent just now.
        fetched = await _fetch(outside, site, page, due, address)
    except Unfetched as problem:
        wait = timedelta(seconds=problem.retry_after or 0)
        look = _Look(due, address, Seen("failed", reason=problem.why), wait=min(wait, DAILY))
    else:
        look = _Look(due, address, await _see(db, site, page, due, fetched), fetched)
    async with db.transaction() as tx:
        await _record(tx, look, until, now)


def address_of(page: PostedPage, due: Due, public_url: str) -> str:
    """Where the page is; of our own, the permanent page of the version."""
    if page.url != HOSTED:
        return page.url
    return f"{public_url}/p/{due.site}/{due.policy}/{due.label}/{due.locale}"


async def _fetch(outside: _Outside, site: Site, page: PostedPage, due: Due, address: str) -> Fetched:
    if page.url == HOSTED:
        return await outside.ours.get(address, {})
    source = source_of(site, due.policy, due.locale)
    return await outside.theirs.get(address, page.headers or (source.headers if source else {}))


async def _see(db: Db, site: Site, page: PostedPage, due: Due, fetched: Fetched) -> Seen:
    """What the page shows. Off the event loop: reading and comparing take a tenth of a second and more."""
    keep, drop = _selectors(site, page, due)
    editions = await db.many(
        Edition, "posting.editions", version_id=due.version_id, locale=due.locale, limit=_EARLIER + 1
    )

    def weigh() -> Seen:
        try:
            reading = read_answer(fetched.body or b"", fetched.headers.get("content-type", ""), keep, drop)
        except Unreadable as problem:
            return Seen("doubtful", reason=problem.why)
        return recognise(reading, editions[0], editions[1:])

    return await asyncio.to_thread(weigh)


def _selectors(site: Site, page: PostedPage, due: Due) -> tuple[Sequence[str], Sequence[str]]:
    if page.url == HOSTED:
        return _OUR_TEXT, ()
    source = source_of(site, due.policy, due.locale)
    if page.keep or page.drop or source is None:
        return page.keep, page.drop
    return source.keep, source.drop


async def _record(tx: Db, look: _Look, until: datetime, now: datetime) -> None:
    due, seen = look.due, look.seen
    stands = Stands(due.published_at, due.effective_at, due.posted, due.odd, due.alarm)
    follows = follow(seen.sight, stands, now)
    reason = {"reason": str(seen.reason or ""), "why": seen.reason.row if seen.reason else None}
    # First, as it locks the page: whoever lost it meanwhile writes nothing.
    if not await tx.run(
        "posting.looked", **due.key, until=until, now=now, due_at=max(follows.due_at, now + look.wait), odd=follows.odd,
        alarm=follows.alarm, verdict=seen.sight, **reason,
    ):  # fmt: skip
        return
    if look.fetched is not None and look.fetched.body is not None:
        await tx.run(
            "posting.keep_body", **due.key, sha256=look.sha256, now=now,
            headers=dict(look.fetched.headers), body=look.fetched.body,
        )  # fmt: skip
    look_id: int = await tx.value(
        "posting.keep_look", **due.key, address=look.address, now=now, version_id=due.version_id, shows_id=seen.shows,
        verdict=seen.sight, sha256=look.sha256, text_sha256=seen.text_sha256, **reason,
    )  # fmt: skip
    await tx.run("posting.last_look", **due.key, look_id=look_id)
    if seen.shows is not None:
        await tx.run("posting.record", version_id=seen.shows, locale=due.locale, look_id=look_id, now=now)
    await _tell(tx, look, look_id, follows, now)
    await tx.run("posting.drop_passing", **due.key)


async def _tell(tx: Db, look: _Look, look_id: int, follows: Follows, now: datetime) -> None:
    """What happened, in rows and in the log."""
    due = look.due
    for happening in follows.happenings:
        await tx.run("posting.happened", **due.key, now=now, kind=happening, version_id=due.version_id, look_id=look_id)
        say = log.info if happening in ("posted", "mended") else log.error
        say(_SAID[happening], site=due.site, policy=due.policy, label=due.label, reason=str(look.seen.reason or ""))
