"""A letter bounces after it had counted: what was deemed on it is decided again, once, and nothing is rewritten."""

import asyncio
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from notifier.acceptance.accept import accept, record_explicit
from notifier.activity.memory import Memory
from notifier.activity.record import record
from notifier.db import Db
from notifier.outcomes.hear import hear
from notifier.people.erase import erase_person
from tests.flow.story import DAY, HOUR, POSTED, RULE, Somebody, Story, activity, begin, lines
from tests.office import open_office
from tests.sites import a_site

TOLD = POSTED + HOUR
DATE = TOLD + 30 * DAY
NOW = DATE + 10 * DAY


@pytest.fixture
async def story(db: Db) -> Story:
    return await begin(db)


async def used(story: Story, who: Somebody, *times: datetime, now: datetime = NOW) -> None:
    await record(story.db, story.site, lines(*(activity(who, at) for at in times)), now)


async def decided(story: Story, now: datetime = NOW) -> list[tuple[int, str, Any]]:
    while await accept(story.db, now):
        pass
    return [(a["revision"], a["kind"], a["accepted_at"]) for a in await story.acceptances()]


async def deemed(story: Story, plan: int = 0) -> Somebody:
    """Somebody told by email, who used the site after their date."""
    ann = await story.person("ann", plan=plan)
    await story.told(ann)
    await used(story, ann, DATE + DAY)
    assert await decided(story) == [(1, "deemed", DATE + DAY)]
    return ann


async def test_what_nothing_else_carries_is_void_and_the_first_revision_stays(story: Story) -> None:
    ann = await deemed(story)
    await story.bounced(ann, NOW)
    assert await decided(story) == [(1, "deemed", DATE + DAY), (2, "void", None)]
    void = (await story.acceptances())[1]
    assert void["evidence"]["reason"] == "telling_failed"
    assert (void["evidence"]["telling"]["channel"], void["evidence"]["telling"]["attempt"]) == ("email", 1)
    assert void["grade"] is None
    assert await story.rows("SELECT * FROM doubt") == []


async def test_a_private_message_that_also_told_them_carries_it_with_its_own_date(story: Story) -> None:
    ann = await deemed(story)
    await story.heard(ann, "placed", TOLD + HOUR, "inbox")
    await story.bounced(ann, NOW)
    assert await decided(story) == [(1, "deemed", DATE + DAY), (2, "deemed", DATE + DAY)]
    second = (await story.acceptances())[1]
    assert second["counts_from"] == DATE + HOUR
    assert second["evidence"]["telling"]["channel"] == "inbox"


async def test_told_anew_by_the_next_channel_they_accept_by_a_later_use(story: Story) -> None:
    ann = await deemed(story)
    await story.bounced(ann, NOW)
    await story.heard(ann, "placed", NOW + HOUR, "inbox")
    assert (await decided(story, NOW + 2 * HOUR))[-1] == (2, "void", None)
    again = NOW + 31 * DAY
    await used(story, ann, NOW + DAY, again, now=again)
    assert (await decided(story, again))[-1] == (3, "deemed", again)


async def test_a_use_that_waits_for_another_letters_window_is_in_question_again(db: Db) -> None:
    story = await begin(db, RULE.model_copy(update={"notice_days": 0, "bounce_window_hours": 72}), effective_at=POSTED)
    ann = await story.person("ann", plan=2)
    await story.heard(ann, "accepted_by_recipient", TOLD)
    await story.heard(ann, "accepted_by_relay", TOLD + HOUR, attempt=2)
    await used(story, ann, TOLD + 2 * HOUR, now=TOLD + 3 * HOUR)
    assert await decided(story, TOLD + 3 * HOUR) == [(1, "deemed", TOLD + 2 * HOUR)]
    await story.bounced(ann, TOLD + 4 * HOUR)
    assert (await decided(story, TOLD + 4 * HOUR))[-1] == (2, "void", None)
    assert await story.rows("SELECT due_at FROM activity") == [{"due_at": TOLD + 73 * HOUR}]
    assert (await decided(story, TOLD + 73 * HOUR))[-1] == (3, "deemed", TOLD + 2 * HOUR)


async def test_silence_after_a_letter_that_bounced_is_none(db: Db) -> None:
    story = await begin(db, RULE.model_copy(update={"deemed_by": "silence"}))
    ann = await story.person("ann")
    await story.told(ann)
    await used(story, ann, DATE + DAY)
    assert await decided(story) == [(1, "deemed", DATE)]
    await story.bounced(ann, NOW)
    assert (await decided(story))[1:] == [(2, "void", None)]


async def test_a_bounce_of_another_letter_changes_nothing(story: Story) -> None:
    ann = await deemed(story)
    await story.bounced(ann, NOW, attempt=2)
    assert await decided(story) == [(1, "deemed", DATE + DAY)]


