"""The database: named queries in, dataclasses out. Nothing here knows what the rows mean."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import asyncpg
import orjson

from notifier.errors import Unavailable
from notifier.log import log
from notifier.queries import all_queries

T = TypeVar("T")

if TYPE_CHECKING:  # generic in its stubs only
    Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]


async def _prepare_connection(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_to_jsonb, decoder=_from_jsonb, format="binary"
    )
    # asyncpg's own takes 1.2 µs for a moment, and every letter's outcome has two. The many of a batch are the same.
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", encoder=_to_timestamptz, decoder=_from_timestamptz, format="tuple"
    )


# The binary form of jsonb (which COPY needs) is its version, 1, before the text.
def _to_jsonb(value: object) -> bytes:
    return b"\x01" + orjson.dumps(value)


def _from_jsonb(value: bytes) -> Any:
    return orjson.loads(value[1:])


# PostgreSQL counts microseconds from here.
_EPOCH, _MICROSECOND = datetime(2000, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


@lru_cache(maxsize=1024)
def _to_timestamptz(moment: datetime) -> tuple[int]:
    return ((moment - _EPOCH) // _MICROSECOND,)


def _from_timestamptz(value: tuple[int]) -> datetime:
    return _EPOCH + timedelta(0, 0, value[0])


# What the driver says when the server went away, or takes no connection: the same may work in a moment.
GONE = (
    asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError, asyncpg.CrashShutdownError, ConnectionRefusedError,
)  # fmt: skip
# The same, and what a connection says that broke in the midst of a question. Of these asyncpg.DataError speaks of what
# was asked: see is_away.
AWAY = (*GONE, OSError, asyncpg.InterfaceError)
# What a server answers, or does not, that is starting or recovers from a crash: the same may work in a moment.
_NOT_YET = (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError)
_LOOK_AGAIN = 0.5  # seconds


def is_away(error: BaseException) -> bool:
    """Whether an error says that the database is away, and nothing of what was asked."""
    return isinstance(error, AWAY) and not isinstance(error, asyncpg.DataError)


async def wait_for_database(url: str, patience: float) -> None:
    """Return once the PostgreSQL at ``url`` takes connections. Raises Unavailable after ``patience`` seconds."""
    loop = asyncio.get_running_loop()
    end, said = loop.time() + patience, False
    while True:
        try:
            async with asyncio.timeout_at(max(end, loop.time() + _LOOK_AGAIN)):
                await (await asyncpg.connect(url)).close()
        except _NOT_YET as error:
            words = str(error) or "it does not answer"
            if loop.time() >= end:
                remedy = "start it, or check NOTIFIER_DATABASE_URL"
                raise Unavailable(f"the database took no connection for {patience:g} s ({words}); {remedy}") from error
            if not said:
                log.warning("waiting for the database", seconds=patience, error=words)
                said = True
            await asyncio.sleep(_LOOK_AGAIN)
        else:
            if said:
                log.warning("the database is there")
            return


async def written_out(connection: "Connection", sql: str, arguments: Sequence[object]) -> str:
    """The text of a query with its parameters as literals, quoted by PostgreSQL itself."""
    types = [parameter.name for parameter in (await connection.prepare(sql)).get_parameters()]
    quoted = ", ".join(f"quote_nullable(${number}::{type_}::text)" for number, type_ in enumerate(types, start=1))
    literals = await connection.fetchrow(f"SELECT {quoted}", *arguments)
    assert literals is not None
    return re.sub(r"\$(\d+)", lambda match: f"{literals[int(match[1]) - 1]}::{types[int(match[1]) - 1]}", sql)


@asynccontextmanager
async def open_database(url: str, connections: int = 10) -> AsyncIterator["Db"]:
    """Open a pool of at most ``connections`` to the PostgreSQL at ``url``, and close it at the end."""
    class_, forget_types = _knowing()

    async def prepare(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        await _prepare_connection(connection)
        connection.add_termination_listener(forget_types)  # the next may be to a database that was restored

    async with asyncpg.create_pool(
        url,
        min_size=1,
        max_size=connections,
        connection_class=class_,
        init=prepare,
        reset=_leave_session,
        server_settings={"timezone": "UTC"},
    ) as pool:
        yield Db(pool)


def _knowing() -> tuple[type["asyncpg.Connection[asyncpg.Record]"], Callable[[Any], None]]:
    """Connections that tell each other what types a database has; and what makes them forget it.

    asyncpg asks on every connection anew, when it first meets arrays or enums of ours: four statements and 6 ms of
    PostgreSQL, for which a letter or an answer waits. Should it come to ask in another way, it asks every time again.
    """
    types: dict[int, Any] = {}
    asking = asyncio.Lock()

    class Knowing(asyncpg.Connection):
        async def _introspect_types(self, oids: Iterable[int], patience: float | None) -> tuple[list[Any], Any]:
            asked = SimpleNamespace(name="earlier")  # a statement with a name: it took nobody else's place
            if not types.keys() >= set(oids):
                async with asking:
                    if missing := set(oids) - types.keys():
                        found, asked = await super()._introspect_types(missing, patience)  # type: ignore[misc] # private
                        types.update((one["oid"], one) for one in found)
            return list(types.values()), asked

    return Knowing, lambda _: types.clear()


def _fields(shape: type) -> tuple[str, ...]:
    """The fields of a named tuple or of a msgspec struct, which are made without their names; else nothing."""
    fields: tuple[str, ...] = getattr(shape, "_fields", getattr(shape, "__struct_fields__", ()))
    return fields


async def _leave_session(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Nothing to reset when a connection goes back (asyncpg has rolled back what was open): it saves a round trip.

    Settings are SET LOCAL, locks and cursors end with their transaction, and who listens stops listening.
    """


