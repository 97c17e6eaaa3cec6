"""A demo's clock is moved by one process and followed by the others."""

import asyncio
from datetime import timedelta
from typing import Any

from notifier.clock import MovableClock
from notifier.compose import follow_clock, move_clock
from notifier.db import Db

HOUR = timedelta(hours=1)


class Late:
    """A database whose answers arrive late."""

    def __init__(self, db: Db) -> None:
        self.db = db

    def __getattr__(self, verb: str) -> Any:
        async def ask(*names: str, **parameters: object) -> object:
            answer = await getattr(self.db, verb)(*names, **parameters)
            await asyncio.sleep(0.2)
            return answer

        return ask


async def test_who_follows_with_an_old_answer_does_not_set_the_clock_back(db: Db) -> None:
    clock = MovableClock()
    late: Any = Late(db)
    following = asyncio.create_task(follow_clock(late, clock))
    await asyncio.sleep(0.1)
    await move_clock(db, clock, HOUR)
    await following
    assert clock.offset == HOUR


async def test_who_follows_before_the_mover_is_done_does_not_move_the_clock_twice(db: Db) -> None:
    clock = MovableClock()
    late: Any = Late(db)
    moving = asyncio.create_task(move_clock(late, clock, HOUR))
    await asyncio.sleep(0.1)
    await follow_clock(db, clock)
    await moving
    assert clock.offset == HOUR
    await move_clock(db, clock, HOUR)
    assert clock.offset == 2 * HOUR
