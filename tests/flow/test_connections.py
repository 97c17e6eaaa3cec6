"""What a connection of ours does otherwise than asyncpg's: moments, and what it knows of a database's types."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.db import Db, _from_timestamptz, _to_timestamptz

ENUMS = "SELECT $1::notice_reason[], $2::smallint[]"


@given(st.datetimes(timezones=st.timezones()))
def test_a_moment_comes_back_as_it_was_whatever_its_zone(moment: datetime) -> None:
    try:
        in_utc = moment.astimezone(UTC)
    except OverflowError:  # the first and the last hours that a datetime knows
        return
    assert _from_timestamptz(_to_timestamptz(moment)) == in_utc


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 3, 1, 9, 0, 0, 1, tzinfo=timezone(timedelta(hours=9))),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ],
)
async def test_postgresql_takes_a_moment_for_what_it_is(db: Db, moment: datetime) -> None:
    async with db.connection() as connection:
        said, back, many = await connection.fetchrow(
            "SELECT (extract(epoch FROM $1::timestamptz) * 1000000)::bigint, $1::timestamptz, ARRAY[$1::timestamptz]",
            moment,
        )
        with pytest.raises(asyncpg.DataError):
            await connection.fetchval("SELECT $1::timestamptz", moment.replace(tzinfo=None))
    assert (back, many) == (moment, [moment])
    assert back.tzinfo is UTC
    assert said == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


async def asked_about_types(connection: Any) -> int:
    """How often a connection asks what types there are, for a query with arrays."""
    queries: list[str] = []
    with connection.query_logger(lambda one: queries.append(one.query)):
        assert await connection.fetchval(ENUMS, ["in_scope"], [1]) == ["in_scope"]
    return sum("typeinfo_tree" in query for query in queries)


async def test_one_connection_asks_for_all_what_types_there_are_until_one_is_lost(db: Db) -> None:
    async with db.pool.acquire() as one, db.pool.acquire() as two:
        assert [await asked_about_types(one), await asked_about_types(two), await asked_about_types(two)] == [1, 0, 0]
        two.terminate()
        async with db.pool.acquire() as three:
            assert await asked_about_types(three) == 1
