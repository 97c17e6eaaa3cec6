"""A mail server's log that grows, is rotated and is read twice: every letter's news is recorded, and once."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from notifier.channels.postfix_log import PostfixLog
from notifier.clock import MovableClock
from notifier.db import Db
from notifier.keys import Keys
from notifier.letters.verp import Attempt, return_path_key, seal
from notifier.outcomes import follow
from notifier.outcomes.follow import followed, record_log
from tests.channels.test_postfix_log import begins, syslog, tried
from tests.flow.story import Somebody, Story, begin


async def given(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Pieces, as a pipe hands them over."""
    for piece in pieces:
        yield piece


def sender_of(story: Story, who: Somebody, keys: Keys) -> str:
    """The return path of somebody's first letter."""
    local = seal(Attempt(story.campaign_id, who.lane, who.person_id, 1), return_path_key(keys))
    return f"{local}@kumo.example"


async def kinds(story: Story) -> list[tuple[str, str]]:
    rows = await story.rows(
        "SELECT p.external_id, o.kind::text FROM outcome o JOIN person p USING (lane, person_id) ORDER BY 1, 2"
    )
    return [(row["external_id"], row["kind"]) for row in rows]


async def test_a_log_cut_anywhere_and_read_twice_is_recorded_once(db: Db, keys: Keys, clock: MovableClock) -> None:
    story = await begin(db)
    aoi, mia, others = [await story.person(name) for name in ("aoi", "mia", "others")]
    await story.told(aoi, mia)
    gone = "host mx said: 550 5.1.1 user unknown (in reply to RCPT TO command)"
    log = "".join([
        begins(sender_of(story, aoi, keys), "AAAAAA1"), begins(sender_of(story, mia, keys), "AAAAAA2"),
        begins(sender_of(story, others, keys), "AAAAAA3"),  # to whom nothing was sent
        syslog("smtp", tried("sent", "250 2.0.0 Ok"), "AAAAAA1"),
        syslog("smtp", tried("bounced", gone, dsn="5.1.1"), "AAAAAA2"),
        syslog("smtp", tried("sent", "250 2.0.0 Ok"), "AAAAAA3").rstrip("\n"),
    ]).encode()  # fmt: skip
    for expected, size in ((2, 7), (0, len(log))):
        pieces = [log[at : at + size] for at in range(0, len(log), size)]
        reader = PostfixLog(return_path_key(keys), "email")
        assert await record_log(db, clock, reader, given(pieces)) == expected
    assert await kinds(story) == [
        ("aoi", "accepted_by_recipient"), ("aoi", "accepted_by_relay"),
        ("mia", "accepted_by_relay"), ("mia", "bounced"),
    ]  # fmt: skip


async def test_a_file_is_followed_through_its_rotation(
    db: Db, keys: Keys, clock: MovableClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "LOOK_AGAIN_SECONDS", 0.02)
    story = await begin(db)
    people = [await story.person(name) for name in ("a", "b", "c")]
    await story.told(*people)
    said = [
        begins(sender_of(story, who, keys), f"AAAAAA{number}")
        + syslog("smtp", tried("sent", "250 2.0.0 Ok"), f"AAAAAA{number}")
        for number, who in enumerate(people)
    ]
    file = tmp_path / "mail.log"
    file.write_text(said[0])
    reader = PostfixLog(return_path_key(keys), "email")
    reading = asyncio.create_task(record_log(db, clock, reader, followed(file)))
    try:
        await until_told(story, 1)
        file.rename(tmp_path / "mail.log.1")
        with (tmp_path / "mail.log.1").open("a") as old:
            old.write(said[1])
        file.write_text(said[2])
        await until_told(story, 3)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def until_told(story: Story, count: int) -> None:
    """Wait until so many letters are known to have reached their recipients' servers."""
    async with asyncio.timeout(10):
        while len([kind for _, kind in await kinds(story) if kind == "accepted_by_recipient"]) < count:
            await asyncio.sleep(0.02)


async def test_what_was_read_waits_while_the_database_is_away(db: Db, keys: Keys, clock: MovableClock) -> None:
    story = await begin(db)
    aoi = await story.person("aoi")
    await story.told(aoi)
    await db.execute(
        "CREATE SEQUENCE tries; CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('tries') <= 2 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER cut BEFORE INSERT ON outcome FOR EACH ROW EXECUTE FUNCTION cut()"
    )
    lines = begins(sender_of(story, aoi, keys), "AAAAAA1") + syslog("smtp", tried("sent", "250 2.0.0 Ok"), "AAAAAA1")
    postfix = PostfixLog(return_path_key(keys), "email")
    assert await record_log(db, clock, postfix, given([lines.encode()])) == 1
    assert ("aoi", "accepted_by_recipient") in await kinds(story)
