"""Freezing an audience against CREATE TABLE AS of the same rows."""

import time
from datetime import datetime
from typing import Any

from asyncpg.utils import _mogrify

from benchmarks.figures import Bench, Figure, median_ratio
from benchmarks.ground import described, ground
from notifier.campaigns.announce import announce, freeze_next, plans_of, question_of
from notifier.campaigns.campaign import load_campaign
from notifier.campaigns.steer import steer
from notifier.db import Db
from notifier.queries import all_queries

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
            peer.append(await _create_table_as(g.db, campaign_id, g.now))
            bench.say(f"round {number + 1}: freeze {ours[-1]:.2f} s, CREATE TABLE AS {peer[-1]:.2f} s")
            await _forget(g.db, campaign_id)
    how = f"the same query over {PEOPLE:,} people, without order, key, slices and counts; {ROUNDS} rounds"
    return [Figure("freezing ÷ CREATE TABLE AS", median_ratio(ours, peer), 5, "lower", how)]


async def _create_table_as(db: Db, campaign_id: int, now: datetime) -> float:
    """The same rows from the same question: what PostgreSQL itself needs, on all its workers, to answer and keep it."""
    query = all_queries()["campaigns.freeze"]
    campaign = await load_campaign(db, None, campaign_id)
    question = await question_of(db, campaign, await plans_of(db, campaign, now), now)
    given = tuple(query.arguments({"campaign_id": campaign_id, **question}))
    async with db.connection() as connection:
        # CREATE TABLE AS takes no parameters: asyncpg writes them into the text for us, as it does for COPY.
        plain: Any = connection
        sql = await _mogrify(plain, query.sql, given)
    started = time.perf_counter()
    await db.execute("CREATE TABLE peer AS " + sql.rpartition("ORDER BY")[0])
    seconds = time.perf_counter() - started
    await db.execute("DROP TABLE peer")
    return seconds


async def _forget(db: Db, campaign_id: int) -> None:
    await db.execute(f"DROP TABLE notice_{campaign_id}")
    for table in ("slice", "plan", "campaign_event", "campaign"):
        await db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own table
