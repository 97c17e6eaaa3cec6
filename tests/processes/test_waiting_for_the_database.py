"""Roles that are started before their database, or while it recovers, wait for it a while instead of giving up."""

import asyncio
import os
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from notifier.db import open_database, wait_for_database
from notifier.errors import Unavailable
from notifier.migrations import migrate
from notifier.postgres import embedded_postgres
from tests.processes.test_chaos import Postgres


async def test_a_worker_that_starts_before_its_database_says_so_and_waits(database_url: str, tmp_path: Path) -> None:
    [socket_folder] = parse_qs(urlsplit(database_url).query).get("host", [""])
    if not socket_folder:
        pytest.skip("the database of this run listens on no socket file that a test could put out of reach")
    link = tmp_path / "s"
    environment = {
        "NOTIFIER_DATABASE_URL": database_url.replace(socket_folder, str(link)),
        "NOTIFIER_SECRET_KEY": "a secret that only tests know and that is long enough",
    }
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifier.cli", "worker",
        env=os.environ | environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert worker.stdout
    assert worker.stderr
    try:
        async with asyncio.timeout(30):
            assert b"waiting for the database" in await worker.stderr.readline()
            link.symlink_to(socket_folder)
            assert await worker.stdout.readline() == b"Working\n"
            worker.terminate()
            assert await worker.wait() == 0
            assert b"the database is there" in await worker.stderr.read()
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()


async def test_nobody_waits_for_ever_for_a_database_that_does_not_come(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"took no connection for 1 s .*check NOTIFIER_DATABASE_URL"):
        await wait_for_database(f"postgresql://notifier@/notifier?host={tmp_path}", 1)
    assert 1 <= time.monotonic() - began < 10


@pytest.mark.skipif(sys.platform != "linux", reason="how PostgreSQL was started is read from /proc")
async def test_a_worker_whose_database_goes_away_says_so_once_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        dsn = await stack.enter_async_context(embedded_postgres(tmp_path / "pg"))
        postgres = Postgres(tmp_path / "pg" / "data")
        stack.callback(postgres.stop)
        async with open_database(dsn, 1) as db:
            await migrate(db)
        environment = {
            "NOTIFIER_DATABASE_URL": dsn,
            "NOTIFIER_SECRET_KEY": "a secret that only tests know and that is long enough",
            "NOTIFIER_POLL_SECONDS": "0.2",
            "NOTIFIER_LOG_LEVEL": "warning",
        }
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "notifier.cli", "worker",
            env=os.environ | environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert worker.stdout
            assert worker.stderr
            assert await worker.stdout.readline() == b"Working\n"
            await asyncio.sleep(1)  # so that every duty has looked
            said: list[bytes] = []

            async def hears(words: bytes) -> None:
                assert worker.stderr
                while not said or words not in said[-1]:
                    said.append(await worker.stderr.readline())
                await asyncio.sleep(1)  # every duty looks

            await postgres.restart_at_once(dsn, lambda: hears(b"waiting for the database"))
            await hears(b"the database is there")
            worker.terminate()
            said += (await worker.stderr.read()).splitlines()
            assert await worker.wait() == 0
        finally:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()
        ours = [line for line in said if b"worker=" in line]
        assert len(ours) == 2, b"".join(ours).decode()
