"""Take in activities one by one, many in one commit: each is acknowledged only after the commit that holds it.

What is committed is what was reported, a row of the table ``reported`` for each commit: nobody is looked up, so a
commit costs about the same for one activity and for a hundred. A worker unfolds the rows
(:mod:`notifier.activity.unfold`). What arrives while a commit is under way shares the next one. A crash before the
commit leaves nothing behind, and no caller has been told otherwise.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import asyncpg
from msgspec.structs import replace

from notifier.activity.activity import Activity, not_after, pack, why_ignored
from notifier.activity.record import WAITING
from notifier.clock import Clock
from notifier.db import Db
from notifier.errors import Unauthenticated, Unavailable

MOST_AT_ONCE = 500  # activities in one commit
MOST_WAITING = 10_000  # activities; whoever comes then is told to come again
WAKE_EVERY = 1.0  # seconds between two wakings of the workers, who look by themselves as well


class _Waiting(NamedTuple):
    """``use`` is None where it counts for nothing: then only the token is asked about."""

    site: str
    token: bytes | None
    use: Activity | None
    done: asyncio.Future[None]


_Batches = Mapping[tuple[str, bytes | None], Sequence[_Waiting]]  # by site and token


class Intake:
    """Gathers the activities of one process."""

    def __init__(self, db: Db, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._commit: asyncio.Task[None] | None = None
        self._last_woken = float("-inf")

    async def take(self, site: str, one: Activity, token: bytes | None = None) -> str:
        """Take in one activity. Returns WAITING once that is committed, or why it counts for nothing, whoever they are.

        ``token``: the digest of an API token that was not asked about yet. Raises Unauthenticated when it is good no
        more, Unavailable when too many wait already.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise Unavailable("too many activities wait to be recorded; this one was not, send it again in a second")
        now, loop = self._clock.now(), asyncio.get_running_loop()
        ignored = why_ignored(one, None, now)
        use = None if ignored else replace(one, occurred_at=not_after(one.occurred_at, now))
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append(_Waiting(site, token, use, done))
        if self._commit is None:  # begins in the next turn: whatever else has just arrived comes along
            self._commit = loop.create_task(self._commit_on(), name="commit activities")
        await done
        return ignored or WAITING

    async def close(self) -> None:
        """Let what waits be committed."""
        if self._commit is not None:
            await self._commit

    async def _commit_on(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            batches = defaultdict(list)
            for one in batch:
                batches[one.site, one.token].append(one)
            try:
                good = await self._keep(batches)
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait for it must hear of it
                _answer(batch, error)
            else:
                for (_, token), own in batches.items():
                    revoked = token is not None and token not in good
                    _answer(own, Unauthenticated("this token is unknown or was revoked") if revoked else None)
                await self._wake(asyncio.get_running_loop().time())
        self._commit = None

    async def _keep(self, batches: _Batches) -> Sequence[bytes]:
        uses = [[one.use for one in own if one.use is not None] for own in batches.values()]
        good: Sequence[bytes] = await self._db.value(
            "activity.take_in",
            now=self._clock.now(),
            sites=[site for site, _ in batches],
            tokens=[token for _, token in batches],
            many=list(map(len, uses)),
            uses=list(map(pack, uses)),
        )
        return good

    async def _wake(self, moment: float) -> None:
        if moment >= self._last_woken + WAKE_EVERY:
            self._last_woken = moment
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):  # a courtesy: they also poll
                await self._db.notify("notifier", "activity")


def _answer(batch: Sequence[_Waiting], error: Exception | None) -> None:
    for one in batch:
        if one.done.done():
            continue  # whoever asked is gone
        if error is None:
            one.done.set_result(None)
        else:
            one.done.set_exception(error)
