"""The second channel by time: evidence that suffices in time, or the next channel of the plan has its turn, once."""

from collections.abc import AsyncIterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import asyncpg
import pytest

from notifier.acceptance.decide import Telling
from notifier.campaigns.campaign import load_campaign
from notifier.campaigns.steer import steer
from notifier.db import Db
from notifier.delivery.second import tell_by_second_channel
from notifier.keys import Keys
from notifier.outcomes.hear import hear
from notifier.outcomes.inbox import list_messages, mark
from notifier.people.roster import get_person
from tests.flow.story import HOUR, POSTED, RULE, begin
from tests.office import Office, open_office
from tests.sites import a_site

DAY = timedelta(days=1)


@pytest.fixture
async def office(db: Db, keys: Keys, request: pytest.FixtureRequest) -> AsyncIterator[Office]:
    rule = {"preset": "imacocokara"} | getattr(request, "param", {})
    async with open_office(db, keys, a_site(rule=rule, webhook={"url": "https://127.0.0.1:9/"})) as opened:
        yield opened


def ruled(**rule: Any) -> pytest.MarkDecorator:
    """The site's own rule for one test."""
    return pytest.mark.parametrize("office", [rule], indirect=True)


async def look(office: Office) -> int:
    """Let the second channel have its turn wherever it is due, and send. Returns how many stretches were looked at."""
    looked = 0
    while await tell_by_second_channel(office.db, office.clock.now()):
        looked += 1
    await office.deliver()
    return looked


async def state(office: Office) -> str:
    await office.db.run("campaigns.close_finished", now=office.clock.now())
    return (await load_campaign(office.db, None, office.campaign_id)).state


async def test_who_is_put_off_too_long_gets_a_private_message_and_nobody_else_does(office: Office) -> None:
    await office.person("full")
    await office.person("fine")
    office.server.say("rcpt", "452 4.2.2 mailbox full", to="full@people.example")
    await office.open()
    await office.deliver()
    assert await look(office) == 0
    office.clock.move(timedelta(hours=71))
    assert await look(office) == 0
    assert await office.statuses() == {"full": "pending", "fine": "told"}
    office.clock.move(timedelta(hours=1))
    assert await look(office) == 1
    assert await office.statuses() == {"full": "told", "fine": "told"}
    assert [row for row in await office.outcomes() if row[1] == "inbox"] == [("full", "inbox", 1, "placed")]


async def test_the_first_channel_is_tried_on_and_nobody_is_told_twice_by_one_channel(office: Office) -> None:
    await office.person("full")
    office.server.say("rcpt", *["452 4.2.2 mailbox full"] * 4, "", to="full@people.example")
    await office.open()
    for _ in range(6):
        await look(office)
        office.clock.move(timedelta(hours=27))
    took = [row for row in await office.outcomes() if row[3] in ("accepted_by_relay", "placed")]
    assert took == [("full", "email", 5, "accepted_by_relay"), ("full", "inbox", 1, "placed")]
    assert await state(office) == "done"


async def test_a_campaign_that_everybody_was_told_by_is_done_at_once(office: Office) -> None:
    await office.person("fine")
    await office.open()
    await office.deliver()
    assert await office.rows("SELECT second_at FROM slice WHERE second_at IS NOT NULL") == []
    assert await state(office) == "done"


@ruled(evidence="recipient", evidence_hours=24)
async def test_where_the_recipients_server_must_answer_the_relays_word_is_not_enough(office: Office) -> None:
    for name in ("answered", "silent", "bounced"):
        await office.person(name)
    await office.open()
    await office.deliver()
    assert await state(office) == "sending", "it still waits for two answers"
    await hear(office.db, [await office.feedback("answered", "accepted_by_recipient")], office.clock.now())
    await hear(office.db, [await office.feedback("bounced", "bounced", "bad_address")], office.clock.now())
    await office.deliver()
    office.clock.move(timedelta(hours=24))
    assert await look(office) > 0
    assert [row for row in await office.outcomes() if row[1] == "inbox"] == [
        ("bounced", "inbox", 1, "placed"),
        ("silent", "inbox", 1, "placed"),
    ]
    assert await look(office) == 0
    assert await state(office) == "done"


