"""The whole pipeline into Debian's smtp-sink against smtp-source into the same sink, and a worker's memory."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Bench, Figure, median_ratio
from benchmarks.ground import SECRET, Ground, described, ground
from notifier.campaigns.announce import announce
from notifier.campaigns.campaign import load_campaign
from notifier.campaigns.steer import steer
from notifier.keys import Keys
from notifier.letters.gather import gather
from notifier.letters.letter import Recipient
from notifier.letters.write import Writer

PEOPLE = 100_000
FEW = 10_000
WORKERS = 2
SESSIONS = 8
ROUNDS = 3
LONGEST_ROUND = 600  # seconds, before something is called stuck


async def measure(bench: Bench) -> list[Figure]:
    """Interleaved rounds of our two workers and of smtp-source with reused sessions, same count and size."""
    sink, source = _tool("smtp-sink"), _tool("smtp-source")
    if sink is None or source is None:
        bench.missing.append("delivery: smtp-sink and smtp-source are missing (Debian's postfix package has them)")
        return []
    ours, peer = [], []
    async with _sink(sink) as port:
        small = await _round(bench, FEW, port)
        for number in range(ROUNDS):
            done = await _round(bench, PEOPLE, port)
            ours.append(PEOPLE / done.seconds)
            peer.append(PEOPLE / await _source(source, port, PEOPLE, done.letter_bytes))
            bench.say(f"round {number + 1}: pipeline {ours[-1]:,.0f}/s, smtp-source {peer[-1]:,.0f}/s")
    memory = done.peak_memory / small.peak_memory
    how = f"{PEOPLE:,} people, {WORKERS} workers, {done.letter_bytes:,} bytes a letter, {ROUNDS} rounds"
    return [
        Figure("whole pipeline ÷ smtp-source", median_ratio(ours, peer), 0.2, "higher", how),
        Figure(
            "worker memory at 100k ÷ at 10k", memory, 1.2, "lower",
            f"peak {done.peak_memory / 1024:.0f} MiB against {small.peak_memory / 1024:.0f} MiB",
        ),
    ]  # fmt: skip


@dataclass(frozen=True)
class _Done:
    seconds: float
    letter_bytes: int
    peak_memory: int  # KiB, of the larger worker


async def _round(bench: Bench, people: int, port: int) -> _Done:
    """One campaign from its approval until every notice has an outcome: freezing included, workers already up."""
    async with ground(bench.server, people, described(port, sessions=SESSIONS)) as g, AsyncExitStack() as stack:
        campaign_id = await announce(g.db, g.site, g.version_id, g.now, "bench")
        workers = [await stack.enter_async_context(_worker(g)) for _ in range(WORKERS)]
        await asyncio.sleep(1.5)
        started = time.perf_counter()
        await steer(g.db, g.site.site, campaign_id, "approve", "bench", "", g.now)
        async with asyncio.timeout(LONGEST_ROUND):
            while (await load_campaign(g.db, None, campaign_id)).state != "done":
                await asyncio.sleep(0.02)
        seconds = time.perf_counter() - started
        await _check(g, people)
        return _Done(seconds, await _letter_bytes(g, campaign_id), max(_peak(w) for w in workers))


async def _check(g: Ground, people: int) -> None:
    async with g.db.connection() as connection:
        accepted = await connection.fetchval("SELECT count(*) FROM outcome WHERE kind = 'accepted_by_relay'")
    if accepted != people:
        raise RuntimeError(f"{accepted} of {people} letters were accepted: the figure would mean nothing")


async def _letter_bytes(g: Ground, campaign_id: int) -> int:
    writer = Writer(await gather(g.db, campaign_id), Keys(SECRET.encode()), "http://127.0.0.1:8080")
    async with g.db.connection() as connection:
        row = await connection.fetchrow("SELECT lane, person_id, email FROM person LIMIT 1")
    assert row is not None
    recipient = Recipient(row["lane"], row["person_id"], row["email"], "en", "Asia/Tokyo", 1)
    (letter,) = writer.write("email", [recipient])
    return len(getattr(letter, "body", b""))


@asynccontextmanager
async def _worker(g: Ground) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | {
        "NOTIFIER_DATABASE_URL": g.url,
        "NOTIFIER_SECRET_KEY": SECRET,
        "NOTIFIER_LOG_LEVEL": "warning",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifier.cli", "worker", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


def _peak(process: asyncio.subprocess.Process) -> int:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise RuntimeError("this system does not say how much memory a process used at most")


@asynccontextmanager
async def _sink(program: str) -> AsyncIterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    # smtp-sink refuses to run as root without being told as whom.
    user = ("-u", "nobody") if os.geteuid() == 0 else ()
    process = await asyncio.create_subprocess_exec(program, *user, f"127.0.0.1:{port}", "1000")
    try:
        for _ in range(100):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def _source(program: str, port: int, count: int, size: int) -> float:
    """Seconds that smtp-source takes for ``count`` messages over reused sessions (-d)."""
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        program, "-d", "-s", str(SESSIONS * WORKERS), "-m", str(count), "-l", str(size),
        "-f", "from@bench.example", "-t", "to@bench.example", f"127.0.0.1:{port}",
    )  # fmt: skip
    if await process.wait() != 0:
        raise RuntimeError("smtp-source failed")
    return time.perf_counter() - started


def _tool(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
