"""The composition root: opens everything once, in order, and closes it in reverse. Every role goes through here."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from pathlib import Path

from notifier.channels.channel import Channel
from notifier.clock import Clock, MovableClock
from notifier.db import Db, open_database, wait_for_database
from notifier.errors import Unavailable
from notifier.keys import Keys
from notifier.migrations import migrate, pending
from notifier.postgres import embedded_postgres
from notifier.settings import Settings

# Seconds for which a role that goes on running waits for a database that is just starting, or recovers from a crash.
DATABASE_PATIENCE = 60.0


@dataclass(frozen=True)
class Service:
    """Everything that is open. Passed to roles; a role passes on only what each part needs."""

    settings: Settings
    db: Db
    clock: Clock
    keys: Keys
    channels: Mapping[str, Channel]


@asynccontextmanager
async def open_service(settings: Settings, patience: float = 0) -> AsyncIterator[Service]:
    """Open the database (our own when none is named), the keys, the clock and the channels.

    ``patience``: seconds to wait for a database that takes no connections yet. Raises Unavailable when it takes none,
    when it was not migrated, or when its clock was moved and this is production.
    """
    async with AsyncExitStack() as stack:
        db = await stack.enter_async_context(open_migrated(settings, patience))
        keys = Keys(secret_key(settings))
        channels = {}
        for name in settings.channels:
            channel = await stack.enter_async_context(import_module(name).open_channel(settings, keys))
            channels[channel.name] = channel
        yield Service(settings, db, await open_clock(db, settings.mode), keys, channels)


@asynccontextmanager
async def open_migrated(settings: Settings, patience: float = 0) -> AsyncIterator[Db]:
    """A database with the current schema. Our own is brought up to date; somebody else's only by ``migrate``."""
    async with AsyncExitStack() as stack:
        url = settings.database_url
        if url is None:
            url = await stack.enter_async_context(embedded_postgres(settings.data_folder / "postgres"))
        elif patience:
            await wait_for_database(url, patience)
        db = await stack.enter_async_context(open_database(url, settings.database_connections))
        if settings.database_url is None:
            await migrate(db)
        elif missing := await pending(db):
            raise Unavailable(f"the database lacks {', '.join(missing)}; run `notifier migrate` first")
        yield db


def secret_key(settings: Settings) -> bytes:
    """The installation's secret: the one that was set, or one made on first use beside the embedded database.

    Raises Unavailable when a database of somebody else's is used without a secret: workers would each make their own.
    """
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    if settings.database_url is not None:
        raise Unavailable("set NOTIFIER_SECRET_KEY (32 characters or more): every process needs the same one")
    return _generated(settings.data_folder / "secret-key")


def _generated(file: Path) -> bytes:
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        draft.replace(file)
    return file.read_bytes()


async def open_clock(db: Db, mode: str) -> Clock:
    """The service's clock. Raises Unavailable for production on a database whose clock was ever moved."""
    offset: timedelta | None = await db.value("running.clock_offset")
    if mode == "production":
        if offset is not None:
            raise Unavailable(
                "this database belongs to a demo or a test: its clock was moved, so its dates are not real"
            )
        return Clock()
    return MovableClock(offset or timedelta())


async def move_clock(db: Db, clock: MovableClock, by: timedelta) -> None:
    """Set a demo's clock forward, for every process on this database."""
    clock.reach(await db.value("running.move_clock", by=by))
    await db.notify("notifier", "clock")


async def follow_clock(db: Db, clock: Clock) -> int:
    """Take over the offset that another process set. Never has more to do at once, so it answers 0."""
    if isinstance(clock, MovableClock):
        clock.reach(await db.value("running.clock_offset") or timedelta())
    return 0
