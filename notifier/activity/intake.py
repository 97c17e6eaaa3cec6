"""Take in activities one by one, many in one commit: each is acknowledged only after the commit that holds it.

What arrives while a commit is under way shares the next one, and commits begin at least ``GATHER`` apart. So a request
waits a few milliseconds longer, and the database does a hundredth of the work. A crash before the commit leaves nothing
behind, and no caller has been told otherwise.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import asyncpg

from notifier.activity.activity import ActivityInput
from notifier.activity.memory import Memory
from notifier.activity.record import KEPT, take
from notifier.clock import Clock
from notifier.db import Db
from notifier.errors import Unavailable

GATHER = 0.005  # seconds between the beginnings of two commits
MOST_AT_ONCE = 500  # activities in one commit
MOST_WAITING = 10_000  # activities; whoever comes then is told to come again
WAKE_EVERY = 1.0  # seconds between two wakings of the workers, who look by themselves as well


@dataclass(frozen=True, slots=True)
class _Waiting:
    site: str
    activity: ActivityInput
    fate: asyncio.Future[str]


class Intake:
    """Gathers the activities of one process. ``memory`` is shared with whoever takes in batches."""

    def __init__(self, db: Db, clock: Clock, memory: Memory) -> None:
        self.memory = memory
        self._db = db
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._committing: asyncio.Task[None] | None = None
        self._last_begun = self._last_woken = float("-inf")

    async def take(self, site: str, activity: ActivityInput) -> str:
        """Take in one activity. Returns, once that is committed, what became of it: KEPT, or why it is ignored.

        Raises NotFound for an unknown site, Unavailable when too many wait already.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise Unavailable("too many activities wait to be recorded; this one was not, send it again in a second")
        fate: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(site, activity, fate))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_all(), name="commit activities")
        return await fate

    async def close(self) -> None:
        """Let what waits be committed."""
        if self._committing is not None:
            await self._committing

    async def _commit_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            await asyncio.sleep(max(0.0, self._last_begun + GATHER - loop.time()))
            self._last_begun = loop.time()
            batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            sites = defaultdict(list)
            for one in batch:
                sites[one.site].append(one)
            for site, own in sites.items():
                await self._commit(site, own)
            if any(one.fate.done() and not one.fate.cancelled() and _is_kept(one.fate) for one in batch):
                await self._wake(loop.time())

    async def _commit(self, site: str, batch: Sequence[_Waiting]) -> None:
        """One commit. What the database refuses for what it holds is split until the one at fault fails alone."""
        try:
            fates = await take(self._db, self.memory, site, [one.activity for one in batch], self._clock.now())
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
                if not one.fate.done():  # whoever asked may be gone
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
