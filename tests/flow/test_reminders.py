"""Reminders before the effective date, and nudges for unread messages: once each, and they move no date."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import asyncpg
import pytest

from notifier.acceptance.accept import record_explicit
from notifier.acceptance.object import Statement, record_objection
from notifier.campaigns.steer import steer
from notifier.compliance.report import campaign_report
from notifier.compliance.search import timeline
from notifier.db import Db
from notifier.delivery.remind import remind
from notifier.keys import Keys
from notifier.letters.rebuild import rebuild
from notifier.outcomes.hear import hear
from notifier.outcomes.inbox import list_messages, mark
from notifier.people.roster import Person, get_person
from tests.office import NO_STOP, Office, open_office
from tests.sites import a_site

DAY = timedelta(days=1)
REMINDS: dict[str, Any] = {"preset": "imacocokara", "channels": ["email", "inbox"], "remind_days_before": [7]}
NUDGES = REMINDS | {"channels": ["inbox", "email"], "remind_days_before": [], "nudge_unread_days": 3}


@pytest.fixture
async def office(db: Db, keys: Keys, request: pytest.FixtureRequest) -> AsyncIterator[Office]:
    rule = REMINDS | getattr(request, "param", {})
    async with open_office(db, keys, a_site(rule=rule)) as opened:
        yield opened


def ruled(**rule: Any) -> pytest.MarkDecorator:
    """The site's own rule for one test."""
    return pytest.mark.parametrize("office", [rule], indirect=True)


async def look(office: Office) -> int:
    """Let whoever is due be queued, and send. Returns how many slices were looked at."""
    looked = 0
    while await remind(office.db, office.clock.now()):
        looked += 1
    await office.deliver()
    return looked


async def told(office: Office, *names: str, **given: Any) -> None:
    for name in names:
        await office.person(name, **given)
    await office.open()
    await office.deliver()


async def purposes(office: Office) -> list[tuple[Any, ...]]:
    """Person, channel, attempt and purpose of whatever was no first telling."""
    return await office.rows(
        "SELECT external_id, channel, attempt, purpose FROM intent JOIN person USING (lane, person_id)"
        " WHERE purpose <> 'notice' ORDER BY 1, 3"
    )


async def version_of(office: Office) -> int:
    return int((await office.rows("SELECT max(version_id) FROM version"))[0][0])


async def someone(office: Office, name: str) -> Person:
    return await get_person(office.db, office.keys, "kumo", name)


def letters(office: Office) -> list[EmailMessage]:
    return [message_from_bytes(mail.content, policy=default) for mail in office.server.got]  # type: ignore[misc]


async def test_who_was_told_is_reminded_once_so_many_days_before_the_effect_in_words_of_its_own(office: Office) -> None:
    await office.person("ayu", locale="ja")
    await told(office, "ben", locale="en")
    office.clock.move(7 * DAY - timedelta(hours=1))
    assert await look(office) == 0
    office.clock.move(timedelta(hours=2))
    assert await look(office) == 1
    assert await purposes(office) == [("ayu", "email", 2, "reminder-7"), ("ben", "email", 2, "reminder-7")]
    office.clock.move(3 * DAY)
    assert await look(office) == 0
    mails = {(str(mail["To"]), n): mail for n, mail in enumerate(letters(office))}
    subjects = sorted(str(mail["Subject"]) for mail in mails.values())
    assert sum(subject.startswith("Reminder: changes to our Privacy Policy") for subject in subjects) == 1
    assert sum("再度のお知らせ" in subject for subject in subjects) == 1
    assert len({mail["Message-ID"] for mail in mails.values()}) == 4, "no mail program takes one for a copy"
    (body,) = (m.get_body(("plain",)).get_content() for m in mails.values() if "Reminder:" in m["Subject"])  # type: ignore[union-attr]
    assert "This is a reminder of our notice of " in body
    assert "sooner than 14 days after that notice was sent to you does not count" in body.replace("\n", " ")


async def test_a_reminder_is_rebuilt_exactly_and_stands_in_the_timeline(office: Office) -> None:
    await told(office, "ben")
    office.clock.move(8 * DAY)
    await look(office)
    ben = await someone(office, "ben")
    again = await rebuild(office.db, office.keys, office.campaign_id, ben.lane, ben.person_id)
    assert (again.attempt, again.matches) == (2, True)
    assert again.body == office.server.got[-1].content
    kinds = [event.kind for event in await timeline(office.db, ben)]
    assert (kinds.count("tried"), kinds.count("reminded")) == (1, 1)


async def test_who_accepted_objected_or_left_is_reminded_of_nothing(office: Office) -> None:
    await told(office, "accepted", "objected", "closed", "suspended", "withdrew", "waits")
    now, version_id = office.clock.now(), await version_of(office)
    await record_explicit(office.db, "kumo", await someone(office, "accepted"), version_id, now, "", now)
    for name in ("objected", "withdrew"):
        await record_objection(office.db, "kumo", await someone(office, name), version_id, Statement(now, ""), now)
    await office.rows(
        "INSERT INTO objection SELECT lane, person_id, version_id, at + interval '1 hour', true, '', '', at"
        " FROM objection JOIN person USING (lane, person_id) WHERE external_id = 'withdrew'"
    )
    await office.person("closed", status="closed")
    await office.person("suspended", status="suspended")
    office.clock.move(8 * DAY)
    await look(office)
    assert [row[0] for row in await purposes(office)] == ["waits", "withdrew"]


