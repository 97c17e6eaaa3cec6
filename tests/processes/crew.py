"""Worker processes in a hurry, a site whose letters go to a real SMTP server, and campaigns under way."""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
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
from notifier.sites.site import Site
from tests.channels.smtp_server import SmtpServer
from tests.sites import a_site

SECRET = "a secret that only tests know and that is long enough"
Worker = asyncio.subprocess.Process


@dataclass
class Crew:
    """Workers of one service, which are killed and told to stop. ``settings``: by name, without NOTIFIER_."""

    database_url: str
    dice: random.Random
    lease: float = 3
    batch: int = 20
    slice_size: int = 150
    slices_at_a_time: int = 4
    settings: dict[str, str] = field(default_factory=dict)
    output: int = asyncio.subprocess.DEVNULL
    workers: list[Worker] = field(default_factory=list)

    async def start(self, count: int = 1) -> None:
        """So many workers more."""
        hurried = {
            "DATABASE_URL": self.database_url,
            "SECRET_KEY": SECRET,
            "LEASE_SECONDS": str(self.lease),
            "UNKNOWN_RETRY_SECONDS": "1",
            "SLICE_SIZE": str(self.slice_size),
            "BATCH_SIZE": str(self.batch),
            "WORKER_SLICES": str(self.slices_at_a_time),
            "POLL_SECONDS": "0.3",
            "DATABASE_CONNECTIONS": "8",
            "LOG_LEVEL": "error",
        } | self.settings
        env = os.environ | {f"NOTIFIER_{name}": value for name, value in hurried.items()}
        for _ in range(count):
            worker = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "notifier.cli", "worker", env=env, stdout=self.output
            )
            self.workers.append(worker)

    def one(self) -> Worker:
        """One of them, who leaves."""
        return self.workers.pop(self.dice.randrange(len(self.workers)))

    async def kill(self) -> None:
        """SIGKILL: nothing is finished, nothing is given back."""
        victim = self.one()
        victim.kill()
        await victim.wait()

    async def stop(self) -> int:
        """SIGTERM; how it ended."""
        leaver = self.one()
        leaver.terminate()
        return await leaver.wait()

    async def leave(self) -> list[int]:
        """All are told to stop; how they ended."""
        for worker in self.workers:
            if worker.returncode is None:
                worker.terminate()
        return [await worker.wait() for worker in self.workers]

    @property
    def at_once(self) -> int:
        """Most letters that one worker has in hand."""
        return self.slices_at_a_time * self.batch


@asynccontextmanager
async def crew_of(database_url: str, **more: Any) -> AsyncIterator[Crew]:
    """Workers for as long as the block lasts."""
    crew = Crew(database_url, random.Random(20), **more)
    try:
        yield crew
    finally:
        await crew.leave()


async def people_lines(count: int, closed: int = 0) -> AsyncIterator[bytes]:
    """NDJSON of people with an address each; every so many of them have left."""
    for number in range(count):
        status = b"closed" if closed and number % closed == 0 else b"active"
        yield (
            b'{"external_id": "u%d", "email": "u%d@people.example", "registered_at": "2020-01-01T00:00:00Z",'
            b' "status": "%s"}\n' % (number, number, status)
        )


async def campaign_with_people(
    db: Db, keys: Keys, port: int, people: int, *, closed: int = 0, sessions: int = 3, summary: str = "", **site: Any
) -> int:
    """A site (``site``: its settings) with a relay, people, two versions, and the second one's campaign, approved."""
    now = datetime.now(UTC)
    described = a_site(relays=[{"host": "127.0.0.1", "port": port, "security": "none", "sessions": sessions}], **site)
    await apply(db, described, now)
    await import_people(db, keys, described.site, people_lines(people, closed), now)
    version_id = 0
    for label in ("one", "two"):
        version_id = await published(db, described, label, summary, now)
    campaign_id = await announce(db, described, version_id, now, "test")
    await steer(db, described.site, campaign_id, "approve", "test", "", now)
    return campaign_id


async def published(db: Db, site: Site, label: str, summary: str, now: datetime) -> int:
    """A version that people must be told of."""
    texts = {
        locale: {"media_type": "text/markdown", "body": f"# {label}", "summary": summary} for locale in ("en", "ja")
    }
    body = {"policy": "privacy", "label": label, "materiality": "material", "texts": texts}
    version, _ = await publish(db, site, Submission.model_validate(body), "command", now)
    return version.version_id


async def until_done(db: Db, *campaigns: int) -> None:
    """Wait until nothing of the campaigns is left to do."""
    for campaign_id in campaigns:
        while (await load_campaign(db, None, campaign_id)).state != "done":
            await asyncio.sleep(0.1)


async def until_arrived(server: SmtpServer, count: int) -> None:
    """Wait until so many letters arrived."""
    while len(server.got) < count:
        await asyncio.sleep(0.01)


async def rows(db: Db, sql: str, *arguments: Any) -> list[Any]:
    """Rows of a question that only a test asks."""
    async with db.connection() as connection:
        return await connection.fetch(sql, *arguments)
