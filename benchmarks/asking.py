"""What a login and a lawyer ask of one person among a million, over HTTP, next to a SELECT of one row.

Takes minutes to load, so only on request: `make bench ONLY=asking`.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable
from typing import Any

from benchmarks.figures import Bench, Figure
from benchmarks.ground import Ground, described, ground
from benchmarks.reading import pretend_told
from benchmarks.using import Server, service, tell_everybody
from notifier.lanes import lane_of

PEOPLE = 1_000_000
ASKED = 3000  # people, each once
LIMIT = 5  # milliseconds for `pending`, p99


async def measure(bench: Bench) -> list[Figure]:
    """One caller at a time: every person is asked about in three ways, one after the other."""
    async with ground(bench.server, PEOPLE, described()) as g:
        campaign_id = await tell_everybody(g)
        await pretend_told(g, campaign_id)
        async with service(g, ["activity", "read"]) as ours:
            times = await _ask(g, ours)
    p99 = {name: statistics.quantiles(of, n=100)[98] * 1000 for name, of in times.items()}
    bench.say(", ".join(f"{name}: median {statistics.median(of) * 1000:.2f} ms" for name, of in times.items()))
    how = f"{ASKED:,} people of {PEOPLE:,}, one at a time; SELECT by key {p99['select']:.2f} ms"
    return [
        Figure("pending over HTTP, p99 in ms", p99["pending"], LIMIT, "lower", how),
        Figure("explain over HTTP, p99 in ms", p99["explain"], None, "lower", how),
    ]


async def _ask(g: Ground, ours: Server) -> dict[str, list[float]]:
    people = [f"u{number}" for number in random.Random(7).sample(range(PEOPLE), ASKED)]
    times: dict[str, list[float]] = {"select": [], "pending": [], "explain": []}
    reader, writer = await asyncio.open_connection("127.0.0.1", ours.port)

    async def get(name: str, rest: str) -> None:
        writer.write(
            f"GET /v1/sites/bench/people/{name}/{rest} HTTP/1.1\r\nHost: bench\r\n"
            f"Authorization: Bearer {ours.token}\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length:"))
        body = await reader.readexactly(int(length.partition(b":")[2]))
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(body.decode())

    async with g.db.connection() as connection:
        statement = await connection.prepare("SELECT * FROM person WHERE lane = $1 AND site = $2 AND external_id = $3")
        for name in people:
            key = lane_of("bench", name), "bench", name
            times["select"].append(await _seconds(statement.fetchrow(*key)))
            times["pending"].append(await _seconds(get(name, "pending")))
            times["explain"].append(await _seconds(get(name, "explain?policy=privacy&version=two")))
    writer.close()
    return times


async def _seconds(asking: Awaitable[Any]) -> float:
    started = time.perf_counter()
    await asking
    return time.perf_counter() - started