@ruled(channels=["inbox", "email"], evidence="shown", evidence_hours=72)
async def test_who_leaves_a_private_message_unread_gets_a_letter(office: Office) -> None:
    for name in ("reads", "ignores"):
        await office.person(name)
    await office.open()
    assert await office.deliver() == 0
    reader = await get_person(office.db, office.keys, "kumo", "reads")
    (message,) = await list_messages(office.db, reader.lane, reader.person_id)
    await mark(office.db, reader.lane, reader.person_id, message.campaign_id, "shown", office.clock.now())
    office.clock.move(3 * DAY)
    assert await look(office) == 1
    assert office.server.addresses == ["ignores@people.example"]
    office.clock.move(3 * DAY)
    assert await look(office) == 0
    assert await state(office) == "done"


@ruled(channels=["email", "webhook", "inbox"], evidence="recipient", evidence_hours=24)
async def test_each_further_channel_has_its_own_time(office: Office) -> None:
    await office.person("silent")
    await office.open()
    await office.deliver()
    office.clock.move(timedelta(hours=24))
    await look(office)
    assert {row[1] for row in await office.outcomes()} == {"email", "webhook"}, "the webhook was tried, and put off"
    office.clock.move(timedelta(hours=23))
    await look(office)
    assert "inbox" not in {row[1] for row in await office.outcomes()}
    office.clock.move(timedelta(hours=1))
    await look(office)
    assert ("silent", "inbox", 1, "placed") in await office.outcomes()


async def test_who_left_meanwhile_is_not_told_by_another_channel(office: Office) -> None:
    await office.person("leaves")
    office.server.say("rcpt", "451 4.7.1 later", "", to="leaves@people.example")
    await office.open()
    await office.deliver()
    await office.person("leaves", status="closed")
    office.clock.move(timedelta(hours=1))
    await office.deliver()
    office.clock.move(3 * DAY)
    assert await look(office) == 0
    assert await office.statuses() == {"leaves": "unreachable"}


@pytest.mark.parametrize("broken", ["retry", "slice"])
async def test_a_look_that_breaks_half_way_changes_nothing_and_is_made_again(office: Office, broken: str) -> None:
    await office.person("full")
    office.server.say("rcpt", "452 4.2.2 mailbox full", to="full@people.example")
    await office.open()
    await office.deliver()
    office.clock.move(3 * DAY)
    slices = "SELECT channel, slice, due_at, second_at FROM slice ORDER BY 1, 2"
    retries = "SELECT channel, attempt, due_at FROM retry ORDER BY 1"
    before = await office.rows(slices), await office.rows(retries)
    what = "INSERT ON retry" if broken == "retry" else "UPDATE OF second_at ON slice"
    await office.db.execute(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'killed here'; END $$;"
        f" CREATE TRIGGER die AFTER {what} FOR EACH STATEMENT EXECUTE FUNCTION die()"
    )
    with pytest.raises(asyncpg.RaiseError):
        await tell_by_second_channel(office.db, office.clock.now())
    await office.db.execute("DROP FUNCTION die CASCADE")
    assert (await office.rows(slices), await office.rows(retries)) == before
    assert await look(office) == 1
    assert await office.statuses() == {"full": "told"}


async def test_a_paused_campaign_waits_with_its_second_channel_too(office: Office) -> None:
    await office.person("full")
    office.server.say("rcpt", "452 4.2.2 mailbox full", to="full@people.example")
    await office.open()
    await office.deliver()
    await steer(office.db, "kumo", office.campaign_id, "pause", "test", "", office.clock.now())
    office.clock.move(3 * DAY)
    assert await look(office) == 0
    await steer(office.db, "kumo", office.campaign_id, "resume", "test", "", office.clock.now())
    assert await look(office) == 1


