"""Bring a database to the current schema: sql/migrations/NNNN_*.sql, forward only, each in its own transaction."""

import hashlib
from dataclasses import dataclass

from notifier.db import Db
from notifier.errors import Conflict
from notifier.resources import resource

# Any fixed number does: it keeps two migrators from running at once (pg_advisory_xact_lock).
_LOCK = 0x706F6C6963796E


@dataclass(frozen=True)
class Migration:
    """One file: its number, its name, its SQL and the SHA-256 that must not change once it has run."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> bytes:
        """The digest kept beside the number in the database."""
        return hashlib.sha256(self.sql.encode()).digest()


def all_migrations() -> list[Migration]:
    """The files in order."""
    files = sorted((resource("sql") / "migrations").glob("[0-9]*_*.sql"))
    return [Migration(int(f.name[:4]), f.stem[5:], f.read_text("utf-8")) for f in files]


async def migrate(db: Db) -> list[str]:
    """Run what is missing and return its names. Raises Conflict when a file that already ran was edited."""
    ran = []
    await db.execute(
        "CREATE TABLE IF NOT EXISTS migration (number integer PRIMARY KEY, name text NOT NULL,"
        " sha256 bytea NOT NULL, ran_at timestamptz NOT NULL DEFAULT now())"
    )
    for migration in all_migrations():
        async with db.transaction() as tx:
            await tx.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
            if await _has_run(tx, migration):
                continue
            await tx.execute(migration.sql)
            async with tx.connection() as connection:
                await connection.execute(
                    "INSERT INTO migration (number, name, sha256) VALUES ($1, $2, $3)",
                    migration.number, migration.name, migration.sha256,
                )  # fmt: skip
            ran.append(f"{migration.number:04d}_{migration.name}")
    return ran


async def pending(db: Db) -> list[str]:
    """The names of the migrations that have not run; the database is left as it is."""
    async with db.connection() as connection:
        if await connection.fetchval("SELECT to_regclass('migration')") is None:
            return [f"{m.number:04d}_{m.name}" for m in all_migrations()]
    return [f"{m.number:04d}_{m.name}" for m in all_migrations() if not await _has_run(db, m)]


async def _has_run(db: Db, migration: Migration) -> bool:
    async with db.connection() as connection:
        sha256 = await connection.fetchval("SELECT sha256 FROM migration WHERE number = $1", migration.number)
    if sha256 is not None and sha256 != migration.sha256:
        raise Conflict(f"migration {migration.number:04d} was edited after it ran here; add a new one instead")
    return sha256 is not None
