"""Deciding what the use of a million people amounts to, against the plain INSERT … SELECT of the result.

One process decides, lane by lane, as a worker does. Takes minutes, so only on request: `make bench ONLY=deciding`.
"""

import os
import resource
import time
from datetime import timedelta
from pathlib import Path

from benchmarks.figures import Bench, Figure
from benchmarks.ground import Ground, described, ground
from benchmarks.reading import pretend_told
from benchmarks.using import tell_everybody
from notifier.acceptance.accept import accept

PEOPLE = 1_000_000
LATER = timedelta(days=60)  # when everybody's own date has passed


async def measure(bench: Bench) -> list[Figure]:
    """Everybody was told and used the site once; all of it is due at once."""
    async with ground(bench.server, PEOPLE, described()) as g:
        await pretend_told(g, await tell_everybody(g), "accepted_by_recipient")
        await _use(g)
        postgres = await _postgres_cpu(g)
        early, seconds, cpu = await _decide(g)
        between = await _postgres_cpu(g)
        plain = await _insert_again(g)
        postgres, again = between - postgres, await _postgres_cpu(g) - between
    how = f"{PEOPLE:,} people in {seconds:.0f} s by one process"
    each = f"{cpu / PEOPLE * 1e6:.0f} µs of its CPU each and {postgres / PEOPLE * 1e6:.0f} of PostgreSQL's"
    bench.say(f"{how}, {each}; INSERT … SELECT {plain:.1f} s, {again / PEOPLE * 1e6:.0f} µs each")
    return [
        Figure("deciding ÷ INSERT … SELECT of the result", seconds / plain, None, "lower", f"{how}, {each}"),
        Figure("… by CPU, ours and PostgreSQL's", (cpu + postgres) / again, None, "lower"),
        Figure("memory at the end ÷ after a tenth", _peak() / early, 1.2, "lower", f"peak {_peak() / 1024:.0f} MiB", 1),
    ]


async def _use(g: Ground) -> None:
    """A use of everybody within a day, long after they were told: taking it in is not what is measured here."""
    await g.db.execute(
        "INSERT INTO activity (lane, person_id, day, occurred_at, received_at, kind, url_path, ip_prefix, user_agent,"  # noqa: S608 - a number
        " due_at) SELECT lane, person_id, (at AT TIME ZONE 'UTC')::date, at, at, 'page_viewed', '/catalogue/shelf',"
        " '203.0.113.0/24', 'Firefox', at"
        f" FROM person, LATERAL (SELECT now() + interval '{LATER.days - 2} days' + lane * interval '84 s' AS at) used"
    )
    await g.db.execute("VACUUM ANALYZE")


async def _decide(g: Ground) -> tuple[int, float, float]:
    """The peak of memory in KiB after a tenth; seconds on the clock, and of our own CPU, for all of it."""
    now, done, early = g.now + LATER, 0, 0
    started, burnt = time.perf_counter(), time.process_time()
    while found := await accept(g.db, now):
        done += found
        if not early and done >= PEOPLE // 10:
            early = _peak()
    if done < PEOPLE:
        raise RuntimeError(f"only {done:,} uses were due")
    return early, time.perf_counter() - started, time.process_time() - burnt


async def _insert_again(g: Ground) -> float:
    """Seconds that PostgreSQL needs for the same rows in a table with the same keys and checks."""
    await g.db.execute("CREATE TABLE peer (LIKE acceptance INCLUDING ALL)")
    started = time.perf_counter()
    await g.db.execute("INSERT INTO peer SELECT * FROM acceptance ORDER BY lane, person_id")
    seconds = time.perf_counter() - started
    async with g.db.connection() as connection:
        count = await connection.fetchval("SELECT count(*) FROM peer WHERE kind = 'deemed'")
    if count != PEOPLE:
        raise RuntimeError(f"only {count:,} people accepted")
    return seconds


async def _postgres_cpu(g: Ground) -> float:
    """Seconds that all processes of the server have computed so far, but for those that ended."""
    async with g.db.connection() as connection:
        server = _stat(Path(f"/proc/{await connection.fetchval('SELECT pg_backend_pid()')}"))[1]
    own = [fields for process in Path("/proc").glob("[0-9]*") if (fields := _stat(process))[1:2] == [server]]
    return sum(int(user) + int(system) for fields in own for user, system in [fields[11:13]]) / os.sysconf("SC_CLK_TCK")


def _stat(process: Path) -> list[str]:
    """Its state, its parent and what follows (proc(5)); nothing when it ended meanwhile."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
