"""Activities from NATS JetStream: acknowledged once committed, again when not, and refused for good with a reason."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest

from notifier.activity import consume
from notifier.activity.consume import Consumer, Source
from notifier.activity.memory import Memory
from notifier.clock import MovableClock
from notifier.db import Db
from notifier.errors import Unavailable
from tests.flow.story import DAY, HOUR, POSTED, Somebody, Story, activity, begin
from tests.nats import nats_server
from tests.waiting import WAITING

nats = pytest.importorskip("nats", reason="nats-py is not installed (the extra nats)")

EFFECT = POSTED + 30 * DAY
NOW = EFFECT + 5 * DAY
USED = EFFECT + DAY


class StoppedClock(MovableClock):
    """A clock that stands still."""

    def now(self) -> datetime:
        return NOW


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A NATS server with JetStream."""
    with nats_server(tmp_path_factory.mktemp("nats")) as url:
        yield url


class Post:
    """A stream of its own, and who reads from it into the story."""

    def __init__(self, story: Story, connection: Any, source: Source) -> None:
        self.story = story
        self.stream = connection.jetstream()
        self.source = source
        self.consumer = Consumer(story.db, StoppedClock(), source, Memory())

    async def say(self, *lines: bytes, site: str = "kumo") -> None:
        """One message of so many lines."""
        await self.stream.publish(self.source.subject.replace("*", site), b"\n".join(lines))

    async def state(self) -> tuple[int, int]:
        """How many messages are still to be delivered, and how many are delivered and not acknowledged."""
        info = await self.stream.consumer_info(self.source.stream, self.source.durable)
        return info.num_pending, info.num_ack_pending

    async def until_taken(self) -> None:
        """Consume until nothing is left, then stop."""
        stopping = asyncio.Event()
        consuming = asyncio.create_task(self.consumer.consume(stopping))
        try:
            async with asyncio.timeout(30):
                while True:
                    with suppress(nats.js.errors.NotFoundError):
                        if await self.state() == (0, 0):
                            return
                    assert not consuming.done() or consuming.result()
                    await asyncio.sleep(0.02)
        finally:
            stopping.set()
            await consuming

    async def used(self) -> list[str]:
        """Who has a use on record."""
        rows = await self.story.rows("SELECT p.external_id FROM activity a JOIN person p USING (lane, person_id)")
        return sorted(row["external_id"] for row in rows)

    async def refused(self) -> list[tuple[int, str]]:
        """Which messages were refused, and why."""
        rows = await self.story.rows("SELECT sequence, reason FROM refused_message ORDER BY sequence")
        return [(row["sequence"], row["reason"]) for row in rows]


@pytest.fixture
async def post(db: Db, server: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Post]:
    monkeypatch.setattr(consume, "WAIT", 0.1)
    monkeypatch.setattr(consume, "AGAIN_AFTER", 0.1)
    monkeypatch.setattr(consume, "CONNECTED_WITHIN", 2)
    name = f"test_{secrets.token_hex(4)}"
    connection = await nats.connect(server)
    source = Source(server, name, f"{name}.*", "notifier")
    await connection.jetstream().add_stream(name=name, subjects=[source.subject], storage="memory")
    yield Post(await begin(db), connection, source)
    await connection.jetstream().delete_stream(name)
    await connection.close()


async def two(story: Story) -> tuple[Somebody, Somebody]:
    return await story.person("ann"), await story.person("bob")


async def test_messages_of_one_line_and_of_many_are_taken_in_and_acknowledged(post: Post) -> None:
    ann, bob = await two(post.story)
    cem = await post.story.person("cem")
    await post.say(activity(ann, USED))
    await post.say(activity(bob, USED), activity(cem, USED), b"", activity("nobody", USED))
    await post.until_taken()
    assert await post.used() == ["ann", "bob", "cem"]
    assert await post.refused() == []


async def test_what_comes_again_is_one_use(post: Post) -> None:
    ann, _ = await two(post.story)
    for _ in range(3):
        await post.say(activity(ann, USED), activity(ann, USED + HOUR))
    await post.until_taken()
    assert await post.story.rows("SELECT occurred_at FROM activity") == [{"occurred_at": USED}]


async def test_what_can_never_be_taken_in_is_ended_with_its_reason_and_the_rest_is_kept(post: Post) -> None:
    ann, bob = await two(post.story)
    await post.say(b"{oops")
    await post.say(activity(ann, USED), activity(ann, USED, kind="Log in"))
    await post.say(activity(bob, USED), site="nowhere")
    await post.say(activity(bob, USED))
    await post.until_taken()
    assert await post.used() == ["ann", "bob"]
    refused = await post.refused()
    assert [sequence for sequence, _ in refused] == [1, 2, 3]
    assert [reason[:14] for _, reason in refused] == ["line 1  Invali", "line 2 /kind S", "there is no si"]


async def test_what_the_database_refuses_is_ended_alone(post: Post) -> None:
    ann, bob = await two(post.story)
    await post.story.sql("ALTER TABLE activity ADD CONSTRAINT no_boom CHECK (url_path <> '/boom')")
    await post.say(activity(ann, USED, url="/boom"))
    await post.say(activity(bob, USED))
    await post.until_taken()
    assert await post.used() == ["bob"]
    assert await post.refused() == [(1, "the database refuses it: CheckViolationError")]


async def test_nothing_is_acknowledged_before_its_commit_and_it_comes_again(post: Post) -> None:
    ann, _ = await two(post.story)
    await post.say(activity(ann, USED))
    stopping = asyncio.Event()
    async with post.story.db.transaction() as held:
        await held.execute("LOCK TABLE activity IN ACCESS EXCLUSIVE MODE")
        consuming = asyncio.create_task(post.consumer.consume(stopping))
        async with held.connection() as connection, asyncio.timeout(30):
            while not (waiting := await connection.fetch(WAITING)):
                await connection.execute("SELECT pg_stat_clear_snapshot()")
                await asyncio.sleep(0.02)
            assert await post.state() == (0, 1)
            for row in waiting:
                await connection.execute("SELECT pg_terminate_backend($1)", row["pid"])
    async with asyncio.timeout(30):
        while await post.used() != ["ann"] or await post.state() != (0, 0):
            await asyncio.sleep(0.02)
    stopping.set()
    await consuming
    assert await post.refused() == []


async def test_without_the_stream_or_the_server_it_is_said_what_to_do(post: Post) -> None:
    stopping = asyncio.Event()
    missing = Source(post.source.url, "nothing", "nothing.*", "notifier")
    with pytest.raises(Unavailable, match="nats stream add nothing"):
        await Consumer(post.story.db, StoppedClock(), missing, Memory()).consume(stopping)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        away = Source(f"nats://127.0.0.1:{probe.getsockname()[1]}", "nothing", "nothing.*", "notifier")
        with pytest.raises(Unavailable, match="NOTIFIER_NATS_URL"):
            await Consumer(post.story.db, StoppedClock(), away, Memory()).consume(stopping)
