"""Take in what a site reports of its people's use, of any length, in constant memory.

The rows it leaves: ``activity``, for people who may yet accept something by using the site; the acceptance stage finds
them there. Of everybody else only the day on which they were last seen is kept.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import asyncpg

from notifier.activity.activity import Activity, not_after, read_quickly, read_slowly, why_ignored
from notifier.activity.memory import Ground, Memory
from notifier.db import Db
from notifier.errors import Fault, Invalid, NotFound
from notifier.lanes import lanes_of

BATCH = 4000  # lines per statement
FIRST_BATCH = 500  # and twice as many each time: the database has work soon
AT_ONCE = 2  # batches of one body that the database has, while the next is read
MOST_FAULTS = 1000  # listed by line; the rest is counted
TRIES = 5  # of a batch that waited for another one in a circle
# Stands in no word of an activity. One text of many words is written and read faster than an array of them.
_LINE_END = "\n"
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
        self.read += len(fates)
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
    under_way: deque[asyncio.Task[list[str]]] = deque()
    try:
        async for batch in _batches(lines, report):
            if len(under_way) == AT_ONCE:
                report.add(await under_way.popleft())
            under_way.append(asyncio.create_task(take(db, memory, site, batch, now), name="take"))
    finally:
        rest = await asyncio.gather(*under_way, return_exceptions=True)
    for fates in rest:
        if isinstance(fates, BaseException):
            raise fates
        report.add(fates)
    if report.kept:
        await db.notify("notifier", "activity")
    return report


async def _batches(lines: AsyncIterable[bytes], report: RecordReport) -> AsyncIterator[list[Activity]]:
    batch: list[Activity] = []
    number, size = 0, FIRST_BATCH
    async for line in lines:
        number += 1
        one = read_quickly(line) or _read_slowly(line, number, report)
        if one is not None:
            batch.append(one)
            if len(batch) == size:
                yield batch
                batch, size = [], min(2 * size, BATCH)
    if batch:
        yield batch


def _read_slowly(line: bytes, number: int, report: RecordReport) -> Activity | None:
    """What the model makes of a line; None for a blank one and for one that cannot be read, which is reported."""
    if not line.strip():
        return None
    try:
        return read_slowly(line).activity
    except Invalid as error:
        report.read += 1
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
    return Ground(found["kinds"], found["shared"], tuple(found["campaigns"]), tuple(found["effective"]), epochs)


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
    people = [one.external_id for one in given]
    remembered = memory.recall(site, people)
    new_lanes = iter(lanes_of(site, (who for who, known in zip(people, remembered, strict=True) if known is None)))
    lanes = [next(new_lanes) if known is None else known.lane for known in remembered]
    ground = await look(db, site, list(set(lanes)))
    shared = ground.shared if ground.shared != ground.kinds else None  # where all rules agree, no kind comes first
    fates: list[str] = []
    asked: list[Asked] = []
    for place, (one, known) in enumerate(zip(given, remembered, strict=True)):
        fate = why_ignored(one, ground.kinds, now)
        if fate is None:
            at = not_after(one.occurred_at, now)
            if known is not None and known.covers(at, ground):
                fate = "nothing_open"
            else:
                rarely = shared is not None and one.kind not in shared
                asked.append((lanes[place], one.external_id, at.date(), rarely, at, place))
        fates.append(fate or "unknown_person")
    if asked:
        firsts, others = first_of_each_day(asked)
        letters = await _keep(db, memory, site, _columns(given, firsts, received) | {"now": now}, shared)
        for (lane, external_id, day, _, at, place), letter in zip(firsts, letters, strict=True):
            fates[place] = _BY_LETTER[letter]
            if letter == "n":
                memory.settle(site, external_id, lane, at, day, ground)
        for place, number in others:
            fate = _BY_LETTER[letters[number]]
            fates[place] = "same_day" if fate == KEPT else fate
    return fates


# Lane, person, day, whether only some of the open rules count such a use, when, and the place in what was given: as
# they sort, so do the keys of the rows.
Asked = tuple[int, str, date, bool, datetime, int]


def first_of_each_day(asked: Sequence[Asked]) -> tuple[list[Asked], list[tuple[int, int]]]:
    """The use that stands for each person's day, in the order of the rows' keys; and of every other its place and the
    number of that one, whatever order they came in. It is the first, of those that every open rule counts where there
    is one: what only some count never hides what all do. Pure."""
    firsts: list[Asked] = []
    others: list[tuple[int, int]] = []
    person_before, day_before = None, None
    for one in sorted(asked):
        _, person, day, _, _, place = one
        if person == person_before and day == day_before:
            others.append((place, len(firsts) - 1))
        else:
            firsts.append(one)
            person_before, day_before = person, day
    return firsts, others


def _columns(given: Sequence[Activity], firsts: Sequence[Asked], received: Sequence[datetime]) -> dict[str, Any]:
    lanes, people, _, _, times, places = zip(*firsts, strict=True)
    uses = [given[place] for place in places]
    return {
        "lanes": lanes,
        "people": _LINE_END.join(people),
        "times": [at.timestamp() for at in times],
        "received": [received[place] for place in places] if received else [],
        "kinds": _LINE_END.join([use.kind for use in uses]),
        "paths": _LINE_END.join([use.url_path for use in uses]),
        "prefixes": _LINE_END.join([use.ip_prefix for use in uses]),
        "agents": _LINE_END.join([use.user_agent for use in uses]),
    }


async def _keep(db: Db, memory: Memory, site: str, columns: Mapping[str, Any], shared: Sequence[str] | None) -> str:
    """A letter for each. Two batches that wait for each other in a circle are done after one another."""
    new = not memory.expects_known_days(site)
    for left in reversed(range(TRIES)):
        try:
            async with db.savepoint() as part:
                if new:
                    letters: str = await part.value("activity.keep_new", site=site, **columns)
                else:
                    letters = await part.value("activity.keep", site=site, shared=shared, **columns)
        except asyncpg.UniqueViolationError:
            if not new or not left:
                raise
            new = False
            memory.met_known_day(site)
        except asyncpg.DeadlockDetectedError:
            if not left:
                raise
        else:
            return letters
    raise AssertionError("the last try returns or raises")
