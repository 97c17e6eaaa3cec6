"""Take in activities one by one, many in one commit: each is acknowledged only after the commit that holds it.

What arrives while commits are under way shares the next one, which begins when enough wait or ``GATHER`` after the last
began. So a request waits a few milliseconds longer, and the database does a hundredth of the work. A crash before the
commit leaves nothing behind, and no caller has been told otherwise.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import asyncpg

from notifier.activity.activity import Activity
from notifier.activity.memory import Memory
from notifier.activity.record import KEPT, REVOKED, take
from notifier.clock import Clock
from notifier.db import Db
from notifier.errors import Unauthenticated, Unavailable

GATHER = 0.005  # seconds between the beginnings of two commits, unless …
ENOUGH = 48  # activities wait: then the next begins at once
UNDER_WAY = 2  # commits at once: while one waits for the disk, the other's activities are worked out
MOST_AT_ONCE = 500  # activities in one commit
MOST_WAITING = 10_000  # activities; whoever comes then is told to come again
WAKE_EVERY = 1.0  # seconds between two wakings of the workers, who look by themselves as well


class _Waiting(NamedTuple):
    site: str
    activity: Activity
    token: bytes | None
    fate: asyncio.Future[str]


class Intake:
    """Gathers the activities of one process. ``memory`` is shared with whoever takes in batches."""

    def __init__(self, db: Db, clock: Clock, memory: Memory) -> None:
        self.memory = memory
        self._db = db
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._commits: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.Handle | None = None
        self._last_begun = self._last_woken = float("-inf")

    async def take(self, site: str, activity: Activity, token: bytes | None = None) -> str:
        """Take in one activity. Returns, once that is committed, what became of it: KEPT, or why it is ignored.

        ``token``: the digest of an API token that was not asked about yet. Raises Unauthenticated when it is good no
        more, NotFound for an unknown site, Unavailable when too many wait already.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise Unavailable("too many activities wait to be recorded; this one was not, send it again in a second")
        loop = asyncio.get_running_loop()
        fate: asyncio.Future[str] = loop.create_future()
        self._waiting.append(_Waiting(site, activity, token, fate))
        if self._alarm is None:
            self._alarm = loop.call_soon(self._begin)  # whatever else has just arrived comes along
        elif len(self._waiting) == ENOUGH:
            self._begin()
        return await fate

    async def close(self) -> None:
        """Let what waits be committed."""
        while self._commits or self._waiting:
            self._last_begun = float("-inf")
            self._begin()
            await asyncio.wait(self._commits)
            await asyncio.sleep(0)  # so that what ends is off the list

    def _begin(self) -> None:
        """Begin a commit if it is time; otherwise see to it that it begins when it is."""
        self._alarm = None
        if not self._waiting or len(self._commits) >= UNDER_WAY:
            return  # a commit that ends looks again
        loop = asyncio.get_running_loop()
        due = self._last_begun + GATHER
        if len(self._waiting) < ENOUGH and loop.time() < due:
            self._alarm = loop.call_at(due, self._begin)
            return
        self._last_begun = loop.time()
        batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
        commit = loop.create_task(self._commit_all(batch), name="commit activities")
        self._commits.add(commit)
        commit.add_done_callback(self._ended)

    def _ended(self, commit: asyncio.Task[None]) -> None:
        self._commits.discard(commit)
        if self._alarm is None:
            self._begin()

    async def _commit_all(self, batch: Sequence[_Waiting]) -> None:
        sites = defaultdict(list)
        for one in batch:
            sites[one.site].append(one)
        for site, own in sites.items():
            await self._commit(site, own)
        if any(one.fate.done() and not one.fate.cancelled() and _is_kept(one.fate) for one in batch):
            await self._wake(asyncio.get_running_loop().time())

    async def _commit(self, site: str, batch: Sequence[_Waiting]) -> None:
        """One commit. What the database refuses for what it holds is split until the one at fault fails alone."""
        activities, tokens = [one.activity for one in batch], [one.token for one in batch]
        try:
            fates = await take(self._db, self.memory, site, activities, self._clock.now(), tokens)
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            if len(batch) == 1:
                _fail(batch, error)
            else:
                for part in (batch[: len(batch) // 2], batch[len(batch) // 2 :]):
                    await self._commit(site, part)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait for it must hear of it
            _fail(batch, error)
        else:
            for one, fate in zip(batch, fates, strict=True):
                if one.fate.done():
                    continue  # whoever asked is gone
                if fate == REVOKED:
                    one.fate.set_exception(Unauthenticated("this token is unknown or was revoked"))
                else:
                    one.fate.set_result(fate)

    async def _wake(self, moment: float) -> None:
        if moment >= self._last_woken + WAKE_EVERY:
            self._last_woken = moment
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):  # a courtesy: they also poll
                await self._db.notify("notifier", "activity")


def _is_kept(fate: asyncio.Future[str]) -> bool:
    return fate.exception() is None and fate.result() == KEPT


def _fail(batch: Sequence[_Waiting], error: Exception) -> None:
    for one in batch:
        if not one.fate.done():
            one.fate.set_exception(error)
