"""Activities one by one: acknowledged after their commit, many in one, and a memory that never changes an answer."""

import asyncio
import random
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from notifier.activity import intake
from notifier.activity.activity import Activity, read_activity
from notifier.activity.intake import Intake
from notifier.activity.memory import Memory
from notifier.activity.record import KEPT, record, take
from notifier.clock import MovableClock
from notifier.db import Db
from notifier.errors import NotFound, Unavailable
from notifier.keys import Keys
from notifier.people.erase import erase_person
from tests.flow.story import DAY, HOUR, POSTED, Somebody, Story, activity, begin, lines

EFFECT = POSTED + 30 * DAY
NOW = EFFECT + 5 * DAY
USED = EFFECT + DAY


class StoppedClock(MovableClock):
    """A clock that stands still."""

    def now(self) -> datetime:
        return NOW


@pytest.fixture
async def story(db: Db) -> Story:
    return await begin(db)


def use(who: Somebody | str, at: datetime = USED, **more: Any) -> Activity:
    return read_activity(activity(who, at, **more))


def open_intake(db: Db) -> Intake:
    return Intake(db, StoppedClock(), Memory())


async def test_many_at_once_share_a_few_commits_and_each_hears_of_its_own(story: Story) -> None:
    people = [await story.person(f"p{number}") for number in range(60)]
    before = await story.sql("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
    taking = open_intake(story.db)
    fates = await asyncio.gather(
        *(taking.take("kumo", use(who)) for who in people),
        taking.take("kumo", use("nobody")),
        taking.take("kumo", use(people[0], kind="policy_viewed")),
        taking.take("kumo", use(people[0], USED + HOUR)),
    )
    assert fates == [KEPT] * 60 + ["unknown_person", "excluded_kind", "same_day"]
    assert len(await story.rows("SELECT FROM activity")) == 60
    await asyncio.sleep(1.1)  # PostgreSQL reports its counts a second late
    await story.sql("SELECT pg_stat_clear_snapshot()")
    after = await story.sql("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
    assert after - before < 40


async def test_nobody_is_told_before_the_commit_and_of_a_failed_one_everybody_hears(story: Story) -> None:
    ann = await story.person("ann")
    taking = open_intake(story.db)
    async with story.db.transaction() as held:
        await held.execute("LOCK TABLE activity IN ACCESS EXCLUSIVE MODE")
        waiting = asyncio.create_task(taking.take("kumo", use(ann)))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        async with held.connection() as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await waiting
    assert await story.rows("SELECT FROM activity") == []
    assert await taking.take("kumo", use(ann)) == KEPT


async def test_what_the_database_refuses_fails_alone(story: Story) -> None:
    people = [await story.person(f"p{number}") for number in range(20)]
    await story.sql("ALTER TABLE activity ADD CONSTRAINT no_boom CHECK (url_path <> '/boom')")
    taking = open_intake(story.db)
    fates = await asyncio.gather(
        *(taking.take("kumo", use(who, url="/boom" if who is people[7] else "/")) for who in people),
        return_exceptions=True,
    )
    assert isinstance(fates.pop(7), asyncpg.CheckViolationError)
    assert fates == [KEPT] * 19


async def test_an_unknown_site_is_refused_and_the_others_are_not(story: Story) -> None:
    ann = await story.person("ann")
    taking = open_intake(story.db)
    fates = await asyncio.gather(
        taking.take("nowhere", use(ann)), taking.take("kumo", use(ann)), return_exceptions=True
    )
    assert isinstance(fates[0], NotFound)
    assert fates[1] == KEPT


async def test_when_too_many_wait_the_next_is_told_to_come_again(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MOST_WAITING", 3)
    people = [await story.person(f"p{number}") for number in range(5)]
    taking = open_intake(story.db)
    fates = await asyncio.gather(*(taking.take("kumo", use(who)) for who in people), return_exceptions=True)
    assert [fate == KEPT for fate in fates] == [True, True, True, False, False]
    assert all(isinstance(fate, Unavailable) for fate in fates[3:])
    assert await taking.take("kumo", use(people[4])) == KEPT


async def test_whoever_goes_away_takes_nothing_from_the_others(story: Story) -> None:
    ann, bob = await story.person("ann"), await story.person("bob")
    taking = open_intake(story.db)
    gone = asyncio.create_task(taking.take("kumo", use(ann)))
    stays = asyncio.create_task(taking.take("kumo", use(bob)))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == KEPT


async def test_what_waits_is_committed_before_the_process_ends(story: Story) -> None:
    ann = await story.person("ann")
    taking = open_intake(story.db)
    waiting = asyncio.create_task(taking.take("kumo", use(ann)))
    await asyncio.sleep(0)
    await taking.close()
    assert waiting.done()
    assert len(await story.rows("SELECT FROM activity")) == 1


async def accepted(story: Story, who: Somebody, at: datetime = USED) -> None:
    await story.sql(
        "INSERT INTO acceptance VALUES ($1, $2, $3, 1, 'deemed', 'D', $4, $4, '{}', $4)",
        who.lane, who.person_id, story.version_id, at,
    )  # fmt: skip


async def asked(story: Story, memory: Memory, *uses: Activity) -> tuple[list[str], int]:
    """What became of them, and whether PostgreSQL was asked about people."""
    await story.sql("CREATE TABLE IF NOT EXISTS looked (n integer)")
    await story.sql("DELETE FROM looked")
    keep = story.db.value
    looks = 0

    async def counted(name: str, /, **parameters: object) -> Any:
        nonlocal looks
        looks += name == "activity.keep"
        return await keep(name, **parameters)

    story.db.value = counted  # type: ignore[method-assign]
    try:
        return await take(story.db, memory, "kumo", uses, NOW), looks
    finally:
        story.db.value = keep  # type: ignore[method-assign]


async def test_who_has_nothing_to_accept_is_not_asked_about_twice(story: Story) -> None:
    ann, out = await story.person("ann"), await story.person("out", reason="outside_rule")
    await accepted(story, ann)
    memory = Memory()
    both = use(ann), use(out)
    assert await asked(story, memory, *both) == (["nothing_open"] * 2, 1)
    assert await asked(story, memory, *both, use(ann, USED + HOUR)) == (["nothing_open"] * 3, 0)
    assert await asked(story, memory, use(ann, USED - HOUR)) == ([KEPT], 1)
    assert await story.sql("SELECT max(last_seen_on) FROM person") == USED.date()


async def test_another_version_is_asked_about_at_once(story: Story) -> None:
    ann = await story.person("ann")
    await accepted(story, ann)
    memory = Memory()
    assert (await asked(story, memory, use(ann)))[0] == ["nothing_open"]
    newer = await begin(story.db, label="v3", effective_at=USED + HOUR)
    await story.sql("INSERT INTO notice VALUES ($1, $2, $3, 'in_scope', 0)", ann.lane, ann.person_id, newer.campaign_id)
    assert await asked(story, memory, use(ann)) == (["nothing_open"], 1)
    assert await asked(story, memory, use(ann, USED + HOUR)) == ([KEPT], 1)


async def test_who_was_erased_is_nobody_at_once(story: Story, keys: Keys) -> None:
    ann = await story.person("ann")
    await accepted(story, ann)
    memory = Memory()
    assert (await asked(story, memory, use(ann)))[0] == ["nothing_open"]
    await erase_person(story.db, keys, "kumo", "ann", NOW)
    assert await asked(story, memory, use(ann)) == (["unknown_person"], 1)


async def test_an_acceptance_that_is_taken_back_lets_use_count_again(story: Story) -> None:
    ann = await story.person("ann")
    await accepted(story, ann)
    memory = Memory()
    assert (await asked(story, memory, use(ann)))[0] == ["nothing_open"]
    async with story.db.transaction() as tx:
        async with tx.connection() as connection:
            await connection.execute("DELETE FROM acceptance")
        await tx.run("people.next_epoch", lanes=[ann.lane])
    assert await asked(story, memory, use(ann, USED + HOUR)) == ([KEPT], 1)


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_the_answers_are_those_without_a_memory(story: Story, keys: Keys, seed: int) -> None:
    """The same history is played twice at once: one site with a memory that is far too small, one without any."""
    dice = random.Random(seed)
    twin = await begin(story.db, site="twin")
    pairs = [(await story.person(f"p{n}"), await twin.person(f"p{n}")) for n in range(8)]
    memory, effective = Memory(10), EFFECT

    async def something_happens() -> None:
        nonlocal effective
        number = dice.randrange(8)
        kind = dice.choice(["accepted", "taken back", "erased", "version"])
        if kind == "version" and dice.random() < 0.3:
            effective += dice.choice([0, 1, 30]) * HOUR
        for which, world in enumerate((story, twin)):
            who = pairs[number][which]
            if kind == "accepted":
                at = USED + (number % 3) * HOUR
                await world.sql(
                    "INSERT INTO acceptance VALUES ($1, $2, $3, 1, 'deemed', 'D', $4, $4, '{}', $4)"
                    " ON CONFLICT DO NOTHING", who.lane, who.person_id, world.version_id, at,
                )  # fmt: skip
            elif kind == "taken back":
                await world.sql("DELETE FROM acceptance WHERE lane = $1 AND person_id = $2", who.lane, who.person_id)
                await world.db.run("people.next_epoch", lanes=[who.lane])
            elif kind == "erased" and number == 0:
                await erase_person(world.db, keys, world.site, "p0", NOW)
            elif kind == "version":
                count = await world.sql("SELECT count(*) FROM version WHERE site = $1", world.site)
                newer = await begin(world.db, site=world.site, label=f"w{count}", effective_at=effective)
                for one in pairs:
                    await world.sql(
                        "INSERT INTO notice VALUES ($1, $2, $3, 'in_scope', 0)",
                        one[which].lane, one[which].person_id, newer.campaign_id,
                    )  # fmt: skip

    for _ in range(60):
        if dice.random() < 0.3:
            await something_happens()
        uses = [use(f"p{dice.randrange(9)}", USED + dice.randrange(0, 60) * HOUR) for _ in range(dice.randrange(1, 12))]
        given = [activity(one.external_id, one.occurred_at) for one in uses]
        ours = await record(story.db, "kumo", lines(*given), NOW, memory)
        plain = await record(story.db, "twin", lines(*given), NOW, Memory(1))
        assert (ours.kept, ours.ignored) == (plain.kept, plain.ignored)
        seen = [
            await world.rows(
                "SELECT p.external_id LIKE 'erased%' AS gone, p.last_seen_on, a.occurred_at FROM person p"
                " LEFT JOIN activity a USING (lane, person_id) WHERE p.site = $1"
                " ORDER BY 1, right(p.external_id, 1), 2, 3",
                world.site,
            )
            for world in (story, twin)
        ]
        gone = [[row for row in rows if not row["gone"]] for rows in seen]
        assert gone[0] == gone[1]
        if dice.random() < 0.3:  # decided, as a worker would
            await story.sql("DELETE FROM activity")
