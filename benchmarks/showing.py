"""A public page that a process keeps ready-made, against an aiohttp page that only sends as many bytes."""

from collections.abc import Iterator
from itertools import repeat

import aiohttp

from benchmarks.figures import Bench, Figure, median_ratio
from benchmarks.ground import described, ground
from benchmarks.using import CONNECTIONS, Server, ask_all, noop_server, service

REQUESTS, ROUNDS = 10_000, 3


async def measure(bench: Bench) -> list[Figure]:
    """Interleaved rounds against one process of each."""
    async with ground(bench.server, 1, described()) as g, noop_server() as noop, service(g) as ours:
        paths = {"current text": "/p/bench/privacy", "permanent page": "/p/bench/privacy/two/en"}
        figures = []
        for name, path in paths.items():
            size = await _size(ours, path)
            rates: dict[str, list[float]] = {"noop": [], "ours": []}
            burnt: dict[str, list[float]] = {"noop": [], "ours": []}
            for _ in range(ROUNDS):
                for whose, server, asked in (("noop", noop, f"/page/{size}"), ("ours", ours, path)):
                    before = server.cpu_seconds()
                    rates[whose].append(REQUESTS / await ask_all(server, _requests(asked), CONNECTIONS))
                    burnt[whose].append((server.cpu_seconds() - before) / REQUESTS)
            bench.say(f"{name}: {rates['ours'][-1]:,.0f}/s against {rates['noop'][-1]:,.0f}/s, {size:,} bytes")
            cpu = median_ratio(burnt["noop"], burnt["ours"])
            how = f"{size:,} bytes, {CONNECTIONS} connections, {ROUNDS} rounds; by the servers' CPU time {cpu:.2f}"
            figures.append(
                Figure(f"{name} ÷ no-op aiohttp page", median_ratio(rates["ours"], rates["noop"]), 0.5, "higher", how)
            )
        return figures


def _requests(path: str) -> Iterator[bytes]:
    head = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAccept-Language: en-GB,en;q=0.9,ja;q=0.8\r\n\r\n"
    return repeat(head.encode(), REQUESTS)


async def _size(server: Server, path: str) -> int:
    """How many bytes a page has; so it is kept from now on."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{server.port}{path}") as answer:
        return len(await answer.read())
