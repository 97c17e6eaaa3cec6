"""Take in what a site reports of its people's use, of any length, in constant memory.

The rows it leaves: ``activity``, for people who may yet accept something by using the site; the acceptance stage finds
them there. Of everybody else only the day on which they were last seen is kept.
"""

from collections import Counter
from collections.abc import AsyncIterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from notifier.activity.activity import ActivityInput, Day, Use, as_use, first_of_each_day, read_activity, why_ignored
from notifier.activity.memory import Ground, Memory, Settled
from notifier.db import Db
from notifier.errors import Fault, Invalid, NotFound
from notifier.lanes import lane_of

BATCH = 2000  # lines per statement; others wait while they are read
MOST_FAULTS = 1000  # listed by line; the rest is counted
KEPT = "kept"


@dataclass
class RecordReport:
    """What became of the lines: ``read`` = ``kept`` + all ``ignored`` + ``faulty``. ``faults`` lists only the first."""

    read: int = 0
    kept: int = 0
    ignored: dict[str, int] = field(default_factory=dict)
    faulty: int = 0
    faults: list[Fault] = field(default_factory=list)

    def add(self, fates: Sequence[str]) -> None:
        """Count what became of some."""
        for fate, count in Counter(fates).items():
            if fate == KEPT:
                self.kept += count
            else:
                self.ignored[fate] = self.ignored.get(fate, 0) + count


@dataclass(frozen=True)
class _Places:
    """Places in a batch, from 1: see the query."""

    known: list[int]
    waiting: list[int]
    kept: list[int]
    seen: list[int]


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
    batch: list[ActivityInput] = []
    number = 0
    async for line in lines:
        number += 1
        if line.strip() and (activity := _read(line, number, report)) is not None:
            batch.append(activity)
        if len(batch) >= BATCH:
            report.add(await take(db, memory, site, batch, now))
            batch.clear()
    report.add(await take(db, memory, site, batch, now))
    if report.kept:
        await db.notify("notifier", "activity")
    return report


def _read(line: bytes, number: int, report: RecordReport) -> ActivityInput | None:
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


async def take(db: Db, memory: Memory, site: str, given: Sequence[ActivityInput], now: datetime) -> list[str]:
    """Take in some activities by one statement, one commit. Returns what became of each: KEPT, or why it is ignored.

    People of whom it is remembered that nothing waits for their use are answered without it.
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
    asked: list[tuple[int, str, Use]] = []
    for place, (one, known) in enumerate(zip(given, remembered, strict=True)):
        fate = why_ignored(one, ground.kinds, now) or _without_asking(one, known, ground, now)
        fates.append(fate or "unknown_person")
        if fate is None:
            asked.append((place, one.external_id, as_use(one, now)))
    keyed = sorted(
        ((lanes[day.places[0]], day) for day in first_of_each_day(asked)),
        key=lambda one: (one[0], one[1].external_id, one[1].use.occurred_at),
    )
    for place, fate in await _ask(db, memory, site, keyed, ground, now):
        fates[place] = fate
    return fates


def _without_asking(one: ActivityInput, known: Settled | None, ground: Ground, now: datetime) -> str | None:
    if known is None:
        return None
    at = min(one.occurred_at, now).astimezone(UTC)
    return "nothing_open" if known.covers(at, at.date(), ground) else None


async def _ask(
    db: Db, memory: Memory, site: str, days: Sequence[tuple[int, Day]], ground: Ground, now: datetime
) -> Iterator[tuple[int, str]]:
    if not days:
        return iter(())
    found = await db.first(_Places, "activity.keep", site=site, now=now, **_columns(days))
    assert found is not None
    waiting = set(found.waiting)
    for place in set(found.seen) - waiting:
        lane, day = days[place - 1]
        memory.settle(site, day.external_id, lane, day.use.occurred_at, day.use.day, ground)
    return _fates(days, found, waiting)


def _fates(days: Sequence[tuple[int, Day]], found: _Places, waiting: set[int]) -> Iterator[tuple[int, str]]:
    kept = set(found.kept)
    for number in found.known:
        first, *others = days[number - 1][1].places
        open_ = number in waiting
        yield first, KEPT if number in kept else "same_day" if open_ else "nothing_open"
        for place in others:
            yield place, "same_day" if open_ else "nothing_open"


def _columns(days: Sequence[tuple[int, Day]]) -> dict[str, Any]:
    return {
        "lanes": [lane for lane, _ in days],
        "people": [day.external_id for _, day in days],
        "times": [day.use.occurred_at for _, day in days],
        "kinds": [day.use.kind for _, day in days],
        "paths": [day.use.url_path for _, day in days],
        "prefixes": [day.use.ip_prefix for _, day in days],
        "agents": [day.use.user_agent for _, day in days],
    }
