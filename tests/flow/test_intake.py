"""Activities one by one: acknowledged after their commit, unfolded once; and a memory that never changes an answer."""

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
from notifier.activity.record import KEPT, WAITING, record, take
from notifier.activity.unfold import unfold
from notifier.clock import MovableClock
from notifier.db import Db
from notifier.errors import Unauthenticated, Unavailable
from notifier.keys import Keys
from notifier.people.erase import erase_person
from notifier.sites.tokens import create_token, digest_of, revoke_token
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
    return Intake(db, StoppedClock())


async def unfolded(story: Story) -> list[str]:
    """Who has a use on record once nothing waits any more."""
    memory = Memory()
    while await unfold(story.db, memory, NOW):
        pass
    rows = await story.rows("SELECT p.external_id FROM activity a JOIN person p USING (lane, person_id) ORDER BY 1")
    return [row["external_id"] for row in rows]


async def test_many_at_once_share_one_commit_and_each_hears_of_its_own(story: Story) -> None:
    people = [await story.person(f"p{number:02}") for number in range(60)]
    taking = open_intake(story.db)
    fates = await asyncio.gather(
        *(taking.take("kumo", use(who)) for who in people),
        taking.take("kumo", use("nobody")),
        taking.take("kumo", use(people[0], kind="policy_viewed")),
        taking.take("kumo", use(people[0], user_agent="Googlebot/2.1")),
        taking.take("kumo", use(people[0], NOW + HOUR)),
        taking.take("kumo", use(people[0], USED + HOUR)),
    )
    assert fates == [WAITING] * 61 + ["excluded_kind", "robot", "in_the_future", WAITING]
    assert await story.rows("SELECT site, received_at, many FROM reported") == [
        {"site": "kumo", "received_at": NOW, "many": 62}
    ]
    assert await unfolded(story) == [f"p{number:02}" for number in range(60)]
    assert await story.rows("SELECT FROM reported") == []


async def test_what_comes_while_a_commit_is_under_way_shares_the_next(story: Story) -> None:
    people = [await story.person(f"p{number:02}") for number in range(30)]
    taking = open_intake(story.db)
    async with story.db.transaction() as held:
        await held.execute("LOCK TABLE reported IN ACCESS EXCLUSIVE MODE")
        waiting = [asyncio.create_task(taking.take("kumo", use(people[0])))]
        await asyncio.sleep(0.1)
        waiting += [asyncio.create_task(taking.take("kumo", use(who))) for who in people[1:]]
        await asyncio.sleep(0.1)
    assert await asyncio.gather(*waiting) == [WAITING] * 30
    assert await story.rows("SELECT many FROM reported ORDER BY reported_id") == [{"many": 1}, {"many": 29}]


async def test_what_is_unfolded_is_as_it_came(story: Story) -> None:
    ann = await story.person("ann")
    early = use(ann, USED, url="https://kumo.example/a?q=1", ip="2001:db8:1:2::3", user_agent="Firefox/140.0")
    await open_intake(story.db).take("kumo", early)
    await open_intake(story.db).take("kumo", use(ann, NOW + 2 * HOUR / 60))  # within the skew: taken for now
    memory = Memory()
    assert await unfold(story.db, memory, NOW + 7 * HOUR) == 2
    assert await unfold(story.db, memory, NOW + 7 * HOUR) == 0
    first, second = await story.rows("SELECT * FROM activity ORDER BY occurred_at")
    assert (first["url_path"], first["ip_prefix"], first["user_agent"]) == ("/a", "2001:db8:1::/48", "Firefox")
    assert (first["occurred_at"], first["received_at"], first["due_at"]) == (USED, NOW, NOW + 7 * HOUR)
    assert (second["occurred_at"], second["received_at"]) == (NOW, NOW)


async def test_nobody_is_told_before_the_commit_and_of_a_failed_one_everybody_hears(story: Story) -> None:
    ann = await story.person("ann")
    taking = open_intake(story.db)
    async with story.db.transaction() as held:
        await held.execute("LOCK TABLE reported IN ACCESS EXCLUSIVE MODE")
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
    assert await unfolded(story) == []
    assert await taking.take("kumo", use(ann)) == WAITING
    assert await unfolded(story) == ["ann"]


async def test_a_token_that_is_good_no_more_leaves_nothing_and_the_others_of_its_commit_stay(story: Story) -> None:
    ann, bob = await story.person("ann"), await story.person("bob")
    good, gone = [digest_of(await create_token(story.db, "kumo", name, ["activity"], NOW)) for name in ("good", "gone")]
    await revoke_token(story.db, "kumo", "gone", NOW)
    taking = open_intake(story.db)
    fates = await asyncio.gather(
        taking.take("kumo", use(ann), gone),
        taking.take("kumo", use(ann, kind="policy_viewed"), gone),
        taking.take("kumo", use(bob), good),
        return_exceptions=True,
    )
    assert [type(fate) for fate in fates] == [Unauthenticated, Unauthenticated, str]
    assert await unfolded(story) == ["bob"]


