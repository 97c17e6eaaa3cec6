"""What wakes a worker, when it would not look by itself for an hour."""

import asyncio
from contextlib import suppress

import asyncpg

from notifier.campaigns.announce import announce
from notifier.campaigns.campaign import load_campaign
from notifier.campaigns.steer import steer
from notifier.compose import open_service
from notifier.db import Db
from notifier.policies.publish import publish
from notifier.policies.version import Submission
from notifier.settings import Settings
from notifier.sites.site import Site
from notifier.worker import work

HOUR = 3600
LISTENING = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN notifier'"
    " AND state = 'idle' AND pid <> $1"
)


async def listening_besides(db: Db, pid: int) -> int:
    """The process of the connection that listens, once there is another one."""
    while True:
        async with db.connection() as connection:
            found = await connection.fetchval(LISTENING, pid)
        if found:
            return int(found)
        await asyncio.sleep(0.05)


async def test_a_worker_whose_connection_was_cut_listens_again(db: Db, database_url: str, site: Site) -> None:
    settings = Settings(
        database_url=database_url, secret_key="a secret that only tests know and that is long enough", poll_seconds=HOUR
    )
    async with asyncio.timeout(30), open_service(settings) as service, asyncio.TaskGroup() as group:
        stopping = asyncio.Event()
        group.create_task(work(service, "worker", stopping))
        first = await listening_besides(db, 0)
        with suppress(asyncpg.PostgresError):
            async with db.connection() as connection:
                await connection.execute("SELECT pg_terminate_backend($1)", first)
        await listening_besides(db, first)
        await asyncio.sleep(0.5)  # so that all duties have looked, and found nothing

        now = service.clock.now()
        texts = {locale: {"media_type": "text/markdown", "body": "two"} for locale in site.locales}
        submission = Submission.model_validate(
            {"policy": "privacy", "label": "two", "materiality": "material", "texts": texts}
        )
        version, _ = await publish(db, site, submission, "command", now)
        campaign_id = await announce(db, site, version.version_id, now, "test")
        await steer(db, site.site, campaign_id, "approve", "test", "", now)
        while (await load_campaign(db, None, campaign_id)).state != "done":
            await asyncio.sleep(0.05)
        stopping.set()