async def test_an_objection_while_the_reminder_waits_takes_it_out_of_the_queue(office: Office) -> None:
    await told(office, "ben", "cho")
    office.clock.move(8 * DAY)
    now = office.clock.now()
    assert await remind(office.db, now) == 1
    ben = await someone(office, "ben")
    await record_objection(office.db, "kumo", ben, await version_of(office), Statement(now, ""), now)
    await office.deliver()
    assert [row[0] for row in await purposes(office)] == ["cho"]
    assert await office.rows("SELECT FROM retry") == []


async def test_who_was_told_less_than_a_day_before_the_reminder_is_due_gets_none(office: Office) -> None:
    office.server.say("rcpt", "451 4.7.1 later", to="late@people.example")
    await told(office, "early", "late")
    office.clock.move(7 * DAY - timedelta(hours=2))
    office.server.say("rcpt", to="late@people.example")
    await office.rows("UPDATE retry SET due_at = '2020-01-01'")
    await office.rows("UPDATE slice SET due_at = '2020-01-01'")
    await office.db.execute("UPDATE intent SET at = at + interval '6 days'")
    await office.deliver()
    office.clock.move(timedelta(hours=3))
    await look(office)
    assert [row[0] for row in await purposes(office)] == ["early"]


@ruled(remind_days_before=[10, 7, 1])
async def test_reminders_that_were_missed_while_the_campaign_was_paused_are_not_made_up_for(office: Office) -> None:
    office.server.say("rcpt", "451 4.7.1 later", to="put-off@people.example")
    await told(office, "ben", "put-off")  # keeps the campaign from being done
    now = office.clock.now()
    await steer(office.db, "kumo", office.campaign_id, "pause", "test", "", now)
    office.clock.move(8 * DAY)
    assert await look(office) == 0
    await steer(office.db, "kumo", office.campaign_id, "resume", "test", "", office.clock.now())
    await look(office)
    assert [row for row in await purposes(office) if row[0] == "ben"] == [("ben", "email", 2, "reminder-7")]
    office.clock.move(5 * DAY + timedelta(hours=1))
    await look(office)
    assert [row[3] for row in await purposes(office) if row[0] == "ben"] == ["reminder-7", "reminder-1"]
    office.clock.move(2 * DAY)
    assert await look(office) == 0
    assert await office.rows("SELECT FROM slice WHERE remind_at IS NOT NULL") == []


async def test_after_the_effect_nobody_is_reminded_of_it(office: Office) -> None:
    await told(office, "ben")
    office.clock.move(15 * DAY)
    assert await look(office) == 1
    assert await purposes(office) == []


@ruled(**NUDGES)
async def test_a_private_message_unread_for_days_is_followed_by_email_once_and_a_read_one_is_not(
    office: Office,
) -> None:
    for name in ("reads", "ignores"):
        await office.person(name)
    await office.open()
    reader = await someone(office, "reads")
    (message,) = await list_messages(office.db, reader.lane, reader.person_id)
    await mark(office.db, reader.lane, reader.person_id, message.campaign_id, "shown", office.clock.now())
    office.clock.move(3 * DAY - timedelta(hours=1))
    assert await look(office) == 0
    office.clock.move(timedelta(hours=1))
    assert await look(office) == 1
    assert await purposes(office) == [("ignores", "email", 1, "nudge-3")]
    for _ in range(5):
        office.clock.move(3 * DAY)
        await look(office)
    assert len(office.server.got) == 1
    body = letters(office)[0].get_body(("plain",)).get_content().replace("\n", " ")  # type: ignore[union-attr]
    assert "which had not been opened when this letter was written" in body


@ruled(**NUDGES)
async def test_a_message_that_is_opened_while_the_nudge_waits_needs_none(office: Office) -> None:
    await office.person("ben")
    await office.open()
    office.clock.move(3 * DAY)
    assert await remind(office.db, office.clock.now()) == 1
    ben = await someone(office, "ben")
    await mark(office.db, ben.lane, ben.person_id, office.campaign_id, "shown", office.clock.now())
    await office.deliver()
    assert await purposes(office) == []


@ruled(**NUDGES | {"remind_days_before": [7]})
async def test_who_has_only_a_private_message_is_reminded_by_the_next_channel_of_their_plan(office: Office) -> None:
    await office.person("ben")
    await office.open()
    ben = await someone(office, "ben")
    await mark(office.db, ben.lane, ben.person_id, office.campaign_id, "shown", office.clock.now())
    office.clock.move(8 * DAY)
    await look(office)
    assert await purposes(office) == [("ben", "email", 1, "reminder-7")]