async def test_the_same_bounce_again_changes_nothing(story: Story) -> None:
    ann = await deemed(story)
    await story.bounced(ann, NOW)
    await decided(story)
    await story.sql("INSERT INTO doubt VALUES ($1, $2, $3, 'email', 1)", ann.lane, ann.person_id, story.campaign_id)
    assert len(await decided(story)) == 2


async def test_an_act_of_the_persons_own_needs_no_telling(story: Story) -> None:
    ann = await deemed(story)
    await record_explicit(story.db, story.site, ann, story.version_id, NOW, "button", NOW)
    await story.bounced(ann, NOW)
    assert [kind for _, kind, _ in await decided(story)] == ["deemed", "explicit"]


async def test_an_act_after_it_became_void_is_acceptance(story: Story) -> None:
    ann = await deemed(story)
    await story.bounced(ann, NOW)
    await decided(story)
    assert await record_explicit(story.db, story.site, ann, story.version_id, NOW, "button", NOW)
    assert [kind for _, kind, _ in await decided(story)] == ["deemed", "void", "explicit"]


async def test_void_counts_as_never_accepted_also_for_a_process_that_remembers_who_has_nothing_to_accept(
    story: Story,
) -> None:
    ann, memory = await deemed(story), Memory()

    async def kept(at: datetime) -> int:
        return (await record(story.db, story.site, lines(activity(ann, at)), at, memory)).kept

    assert await kept(NOW) == 0, "there is nothing left to accept"
    await story.bounced(ann, NOW)
    await story.heard(ann, "placed", NOW, "inbox")
    await decided(story)
    assert await kept(NOW + HOUR) == 1
    assert await kept(NOW + 40 * DAY) == 1
    assert (await decided(story, NOW + 40 * DAY))[-1] == (3, "deemed", NOW + 40 * DAY)


@pytest.mark.parametrize("table", ["acceptance", "activity", "lane_epoch"])
async def test_a_worker_that_dies_half_way_leaves_the_doubt_to_the_next(story: Story, table: str) -> None:
    ann = await deemed(story)
    await story.bounced(ann, NOW)
    await story.db.execute(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'killed here'; END $$;"
        f" CREATE TRIGGER die BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION die()"
    )
    with pytest.raises(asyncpg.RaiseError):
        await accept(story.db, NOW)
    await story.db.execute("DROP FUNCTION die CASCADE")
    assert len(await story.acceptances()) == 1
    assert len(await story.rows("SELECT * FROM doubt")) == 1
    assert await decided(story) == [(1, "deemed", DATE + DAY), (2, "void", None)]


async def test_whoever_deems_on_the_letter_while_it_bounces_is_waited_for(story: Story) -> None:
    ann = await story.person("ann", plan=2)
    await story.told(ann)
    await used(story, ann, DATE + DAY)
    slow = (
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END $$;"
        " CREATE TRIGGER slow BEFORE INSERT ON acceptance FOR EACH ROW EXECUTE FUNCTION slow()"
    )
    await story.db.execute(slow)
    deciding = asyncio.create_task(accept(story.db, NOW))
    await asyncio.sleep(0.2)
    await story.bounced(ann, NOW)
    await accept(story.db, NOW)
    await deciding
    assert [kind for _, kind, _ in await decided(story)] == ["deemed", "void"]


async def test_many_workers_decide_once(story: Story) -> None:
    people = [await story.person(f"p{n}", plan=2) for n in range(30)]
    await story.told(*people)
    for who in people:
        await used(story, who, DATE + DAY)
    await decided(story)
    for who in people:
        await story.bounced(who, NOW)
    await asyncio.gather(*(accept(story.db, NOW) for _ in range(6)))
    assert [kind for _, kind, _ in await decided(story)] == ["deemed", "void"] * 30


async def test_a_report_of_a_bounce_leads_all_the_way_to_a_void_acceptance(db: Db, keys: Any) -> None:
    async with open_office(
        db, keys, a_site(rule={"preset": "pop-japan", "notice_days": 0, "reason": "as posted"})
    ) as office:
        await office.person("late")
        await office.open()
        await office.deliver()
        bounce = await office.feedback("late", "bounced", "bad_address")
        office.clock.move(4 * DAY)
        await record(db, "kumo", lines(activity("late", office.clock.now())), office.clock.now())
        while await accept(db, office.clock.now()):
            pass
        assert await office.rows("SELECT kind::text FROM accepted") == [("deemed",)]
        await hear(db, [bounce, bounce], office.clock.now())
        assert await office.rows("SELECT channel, attempt FROM doubt") == [("email", 1)]
        while await accept(db, office.clock.now()):
            pass
        assert await office.rows("SELECT kind::text FROM accepted") == []
        assert await office.rows("SELECT count(*) FROM acceptance") == [(2,)]
        await office.tell(await office.publish("three", {"en": {"body": "# three"}}))
        await erase_person(db, keys, "kumo", "late", office.clock.now())
        assert await office.rows("SELECT evidence #>> '{use,user_agent}' FROM acceptance") == [(None,), (None,)]
