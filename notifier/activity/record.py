"""Take in what a site reports of its people's use, of any length, in constant memory.

The rows it leaves: ``activity``, for people who may yet accept something by using the site; the acceptance stage finds
them there. Of everybody else only the day on which they were last seen is kept.
"""

from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from notifier.activity.activity import Day, Use, as_use, first_of_each_day, read_activity, why_ignored
from notifier.db import Db
from notifier.errors import Fault, Invalid
from notifier.lanes import lane_of
from notifier.sites.site import load_site

BATCH = 2000  # lines per statement; others wait while they are read
MOST_FAULTS = 1000  # listed by line; the rest is counted


@dataclass
class RecordReport:
    """What became of the lines: ``read`` = ``kept`` + all ``ignored`` + ``faulty``. ``faults`` lists only the first."""

    read: int = 0
    kept: int = 0
    ignored: dict[str, int] = field(default_factory=dict)
    faulty: int = 0
    faults: list[Fault] = field(default_factory=list)


@dataclass(frozen=True)
class _Counts:
    known: int
    waiting: int
    kept: int


async def record(db: Db, site: str, lines: AsyncIterable[bytes], now: datetime) -> RecordReport:
    """Take in activities, one JSON object a line. Bad lines are reported and the good ones kept, batch by batch.

    ``ignored`` counts by reason: excluded_kind, robot, in_the_future, unknown_person, nothing_open (no version waits
    for this person's use) and same_day (an earlier use of that day is known). Raises NotFound for an unknown site.
    """
    allowed = (await load_site(db, site)).rule.activity_kinds
    report = RecordReport()
    batch: list[tuple[str, Use]] = []
    number = 0
    async for line in lines:
        number += 1
        if line.strip() and (use := _read(line, number, report, allowed, now)) is not None:
            batch.append(use)
        if len(batch) >= BATCH:
            await _keep(db, site, batch, report, now)
            batch.clear()
    await _keep(db, site, batch, report, now)
    await db.notify("notifier", "activity")
    return report


def _read(
    line: bytes, number: int, report: RecordReport, allowed: Sequence[str] | None, now: datetime
) -> tuple[str, Use] | None:
    report.read += 1
    try:
        activity = read_activity(line)
    except Invalid as error:
        report.faulty += 1
        room = MOST_FAULTS - len(report.faults)
        report.faults.extend(Fault(f"line {number}", f"{f.pointer} {f.detail}".strip()) for f in error.faults[:room])
        return None
    reason = why_ignored(activity, allowed, now)
    if reason is not None:
        _ignore(report, reason, 1)
        return None
    return activity.external_id, as_use(activity, now)


async def _keep(db: Db, site: str, batch: Sequence[tuple[str, Use]], report: RecordReport, now: datetime) -> None:
    if not batch:
        return
    days = sorted(
        ((lane_of(site, day.external_id), day) for day in first_of_each_day(batch)),
        key=lambda keyed: (keyed[0], keyed[1].external_id, keyed[1].use.occurred_at),
    )
    counts = await db.first(_Counts, "activity.keep", site=site, now=now, **_columns(days))
    assert counts is not None
    report.kept += counts.kept
    _ignore(report, "unknown_person", len(batch) - counts.known)
    _ignore(report, "nothing_open", counts.known - counts.waiting)
    _ignore(report, "same_day", counts.waiting - counts.kept)


def _ignore(report: RecordReport, reason: str, count: int) -> None:
    if count:
        report.ignored[reason] = report.ignored.get(reason, 0) + count


def _columns(days: Sequence[tuple[int, Day]]) -> dict[str, object]:
    return {
        "lanes": [lane for lane, _ in days],
        "people": [day.external_id for _, day in days],
        "uses": [day.uses for _, day in days],
        "times": [day.use.occurred_at for _, day in days],
        "kinds": [day.use.kind for _, day in days],
        "paths": [day.use.url_path for _, day in days],
        "prefixes": [day.use.ip_prefix for _, day in days],
        "agents": [day.use.user_agent for _, day in days],
    }
