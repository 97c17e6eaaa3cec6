"""Taking in activities, one by one and as NDJSON, against a POST that does nothing; and what a login asks for."""

import asyncio
import os
import random
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import orjson

from benchmarks.figures import Bench, Figure, median_ratio
from benchmarks.ground import SECRET, Ground, described, ground
from notifier.activity.memory import Memory
from notifier.activity.unfold import unfold
from notifier.campaigns.announce import announce, freeze_next
from notifier.campaigns.steer import steer
from notifier.sites.tokens import create_token

PEOPLE = 240_000
SINGLE = 20_000  # requests a round
LINES = 60_000  # NDJSON, a round
CONNECTIONS = 64
ROUNDS = 3
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@dataclass(frozen=True)
class Server:
    """A process that answers, and what is asked of it."""

    port: int
    process: asyncio.subprocess.Process
    token: str = ""

    def cpu_seconds(self) -> float:
        """How long its process has computed so far."""
        with open(f"/proc/{self.process.pid}/stat") as file:  # noqa: PTH123 - not a file
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(bench: Bench) -> list[Figure]:
    """Interleaved rounds against one process of the service, told people all of whom may still accept."""
    async with ground(bench.server, PEOPLE, described()) as g:
        await tell_everybody(g)
        async with noop_server() as noop, service(g) as ours:
            return await _rounds(bench, g, noop, ours)


@dataclass
class Race:
    """What one kind of request came to, round by round: how many a second, and the server's CPU seconds for each."""

    rates: list[float] = field(default_factory=list)
    burnt: list[float] = field(default_factory=list)

    async def run(self, server: Server, many: int, ask: Awaitable[float]) -> None:
        """One round of ``many``."""
        before = server.cpu_seconds()
        self.rates.append(await ask)
        self.burnt.append((server.cpu_seconds() - before) / many)


async def _rounds(bench: Bench, g: Ground, noop: Server, ours: Server) -> list[Figure]:
    races = {name: Race() for name in ("noop", "single", "unfolded", "first", "repeat")}
    names = [f"u{number}" for number in range(PEOPLE)]
    random.Random(7).shuffle(names)
    for number in range(ROUNDS):
        own = names[number * (SINGLE + LINES) : (number + 1) * (SINGLE + LINES)]
        people = own[SINGLE:]
        bodies = [_line(name, timedelta()) for name in own[:SINGLE]]
        for name, server in (("noop", noop), ("single", ours)):
            await races[name].run(server, SINGLE, _post_each(server, bodies))
        await _unfold(g, races["unfolded"])
        await races["first"].run(ours, LINES, _post_lines(ours, people))
        await _pretend_accepted(g, SINGLE + LINES)
        await _post_lines(ours, people, 1)  # from here on nothing waits for them
        await g.db.execute("VACUUM ANALYZE acceptance, person")  # as autovacuum does within a minute
        await races["repeat"].run(ours, LINES, _post_lines(ours, people, 2))
        bench.say(
            f"round {number + 1}: "
            + ", ".join(f"{name} {r.rates[-1]:,.0f}/s {r.burnt[-1] * 1e6:.0f} µs" for name, r in races.items())
        )
    return [
        _figure("single durable events ÷ no-op POST", races["single"], races["noop"], 0.6),
        _figure("… unfolded by one worker ÷ no-op POST", races["unfolded"], races["noop"], None),
        _figure("NDJSON, first uses ÷ no-op POST", races["first"], races["noop"], 3),
        _figure("NDJSON, repeats ÷ no-op POST", races["repeat"], races["noop"], 8),
    ]


def _figure(name: str, ours: Race, noop: Race, bar: float | None) -> Figure:
    cpu = median_ratio(noop.burnt, ours.burnt)
    how = f"{CONNECTIONS} connections, {ROUNDS} rounds; by the server's own CPU time {cpu:.2f}"
    return Figure(name, median_ratio(ours.rates, noop.rates), bar, "higher", how)


async def tell_everybody(g: Ground) -> int:
    """Announce the new version, approve and freeze it. Returns the campaign."""
    campaign_id = await announce(g.db, g.site, g.version_id, g.now, "bench")
    await steer(g.db, g.site.site, campaign_id, "approve", "bench", "", g.now)
    await freeze_next(g.db, 2000, g.now)
    await g.db.execute("VACUUM ANALYZE")
    return campaign_id


