"""A thousand watched pages polled by one process: how long a round takes, and whether memory stays flat."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from benchmarks.figures import Bench, Figure
from benchmarks.ground import database, described
from notifier.db import Db
from notifier.log import configure_logging
from notifier.policies.sources import look_at_sources
from notifier.sites.apply import apply
from notifier.sites.site import Site

SOURCES, ROUNDS, EVERY = 1000, 12, 1  # minutes: the shortest schedule there is
HOSTS = tuple(f"127.0.1.{number}" for number in range(1, 51))
CHANGING = 10  # pages of a round whose words change


async def measure(bench: Bench) -> list[Figure]:
    """Rounds one minute of the clock apart, over real HTTP to a process of its own, 20 kB a page."""
    configure_logging("text", "error")
    async with database(bench.server) as (db, _), _pages() as port:
        now = datetime.fromisoformat("2026-03-01T09:00:00+00:00")
        await apply(db, _site(port), now)
        walls, burnt, memory = [], [], []
        for number in range(ROUNDS):
            at, began, before = now + timedelta(minutes=number * EVERY), time.perf_counter(), time.process_time()
            looked = await _round(db, at)
            if looked != SOURCES:
                raise RuntimeError(f"{looked} looks in a round of {SOURCES}")
            walls.append(time.perf_counter() - began)
            burnt.append(time.process_time() - before)
            memory.append(_resident())
            bench.say(f"round {number + 1}: {walls[-1]:.1f} s, CPU {burnt[-1]:.1f} s, {memory[-1] / 2**20:.0f} MiB")
        verdicts = await _verdicts(db)
    half, settled = ROUNDS // 2, sorted(burnt[1:])
    how = f"{SOURCES:,} pages of 20 kB every {EVERY} minute, {CHANGING} of them changing; {verdicts}"
    return [
        Figure("1,000 sources: longest round ÷ their schedule", max(walls[1:]) / (60 * EVERY), 1, "lower",
               f"{how}; {max(walls[1:]):.1f} s; the first round, which reads every page, {walls[0]:.1f} s"),
        Figure("1,000 sources: CPU of a round ÷ their schedule", settled[len(settled) // 2] / (60 * EVERY), 1, "lower",
               f"median {settled[len(settled) // 2]:.1f} s of one core"),
        Figure("1,000 sources: memory, later rounds ÷ earlier", max(memory[half:]) / max(memory[1:half]), 1.1, "lower",
               f"{max(memory[half:]) / 2**20:.0f} MiB against {max(memory[1:half]) / 2**20:.0f} MiB"),
    ]  # fmt: skip


async def _round(db: Db, at: datetime) -> int:
    looked = 0
    while found := await look_at_sources(db, HOSTS, at):
        looked += found
    return looked


def _site(port: int) -> Site:
    policies = {f"p{number}": {"titles": {"en": f"Policy {number}"}} for number in range(SOURCES)}
    sources = [
        {"policy": f"p{number}", "locale": "en", "every": EVERY,
         "page": f"http://{HOSTS[number % len(HOSTS)]}:{port}/{number}"}
        for number in range(SOURCES)
    ]  # fmt: skip
    given = described().model_dump() | {"policies": policies, "watch": {"sources": sources}}
    return Site.model_validate(given)


async def _verdicts(db: Db) -> str:
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT verdict, count(*) FROM source GROUP BY 1 ORDER BY 2 DESC")
    return ", ".join(f"{row['count']} {row['verdict']}" for row in rows)


def _resident() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123 - not a file
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def _pages() -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.far_pages", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline())
    finally:
        process.terminate()
        await process.wait()