async def test_a_superseded_campaign_ends_with_its_pending_people_superseded_and_sends_nothing_more(
    office: Office,
) -> None:
    for name in ("told", "full"):
        await office.person(name)
    office.server.say("rcpt", "452 4.2.2 mailbox full", to="full@people.example")
    await office.open()
    await office.deliver()
    first = office.campaign_id
    await office.tell(await office.publish("three", {"en": {"body": "# three"}}))
    assert await office.rows(
        f"SELECT s.status, c.state::text FROM standing s JOIN campaign c USING (campaign_id)"  # noqa: S608 - a number
        f" WHERE campaign_id = {first} ORDER BY 1"
    ) == [("superseded", "superseded"), ("told", "superseded")]
    office.clock.move(4 * DAY)
    await look(office)
    tried = await office.rows(f"SELECT channel, count(*) FROM intent WHERE campaign_id = {first} GROUP BY 1")  # noqa: S608 - a number
    assert tried == [("email", 2)]


async def test_a_late_bounce_of_a_done_campaign_is_answered_by_no_letter_once_a_newer_version_is_told(
    office: Office,
) -> None:
    await office.person("late")
    await office.open()
    await office.deliver()
    assert await state(office) == "done"
    first, bounce = office.campaign_id, await office.feedback("late", "bounced", "bad_domain")
    await office.tell(await office.publish("three", {"en": {"body": "# three"}}))
    await hear(office.db, [bounce], office.clock.now())
    office.clock.move(4 * DAY)
    await look(office)
    campaign = await load_campaign(office.db, None, first)
    assert (campaign.state, campaign.superseded_by) == ("done", office.campaign_id)
    assert await office.rows(
        f"SELECT status FROM standing WHERE campaign_id = {first}"  # noqa: S608 - a number
    ) == [("superseded",)]
    assert await office.rows("SELECT DISTINCT campaign_id FROM intent WHERE channel = 'inbox'") == []


async def test_a_bounce_before_the_newer_version_sends_nothing_that_was_not_sent_by_then(office: Office) -> None:
    await office.person("late")
    await office.open()
    await office.deliver()
    assert await state(office) == "done"
    await hear(office.db, [await office.feedback("late", "bounced", "bad_domain")], office.clock.now())
    first = office.campaign_id
    await office.tell(await office.publish("three", {"en": {"body": "# three"}}))
    await office.deliver()
    assert await office.rows(f"SELECT FROM intent WHERE campaign_id = {first} AND channel = 'inbox'") == []


@pytest.mark.parametrize("evidence", ["relay", "recipient", "shown"])
async def test_what_suffices_for_the_second_channel_is_what_suffices_for_acceptance(db: Db, evidence: Any) -> None:
    story = await begin(db, RULE.model_copy(update={"evidence": evidence, "evidence_hours": 1}))
    kinds = ("accepted_by_relay", "placed", "accepted_by_recipient", "shown", "acknowledged", "complained", "bounced")
    people = {}
    for number, heard in enumerate(product((False, True), repeat=len(kinds))):
        who = people[f"p{number}"] = await story.person(f"p{number}")
        await story.heard(who, "deferred", POSTED, attempt=1)
        for kind, is_heard in zip(kinds, heard, strict=True):
            if is_heard:
                await story.heard(who, kind, POSTED + HOUR, attempt=2)
    await story.sql(
        "INSERT INTO slice VALUES ($1, 'email', 1, -1, $2, 1024, $3, 1024, $3, NULL, $4)",
        story.campaign_id, "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", POSTED,
    )  # fmt: skip
    assert await tell_by_second_channel(db, datetime(2026, 4, 1, tzinfo=UTC)) == 1
    queued = {r["person_id"] for r in await story.rows("SELECT person_id FROM retry WHERE channel = 'inbox'")}
    known = {field.name for field in fields(Telling)}
    for row in await story.rows("SELECT * FROM standing"):
        tellings = [
            Telling(**{k: v if not k.endswith("at") or v is None else datetime.fromisoformat(v) for k, v in t.items()})
            for t in row["tellings"] or ()
            if t.keys() == known
        ]
        assert len(tellings) == len(row["tellings"] or ())
        moments = [at for telling in tellings if (at := telling.told_at(evidence)) is not None]
        assert (row["person_id"] in queued) != bool(moments)
        assert row["sufficient_at"] == min(moments, default=None)
        if row["status"] != "unreachable":
            assert (row["status"] == "told") == bool(moments)
    assert 0 < len(queued) < len(people)