async def _unfold(g: Ground, race: Race) -> None:
    """What a worker makes of the single events, when they are acknowledged long since."""
    started, burnt, memory = time.perf_counter(), time.process_time(), Memory()
    while await unfold(g.db, memory, datetime.now(UTC)):
        pass
    race.rates.append(SINGLE / (time.perf_counter() - started))
    race.burnt.append((time.process_time() - burnt) / SINGLE)


async def _pretend_accepted(g: Ground, expected: int) -> None:
    """What the workers make of the uses: deciding them is not what is measured here. Every one has to be there."""
    async with g.db.connection() as connection:
        kept = await connection.fetchval("SELECT count(*) FROM activity")
    if kept != expected:
        raise RuntimeError(f"{kept:,} uses are there of {expected:,} that were acknowledged")
    await g.db.execute(
        "INSERT INTO acceptance SELECT lane, person_id, "  # noqa: S608 - a number
        f"{g.version_id}, 1, 'deemed', 'C', occurred_at, occurred_at, '{{}}', received_at FROM activity"
        " ON CONFLICT DO NOTHING"
    )
    await g.db.execute("TRUNCATE activity")


def _line(name: str, later: timedelta) -> bytes:
    return orjson.dumps(
        {
            "external_id": name,
            "occurred_at": datetime.now(UTC) + later,
            "kind": "page_viewed",
            "url": "/catalogue/shelf",
            "ip": "203.0.113.9",
            "user_agent": AGENT,
        }
    )


def _head(server: Server, kind: str, size: int) -> bytes:
    return (
        f"POST /v1/sites/bench/activities HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {server.token}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {size}\r\n\r\n"
    ).encode()


class _Asker(asyncio.Protocol):
    """One connection that asks the next thing when it has its answer: as little work as a client can have."""

    def __init__(self, requests: Iterator[bytes], done: asyncio.Future[None]) -> None:
        self._requests, self._done, self._rest = requests, done, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._rest += data
        head, blank, body = self._rest.partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        if blank and length is not None and len(body) >= int(length[1]):
            if not head.startswith(b"HTTP/1.1 200"):
                self._done.set_exception(RuntimeError(self._rest.decode()))
                return
            self._rest = b""
            self._ask()

    def _ask(self) -> None:
        request = next(self._requests, None)
        if request is not None:
            self._transport.write(request)
        elif not self._done.done():
            self._transport.close()
            self._done.set_result(None)


async def ask_all(server: Server, requests: Iterator[bytes], connections: int) -> float:
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    waits = [loop.create_future() for _ in range(connections)]
    for done in waits:
        await loop.create_connection(partial(_Asker, requests, done), "127.0.0.1", server.port)
    await asyncio.gather(*waits)
    return time.perf_counter() - started


async def _post_each(server: Server, bodies: Sequence[bytes]) -> float:
    """Requests a second."""
    whole = iter([_head(server, "application/json", len(body)) + body for body in bodies])
    return len(bodies) / await ask_all(server, whole, CONNECTIONS)


async def _post_lines(server: Server, people: Sequence[str], later: int = 0) -> float:
    """Lines a second, as two bodies at once."""
    lines = [_line(name, timedelta(milliseconds=later)) + b"\n" for name in people]
    halves = [b"".join(lines[: len(lines) // 2]), b"".join(lines[len(lines) // 2 :])]
    whole = iter([_head(server, "application/x-ndjson", len(body)) + body for body in halves])
    return len(lines) / await ask_all(server, whole, 2)


@asynccontextmanager
async def noop_server() -> AsyncIterator[Server]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.noop", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield Server(int(await process.stdout.readline()), process)
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def service(g: Ground, scopes: Sequence[str] = ("activity",)) -> AsyncIterator[Server]:
    """One process that only answers; no worker beside it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    environment = os.environ | {
        "NOTIFIER_DATABASE_URL": g.url,
        "NOTIFIER_SECRET_KEY": SECRET,
        "NOTIFIER_PORT": str(port),
        "NOTIFIER_LOG_LEVEL": "warning",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifier.cli", "serve", "--no-worker", env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        await process.stdout.readline()
        yield Server(port, process, await create_token(g.db, g.site.site, "bench", scopes, g.now))
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()
