"""Export a campaign's notices as CSV, straight from PostgreSQL into whatever takes the bytes, in constant memory."""

import csv
import io
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from notifier.compliance.figures import STATUSES, Report
from notifier.compliance.search import Filters
from notifier.db import Db
from notifier.queries import all_queries


async def notices_csv(
    db: Db, campaign_id: int, filters: Filters, write: Callable[[bytes], Coroutine[Any, Any, None]]
) -> None:
    """Write the notices that fit as CSV (RFC 4180, UTF-8, a header line, times with their offset) to ``write``.

    What a spreadsheet would take for a formula begins with an apostrophe instead. Raises Invalid before anything is
    written when a filter is strange.
    """
    query = all_queries()["compliance.notices_csv"]
    arguments = query.arguments({"campaign_id": campaign_id, **filters.parameters()})
    async with db.connection() as connection:
        await connection.copy_from_query(query.sql, *arguments, output=write, format="csv", header=True)


def figures_csv(report: Report) -> bytes:
    """A campaign in numbers as CSV: a part, a name and a count a line. What does not add up has lines of its own."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(("part", "name", "count"))
    rows.writerows(_figures(report))
    rows.writerows(("does not add up", gap, "") for gap in report.gaps)
    return text.getvalue().encode()


def _figures(report: Report) -> Iterator[tuple[str, str, int]]:
    yield "population", "", report.population
    yield "in scope", "", report.in_scope
    yield from (("status", name, getattr(report, name)) for name in STATUSES)
    parts = {
        "excluded": report.excluded, "became of the told": report.told_split, "accepted": report.accepted,
        "grade": report.grades, "failure": report.failures, "reminders": report.reminders,
    }  # fmt: skip
    for preset, ends in report.by_preset.items():
        parts[f"became of the told under {preset}"] = ends
    for part, counts in parts.items():
        yield from ((part, name, count) for name, count in counts.items())
    yield "objections", "standing", report.objections