class Db:
    """Runs named queries, on any connection of the pool or, inside :meth:`transaction`, on one."""

    def __init__(self, pool: "Pool", connection: "Connection | None" = None) -> None:
        self.pool = pool
        self._connection = connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["Connection"]:
        """The connection of the open transaction, or one of the pool's for as long as the block lasts."""
        if self._connection is not None:
            yield self._connection
        else:
            async with self.pool.acquire() as connection:
                yield connection

    async def answers(self) -> bool:
        """Whether the database answers now."""
        try:
            async with self.connection() as connection:
                await connection.execute("SELECT 1")
        except AWAY:
            return False
        return True

    @asynccontextmanager
    async def transaction(self, *, snapshot: bool = False, read_only: bool = False) -> AsyncIterator["Db"]:
        """A transaction (a savepoint when one is open). ``snapshot`` sees one moment throughout: repeatable read."""
        async with self.connection() as connection:
            isolation: Any = "repeatable_read" if snapshot else None
            async with connection.transaction(isolation=isolation, readonly=read_only):
                yield Db(self.pool, connection)

    def savepoint(self) -> AbstractAsyncContextManager["Db"]:
        """What one statement that may be tried again needs: a savepoint where a transaction is open, else nothing."""
        return nullcontext(self) if self._connection is None else self.transaction()

    async def many(self, shape: type[T], name: str, /, **parameters: object) -> list[T]:
        """All rows of a query, each as ``shape(**row)``."""
        sql, arguments = all_queries()[name].bound(parameters)
        async with self.connection() as connection:
            rows = await connection.fetch(sql, *arguments)
        names = tuple(rows[0].keys()) if rows else ()
        if names == _fields(shape)[: len(names)]:
            # Its first fields are the columns, in this order: a tenth of the time that names take.
            return [shape(*row) for row in rows]
        return [shape(**row) for row in rows]

    async def first(self, shape: type[T], name: str, /, **parameters: object) -> T | None:
        """The first row as ``shape(**row)``, or None."""
        query = all_queries()[name]
        async with self.connection() as connection:
            row = await connection.fetchrow(query.sql, *query.arguments(parameters))
        return None if row is None else shape(**row)

    async def value(self, name: str, /, **parameters: object) -> Any:
        """The first column of the first row, or None."""
        query = all_queries()[name]
        async with self.connection() as connection:
            return await connection.fetchval(query.sql, *query.arguments(parameters))

    async def run(self, name: str, /, **parameters: object) -> int:
        """Run a query for what it changes. Returns how many rows it touched."""
        query = all_queries()[name]
        async with self.connection() as connection:
            status = await connection.execute(query.sql, *query.arguments(parameters))
        last = status.rpartition(" ")[2]
        return int(last) if last.isdigit() else 0

    async def create(self, table: str, name: str, /, **parameters: object) -> int:
        """Create a table of the rows of a query that selects. Returns how many.

        Unlike an INSERT of them, PostgreSQL answers this with all its parallel workers; but it takes no parameters.
        """
        text, arguments = all_queries()[name].bound(parameters)
        async with self.connection() as connection:
            sql = await written_out(connection, text, arguments)
            status = await connection.execute(f"CREATE TABLE {table} AS {sql}")
        return int(status.rpartition(" ")[2])

    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
        """COPY rows into a table. Returns how many."""
        async with self.connection() as connection:
            status = await connection.copy_records_to_table(table, columns=columns, records=rows)
        return int(status.rpartition(" ")[2])

    async def stream(self, shape: type[T], name: str, /, **parameters: object) -> AsyncIterator[T]:
        """The rows of a query one after the other, in constant memory, as of one moment."""
        query = all_queries()[name]
        async with self.transaction(snapshot=True, read_only=True) as snapshot, snapshot.connection() as connection:
            async for row in connection.cursor(query.sql, *query.arguments(parameters), prefetch=500):
                yield shape(**row)

    async def execute(self, sql: str) -> None:
        """Run DDL that cannot be a named query (migrations, a campaign's partition)."""
        async with self.connection() as connection:
            await connection.execute(sql)

    async def notify(self, topic: str, payload: str = "") -> None:
        """Wake whoever listens on ``topic``. Waking is a courtesy: everybody also polls."""
        async with self.connection() as connection:
            await connection.execute("SELECT pg_notify($1, $2)", topic, payload)
