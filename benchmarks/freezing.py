"""Freezing an audience against CREATE TABLE AS of the same rows."""

import time
from datetime import datetime

from benchmarks.figures import Bench, Figure, median_ratio
from benchmarks.ground import described, ground
from notifier.campaigns.announce import allow_many_rows, announce, freeze_next, plans_of, question_of
from notifier.campaigns.campaign import load_campaign
from notifier.campaigns.since import Earlier
from notifier.campaigns.since import question as knew
from notifier.campaigns.steer import steer
from notifier.db import Db, written_out
from notifier.queries import all_queries

PEOPLE = 1_000_000
ROUNDS = 3
# Each peer's bar and aim. In key order the rows are the same ones as lie on the disk afterwards: that is the bar. The
# others do less than a freeze has to: not put the rows in order, nor even work out who is told.
_PEERS: dict[str, tuple[float | None, float | None]] = {
    "of the same query": (2, 1.5),
    "of the same query, unordered": (None, None),
    "of the finished rows": (None, None),
}


async def measure(bench: Bench) -> list[Figure]:
    """The whole freeze (plans, notices, key, slices, counts) of a million people, in interleaved rounds."""
    ours: list[float] = []
    peers: dict[str, list[float]] = {name: [] for name in _PEERS}
    async with ground(bench.server, PEOPLE, described()) as g:
        for number in range(ROUNDS):
            campaign_id = await announce(g.db, g.site, g.version_id, g.now, "bench")
            await steer(g.db, g.site.site, campaign_id, "approve", "bench", "", g.now)
            started = time.perf_counter()
            await freeze_next(g.db, 2000, g.now)
            ours.append(time.perf_counter() - started)
            for name, seconds in (await _create_table_as(g.db, campaign_id, g.now)).items():
                peers[name].append(seconds)
            others = ", ".join(f"{name} {times[-1]:.2f} s" for name, times in peers.items())
            bench.say(f"round {number + 1}: freeze {ours[-1]:.2f} s, CREATE TABLE AS {others}")
            await _forget(g.db, campaign_id)
    how = f"{PEOPLE:,} people, plans, constraints, key, slices and counts included; {ROUNDS} rounds"
    return [
        Figure(f"freezing ÷ CREATE TABLE AS {name}", median_ratio(ours, peers[name]), bar, "lower", how, aim)
        for name, (bar, aim) in _PEERS.items()
    ]


async def _create_table_as(db: Db, campaign_id: int, now: datetime) -> dict[str, float]:
    """Seconds that PostgreSQL needs, with all its workers, for the same rows without plans, key, slices and counts."""
    query = all_queries()["campaigns.freeze"]
    campaign = await load_campaign(db, None, campaign_id)
    question = await question_of(db, campaign, await plans_of(db, campaign, now), now)
    question |= knew(await db.many(Earlier, "campaigns.earlier", version_id=campaign.version_id))
    sql, given = query.bound({"campaign_id": campaign_id, **question})
    async with db.connection() as connection:
        # CREATE TABLE AS takes no parameters: they are written into the text, as for the freeze itself.
        asked = (await written_out(connection, sql, given)).rpartition("ORDER BY")[0]
    texts = (asked + "ORDER BY lane, person_id", asked, f"TABLE notice_{campaign_id}")
    return {name: await _seconds(db, text) for name, text in zip(_PEERS, texts, strict=True)}


async def _seconds(db: Db, text: str) -> float:
    async with db.transaction() as tx:
        await allow_many_rows(tx)
        started = time.perf_counter()
        await tx.execute("CREATE TABLE peer AS " + text)
        seconds = time.perf_counter() - started
        await tx.execute("DROP TABLE peer")
    return seconds


async def _forget(db: Db, campaign_id: int) -> None:
    await db.execute(f"DROP TABLE notice_{campaign_id}")
    for table in ("changed", "slice", "plan", "campaign_event", "campaign"):
        await db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own table
