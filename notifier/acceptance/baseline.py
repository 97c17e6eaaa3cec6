"""Take in what a site knows of acceptances from before our record, each with what shows it.

The rows it leaves: ``baseline``, append-only. The decision asks of them whether a person ever accepted an earlier
version, and the audience leaves out who accepted the version itself. Nothing here becomes an acceptance of ours.
"""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from notifier.acceptance.earlier import CsvRecords, Earlier
from notifier.activity.activity import SKEW
from notifier.db import Db
from notifier.errors import Invalid
from notifier.lanes import lane_of
from notifier.people.roster import BATCH, ImportReport, read_line

TRIES = 3  # to append behind revisions that another import appends meanwhile


class _Line(NamedTuple):
    number: int
    said: Earlier


@dataclass(frozen=True)
class _Place:
    """Whom and what a line is about (None: we know no such person or version), and the site's latest word on it."""

    place: int
    lane: int
    person_id: UUID | None
    version_id: int | None
    revision: int
    same: bool


_COLUMNS = (
    "lane", "person_id", "version_id", "revision", "proof", "accepted_at", "via", "reference", "sha256", "recorded_at",
)  # fmt: skip


async def import_baselines(db: Db, site: str, lines: AsyncIterable[bytes], now: datetime) -> ImportReport:
    """Take baselines from NDJSON of any length in constant memory. Good lines are kept whatever the others are like.

    Committed batch by batch; the same again changes nothing, and another word about the same person and version is its
    next revision. ``created`` counts first words, ``changed`` further ones.
    """
    report = ImportReport()
    async for batch in _batches(lines, now, report):
        await _write(db, site, batch, now, report)
    return report


async def csv_lines(lines: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """A table (CSV, its first line names the columns) as the NDJSON that the import takes, line for line.

    Raises Invalid for an unknown column, and for text that is no table.
    """
    records = CsvRecords()
    async for line in lines:
        yield records.feed(line)
    records.end()


async def _batches(lines: AsyncIterable[bytes], now: datetime, report: ImportReport) -> AsyncIterator[list[_Line]]:
    batch: dict[tuple[str, str, str], _Line] = {}
    number = 0
    async for raw in lines:
        number += 1
        said = _read(raw, number, now, report)
        if said is None:
            continue
        key = said.external_id, said.policy, said.version
        report.repeated += key in batch
        batch[key] = _Line(number, said)
        if len(batch) >= BATCH:
            yield list(batch.values())
            batch = {}
    if batch:
        yield list(batch.values())


def _read(raw: bytes, number: int, now: datetime, report: ImportReport) -> Earlier | None:
    said = read_line(Earlier, raw, number, report)
    if said is not None and said.accepted_at is not None and said.accepted_at > now + SKEW:
        report.refuse(number, "accepted_at: lies in the future")
        return None
    return said


async def _write(db: Db, site: str, batch: Sequence[_Line], now: datetime, report: ImportReport) -> None:
    """COPY what is news. Another import that was quicker costs a second look, and nothing is kept of the first."""
    for _ in range(TRIES):
        try:
            async with db.transaction() as tx:
                places = await tx.many(_Place, "acceptance.baseline_places", site=site, **_asked(site, batch))
                news = [one for one in places if one.person_id is not None and one.version_id is not None]
                rows = [_row(one, batch[one.place - 1].said, now) for one in news if not one.same]
                await tx.copy("baseline", _COLUMNS, sorted(rows))  # in key order: two imports wait for each other
            break
        except asyncpg.UniqueViolationError:
            continue
    else:
        raise Invalid("another import of the same people is under way; what was read before is kept, send this again")
    _count(places, batch, report)


def _count(places: Sequence[_Place], batch: Sequence[_Line], report: ImportReport) -> None:
    for one in places:
        line = batch[one.place - 1]
        if one.person_id is None:
            report.refuse(line.number, "external_id: there is no such person; import people first")
        elif one.version_id is None:
            report.refuse(line.number, f"version: {line.said.policy} has no published version of this label")
        elif one.same:
            report.unchanged += 1
        elif one.revision:
            report.changed += 1
        else:
            report.created += 1


def _asked(site: str, batch: Sequence[_Line]) -> dict[str, Any]:
    said = [line.said for line in batch]
    return {
        "lanes": [lane_of(site, one.external_id) for one in said],
        "people": [one.external_id for one in said],
        "policies": [one.policy for one in said],
        "labels": [one.version for one in said],
        "proofs": [one.proof for one in said],
        "accepted": [one.accepted_at for one in said],
        "vias": [one.via for one in said],
        "references": [one.reference for one in said],
        "digests": [one.digest for one in said],
    }


def _row(at: _Place, said: Earlier, now: datetime) -> tuple[Any, ...]:
    return (
        at.lane, at.person_id, at.version_id, at.revision + 1,
        said.proof, said.accepted_at, said.via, said.reference, said.digest, now,
    )  # fmt: skip
