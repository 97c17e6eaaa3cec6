"""What the queries that run for every batch and slice of a big campaign read: no more than they need."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from notifier.db import Db
from notifier.delivery.lease import Slice, claim
from notifier.keys import Keys
from notifier.queries import all_queries
from tests.office import Office, open_office
from tests.sites import a_site

PEOPLE = """
INSERT INTO person (lane, site, external_id, person_id, email, registered_at, changed_at)
SELECT n % 64, '{site}', 'p' || n, gen_random_uuid(), 'p' || n || '@people.example', '2020-01-01', '2020-01-01'
FROM generate_series(1, 20000) AS n
"""


@pytest.fixture
async def office(db: Db, keys: Keys) -> AsyncIterator[Office]:
    """20,000 people in one slice, and statistics as autovacuum keeps them."""
    async with open_office(db, keys, a_site(rule={"preset": "imacocokara"})) as opened:
        await db.execute(PEOPLE.format(site=opened.site.site))
        await opened.open(slice_size=100_000)
        await db.execute("ANALYZE")
        yield opened


async def held(office: Office) -> Slice:
    """The slice, leased."""
    now, real = office.clock.now(), office.clock.real()
    slice_ = await claim(office.db, "worker", timedelta(seconds=60), now, real)
    assert slice_ is not None
    return slice_


async def plan_of(office: Office, plans: str, name: str, **given: object) -> list[dict[str, Any]]:
    """The nodes of the plan by which PostgreSQL just ran a query."""
    query = all_queries()[name]
    async with office.db.connection() as connection:
        await connection.execute(f"SET plan_cache_mode = {plans}")
        text = await connection.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {query.sql}", *query.arguments(given), column=0
        )
        await connection.execute("RESET plan_cache_mode")
    return list(_nodes(json.loads(text)[0]["Plan"]))


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", []):
        yield from _nodes(below)


@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
async def test_a_batch_reads_only_the_people_it_writes_to(office: Office, plans: str) -> None:
    slice_ = await held(office)
    nodes = await plan_of(
        office, plans, "delivery.fresh", campaign_id=slice_.campaign_id, channel="email",
        cursor_lane=slice_.cursor_lane, cursor_person=slice_.cursor_person, to_lane=slice_.to_lane,
        to_person=slice_.to_person, now=office.clock.now(), limit=20,
    )  # fmt: skip
    read = {node["Alias"]: node["Actual Rows"] * node["Actual Loops"] for node in nodes if "Alias" in node}
    assert read["p"] == 20
    assert read.get("n_1", read["n"]) == 20


@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
async def test_giving_a_slice_back_looks_only_at_those_who_were_erased(office: Office, plans: str) -> None:
    nodes = await plan_of(office, plans, "delivery.forget_erased", **(await held(office)).stretch)
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in nodes) == 0
    assert "person_erased" in {node.get("Index Name") for node in nodes}
