"""Look at the sources of texts: first what came is kept, then what it amounts to. Nothing is ever sent from here.

The rows it leaves: a ``snapshot`` for every different answer (its bytes, as they came), the ``source`` with how it
stands, and, once a change was seen often enough, a pending version for a person to decide about. One look is one
transaction: a crash before it is a look that did not happen.
"""

import asyncio
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import ValidationError

from notifier.db import Db
from notifier.errors import Conflict, NotFound, NotifierError
from notifier.log import log, where
from notifier.policies.capture import Finding, Known, Verdict, judge, mark
from notifier.policies.diff import compare
from notifier.policies.display import MARKDOWN
from notifier.policies.extract import Reading, Unreadable, read_answer
from notifier.policies.fetch import Fetcher, Unfetched, open_fetcher
from notifier.policies.pending import submit_pending
from notifier.policies.places import fetch_source
from notifier.policies.publish import latest_of, lock_policy
from notifier.policies.version import Text
from notifier.policies.why import Why
from notifier.sites.site import Site, Source, load_site

# Looked at in one go; the rest has its turn right after.
_AT_ONCE = 32
# Longer than any look takes: after it somebody else may try.
_TAKEN_FOR = timedelta(minutes=10)
_LONGEST_WAIT = timedelta(days=1)
# For so long it is remembered that a page went back and forth.
_MEMORY = timedelta(days=30)
_MOST_STEPS = 20
_KEPT_DOUBTS = 20
# After these the same bytes again say nothing new.
_AT_REST = frozenset({"first", "same", "technical", "changed"})


@dataclass(frozen=True)
class Due:
    """A source to look at, and how it stood with it."""

    site: str
    policy: str
    locale: str
    failures: int
    verdict: str | None
    reason: str
    last_id: int | None
    settled_id: int | None
    candidate_id: int | None
    agreed: int
    seen: list[list[str]]


@dataclass(frozen=True)
class Snapshot:
    """What came from a source once."""

    address: str
    headers: Mapping[str, str]
    body: bytes
    sha256: bytes


@dataclass(frozen=True)
class _SettledText:
    """What counts as the text of a policy in one locale."""

    locale: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot("", self.headers, self.body, b"")


async def look_at_sources(db: Db, inside: Collection[str], now: datetime) -> int:
    """Look once at every source that is due. Returns how many there were. ``inside``: see :func:`open_fetcher`."""
    await db.run("watch.follow_settings", now=now)
    due = await db.many(Due, "watch.take_due", now=now, until=now + _TAKEN_FOR, limit=_AT_ONCE)
    if not due:
        return 0
    sites = {name: await load_site(db, name) for name in {one.site for one in due}}
    async with open_fetcher(inside) as fetcher:
        looks = (_look(db, fetcher, sites[one.site], one, now) for one in due)
        ended = await asyncio.gather(*looks, return_exceptions=True)
    for one, error in zip(due, ended, strict=True):
        if isinstance(error, Exception):  # a fault of ours: it costs the other sources nothing
            log.error("source not looked at", site=one.site, policy=one.policy, error=where(error))
    return len(due)


def source_of(site: Site, policy: str, locale: str) -> Source | None:
    """Where the site says that a text is read, if it says so."""
    sources = site.watch.sources if site.watch else ()
    return next((one for one in sources if (one.policy, one.locale) == (policy, locale)), None)


async def _look(db: Db, fetcher: Fetcher, site: Site, due: Due, now: datetime) -> None:
    source = source_of(site, due.policy, due.locale)
    if source is None:
        return  # site.yaml was applied anew a moment ago
    last = await _snapshot(db, due.last_id)
    try:
        fetched = await fetch_source(fetcher, source, last.headers if last and last.address == source.address else {})
    except Unfetched as problem:
        await _failed(db, source, due, problem, now)
        return
    if fetched.body is None and last is not None:
        fetched = replace(fetched, body=last.body)
    look = _Look(source, due, fetched.headers, fetched.body or b"")
    finding, reading = await _judge(db, site, look, last, now)
    async with db.transaction() as tx:
        await _record(tx, site, look, finding, reading, now)


@dataclass(frozen=True)
class _Look:
    """One look: where, how it stood, and what came."""

    source: Source
    due: Due
    headers: Mapping[str, str]
    body: bytes

    @property
    def key(self) -> dict[str, object]:
        return {"site": self.due.site, "policy": self.due.policy, "locale": self.due.locale}

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.body).digest()


async def _failed(db: Db, source: Source, due: Due, problem: Unfetched, now: datetime) -> None:
    """Nothing was had: wait longer each time, or as long as the server asked."""
    wait = max(
        timedelta(minutes=source.every) * 2 ** min(due.failures, 10), timedelta(seconds=problem.retry_after or 0)
    )
    log.warning("source not read", site=due.site, policy=due.policy, reason=str(problem))
    await db.run(
        "watch.failed", site=due.site, policy=due.policy, locale=due.locale, now=now,
        due_at=now + min(wait, _LONGEST_WAIT), reason=str(problem), why=problem.why.row,
    )  # fmt: skip


