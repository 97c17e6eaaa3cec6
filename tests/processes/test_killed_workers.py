"""Workers are killed in the middle of a campaign: nobody is lost, and every second copy is flagged."""

import asyncio
import os
import random
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email import message_from_bytes
from typing import Any

from notifier.campaigns.announce import announce
from notifier.campaigns.campaign import load_campaign
from notifier.campaigns.steer import steer
from notifier.db import Db
from notifier.keys import Keys
from notifier.people.roster import import_people
from notifier.policies.publish import publish
from notifier.policies.version import Submission
from notifier.sites.apply import apply
from tests.channels.smtp_server import SmtpServer, smtp_server
from tests.sites import a_site

PEOPLE = 1500
WORKERS = 3
KILLS = 5
BATCH, SLICES_AT_A_TIME = 20, 4
SECRET = "a secret that only tests know and that is long enough"


def copies_of(server: SmtpServer) -> dict[str, list[str]]:
    """The Message-IDs of the copies that each address got."""
    copies = defaultdict(list)
    for got in server.got:
        copies[got.address].append(str(message_from_bytes(got.content)["Message-ID"]))
    return copies


async def start_worker(database_url: str) -> asyncio.subprocess.Process:
    """A worker process that hurries: small slices, short leases."""
    hurried = {
        "NOTIFIER_DATABASE_URL": database_url,
        "NOTIFIER_SECRET_KEY": SECRET,
        "NOTIFIER_LEASE_SECONDS": "3",
        "NOTIFIER_UNKNOWN_RETRY_SECONDS": "1",
        "NOTIFIER_SLICE_SIZE": "150",
        "NOTIFIER_BATCH_SIZE": str(BATCH),
        "NOTIFIER_WORKER_SLICES": str(SLICES_AT_A_TIME),
        "NOTIFIER_POLL_SECONDS": "0.3",
        "NOTIFIER_DATABASE_CONNECTIONS": "8",
        "NOTIFIER_LOG_LEVEL": "error",
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifier.cli", "worker", env=os.environ | hurried, stdout=asyncio.subprocess.DEVNULL
    )


async def people_lines() -> AsyncIterator[bytes]:
    """NDJSON of people with an address each."""
    for number in range(PEOPLE):
        yield (
            b'{"external_id": "u%d", "email": "u%d@people.example", "registered_at": "2020-01-01T00:00:00Z"}\n'
            % (number, number)
        )


async def campaign_with_people(db: Db, keys: Keys, port: int) -> int:
    """A site with a relay, people, two versions, and the campaign of the second one, approved."""
    now = datetime.now(UTC)
    site = a_site(relays=[{"host": "127.0.0.1", "port": port, "security": "none", "sessions": 3}])
    await apply(db, site, now)
    await import_people(db, keys, site.site, people_lines(), now)
    version_id = 0
    for label in ("one", "two"):
        texts = {locale: {"media_type": "text/markdown", "body": f"# {label}"} for locale in ("en", "ja")}
        submission = Submission.model_validate(
            {"policy": "privacy", "label": label, "materiality": "material", "texts": texts}
        )
        version, _ = await publish(db, site, submission, "command", now)
        version_id = version.version_id
    campaign_id = await announce(db, site, version_id, now, "test")
    await steer(db, site.site, campaign_id, "approve", "test", "", now)
    return campaign_id


async def kill_now_and_then(workers: list[asyncio.subprocess.Process], server: SmtpServer, database_url: str) -> int:
    """SIGKILL a worker each time some more letters have arrived, and start another in its place. Returns how many."""
    dice = random.Random(20)
    for kill in range(1, KILLS + 1):
        while len(server.got) < kill * PEOPLE // (KILLS + 2):
            await asyncio.sleep(0.02)
        victim = workers.pop(dice.randrange(len(workers)))
        victim.send_signal(signal.SIGKILL)
        await victim.wait()
        workers.append(await start_worker(database_url))
    return KILLS


async def until_done(db: Db, campaign_id: int) -> None:
    """Wait until nothing of the campaign is left to do."""
    while (await load_campaign(db, None, campaign_id)).state != "done":
        await asyncio.sleep(0.1)


async def rows(db: Db, sql: str, *arguments: Any) -> list[Any]:
    """Rows of a question that only this test asks."""
    async with db.connection() as connection:
        return await connection.fetch(sql, *arguments)


async def test_killed_workers_lose_nobody_and_every_double_is_flagged(db: Db, database_url: str, keys: Keys) -> None:
    async with smtp_server(delay=0.001) as server:
        campaign_id = await campaign_with_people(db, keys, server.port)
        workers = [await start_worker(database_url) for _ in range(WORKERS)]
        try:
            async with asyncio.timeout(90):
                await kill_now_and_then(workers, server, database_url)
                await until_done(db, campaign_id)
        finally:
            for worker in workers:
                worker.terminate()
                await worker.wait()

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
    assert sum(len(ids) - 1 for ids in doubles.values()) <= KILLS * SLICES_AT_A_TIME * BATCH

    attempts = await rows(
        db,
        "SELECT count(*) AS intents, count(*) FILTER (WHERE NOT EXISTS (SELECT FROM outcome o WHERE o.lane = i.lane"
        " AND o.person_id = i.person_id AND o.campaign_id = i.campaign_id AND o.channel = i.channel"
        " AND o.attempt = i.attempt)) AS unanswered FROM intent i WHERE campaign_id = $1",
        campaign_id,
    )
    assert attempts[0]["unanswered"] == 0
    progress = await rows(db, "SELECT kind::text, sum(count)::int AS n FROM progress GROUP BY kind")
    assert {row["kind"]: row["n"] for row in progress} == dict(Counter(row["kind"] for row in outcomes))


async def test_a_worker_that_is_told_to_stop_finishes_what_is_in_hand(db: Db, database_url: str, keys: Keys) -> None:
    async with smtp_server(delay=0.001) as server, asyncio.timeout(60):
        campaign_id = await campaign_with_people(db, keys, server.port)
        first = await start_worker(database_url)
        while len(server.got) < 100:
            await asyncio.sleep(0.02)
        first.terminate()
        assert await first.wait() == 0
        stopped_after = len(server.got)
        recorded = await rows(db, "SELECT kind::text FROM outcome WHERE campaign_id = $1", campaign_id)
        second = await start_worker(database_url)
        await until_done(db, campaign_id)
        second.terminate()
        await second.wait()
    assert stopped_after < PEOPLE
    assert [row["kind"] for row in recorded] == ["accepted_by_relay"] * stopped_after
    assert [len(ids) for ids in copies_of(server).values()] == [1] * PEOPLE