async def test_what_the_database_refuses_fails_alone_and_is_on_record(story: Story) -> None:
    people = [await story.person(f"p{number:02}") for number in range(20)]
    await story.sql("ALTER TABLE activity ADD CONSTRAINT no_boom CHECK (url_path <> '/boom')")
    taking = open_intake(story.db)
    await asyncio.gather(*(taking.take("kumo", use(w, url="/boom" if w is people[7] else "/")) for w in people))
    assert await unfolded(story) == [f"p{number:02}" for number in range(20) if number != 7]
    assert await story.rows("SELECT stream, subject, reason FROM refused_message") == [
        {"stream": "reported", "subject": "kumo", "reason": "the database refuses it: CheckViolationError"}
    ]


async def test_unfolding_that_fails_leaves_everything_for_the_next_turn_and_is_forgotten(story: Story) -> None:
    """The day somebody was last seen is undone with the rest, so nothing may be remembered of it."""
    ann = await story.person("ann", reason=None)
    await open_intake(story.db).take("kumo", use(ann))
    memory = Memory()
    await story.sql("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no commit today'; END$$")
    await story.sql(
        "CREATE CONSTRAINT TRIGGER fail AFTER DELETE ON reported DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION fail()"
    )
    with pytest.raises(asyncpg.RaiseError):
        await unfold(story.db, memory, NOW)
    assert (await story.sql("SELECT count(*) FROM reported"), len(memory)) == (1, 0)
    await story.sql("DROP TRIGGER fail ON reported")
    assert await unfold(story.db, memory, NOW) == 1
    assert await story.sql("SELECT last_seen_on FROM person") == USED.date()


async def test_workers_that_unfold_at_once_share_the_rows(story: Story) -> None:
    people = [await story.person(f"p{number:03}") for number in range(150)]
    for who in people:
        await open_intake(story.db).take("kumo", use(who))
    done = await asyncio.gather(*(unfold(story.db, Memory(), NOW) for _ in range(3)))
    assert sum(done) + len(await story.rows("SELECT FROM reported")) == 150
    assert await unfolded(story) == [f"p{number:03}" for number in range(150)]


async def test_who_was_erased_in_between_leaves_nothing(story: Story, keys: Keys) -> None:
    ann = await story.person("ann")
    await open_intake(story.db).take("kumo", use(ann))
    await erase_person(story.db, keys, "kumo", "ann", NOW)
    assert await unfolded(story) == []
    assert await story.rows("SELECT FROM reported") == []
    assert await story.sql("SELECT last_seen_on FROM person") is None


async def test_when_too_many_wait_the_next_is_told_to_come_again(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MOST_WAITING", 3)
    people = [await story.person(f"p{number}") for number in range(5)]
    taking = open_intake(story.db)
    fates = await asyncio.gather(*(taking.take("kumo", use(who)) for who in people), return_exceptions=True)
    assert fates[:3] == [WAITING] * 3
    assert all(isinstance(fate, Unavailable) for fate in fates[3:])
    assert await taking.take("kumo", use(people[4])) == WAITING


async def test_whoever_goes_away_takes_nothing_from_the_others(story: Story) -> None:
    ann, bob = await story.person("ann"), await story.person("bob")
    taking = open_intake(story.db)
    gone = asyncio.create_task(taking.take("kumo", use(ann)))
    stays = asyncio.create_task(taking.take("kumo", use(bob)))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == WAITING


async def test_what_waits_is_committed_before_the_process_ends(story: Story) -> None:
    ann = await story.person("ann")
    taking = open_intake(story.db)
    waiting = asyncio.create_task(taking.take("kumo", use(ann)))
    await asyncio.sleep(0)
    await taking.close()
    assert waiting.done()
    assert await unfolded(story) == ["ann"]


async def accepted(story: Story, who: Somebody, at: datetime = USED) -> None:
    await story.sql(
        "INSERT INTO acceptance VALUES ($1, $2, $3, 1, 'deemed', 'D', $4, $4, '{}', $4)",
        who.lane, who.person_id, story.version_id, at,
    )  # fmt: skip


async def asked(story: Story, memory: Memory, *uses: Activity) -> tuple[list[str], int]:
    """What became of them, and whether PostgreSQL was asked about people."""
    await story.sql("CREATE TABLE IF NOT EXISTS looked (n integer)")
    await story.sql("DELETE FROM looked")
    keep = Db.value
    looks = 0

    async def counted(self: Db, name: str, /, **parameters: object) -> Any:
        nonlocal looks
        looks += name in ("activity.keep", "activity.keep_new")
        return await keep(self, name, **parameters)

    Db.value = counted  # type: ignore[method-assign]
    try:
        return await take(story.db, memory, "kumo", uses, NOW), looks
    finally:
        Db.value = keep  # type: ignore[method-assign]


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
