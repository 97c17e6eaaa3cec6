"""Take in what a site reports of its people's use, of any length, in constant memory.

The rows it leaves: ``activity``, for people who may yet accept something by using the site; the acceptance stage finds
them there. Of everybody else only the day on which they were last seen is kept.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from notifier.activity.activity import Activity, Day, first_of_each_day, not_after, read_activity, why_ignored
from notifier.activity.memory import Ground, Memory
from notifier.db import Db
from notifier.errors import Fault, Invalid, NotFound
from notifier.lanes import lane_of

BATCH = 4000  # lines per statement; others wait while they are read
MOST_FAULTS = 1000  # listed by line; the rest is counted
TRIES = 5  # of a batch that waited for another one in a circle
KEPT, WAITING = "kept", "waiting"
_BY_LETTER = {"u": "unknown_person", "n": "nothing_open", "s": "same_day", "k": KEPT}


@dataclass
class RecordReport:
    """What became of the lines: ``read`` = ``kept`` + ``waiting`` + all ``ignored`` + ``faulty``.

    ``waiting``: taken in for good; a worker finds out in a moment whether it matters. ``faults`` lists only the first.
    """

    read: int = 0
    kept: int = 0
    waiting: int = 0
    ignored: dict[str, int] = field(default_factory=dict)
    faulty: int = 0
    faults: list[Fault] = field(default_factory=list)

    def add(self, fates: Sequence[str]) -> None:
        """Count what became of some."""
        for fate, count in Counter(fates).items():
            if fate == KEPT:
                self.kept += count
            elif fate == WAITING:
                self.waiting += count
            else:
                self.ignored[fate] = self.ignored.get(fate, 0) + count


async def record(
    db: Db, site: str, lines: AsyncIterable[bytes], now: datetime, memory: Memory | None = None
) -> RecordReport:
    """Take in activities, one JSON object a line. Bad lines are reported and the good ones kept, batch by batch.

    ``ignored`` counts by reason: excluded_kind, robot, in_the_future, unknown_person, nothing_open (no version waits
    for this person's use) and same_day (an earlier use of that day is known). Raises NotFound for an unknown site.
    """
    memory = Memory(2 * BATCH) if memory is None else memory
    await look(db, site, [])
    report = RecordReport()
    batch: list[Activity] = []
    under_way: asyncio.Task[list[str]] | None = None  # while the database has one batch, the next is read
    number = 0
    try:
        async for line in lines:
            number += 1
            if line.strip() and (activity := _read(line, number, report)) is not None:
                batch.append(activity)
            if len(batch) >= BATCH:
                if under_way is not None:
                    report.add(await under_way)
                under_way, batch = asyncio.create_task(take(db, memory, site, batch, now), name="take"), []
    finally:
        if under_way is not None:
            report.add(await under_way)
    report.add(await take(db, memory, site, batch, now))
    if report.kept:
        await db.notify("notifier", "activity")
    return report


def _read(line: bytes, number: int, report: RecordReport) -> Activity | None:
    report.read += 1
    try:
        return read_activity(line)
    except Invalid as error:
        report.faulty += 1
        room = MOST_FAULTS - len(report.faults)
        report.faults.extend(Fault(f"line {number}", f"{f.pointer} {f.detail}".strip()) for f in error.faults[:room])
        return None


async def look(db: Db, site: str, lanes: Sequence[int]) -> Ground:
    """What uses of a site are judged by now. Raises NotFound for an unknown site."""
    found = await db.first(dict, "activity.ground", site=site, lanes=lanes)
    if found is None:
        raise NotFound(f"there is no site {site!r}; apply its site.yaml first")
    epochs = {int(lane): epoch for lane, epoch in (found["epochs"] or {}).items()}
    return Ground(found["kinds"], tuple(found["campaigns"]), tuple(found["effective"]), epochs)


async def take(
    db: Db,
    memory: Memory,
    site: str,
    given: Sequence[Activity],
    now: datetime,
    received: Sequence[datetime] = (),
) -> list[str]:
    """Take in some activities by one statement, one commit. Returns what became of each: KEPT, or why it is ignored.

    People of whom it is remembered that nothing waits for their use are answered without it. ``received``: when each
    came, where that was before ``now``.
    """
    if not given:
        return []
    remembered = [memory.recall(site, one.external_id) for one in given]
    lanes = [
        lane_of(site, one.external_id) if known is None else known.lane
        for one, known in zip(given, remembered, strict=True)
    ]
    ground = await look(db, site, list(set(lanes)))
    fates: list[str] = []
    asked: list[tuple[int, Activity]] = []
    for place, one in enumerate(given):
        if (fate := why_ignored(one, ground.kinds, now)) is None:
            use = not_after(one, now)
            if (known := remembered[place]) is not None and known.covers(use.occurred_at, ground):
                fate = "nothing_open"
            else:
                asked.append((place, use))
        fates.append(fate or "unknown_person")
    if asked:
        keyed = sorted((lanes[day.places[0]], day.first.external_id, day.day, day) for day in first_of_each_day(asked))
        letters = await _keep(db, site, keyed, now, received)
        for (lane, external_id, day, (first, *_)), letter in zip(keyed, letters, strict=True):
            if letter == "n":
                memory.settle(site, external_id, lane, first.occurred_at, day, ground)
        for place, fate in _fates(keyed, letters):
            fates[place] = fate
    return fates


_Keyed = tuple[int, str, Any, Day]  # in the order of the rows' keys


async def _keep(db: Db, site: str, keyed: Sequence[_Keyed], now: datetime, received: Sequence[datetime]) -> str:
    """A letter for each. Two batches that wait for each other in a circle are done after one another."""
    columns = _columns(keyed)
    came = [received[day.places[0]] for *_, day in keyed] if received else [now] * len(keyed)
    for left in reversed(range(TRIES)):
        try:
            async with db.transaction() as tx:  # a savepoint, where one is open: it can be tried again
                letters: str = await tx.value("activity.keep", site=site, now=now, received=came, **columns)
        except asyncpg.DeadlockDetectedError:
            if not left:
                raise
        else:
            return letters
    raise AssertionError("the last try returns or raises")


def _fates(keyed: Sequence[_Keyed], letters: str) -> Iterator[tuple[int, str]]:
    for (*_, day), letter in zip(keyed, letters, strict=True):
        fate = _BY_LETTER[letter]
        first, *others = day.places
        yield first, fate
        for place in others:
            yield place, "same_day" if fate == KEPT else fate


def _columns(keyed: Sequence[_Keyed]) -> dict[str, Any]:
    lanes, people, days, _ = zip(*keyed, strict=True)
    _, times, kinds, paths, prefixes, agents = zip(*(day.first for *_, day in keyed), strict=True)
    last = [name != after for name, after in zip(people, (*people[1:], None), strict=True)]
    return {
        "lanes": lanes,
        "people": people,
        "days": days,
        "last": last,
        "times": times,
        "kinds": kinds,
        "paths": paths,
        "prefixes": prefixes,
        "agents": agents,
    }
