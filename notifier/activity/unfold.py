"""Unfold what was reported one by one, many at a time: out of ``reported``, where it was acknowledged.

One transaction takes the rows out and keeps what may still matter of them. A crash before its commit leaves both as
they were, and the next worker finds the same rows; so nothing is lost, and nothing is there twice.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import asyncpg

from notifier.activity.activity import Activity, unpack
from notifier.activity.memory import Memory
from notifier.activity.record import take
from notifier.db import Db
from notifier.errors import NotFound
from notifier.log import log, where

ROWS = 64  # in one turn: some thousands of uses where much arrives
_ITS_OWN_FAULT = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, NotFound)


class _Reported(NamedTuple):
    reported_id: int
    site: str
    received_at: datetime
    uses: bytes


class _Use(NamedTuple):
    reported_id: int
    received_at: datetime
    activity: Activity


async def unfold(db: Db, memory: Memory, now: datetime) -> int:
    """Unfold some rows. Returns how many. ``memory`` belongs to whoever does this, and nobody else."""
    try:
        async with db.transaction() as tx:
            rows = await tx.many(_Reported, "activity.take_reported", most=ROWS)
            for site, own in groupby(sorted(rows, key=attrgetter("site", "reported_id")), key=attrgetter("site")):
                uses = [_Use(row.reported_id, row.received_at, use) for row in own for use in unpack(row.uses)]
                await _take(tx, memory, site, uses, now)
    except BaseException:
        memory.forget()  # what was found out is undone
        raise
    return len(rows)


async def _take(tx: Db, memory: Memory, site: str, uses: Sequence[_Use], now: datetime) -> None:
    """What the database refuses for what it holds is split until the one at fault fails alone."""
    try:
        async with tx.transaction() as part:
            given, received = [use.activity for use in uses], [use.received_at for use in uses]
            await take(part, memory, site, given, now, received)
    except _ITS_OWN_FAULT as error:
        if len(uses) > 1:
            for half in (uses[: len(uses) // 2], uses[len(uses) // 2 :]):
                await _take(tx, memory, site, half, now)
            return
        log.error("an activity was refused", site=site, error=where(error))
        await tx.run(
            "activity.refuse",
            streams=["reported"],
            sequences=[uses[0].reported_id],
            subjects=[site],
            reasons=[f"the database refuses it: {type(error).__name__}"],
            now=now,
        )
