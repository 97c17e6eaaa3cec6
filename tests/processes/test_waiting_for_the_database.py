"""Roles that are started before their database, or while it recovers, wait for it a while instead of giving up."""

import asyncio
import os
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from notifier.db import wait_for_database
from notifier.errors import Unavailable


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
