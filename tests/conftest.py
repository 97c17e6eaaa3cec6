"""One PostgreSQL for the whole run, one fresh database per test.

The server is the embedded one, or the one that ``NOTIFIER_TEST_DATABASE_URL`` names. The controller starts it and
migrates a template; every test (in whichever process) gets its own copy of the template.
"""

import asyncio
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from notifier.clock import MovableClock
from notifier.db import Db, open_database
from notifier.keys import Keys
from notifier.migrations import migrate
from notifier.postgres import embedded_postgres
from notifier.sites.site import Site
from tests.sites import a_site

# A run that was started in the background ignores Ctrl-C, and so would every process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

ROOM = 4 * 1024**3  # bytes that the databases of a run may take
SERVER = "NOTIFIER_TEST_SERVER"
TEMPLATE = "NOTIFIER_TEST_TEMPLATE"
# Our own server waits for no disk: there, copying a database's files takes half the time of logging all their pages.
STRATEGY = "" if os.environ.get("NOTIFIER_TEST_DATABASE_URL") else "STRATEGY FILE_COPY"


def named(url: str, database: str) -> str:
    """The same server, another database."""
    base, question, query = url.partition("?")
    return base.rpartition("/")[0] + "/" + database + question + query


def _in_memory() -> str | None:
    """A folder that is no disk, where there is one with room: copying databases there takes a third of the time."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder below it has a name that nobody can guess
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > ROOM else None


async def _start_server(stack: AsyncExitStack) -> str:
    given = os.environ.get("NOTIFIER_TEST_DATABASE_URL")
    if given:
        return given
    folder = stack.enter_context(
        tempfile.TemporaryDirectory(prefix="pn-", dir=_in_memory(), ignore_cleanup_errors=True)
    )
    os.chmod(folder, 0o755)  # noqa: PTH101,S103 - no test runs yet; the server may be another user
    quick = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
    quick |= {"min_wal_size": "80MB", "max_wal_size": "256MB"}  # it may lie in memory
    return await stack.enter_async_context(embedded_postgres(Path(folder) / "data", options=quick))


async def _make_template(url: str) -> str:
    template = f"template_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE DATABASE {template}")
    finally:
        await connection.close()
    async with open_database(named(url, template), 2) as db:
        await migrate(db)
    return template


async def _drop(url: str, database: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    finally:
        await connection.close()


class _Server:
    """Keeps the server of a run alive between the hooks of the controller."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()

    def start(self) -> None:
        os.environ[SERVER] = self.runner.run(_start_server(self.stack))
        os.environ[TEMPLATE] = self.runner.run(_make_template(os.environ[SERVER]))

    def stop(self) -> None:
        self.runner.run(_drop(os.environ[SERVER], os.environ[TEMPLATE]))
        self.runner.run(self.stack.aclose())
        self.runner.close()


_server: _Server | None = None


def pytest_xdist_auto_num_workers() -> int:
    """``-n auto``: some tests wait for what other processes do, so two more than there are cores."""
    return (os.cpu_count() or 1) + 2


def pytest_sessionstart(session: pytest.Session) -> None:
    global _server
    if not hasattr(session.config, "workerinput"):
        _server = _Server()
        _server.start()


def pytest_sessionfinish() -> None:
    if _server is not None:
        _server.stop()


@asynccontextmanager
async def fresh_database() -> AsyncIterator[str]:
    """A migrated database, and its address."""
    server, name = os.environ[SERVER], f"test_{secrets.token_hex(8)}"
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {os.environ[TEMPLATE]} {STRATEGY}")
    finally:
        await connection.close()
    try:
        yield named(server, name)
    finally:
        await _drop(server, name)


@pytest.fixture
async def database_url() -> AsyncIterator[str]:
    """The address of a migrated database of this test's own."""
    async with fresh_database() as url:
        yield url


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Db]:
    """A pool on this test's own migrated database."""
    async with open_database(database_url, 6) as database:
        yield database


@pytest.fixture
def keys() -> Keys:
    """Keys from a fixed secret."""
    return Keys(b"a secret that only tests know and that is long enough")


@pytest.fixture
def clock() -> MovableClock:
    """A clock that tests can move forward."""
    return MovableClock()


@pytest.fixture
def now() -> datetime:
    """A fixed instant, for verbs that take the time."""
    return datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


@pytest.fixture
async def site(db: Db, now: datetime) -> Site:
    """An applied site that tells by email only, in English and Japanese."""
    from notifier.sites.apply import apply

    described = a_site()
    await apply(db, described, now)
    return described
