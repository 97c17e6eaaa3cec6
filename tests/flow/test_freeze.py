"""The audience of a campaign: everyone is asked once, and everyone has a reason."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from notifier.campaigns.announce import announce, freeze_next, preview
from notifier.campaigns.campaign import load_campaign
from notifier.campaigns.steer import steer
from notifier.db import Db
from notifier.errors import Conflict
from notifier.lanes import lane_of, new_id
from notifier.sites.site import Site

COLUMNS = (
    "lane", "site", "external_id", "person_id", "status", "email", "email_mac", "locale", "country", "roles",
    "channels", "attributes", "registered_at", "registration_version", "changed_at",
)  # fmt: skip
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def add_person(db: Db, site: str, external_id: str, **given: Any) -> UUID:
    email = given.get("email", f"{external_id}@people.example")
    person_id = new_id()
    row = {
        "lane": lane_of(site, external_id), "site": site, "external_id": external_id, "person_id": person_id,
        "status": "active", "email": email, "email_mac": email.encode()[:16] if email else None, "locale": "en",
        "country": "JP", "roles": [], "channels": [], "attributes": {}, "registered_at": LONG_AGO,
        "registration_version": None, "changed_at": LONG_AGO,
    } | given  # fmt: skip
    await db.copy("person", COLUMNS, [[row[c] for c in COLUMNS]])
    return person_id


async def add_version(db: Db, site: str, label: str, ordinal: int, published_at: datetime, **given: Any) -> int:
    async with db.connection() as connection:
        version_id: int = await connection.fetchval(
            "INSERT INTO version (site, policy, label, state, ordinal, materiality, flags, source, sha256,"
            " received_at, published_at, effective_at)"
            " VALUES ($1, 'privacy', $2, 'published', $3, $4, '{}', 'webhook', $5, $6, $6, $7) RETURNING version_id",
            site, label, ordinal, given.get("materiality", "material"), label.encode(), published_at,
            given.get("effective_at", published_at + timedelta(days=30)),
        )  # fmt: skip
        await connection.executemany(
            "INSERT INTO version_text (version_id, locale, media_type, body, sha256, summary)"
            " VALUES ($1, $2, 'text/markdown', $3, $3, '')",
            [(version_id, locale, f"# {label} {locale}".encode()) for locale in given.get("locales", ("en", "ja"))],
        )
    return version_id


async def opened(db: Db, site: Site, version_id: int, now: datetime, slice_size: int = 100) -> int:
    campaign_id = await announce(db, site, version_id, now, "test")
    await steer(db, site.site, campaign_id, "approve", "test", "", now)
    assert await freeze_next(db, slice_size, now) == 1
    return campaign_id


async def reasons(db: Db, campaign_id: int) -> dict[UUID, str]:
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT person_id, reason::text FROM notice WHERE campaign_id = $1", campaign_id)
    return {row["person_id"]: row["reason"] for row in rows}


async def test_every_person_gets_the_promise_or_a_reason(db: Db, site: Site, now: datetime) -> None:
    await add_version(db, "kumo", "v1", 1, now - timedelta(days=300))
    v2 = await add_version(db, "kumo", "v2", 2, now)
    people = {
        await add_person(db, "kumo", "plain"): "in_scope",
        await add_person(db, "kumo", "dormant", status="dormant"): "in_scope",
        await add_person(db, "kumo", "closed", status="closed"): "closed",
        await add_person(db, "kumo", "erased", status="erased", email=None): "erased",
        await add_person(db, "kumo", "suspended", status="suspended"): "suspended",
        await add_person(db, "kumo", "silent", email=None): "unreachable",
        await add_person(db, "kumo", "bounced", email_mac=b"suppressed"): "suppressed",
        await add_person(db, "kumo", "newcomer", registration_version="v2"): "registered_with_it",
        await add_person(db, "kumo", "old-registration", registration_version="v1"): "in_scope",
    }
    accepted = await add_person(db, "kumo", "clicked")
    people[accepted] = "already_accepted"
    async with db.connection() as connection:
        await connection.execute(
            "INSERT INTO suppression (site, email_mac, reason, since) VALUES ('kumo', 'suppressed', 'bad_address', $1)",
            now,
        )
        await connection.execute(
            "INSERT INTO acceptance (lane, person_id, version_id, kind, grade, accepted_at, evidence, recorded_at)"
            " VALUES ($1, $2, $3, 'explicit', 'A', $4, '{}', $4)",
            lane_of("kumo", "clicked"), accepted, v2, now,
        )  # fmt: skip
    await add_person(db, "another-site", "plain")

    expected_preview = Counter(people.values())
    campaign_id = await announce(db, site, v2, now, "test")
    before = {c.value: c.count for c in await preview(db, campaign_id, now) if c.dimension == "reason"}
    await opened(db, site, v2, now)

    assert before == expected_preview
    assert await reasons(db, campaign_id) == people
    after = {c.value: c.count for c in await preview(db, campaign_id, now) if c.dimension == "reason"}
    assert after == expected_preview
    campaign = await load_campaign(db, "kumo", campaign_id)
    assert campaign.frozen == dict(expected_preview)
    assert campaign.state == "sending"


@pytest.mark.parametrize(
    ("audience", "in_scope"),
    [
        ({"countries": ["DE"]}, {"de-seller"}),
        ({"roles": ["seller"]}, {"de-seller", "jp-seller"}),
        ({"locales": ["ja"]}, {"jp-seller"}),
        ({"attributes": {"tier": "gold"}}, {"jp-buyer"}),
        ({"dormant": False}, {"de-seller", "jp-seller", "jp-buyer"}),
        ({}, {"de-seller", "jp-seller", "jp-buyer", "sleeper"}),
    ],
)
async def test_the_rule_leaves_out_whom_it_does_not_match(
    db: Db, site: Site, now: datetime, audience: dict[str, Any], in_scope: set[str]
) -> None:
    rule = site.rule.model_copy(update={"audience": site.rule.audience.model_validate(audience)})
    narrowed = site.model_copy(update={"rule": rule})
    ids = {
        await add_person(db, "kumo", "de-seller", country="DE", roles=["seller"]): "de-seller",
        await add_person(db, "kumo", "jp-seller", roles=["seller", "buyer"], locale="ja"): "jp-seller",
        await add_person(db, "kumo", "jp-buyer", roles=["buyer"], attributes={"tier": "gold", "x": 1}): "jp-buyer",
        await add_person(db, "kumo", "sleeper", status="dormant"): "sleeper",
    }
    version = await add_version(db, "kumo", "v1", 1, now)
    campaign_id = await opened(db, narrowed, version, now)
    found = await reasons(db, campaign_id)
    assert {ids[person] for person, reason in found.items() if reason == "in_scope"} == in_scope
    assert len(found) == 4


@pytest.mark.parametrize(
    ("people", "size", "slices"), [(0, 100, 0), (1, 100, 1), (100, 100, 1), (101, 100, 2), (350, 100, 4)]
)
async def test_slices_cover_every_notice_exactly_once(
    db: Db, site: Site, now: datetime, people: int, size: int, slices: int
) -> None:
    for number in range(people):
        await add_person(db, "kumo", f"p{number}")
    campaign_id = await opened(db, site, await add_version(db, "kumo", "v1", 1, now), now, size)
    async with db.connection() as connection:
        counts = await connection.fetch(
            "SELECT slice, count(n.person_id) FROM slice s LEFT JOIN notice n ON n.campaign_id = s.campaign_id"
            " AND (n.lane, n.person_id) > (s.from_lane, s.from_person)"
            " AND (n.lane, n.person_id) <= (s.to_lane, s.to_person)"
            " WHERE s.campaign_id = $1 GROUP BY slice",
            campaign_id,
        )
    assert len(counts) == slices
    assert sum(row["count"] for row in counts) == people
    assert max((row["count"] for row in counts), default=0) <= size


async def test_slices_count_only_those_that_their_channel_tells(db: Db, site: Site, now: datetime) -> None:
    for number in range(250):
        await add_person(db, "kumo", f"p{number}", **({} if number % 2 else {"email": None}))
    campaign_id = await opened(db, site, await add_version(db, "kumo", "v1", 1, now), now, 100)
    async with db.connection() as connection:
        counts = await connection.fetch(
            "SELECT count(*) FROM slice s JOIN notice n ON n.campaign_id = s.campaign_id AND n.reason = 'in_scope'"
            " AND (n.lane, n.person_id) > (s.from_lane, s.from_person)"
            " AND (n.lane, n.person_id) <= (s.to_lane, s.to_person)"
            " WHERE s.campaign_id = $1 AND s.channel = 'email' GROUP BY slice ORDER BY slice",
            campaign_id,
        )
    assert [row["count"] for row in counts] == [100, 25]


async def test_notices_lie_in_the_order_of_their_key(db: Db, site: Site, now: datetime) -> None:
    people = [await add_person(db, "kumo", f"p{number}") for number in range(50)]
    campaign_id = await opened(db, site, await add_version(db, "kumo", "v1", 1, now), now)
    async with db.connection() as connection:
        lying = await connection.fetch(
            "SELECT lane, person_id FROM notice WHERE campaign_id = $1 ORDER BY ctid", campaign_id
        )
    keys = [(row["lane"], row["person_id"].bytes) for row in lying]
    assert keys == sorted(keys)
    assert {person.bytes for person in people} == {person for _, person in keys}


async def test_a_label_with_quotes_and_signs_of_parameters_is_compared_as_it_is(
    db: Db, site: Site, now: datetime
) -> None:
    label = 'it\'s $1, \\ and "$2"'
    newcomer = await add_person(db, "kumo", "newcomer", registration_version=label)
    other = await add_person(db, "kumo", "other", registration_version="it's")
    campaign_id = await opened(db, site, await add_version(db, "kumo", label, 1, now), now)
    assert await reasons(db, campaign_id) == {newcomer: "registered_with_it", other: "in_scope"}


async def test_announcing_twice_at_once_makes_one_campaign(db: Db, site: Site, now: datetime) -> None:
    version = await add_version(db, "kumo", "v1", 1, now)
    ids = await asyncio.gather(*(announce(db, site, version, now, "test") for _ in range(5)))
    assert len(set(ids)) == 1


async def test_two_workers_freeze_a_campaign_once(db: Db, site: Site, now: datetime) -> None:
    await add_person(db, "kumo", "p")
    campaign_id = await announce(db, site, await add_version(db, "kumo", "v1", 1, now), now, "test")
    await steer(db, "kumo", campaign_id, "approve", "test", "", now)
    frozen = await asyncio.gather(*(freeze_next(db, 100, now) for _ in range(4)))
    assert sum(frozen) == 1
    assert len(await reasons(db, campaign_id)) == 1


async def test_a_newer_campaign_supersedes_the_one_that_is_being_sent(db: Db, site: Site, now: datetime) -> None:
    await add_person(db, "kumo", "p")
    first = await opened(db, site, await add_version(db, "kumo", "v1", 1, now), now)
    second = await opened(db, site, await add_version(db, "kumo", "v2", 2, now), now + timedelta(hours=1))
    assert (await load_campaign(db, "kumo", first)).state == "superseded"
    assert (await load_campaign(db, "kumo", second)).state == "sending"


async def test_a_step_that_the_state_forbids_is_refused_and_changes_nothing(db: Db, site: Site, now: datetime) -> None:
    campaign_id = await announce(db, site, await add_version(db, "kumo", "v1", 1, now), now, "test")
    for action in ("pause", "resume"):
        with pytest.raises(Conflict, match="is planned"):
            await steer(db, "kumo", campaign_id, action, "test", "", now)
    await steer(db, "kumo", campaign_id, "cancel", "test", "the wrong text", now)
    with pytest.raises(Conflict, match="is cancelled"):
        await steer(db, "kumo", campaign_id, "approve", "test", "", now)
    assert (await load_campaign(db, "kumo", campaign_id)).state == "cancelled"
