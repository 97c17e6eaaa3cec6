"""Workers are killed in the middle of a campaign: nobody is lost, and every second copy is flagged."""

import asyncio
from collections import Counter, defaultdict
from email import message_from_bytes

import pytest

from notifier.db import Db
from notifier.keys import Keys
from tests.channels.smtp_server import SmtpServer, smtp_server
from tests.processes.crew import Crew, campaign_with_people, crew_of, rows, until_arrived, until_done

PEOPLE = 1500
WORKERS = 3
KILLS = 5


def copies_of(server: SmtpServer) -> dict[str, list[str]]:
    """The Message-IDs of the copies that each address got."""
    copies = defaultdict(list)
    for got in server.got:
        copies[got.address].append(str(message_from_bytes(got.content)["Message-ID"]))
    return copies


async def kill_now_and_then(crew: Crew, server: SmtpServer) -> None:
    """SIGKILL a worker each time some more letters have arrived, and start another in its place."""
    for kill in range(1, KILLS + 1):
        await until_arrived(server, kill * PEOPLE // (KILLS + 2))
        await crew.kill()
        await crew.start()


async def test_killed_workers_lose_nobody_and_every_double_is_flagged(db: Db, database_url: str, keys: Keys) -> None:
    async with smtp_server(delay=0.001) as server, crew_of(database_url) as crew, asyncio.timeout(90):
        campaign_id = await campaign_with_people(db, keys, server.port, PEOPLE)
        await crew.start(WORKERS)
        await kill_now_and_then(crew, server)
        await until_done(db, campaign_id)

    copies = copies_of(server)
    audience = await rows(
        db,
        "SELECT p.email, p.person_id FROM notice n JOIN person p USING (lane, person_id)"
        " WHERE n.campaign_id = $1 AND n.reason = 'in_scope'",
        campaign_id,
    )
    assert set(copies) == {row["email"] for row in audience}, "somebody was lost, or told without a notice"
    assert len(copies) == PEOPLE

    outcomes = await rows(db, "SELECT person_id, attempt, kind::text FROM outcome WHERE campaign_id = $1", campaign_id)
    told = {row["person_id"] for row in outcomes if row["kind"] == "accepted_by_relay"}
    unknown = Counter(row["person_id"] for row in outcomes if row["kind"] == "unknown")
    person = {row["email"]: row["person_id"] for row in audience}
    doubles = {email: ids for email, ids in copies.items() if len(ids) > 1}
    assert told == set(person.values())
    assert all(len(ids) <= 1 + unknown[person[email]] for email, ids in doubles.items()), "a double without a flag"
    assert all(len(set(ids)) == 1 for ids in copies.values()), "a copy with another Message-ID"
    assert sum(unknown.values()) > 0, "no kill hit a letter on its way: the test proved nothing"
    assert sum(len(ids) - 1 for ids in doubles.values()) <= KILLS * crew.at_once

    attempts = await rows(
        db,
        "SELECT count(*) AS attempts, count(*) FILTER (WHERE NOT EXISTS (SELECT FROM outcome o WHERE o.lane = i.lane"
        " AND o.person_id = i.person_id AND o.campaign_id = i.campaign_id AND o.channel = i.channel"
        " AND o.attempt = i.attempt)) AS unanswered FROM attempt i WHERE campaign_id = $1",
        campaign_id,
    )
    assert attempts[0]["unanswered"] == 0
    progress = await rows(db, "SELECT kind::text, sum(count)::int AS n FROM progress GROUP BY kind")
    assert {row["kind"]: row["n"] for row in progress} == dict(Counter(row["kind"] for row in outcomes))


@pytest.mark.long
async def test_a_worker_that_is_told_to_stop_finishes_what_is_in_hand(db: Db, database_url: str, keys: Keys) -> None:
    async with smtp_server(delay=0.001) as server, crew_of(database_url) as crew, asyncio.timeout(60):
        campaign_id = await campaign_with_people(db, keys, server.port, PEOPLE)
        await crew.start()
        await until_arrived(server, 100)
        assert await crew.stop() == 0
        stopped_after = len(server.got)
        recorded = await rows(db, "SELECT kind::text FROM outcome WHERE campaign_id = $1", campaign_id)
        await crew.start()
        await until_done(db, campaign_id)
    assert stopped_after < PEOPLE
    assert [row["kind"] for row in recorded] == ["accepted_by_relay"] * stopped_after
    assert [len(ids) for ids in copies_of(server).values()] == [1] * PEOPLE
