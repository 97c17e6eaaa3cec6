"""Freezing an audience against CREATE TABLE AS of the same rows."""

import time

from benchmarks.figures import Bench, Figure, median_ratio
from benchmarks.ground import described, ground
from notifier.campaigns.announce import announce, freeze_next
from notifier.campaigns.steer import steer
from notifier.db import Db

PEOPLE = 1_000_000
ROUNDS = 3


async def measure(bench: Bench) -> list[Figure]:
    """The whole freeze (plans, notices, key, slices, counts) of a million people, in interleaved rounds."""
    ours, peer = [], []
    async with ground(bench.server, PEOPLE, described()) as g:
        for number in range(ROUNDS):
            campaign_id = await announce(g.db, g.site, g.version_id, g.now, "bench")
            await steer(g.db, g.site.site, campaign_id, "approve", "bench", "", g.now)
            started = time.perf_counter()
            await freeze_next(g.db, 2000, g.now)
            ours.append(time.perf_counter() - started)
            peer.append(await _create_table_as(g.db, campaign_id))
            bench.say(f"round {number + 1}: freeze {ours[-1]:.2f} s, CREATE TABLE AS {peer[-1]:.2f} s")
            await _forget(g.db, campaign_id)
    ratio = median_ratio(ours, peer)
    return [Figure("freezing ÷ CREATE TABLE AS", ratio, 5, "lower", f"{PEOPLE:,} people, {ROUNDS} rounds")]


async def _create_table_as(db: Db, campaign_id: int) -> float:
    """The same rows from the same people, without asking anything of them: the least that PostgreSQL can do."""
    started = time.perf_counter()
    await db.execute(
        f"CREATE TABLE peer AS SELECT lane, person_id, {campaign_id} AS campaign_id,"  # noqa: S608 - our own number
        " 'in_scope'::notice_reason AS reason, 1 AS plan FROM person WHERE site = 'bench' ORDER BY lane, person_id"
    )
    seconds = time.perf_counter() - started
    await db.execute("DROP TABLE peer")
    return seconds


async def _forget(db: Db, campaign_id: int) -> None:
    await db.execute(f"DROP TABLE notice_{campaign_id}")
    for table in ("slice", "plan", "campaign_event", "campaign"):
        await db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own table
