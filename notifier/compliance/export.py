"""Export a campaign's notices as CSV, straight from PostgreSQL into whatever takes the bytes, in constant memory."""

from collections.abc import Callable, Coroutine
from typing import Any

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
