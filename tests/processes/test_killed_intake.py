"""The service, workers or a consumer are killed while activities come in: what was acknowledged is there, once."""

import asyncio
import os
import random
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import orjson
import pytest

from notifier.activity.memory import Memory
from notifier.activity.unfold import unfold
from notifier.db import Db
from notifier.lanes import lane_of
from notifier.sites.tokens import create_token
from tests.flow.story import DAY, HOUR, Story, activity, begin
from tests.nats import nats_server
from tests.processes.crew import crew_of

pytestmark = pytest.mark.long

SINGLES, BATCHES, LINES = 12, 4, 40  # callers that report one at a time, others that report many, and how many
ENOUGH = 150  # requests acknowledged before the service is killed
SECRET = "a secret that only tests know and that is long enough"


async def start(database_url: str) -> tuple[asyncio.subprocess.Process, str]:
    """The service without a worker, and its address."""
    ours = {"NOTIFIER_DATABASE_URL": database_url, "NOTIFIER_SECRET_KEY": SECRET, "NOTIFIER_PORT": "0"}
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifier.cli", "serve", "--no-worker",
        env=os.environ | ours | {"NOTIFIER_LOG_LEVEL": "error"}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert service.stdout
    return service, (await service.stdout.readline()).decode().split()[-1]


class Callers:
    """Report the use of people, each person in one request, and remember which requests were acknowledged."""

    def __init__(self, address: str, token: str, people: list[str], at: datetime) -> None:
        self.url = f"{address}/v1/sites/kumo/activities"
        self.head = {"Authorization": f"Bearer {token}"}
        self.people = people
        self.at = at
        self.sent: list[tuple[str, ...]] = []
        self.acknowledged: set[tuple[str, ...]] = set()
        self.enough = asyncio.Event()

    def line(self, name: str) -> bytes:
        return orjson.dumps({"external_id": name, "occurred_at": self.at, "kind": "login"})

    async def report(self, session: aiohttp.ClientSession, many: int) -> None:
        """So many people a request, until the service is gone."""
        kind = "application/json" if many == 1 else "application/x-ndjson"
        while len(self.people) >= many:
            own = tuple(self.people.pop() for _ in range(many))
            self.sent.append(own)
            body, head = b"\n".join(map(self.line, own)), self.head | {"Content-Type": kind}
            try:
                async with session.post(self.url, data=body, headers=head) as answer:
                    report = await answer.json()
                    assert report["waiting" if many == 1 else "kept"] == many
            except (aiohttp.ClientError, ConnectionError):
                return
            self.acknowledged.add(own)
            if len(self.acknowledged) >= ENOUGH:
                self.enough.set()


async def people_told(story: Story, count: int) -> list[str]:
    """People who were told by a private message, and whose use may be kept."""
    names = [f"p{number}" for number in range(count)]
    await story.sql(
        "INSERT INTO person (lane, site, external_id, person_id, registered_at, changed_at)"
        " SELECT lane, $1, name, gen_random_uuid(), '2020-01-01', '2020-01-01'"
        " FROM unnest($2::smallint[], $3::text[]) AS p (lane, name)",
        story.site, [lane_of(story.site, name) for name in names], names,
    )  # fmt: skip
    await story.sql(
        "INSERT INTO notice SELECT lane, person_id, $1, 'in_scope', 1 FROM person WHERE site = $2",
        story.campaign_id, story.site,
    )  # fmt: skip
    return names


async def test_what_was_acknowledged_survives_a_kill_and_nothing_is_there_by_halves(db: Db, database_url: str) -> None:
    posted = datetime.now(UTC) - 40 * DAY
    story = await begin(db, effective_at=posted + 10 * DAY)
    people = await people_told(story, 20_000)
    random.Random(5).shuffle(people)
    service, address = await start(database_url)
    try:
        token = await create_token(db, "kumo", "test", ["activity"], posted)
        callers = Callers(address, token, people, datetime.now(UTC) - HOUR)
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group, asyncio.timeout(60):
            for number in range(SINGLES + BATCHES):
                group.create_task(callers.report(session, 1 if number < SINGLES else LINES))
            await callers.enough.wait()
            service.kill()
    finally:
        if service.returncode is None:
            service.kill()
        await service.wait()
    while await unfold(db, Memory(), datetime.now(UTC)):
        pass
    rows = await story.rows("SELECT p.external_id FROM activity a JOIN person p USING (lane, person_id)")
    there = {row["external_id"] for row in rows}
    assert people, "the service was killed while there was more to report"
    assert all(there.issuperset(own) for own in callers.acknowledged)
    assert all(there.issuperset(own) or there.isdisjoint(own) for own in callers.sent)
    assert there <= {name for own in callers.sent for name in own}