async def standings(office: Office) -> list[tuple[Any, ...]]:
    rows = "SELECT external_id, s.status, s.told_at FROM standing s JOIN person USING (lane, person_id) ORDER BY 1"
    return await office.rows(rows)


async def test_a_reminder_moves_no_date_but_is_the_telling_of_who_had_none_that_holds(office: Office) -> None:
    await told(office, "ben", "cho")
    before = await standings(office)
    office.clock.move(8 * DAY)
    await look(office)
    assert await standings(office) == before
    reminded_at = office.clock.now()
    office.clock.move(DAY)
    await hear(office.db, [await office.feedback("cho", "bounced", "bad_domain")], office.clock.now())
    after = {row[0]: row[2] for row in await standings(office)}
    assert after["ben"] == before[0][2]
    assert abs(after["cho"] - reminded_at) < timedelta(minutes=1), "the first letter came back, the reminder did not"


async def test_a_reminder_that_comes_back_takes_nothing_away_and_is_followed_by_no_other_channel(
    office: Office,
) -> None:
    await told(office, "ben")
    before = await standings(office)
    office.clock.move(8 * DAY)
    await look(office)
    bounce = await office.feedback("ben", "bounced", "bad_domain")
    await hear(office.db, [replace(bounce, attempt=2)], office.clock.now())
    await office.deliver()
    assert await standings(office) == before
    assert await office.rows("SELECT FROM intent WHERE channel = 'inbox'") == []


async def test_a_reminder_that_is_put_off_is_tried_again_by_its_own_schedule(office: Office) -> None:
    await told(office, "ben")
    office.server.say("rcpt", "451 4.7.1 later", "", to="ben@people.example")
    office.clock.move(8 * DAY)
    await look(office)
    assert [row[2:] for row in await office.outcomes()] == [(1, "accepted_by_relay"), (2, "deferred")]
    office.clock.move(timedelta(hours=1))
    await office.deliver()
    assert [row[2:] for row in await office.outcomes()][-1] == (3, "accepted_by_relay")
    assert [row[2:] for row in await purposes(office)] == [(2, "reminder-7"), (3, "reminder-7")]
    first, *others = [mail["Message-ID"] for mail in letters(office)]
    assert len(others) == 1
    assert first not in others


@pytest.mark.parametrize("broken", ["INSERT ON retry", "UPDATE OF due_at ON slice", "UPDATE OF remind_at ON slice"])
async def test_a_look_that_breaks_half_way_changes_nothing_and_is_made_again(office: Office, broken: str) -> None:
    await told(office, "ben")
    office.clock.move(8 * DAY)
    rows = "SELECT channel, slice, due_at, remind_at, reminded_at FROM slice ORDER BY 1, 2"
    before = await office.rows(rows)
    await office.db.execute(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'killed here'; END $$;"
        f" CREATE TRIGGER die AFTER {broken} FOR EACH STATEMENT EXECUTE FUNCTION die()"
    )
    with pytest.raises(asyncpg.RaiseError):
        await remind(office.db, office.clock.now())
    await office.db.execute("DROP FUNCTION die CASCADE")
    assert (await office.rows(rows), await office.rows("SELECT FROM retry")) == (before, [])
    await look(office)
    assert await purposes(office) == [("ben", "email", 2, "reminder-7")]


async def test_a_worker_killed_behind_the_intent_sends_the_same_reminder_again_and_flags_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await told(office, "ben")
    office.clock.move(8 * DAY)
    assert await remind(office.db, office.clock.now()) == 1

    async def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(office.delivery._batches, "_settle", dies)
        with pytest.raises(KeyboardInterrupt):
            await office.delivery.deliver_next(NO_STOP)
    await office.rows("UPDATE slice SET leased_until = '2020-01-01' WHERE leased_until IS NOT NULL")
    await office.deliver()
    office.clock.move(DAY)
    await office.deliver()
    assert [row[2:] for row in await purposes(office)] == [(2, "reminder-7"), (3, "reminder-7")]
    assert (2, "unknown") in [row[2:] for row in await office.outcomes()]
    _, first, again = (mail["Message-ID"] for mail in letters(office))
    assert first == again


async def test_counts_add_up_and_reminders_are_counted_beside_them(office: Office) -> None:
    await told(office, "ben", "cho")
    office.clock.move(8 * DAY)
    await look(office)
    report = await campaign_report(office.db, office.campaign_id, office.clock.now())
    assert (report.told, report.reminders, report.adds_up) == (2, {"reminder": 2}, True)


async def test_a_newer_version_ends_the_reminders_of_the_older_one(office: Office) -> None:
    await told(office, "ben")
    await office.tell(await office.publish("three", {"en": {"body": "# three"}}))
    await office.deliver()
    office.clock.move(10 * DAY)
    await look(office)
    rows = await office.rows("SELECT DISTINCT campaign_id FROM intent WHERE purpose <> 'notice'")
    assert rows == [(office.campaign_id,)]
