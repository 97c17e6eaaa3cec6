"""People come and change. Leaves ``person`` and ``registration`` rows.

A person is replaced as a whole, but for what registration said (``registered_at``, ``registration_version``): that is
kept when it is not given again. The same again changes nothing.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError

from notifier.db import Db
from notifier.errors import Conflict, Fault, Invalid, NotFound, faults_of
from notifier.keys import Keys
from notifier.lanes import lane_of, new_id
from notifier.people.person import PersonInput

M = TypeVar("M", bound=BaseModel)

LINE_LIMIT = 64 * 1024
BATCH = 2000
# Faults that a report names one by one; beyond these they are only counted.
FAULTS_NAMED = 1000
_SKEW = timedelta(minutes=5)
_BREATH = 250  # lines between two moments in which others may run


@dataclass(frozen=True)
class Person:
    """One person of a site as we know them now."""

    lane: int
    site: str
    external_id: str
    person_id: UUID
    status: str
    email: str | None
    locale: str
    time_zone: str
    country: str
    roles: list[str]
    channels: list[str]
    attributes: dict[str, Any]
    registered_at: datetime
    registration_version: str | None
    changed_at: datetime
    last_seen_on: date | None
    closed_at: datetime | None


@dataclass
class ImportReport:
    """What became of the lines: ``read`` = ``kept`` + ``refused``, ``kept`` = the four kinds of keeping together."""

    read: int = 0
    refused: int = 0
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    repeated: int = 0  # the same person came again soon after; the last line counts
    faults: list[Fault] = field(default_factory=list)

    @property
    def kept(self) -> int:
        """Lines that were taken."""
        return self.read - self.refused

    def refuse(self, line: int, reason: str) -> None:
        """Count a line as bad, and say why while there is room."""
        self.refused += 1
        if len(self.faults) < FAULTS_NAMED:
            self.faults.append(Fault(f"line {line}", reason))


class _Line(NamedTuple):
    number: int
    person: PersonInput


async def import_people(
    db: Db,
    keys: Keys,
    site: str,
    lines: AsyncIterable[bytes],
    now: datetime,
    on_progress: Callable[[ImportReport], None] | None = None,
) -> ImportReport:
    """Take people from NDJSON of any length in constant memory. Good lines are kept whatever the others are like.

    Committed batch by batch: after a broken connection the same import can simply be sent again. Empty lines count
    for the numbering only. Lines over 64 KiB are refused.
    """
    report = ImportReport()
    writing: asyncio.Task[None] | None = None
    try:
        async for batch in _batches(lines, now, report):
            if writing:
                await writing
            # PostgreSQL writes this batch while we read the next.
            writing = asyncio.create_task(_write(db, keys, site, batch, now, report))
            if on_progress:
                on_progress(report)
        if writing:
            await writing
    finally:
        if writing:
            writing.cancel()  # nothing to cancel unless reading failed
            await asyncio.gather(writing, return_exceptions=True)
    if on_progress:
        on_progress(report)
    return report


async def _batches(lines: AsyncIterable[bytes], now: datetime, report: ImportReport) -> AsyncIterator[dict[str, _Line]]:
    batch: dict[str, _Line] = {}
    number = 0
    async for raw in lines:
        number += 1
        if number % _BREATH == 0:
            await asyncio.sleep(0)
        person = _read(raw, number, now, report)
        if person is None:
            continue
        if person.external_id in batch:
            report.repeated += 1
        batch[person.external_id] = _Line(number, person)
        if len(batch) >= BATCH:
            yield batch
            batch = {}
    if batch:
        yield batch


async def put_person(db: Db, keys: Keys, site: str, person: PersonInput, now: datetime) -> tuple[Person, str]:
    """Take one person. Returns them and what happened: created, changed or unchanged.

    Raises Invalid (registered or closed in the future), Conflict (was erased).
    """
    report = ImportReport(read=1)
    if fault := _impossible(person, now):
        raise Invalid("nothing was changed", [fault])
    await _write(db, keys, site, {person.external_id: _Line(1, person)}, now, report)
    if report.refused:
        raise Conflict(f"nothing was changed: {report.faults[0].detail}")
    happened = "created" if report.created else "changed" if report.changed else "unchanged"
    return await get_person(db, keys, site, person.external_id), happened


async def get_person(db: Db, keys: Keys, site: str, external_id: str) -> Person:
    """A person by the site's own id; one who was erased is found by it too. Raises NotFound."""
    pseudonym = keys.pseudonym(site, external_id)
    lane = lane_of(site, external_id)
    person = await db.first(Person, "people.person", lane=lane, site=site, external_id=external_id, pseudonym=pseudonym)
    if person is None:
        raise NotFound(f"{site} has no such person")
    return person