async def accepted_by(story: Story) -> list[str]:
    """Whose use was decided to be acceptance, once for each time; nothing waits any more."""
    async with asyncio.timeout(60):
        while await story.sql("SELECT (SELECT count(*) FROM reported) + (SELECT count(*) FROM activity)"):
            await asyncio.sleep(0.1)
    return [row["external_id"] for row in await story.acceptances()]


async def test_workers_killed_between_acknowledging_and_deciding_lose_nothing_and_count_nothing_twice(
    db: Db, database_url: str
) -> None:
    posted = datetime.now(UTC) - 40 * DAY
    story = await begin(db, effective_at=posted + 10 * DAY)
    people = await people_told(story, 20_000)
    service, address = await start(database_url)
    try:
        async with crew_of(database_url) as crew, aiohttp.ClientSession() as session, asyncio.timeout(180):
            token = await create_token(db, "kumo", "test", ["activity"], posted)
            callers = Callers(address, token, people, datetime.now(UTC) - HOUR)
            await crew.start(2)
            reporting = [asyncio.create_task(callers.report(session, 1)) for _ in range(SINGLES)]
            for _ in range(5):
                acknowledged = len(callers.acknowledged)
                while len(callers.acknowledged) < acknowledged + ENOUGH:
                    await asyncio.sleep(0.01)
                await crew.kill()
                await crew.start()
            service.kill()
            await asyncio.gather(*reporting)
            accepted = await accepted_by(story)
    finally:
        if service.returncode is None:
            service.kill()
        await service.wait()
    assert people, "the service was killed while there was more to report"
    assert len(accepted) == len(set(accepted))
    assert {name for own in callers.acknowledged for name in own} <= set(accepted)
    assert set(accepted) <= {name for own in callers.sent for name in own}


# The consumer in a hurry: what a killed one had in hand comes again after a second and not after thirty.
HURRIED = (
    "from notifier.activity import consume; consume.ACKNOWLEDGED_WITHIN = 1; from notifier.cli import main; main()"
)


async def test_a_consumer_that_is_killed_loses_nothing_and_counts_nothing_twice(
    db: Db, database_url: str, tmp_path: Path
) -> None:
    nats = pytest.importorskip("nats", reason="nats-py is not installed (the extra nats)")
    posted = datetime.now(UTC) - 40 * DAY
    story = await begin(db, effective_at=posted + 10 * DAY)
    people, used = await people_told(story, 6000), datetime.now(UTC) - HOUR
    name = f"killed_{secrets.token_hex(4)}"
    ours = {"DATABASE_URL": database_url, "SECRET_KEY": SECRET, "LOG_LEVEL": "error", "NATS_STREAM": name}
    with nats_server(tmp_path) as server:
        connection = await nats.connect(server)
        stream = connection.jetstream()
        await stream.add_stream(name=name, subjects=[f"{name}.*"], storage="memory")
        for one in people:
            await connection.publish(f"{name}.kumo", activity(one, used))
        await connection.flush()
        ours |= {"NATS_URL": server, "NATS_SUBJECT": f"{name}.*"}
        env = os.environ | {f"NOTIFIER_{key}": value for key, value in ours.items()}
        kills = 0
        try:
            async with asyncio.timeout(180):
                while (kept := await story.sql("SELECT count(*) FROM activity")) < len(people):
                    consumer = await asyncio.create_subprocess_exec(sys.executable, "-c", HURRIED, "consume", env=env)
                    try:
                        while await story.sql("SELECT count(*) FROM activity") <= min(kept + 500, len(people) - 1):
                            assert consumer.returncode is None
                            await asyncio.sleep(0.01)
                    finally:
                        consumer.kill()
                        await consumer.wait()
                    kills += 1
        finally:
            await stream.delete_stream(name)
            await connection.close()
    assert kills > 1
    assert await story.rows("SELECT FROM refused_message") == []
