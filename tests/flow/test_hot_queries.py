"""What the queries that run for every batch and slice of a big campaign read: no more than they need."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from notifier.campaigns.announce import plans_of, question_of
from notifier.campaigns.campaign import load_campaign
from notifier.campaigns.since import Earlier
from notifier.campaigns.since import question as knew
from notifier.db import Db
from notifier.delivery.lease import Slice, claim
from notifier.keys import Keys
from notifier.people.roster import get_person
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


async def plan_of(office: Office, mode: str, name: str, /, **given: object) -> list[dict[str, Any]]:
    """The nodes of the plan by which PostgreSQL just ran a query."""
    query = all_queries()[name]
    async with office.db.connection() as connection:
        await connection.execute(f"SET plan_cache_mode = {mode}")
        sql, arguments = query.bound(given)
        text = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", *arguments, column=0)
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


@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
async def test_letting_one_person_join_reads_nobody_else(office: Office, plans: str) -> None:
    now = office.clock.now()
    await office.db.execute(
        "INSERT INTO acceptance SELECT lane, person_id, 1, 1, 'deemed', 'D', registered_at, registered_at, '{}',"
        " registered_at FROM person"
    )
    await office.db.execute("ANALYZE")
    await office.person("late", registered_at=now.isoformat())
    campaign = await load_campaign(office.db, None, office.campaign_id)
    question = await question_of(office.db, campaign, await plans_of(office.db, campaign, now), now)
    question |= knew(await office.db.many(Earlier, "campaigns.earlier", version_id=campaign.version_id))
    late = await get_person(office.db, office.keys, office.site.site, "late")
    nodes = await plan_of(
        office, plans, "campaigns.join", campaign_id=campaign.campaign_id, version_id=campaign.version_id,
        effective_at=campaign.effective_at, lanes=[late.lane], people=[late.person_id], **question,
    )  # fmt: skip
    assert max(node["Actual Rows"] * node["Actual Loops"] for node in nodes) < 100
    assert await office.rows("SELECT why FROM joined") == [("registered",)]


@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize(("status", "found"), [("unreachable", 25), ("suppressed", 0), ("excluded", 0)])
async def test_few_among_many_are_found_without_looking_at_everybody_s_attempts(
    office: Office, plans: str, status: str, found: int
) -> None:
    await office.db.execute(
        "INSERT INTO outcome (lane, person_id, campaign_id, channel, attempt, kind, at)"
        " SELECT lane, person_id, campaign_id, channel, 1,"
        " (CASE WHEN number % 400 = 0 THEN 'refused' ELSE 'accepted_by_relay' END)::outcome_kind, '2026-03-01'"
        " FROM (SELECT *, row_number() OVER (ORDER BY lane, person_id) AS number"
        " FROM notice WHERE reason = 'in_scope') n"
        " CROSS JOIN LATERAL unnest(CASE WHEN number % 800 = 0 THEN '{email,inbox}'::text[] ELSE '{email}' END) channel"
    )
    await office.db.execute("UPDATE plan SET channels = '{email}', fallback = '{inbox}'")
    await office.db.execute("ANALYZE")
    asked = {
        "campaign_id": office.campaign_id, "statuses": [status], "reasons": [], "channel": None, "locale": None,
        "late": False,
        "after_lane": -1, "after_person": UUID(int=0), "most": 51,
    }  # fmt: skip
    nodes = await plan_of(office, plans, "compliance.campaign_notices", **asked)
    assert nodes[0]["Actual Rows"] == found
    looked_up = [node["Actual Loops"] for node in nodes if node.get("Alias") in ("outcome", "person", "accepted")]
    assert max(looked_up) <= 50