async def _judge(
    db: Db, site: Site, look: _Look, last: Snapshot | None, now: datetime
) -> tuple[Finding, Reading | None]:
    """What the look amounts to, and what was read if it was read: the same bytes as the last ones need no reading."""
    source, due = look.source, look.due
    if last is not None and look.sha256 == last.sha256 and due.verdict in _AT_REST:
        return Finding("same"), None
    settled, candidate = await _snapshot(db, due.settled_id), await _snapshot(db, due.candidate_id)
    seen = [sign for sign, at in due.seen if datetime.fromisoformat(at) > now - _MEMORY]

    def weigh() -> tuple[Finding, Reading | None]:
        known = Known(_reading(source, settled), _reading(source, candidate), due.agreed, seen)
        try:
            reading = _text_of(source, look)
        except Unreadable as problem:
            return Finding("doubtful", reason=problem.why), None
        return judge(reading, known, site.watch.agree if site.watch else 1, same_meaning), reading

    return await asyncio.to_thread(weigh)


def _reading(source: Source, snapshot: Snapshot | None) -> Reading | None:
    """What a snapshot says by today's selectors and today's extraction: so that neither ever looks like a change."""
    if snapshot is None:
        return None
    try:
        return _text_of(source, snapshot)
    except Unreadable:
        return None


def _text_of(source: Source, what: "Snapshot | _Look") -> Reading:
    return read_answer(what.body, what.headers.get("content-type", ""), source.keep, source.drop)


def same_meaning(old: str, new: str) -> bool:
    """Whether two texts say the same, whatever became of their spelling."""
    return not compare(MARKDOWN, old.encode(), MARKDOWN, new.encode()).meaning_changed


async def _snapshot(db: Db, snapshot_id: int | None) -> Snapshot | None:
    return None if snapshot_id is None else await db.first(Snapshot, "watch.snapshot", snapshot_id=snapshot_id)


async def _record(tx: Db, site: Site, look: _Look, finding: Finding, reading: Reading | None, now: datetime) -> None:
    due, verdict = look.due, finding.verdict
    said = {"reason": str(finding.reason or ""), "why": _row(finding.reason)}
    settles = verdict in ("first", "changed")
    if settles:
        # Sources of one policy that change together wait for each other, so that the last one sees them all.
        await lock_policy(tx, site, look.source.policy)
    snapshot_id: int = await tx.value(
        "watch.keep_snapshot", **look.key, address=look.source.address, now=now, headers=dict(look.headers),
        body=look.body, sha256=look.sha256, verdict=verdict, **said,
    )  # fmt: skip
    await tx.run(
        "watch.looked", **look.key, now=now, due_at=now + timedelta(minutes=look.source.every),
        verdict=verdict, **said, last_id=snapshot_id,
        settled_id=snapshot_id if settles else due.settled_id,
        candidate_id=snapshot_id if verdict == "waiting" else None,
        agreed=finding.agreed if verdict == "waiting" else 0,
        seen=_seen(due, reading, verdict, now),
    )  # fmt: skip
    await tx.run("watch.drop_passing", **look.key, keep=_KEPT_DOUBTS)
    if settles and (due.settled_id is not None or await latest_of(tx, site.site, due.policy) is None):
        await _open(tx, site, due.policy, {due.locale: reading} if reading else {}, now)


def _row(reason: Why | None) -> dict[str, object] | None:
    return None if reason is None else reason.row


def _seen(due: Due, reading: Reading | None, verdict: Verdict, now: datetime) -> list[list[str]]:
    """The steps of a source's history, with this one if it is one. A change that counts begins a new history."""
    steps = [step for step in due.seen if datetime.fromisoformat(step[1]) > now - _MEMORY]
    if reading is None:
        return steps
    if verdict in ("first", "changed"):
        steps = []
    sign = mark(reading, verdict)
    return steps if steps and steps[-1][0] == sign else [*steps, [sign, now.isoformat()]][-_MOST_STEPS:]


async def take(db: Db, site: Site, snapshot_id: int, now: datetime) -> None:
    """A person says that a snapshot is the policy's text, whatever was doubted. Raises NotFound, Conflict (unreadable).

    Opens a pending version if it says something new.
    """
    found = await db.first(dict, "watch.place_of", site=site.site, snapshot_id=min(snapshot_id, 2**63 - 1))
    source = source_of(site, found["policy"], found["locale"]) if found else None
    if found is None or source is None:
        raise NotFound(f"no source of {site.site} has a snapshot {snapshot_id}")
    try:
        snapshot = await _snapshot(db, snapshot_id)
        assert snapshot is not None, "snapshots that a person can see are not dropped within the request"
        reading = await asyncio.to_thread(_text_of, source, snapshot)
    except Unreadable as problem:
        raise Conflict(f"snapshot {snapshot_id} cannot be the text: {problem}") from problem
    async with db.transaction() as tx:
        await lock_policy(tx, site, source.policy)
        await tx.run("watch.take", site=site.site, snapshot_id=snapshot_id)
        await _open(tx, site, source.policy, {source.locale: reading}, now)


async def _open(tx: Db, site: Site, policy: str, read: Mapping[str, Reading], now: datetime) -> None:
    """Open a pending version with what all sources of the policy now say. ``read``: those that were just read."""
    texts = {}
    for row in await tx.many(_SettledText, "watch.settled_of", site=site.site, policy=policy):
        source = source_of(site, policy, row.locale)
        if source is None:
            continue
        reading = read.get(row.locale) or await asyncio.to_thread(_reading, source, row.snapshot)
        if reading is not None:
            texts[row.locale] = reading.text
    if site.locales[0] not in texts:
        return  # its own first sight opens the version
    try:
        version = await submit_pending(
            tx, site, policy, {locale: Text(body=text) for locale, text in texts.items()}, "source", now
        )
    except (ValidationError, NotifierError) as problem:
        log.warning("pending version not opened", site=site.site, policy=policy, reason=str(problem))
        return
    if version is not None:
        log.info("pending version opened", site=site.site, policy=policy, version=version.version_id)
