"""Something is said of a person while, in another transaction, it is decided about them: neither misses the other."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from notifier.acceptance.accept import accept
from notifier.acceptance.object import Statement, record_objection
from notifier.acceptance.silence import accept_silence
from notifier.activity.record import record
from notifier.db import Db
from tests.flow.story import DAY, HOUR, POSTED, RULE, Somebody, Story, activity, begin, lines
from tests.waiting import WAITING

TOLD = POSTED + HOUR
DATE = TOLD + 30 * DAY
NOW = DATE + 10 * DAY
SILENCE = RULE.model_copy(update={"deemed_by": "silence"})
NO = Statement(DATE - DAY, "letter", "no")
_HOLD = """
    CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NEW; END $$;
    CREATE TRIGGER hold BEFORE INSERT ON acceptance FOR EACH ROW EXECUTE FUNCTION hold()
"""


async def ann_of(story: Story) -> Somebody:
    """Somebody whose date has passed, in a lane that it is time to look at for silence."""
    ann = await story.person("ann", plan=2)
    await story.told(ann)
    await story.sql("INSERT INTO silence VALUES ($1, $2, $3)", story.campaign_id, ann.lane, NOW)
    return ann


@asynccontextmanager
async def deciding(story: Story, work: Coroutine[Any, Any, int]) -> AsyncIterator[None]:
    """A worker that has decided that somebody accepted, and does not get to its commit until this ends."""
    await story.db.execute(_HOLD)
    async with story.db.transaction() as other, other.connection() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(7)")
        worker = asyncio.create_task(work)
        await waits(story, 1, worker)
        yield
    await worker


async def waits(story: Story, many: int, *unless: asyncio.Task[Any]) -> None:
    """Until so many wait for somebody else in the database, or one of some is done without."""
    while len(await story.rows(WAITING)) < many:
        if any(one.done() for one in unless):
            return
        await asyncio.sleep(0.01)


async def kinds(story: Story) -> list[str]:
    """What the record says when everything is decided that waits."""
    while await accept(story.db, NOW):
        pass
    await accept_silence(story.db, NOW)
    return [one["kind"] for one in await story.acceptances()]


async def test_an_objection_made_in_time_voids_the_silence_that_is_being_recorded(db: Db) -> None:
    story = await begin(db, SILENCE)
    ann = await ann_of(story)
    async with deciding(story, accept_silence(db, NOW)):
        saying = asyncio.create_task(record_objection(db, "kumo", ann, story.version_id, NO, NOW))
        await waits(story, 2, saying)
    assert await saying
    assert await kinds(story) == ["deemed", "void"]


async def test_silence_is_not_taken_for_acceptance_while_an_objection_is_being_recorded(db: Db) -> None:
    story = await begin(db, SILENCE)
    ann = await ann_of(story)
    async with db.transaction() as tx:
        await record_objection(tx, "kumo", ann, story.version_id, NO, NOW)
        worker = asyncio.create_task(accept_silence(db, NOW))
        await waits(story, 1, worker)
    await worker
    assert await kinds(story) == []


async def test_a_bounce_voids_the_silence_that_is_being_recorded(db: Db) -> None:
    story = await begin(db, SILENCE)
    ann = await ann_of(story)
    async with deciding(story, accept_silence(db, NOW)):
        await story.bounced(ann, NOW)
        settling = asyncio.create_task(accept(db, NOW))
        await waits(story, 2, settling)
    await settling
    assert await kinds(story) == ["deemed", "void"]


async def test_a_use_that_comes_and_is_decided_while_an_objection_is_being_recorded_accepts_nothing(db: Db) -> None:
    story = await begin(db)
    ann = await ann_of(story)
    async with db.transaction() as tx:
        await record_objection(tx, "kumo", ann, story.version_id, NO, NOW)
        await record(db, "kumo", lines(activity(ann, DATE + DAY)), NOW)
        worker = asyncio.create_task(accept(db, NOW))
        await waits(story, 1, worker)
    await worker
    assert await kinds(story) == []


async def test_an_objection_said_again_voids_what_slipped_through_the_first_time(db: Db) -> None:
    story = await begin(db, SILENCE)
    ann = await ann_of(story)
    await accept_silence(db, NOW)
    await story.sql(
        "INSERT INTO objection (lane, person_id, version_id, at, via, recorded_at)"
        " VALUES ($1, $2, $3, $4, 'letter', $5)",
        ann.lane, ann.person_id, story.version_id, NO.at, NOW,
    )  # fmt: skip
    assert not await record_objection(db, "kumo", ann, story.version_id, NO, NOW)
    assert await kinds(story) == ["deemed", "void"]
