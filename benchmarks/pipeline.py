"""One campaign through the whole service: from its approval until every notice has an outcome."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Bench
from benchmarks.ground import SECRET, Ground, ground
from notifier.campaigns.announce import announce
from notifier.campaigns.campaign import load_campaign
from notifier.campaigns.steer import steer
from notifier.keys import Keys
from notifier.letters.gather import gather
from notifier.letters.letter import Letter, Recipient
from notifier.letters.write import Writer
from notifier.sites.site import Site

WORKERS = 2
LOCALE = "en"
SAMPLE = 5.0  # seconds between two points of the curve
LONGEST = 3600  # seconds, before something is called stuck


Point = tuple[float, int, float]
Worker = asyncio.subprocess.Process


@dataclass(frozen=True)
class Told:
    """What one campaign took. ``cpu`` is the workers' own, in seconds; ``peak`` the larger worker's memory, in KiB.

    ``freeze_wal`` and ``send_wal`` are bytes of write-ahead log: until sending began, and from then on. ``curve``:
    seconds since sending began, how many letters had been accepted by then, and the workers' CPU.
    """

    people: int
    seconds: float
    cpu: float
    peak: int
    freeze_wal: int
    send_wal: int
    curve: list[Point]
    letter: bytes

    @property
    def rate(self) -> float:
        """Letters a second, freezing included."""
        return self.people / self.seconds


async def tell(bench: Bench, people: int, site: Site, environment: Mapping[str, str] | None = None) -> Told:
    """Tell ``people`` people of a version, by workers that are up already, in one language: letters of one size."""
    async with ground(bench.server, people, site, [LOCALE]) as g, AsyncExitStack() as stack:
        campaign_id = await announce(g.db, g.site, g.version_id, g.now, "bench")
        workers = [await stack.enter_async_context(_worker(g, environment or {})) for _ in range(WORKERS)]
        await asyncio.sleep(1.5)
        written, cpu, began = await _wal(g), sum(map(_cpu, workers)), time.time()
        await steer(g.db, g.site.site, campaign_id, "approve", "bench", "", g.now)
        async with asyncio.timeout(LONGEST):
            await _until(g, campaign_id, "sending", "done")
            frozen, curve = await _wal(g), asyncio.create_task(_curve(g, workers))
            await _until(g, campaign_id, "done")
        # What it says itself: we look five times a second, and whoever runs a peer sees its end at once.
        closed = (await load_campaign(g.db, None, campaign_id)).closed_at
        assert closed is not None
        seconds = closed.timestamp() - began
        curve.cancel()
        await _check(g, people)
        return Told(
            people, seconds, sum(map(_cpu, workers)) - cpu, max(map(_peak, workers)),
            frozen - written, await _wal(g) - frozen, await curve, await _letter(g, campaign_id),
        )  # fmt: skip


async def _until(g: Ground, campaign_id: int, *states: str) -> None:
    while (await load_campaign(g.db, None, campaign_id)).state not in states:
        await asyncio.sleep(0.2)  # looking more often would cost what is measured


async def _curve(g: Ground, workers: list[Worker]) -> list[Point]:
    points, started = [(0.0, 0, sum(map(_cpu, workers)))], time.perf_counter()
    try:
        while True:
            await asyncio.sleep(SAMPLE)
            async with g.db.connection() as connection:
                count = await connection.fetchval("SELECT coalesce(sum(count), 0)::bigint FROM progress")
            points.append((time.perf_counter() - started, count, sum(map(_cpu, workers))))
    except asyncio.CancelledError:
        return points


async def _wal(g: Ground) -> int:
    async with g.db.connection() as connection:
        position: int = await connection.fetchval("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
    return position


async def _check(g: Ground, people: int) -> None:
    async with g.db.connection() as connection:
        accepted = await connection.fetchval("SELECT count(*) FROM outcome WHERE kind = 'accepted_by_relay'")
        sheets = await connection.fetchval("SELECT count(*) FROM sheet")
    if accepted != people:
        raise RuntimeError(f"{accepted} of {people} letters were accepted: the figure would mean nothing")
    if sheets != 1:  # the peers carry one of these letters, again and again
        raise RuntimeError(f"the letters are of {sheets} kinds and sizes: no peer carries the same")


async def _letter(g: Ground, campaign_id: int) -> bytes:
    writer = Writer(await gather(g.db, campaign_id), Keys(SECRET.encode()), "http://127.0.0.1:8080")
    async with g.db.connection() as connection:
        row = await connection.fetchrow("SELECT lane, person_id, email FROM person LIMIT 1")
    assert row is not None
    recipient = Recipient(row["lane"], row["person_id"], row["email"], LOCALE, "Asia/Tokyo", 1)
    (letter,) = writer.write("email", [recipient])
    assert isinstance(letter, Letter)
    return letter.body


@asynccontextmanager
async def _worker(g: Ground, environment: Mapping[str, str]) -> AsyncIterator[Worker]:
    environment = os.environ | environment | {
        "NOTIFIER_DATABASE_URL": g.url,
        "NOTIFIER_SECRET_KEY": SECRET,
        "NOTIFIER_LOG_LEVEL": "warning",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifier.cli", "worker", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


def _cpu(process: Worker) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(process: Worker) -> int:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise RuntimeError("this system does not say how much memory a process used at most")