def read_line(model: type[M], raw: bytes, number: int, report: ImportReport) -> M | None:
    """One numbered line of an import as ``model``; None: it is empty, or the report says why it is refused."""
    line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
    if not line.strip():
        return None
    report.read += 1
    if len(line) > LINE_LIMIT:
        report.refuse(number, "longer than 64 KiB")
        return None
    try:
        return model.model_validate_json(line)
    except ValidationError as error:
        report.refuse(number, reason_of(error))
        return None


def reason_of(error: ValidationError) -> str:
    """What is wrong with a line, in one sentence."""
    return "; ".join(f"{f.pointer[1:]}: {f.detail}".lstrip(": ") for f in faults_of(error))


def _read(raw: bytes, number: int, now: datetime, report: ImportReport) -> PersonInput | None:
    person = read_line(PersonInput, raw, number, report)
    if person is not None and (fault := _impossible(person, now)):
        report.refuse(number, f"{fault.pointer[1:]}: {fault.detail}")
        return None
    return person


def _impossible(person: PersonInput, now: datetime) -> Fault | None:
    if person.registered_at is not None and person.registered_at > now + _SKEW:
        return Fault("/registered_at", "lies in the future")
    if person.closed_at is not None:
        if person.status != "closed":
            return Fault("/closed_at", "is for closed accounts; say the status closed, or leave it out")
        if person.closed_at > now + _SKEW:
            return Fault("/closed_at", "lies in the future")
    return None


async def _write(
    db: Db, keys: Keys, site: str, batch: Mapping[str, _Line], now: datetime, report: ImportReport
) -> None:
    rows = [_row(keys, site, line.person) for line in batch.values()]
    async with db.transaction() as tx:
        counts = await tx.first(_Counts, "people.upsert", site=site, people=rows, now=now)
        assert counts is not None
        returned = await _remove_returned(tx, keys, site, rows)
        merged = await _merged_away(tx, site, rows)
        await _register(tx, site, [row for row in rows if row["registration_version"]])
    for external_id in returned:
        line = batch[external_id].number
        report.refuse(line, "this person was erased; give one who comes back an external_id of their own")
    for external_id in merged:
        report.refuse(batch[external_id].number, "this account was merged into another one; name that one instead")
    report.created += counts.created - len(returned)
    report.changed += counts.changed
    report.unchanged += len(batch) - len(merged) - counts.created - counts.changed


class _Counts(NamedTuple):
    created: int
    changed: int


class _Returned(NamedTuple):  # or merged away
    lane: int
    external_id: str


def _row(keys: Keys, site: str, person: PersonInput) -> dict[str, Any]:
    mac = keys.address_mac(site, person.email).hex() if person.email else None
    lane = lane_of(site, person.external_id)
    return {**person.__dict__, "lane": lane, "person_id": new_id(), "email_mac": mac}


async def _remove_returned(tx: Db, keys: Keys, site: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Those of the batch who were erased before, taken out again: a stale list brings nobody back."""
    found = await tx.many(
        _Returned,
        "people.returned",
        site=site,
        lanes=[row["lane"] for row in rows],
        external_ids=[row["external_id"] for row in rows],
        pseudonyms=[keys.pseudonym(site, row["external_id"]) for row in rows],
    )
    external_ids = [one.external_id for one in found]
    if found:
        await tx.run("people.remove", site=site, lanes=[one.lane for one in found], external_ids=external_ids)
    return external_ids


async def _merged_away(tx: Db, site: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Those of the batch whose account was merged into another: a stale list parts nobody again."""
    where = {"lanes": [row["lane"] for row in rows], "external_ids": [row["external_id"] for row in rows]}
    return [one.external_id for one in await tx.many(_Returned, "people.merged_away", site=site, **where)]


async def _register(tx: Db, site: str, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    await tx.run("people.hold_policies", site=site)
    await tx.run(
        "people.insert_registrations",
        site=site,
        lanes=[row["lane"] for row in rows],
        external_ids=[row["external_id"] for row in rows],
        labels=[row["registration_version"] for row in rows],
    )
