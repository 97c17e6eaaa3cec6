"""A correction goes only to those already reached, says what it corrects, and tells nobody of the version."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from notifier.acceptance.accept import accept
from notifier.activity.record import record
from notifier.campaigns.announce import announce, freeze_next, preview
from notifier.campaigns.campaign import Campaign, load_campaign
from notifier.campaigns.correct import correct
from notifier.campaigns.steer import steer
from notifier.channels.channel import Feedback
from notifier.compliance.explain import explain
from notifier.compliance.report import campaign_report
from notifier.compliance.search import notices, timeline, told_before
from notifier.db import Db
from notifier.delivery.companions import tell_companions
from notifier.delivery.hand import Hand, Row
from notifier.errors import Conflict, Invalid
from notifier.keys import Keys
from notifier.letters.rebuild import rebuild
from notifier.outcomes.hear import hear
from notifier.outcomes.inbox import list_messages
from notifier.people.roster import Person, get_person
from notifier.policies.publish import find_version
from tests.channels.endpoint import endpoint
from tests.channels.smtp_server import KEEP_AND_DROP
from tests.flow.story import activity, lines
from tests.office import Office, open_office
from tests.sites import a_site

WORDS = {"en": "We wrote *one month*. It is **one year**.", "ja": "「1か月」は誤りで、正しくは**1年**です。"}


@pytest.fixture
async def office(db: Db, keys: Keys) -> AsyncIterator[Office]:
    async with open_office(
        db, keys, a_site(rule={"preset": "imacocokara", "notice_days": 0, "reason": "as posted"})
    ) as opened:
        yield opened


async def told_and_paused(office: Office) -> int:
    """Somebody told by letter, somebody by a private message after a refusal, one bounced, one not reached."""
    await office.person("letter", locale="ja", time_zone="Asia/Tokyo")
    await office.person("message")
    await office.person("bounced", channels=["email"])
    await office.person("waits")
    office.server.say("rcpt", "550 5.1.1 no such user", to="message@people.example")
    office.server.say("rcpt", *["451 4.7.1 later"] * 3, to="waits@people.example")
    await office.open()
    await office.deliver()
    await steer(office.db, "kumo", office.campaign_id, "pause", "test", "the wrong month", office.clock.now())
    await hear(office.db, [await office.feedback("bounced", "bounced", "bad_domain")], office.clock.now())
    return office.campaign_id


async def correction_of(office: Office, campaign_id: int) -> Campaign:
    """Plan it, approve it, and hand its letters over."""
    now = office.clock.now()
    planned = await correct(office.db, "kumo", campaign_id, WORDS, "test", "a mistake", now)
    await steer(office.db, "kumo", planned.campaign_id, "approve", "test", "", now)
    assert await freeze_next(office.db, 1000, now) == 1
    await office.deliver()
    return await load_campaign(office.db, "kumo", planned.campaign_id)


async def person(office: Office, name: str) -> Person:
    return await get_person(office.db, office.keys, "kumo", name)


async def reasons(office: Office, campaign_id: int) -> dict[str, str]:
    return dict(
        await office.rows(
            "SELECT external_id, reason::text FROM notice JOIN person USING (lane, person_id)"  # noqa: S608 - a number
            f" WHERE campaign_id = {campaign_id}"
        )
    )


async def test_only_those_are_in_its_audience_whom_the_corrected_notice_reached_by_any_channel(office: Office) -> None:
    corrected = await told_and_paused(office)
    await office.person("newcomer")
    planned = await correct(office.db, "kumo", corrected, WORDS, "test", "", office.clock.now())
    before = {c.value: c.count for c in await preview(office.db, planned.campaign_id, office.clock.now())
              if c.dimension == "reason"}  # fmt: skip
    assert before == {"in_scope": 2, "not_reached": 3}
    one = await correction_of(office, corrected)
    assert one.campaign_id == planned.campaign_id, "the same words again are the same correction"
    assert await reasons(office, one.campaign_id) == {
        "letter": "in_scope", "message": "in_scope", "bounced": "not_reached", "waits": "not_reached",
        "newcomer": "not_reached",
    }  # fmt: skip


async def test_its_letters_say_in_the_persons_language_what_they_correct_and_from_which_day(office: Office) -> None:
    corrected = await told_and_paused(office)
    opened = (await load_campaign(office.db, None, corrected)).opened_at
    assert opened is not None
    office.clock.move(timedelta(days=2))
    one = await correction_of(office, corrected)
    letter = message_from_bytes(office.server.got[-1].content, policy=SMTP)
    assert isinstance(letter, EmailMessage)
    day = (opened + timedelta(hours=9)).strftime("%Y年%-m月%-d日")
    assert f"{day}付お知らせの訂正" in letter["Subject"]
    body = letter.get_body(("plain",))
    assert body is not None
    said = body.get_content()
    assert said.index(f"{day}に") < said.index("正しくは**1年**です") < said.index("改定")
    who = await person(office, "message")
    assert [m.corrects for m in await list_messages(office.db, who.lane, who.person_id)] == [corrected, None]
    person_of_letter = await person(office, "letter")
    again = await rebuild(
        office.db, office.keys, one.campaign_id, person_of_letter.lane, person_of_letter.person_id, channel="email"
    )
    assert again.matches
    assert again.body == office.server.got[-1].content


async def test_it_tells_nobody_of_the_version_and_is_accepted_by_nobody(office: Office) -> None:
    corrected = await told_and_paused(office)
    await steer(office.db, "kumo", corrected, "cancel", "test", "", office.clock.now())
    await office.db.execute("UPDATE campaign SET rule = jsonb_set(rule, '{deems}', 'true')")
    bounce = await office.feedback("letter", "bounced", "bad_domain")
    office.clock.move(timedelta(days=3))
    one = await correction_of(office, corrected)
    await hear(office.db, [bounce], office.clock.now())
    office.clock.move(timedelta(days=30))
    used = await record(
        office.db, "kumo", lines(activity("letter", office.clock.now()), activity("message", office.clock.now())),
        office.clock.now(),
    )  # fmt: skip
    assert used.kept == 2
    while await accept(office.db, office.clock.now()):
        pass
    accepted = await office.rows("SELECT external_id FROM acceptance JOIN person USING (lane, person_id)")
    assert accepted == [("message",)], "the correction reached letter as well, but the notice itself bounced"
    who, version = await person(office, "letter"), await find_version(office.db, "kumo", "privacy", "two")
    assert await told_before(office.db, who, version.version_id, office.clock.now()) is None
    report = await campaign_report(office.db, one.campaign_id, office.clock.now())
    assert (report.told, report.told_split, report.accepted, report.gaps) == (2, {}, {}, ())
    whole = await campaign_report(office.db, corrected, office.clock.now())
    assert whole.gaps == ()
    assert whole.accepted["deemed"] == 1


async def test_the_record_of_a_person_shows_it_as_a_correction(office: Office) -> None:
    corrected = await told_and_paused(office)
    one = await correction_of(office, corrected)
    who = await person(office, "letter")
    assert [(n.campaign_id, n.corrects) for n in await notices(office.db, who)] == [
        (one.campaign_id, corrected),
        (corrected, None),
    ]
    assert {e.corrects for e in await timeline(office.db, who) if e.campaign_id == one.campaign_id} == {corrected}
    version = await find_version(office.db, "kumo", "privacy", "two")
    words = (await explain(office.db, who, version, office.clock.now())).words
    assert sum("What it said was corrected: told by email" in line for line in words) == 1
    not_reached = (await explain(office.db, await person(office, "waits"), version, office.clock.now())).words
    assert not any("correct" in line for line in not_reached)


async def test_what_is_still_being_sent_is_paused_before_it_is_corrected(office: Office) -> None:
    await office.person("somebody")
    await office.open()
    with pytest.raises(Conflict, match="pause it first"):
        await correct(office.db, "kumo", office.campaign_id, WORDS, "test", "", office.clock.now())
    await office.deliver()
    await steer(office.db, "kumo", office.campaign_id, "pause", "test", "", office.clock.now())
    planned = await correct(office.db, "kumo", office.campaign_id, WORDS, "test", "", office.clock.now())
    with pytest.raises(Conflict, match="cancel the correction first"):
        await steer(office.db, "kumo", office.campaign_id, "resume", "test", "", office.clock.now())
    await steer(office.db, "kumo", planned.campaign_id, "cancel", "test", "", office.clock.now())
    await steer(office.db, "kumo", office.campaign_id, "resume", "test", "", office.clock.now())
    assert await freeze_next(office.db, 1000, office.clock.now()) == 0


async def test_a_campaign_that_told_nobody_has_nothing_to_correct(office: Office) -> None:
    await office.person("somebody")
    await office.publish("one", {"en": {"body": "# one"}})
    version = await office.publish("two", {"en": {"body": "# two"}})
    number = await announce(office.db, office.site, version, office.clock.now(), "test")
    await steer(office.db, "kumo", number, "cancel", "test", "", office.clock.now())
    with pytest.raises(Conflict, match="told nobody"):
        await correct(office.db, "kumo", number, {"en": "x"}, "test", "", office.clock.now())


@pytest.mark.parametrize(
    ("words", "pointers"),
    [
        ({"en": "right"}, ["/words/ja"]),
        ({"en": " ", "ja": "正"}, ["/words/en"]),
        ({**WORDS, "de": "richtig"}, ["/words/de"]),
    ],
)
async def test_the_words_are_needed_in_every_language_of_the_notices_and_in_no_other(
    office: Office, words: dict[str, str], pointers: list[str]
) -> None:
    corrected = await told_and_paused(office)
    with pytest.raises(Invalid) as refused:
        await correct(office.db, "kumo", corrected, words, "test", "", office.clock.now())
    assert [fault.pointer for fault in refused.value.faults] == pointers
    assert await office.rows("SELECT count(*) FROM campaign") == [(1,)]


async def test_one_version_is_told_by_one_campaign_and_corrected_by_any_number(office: Office) -> None:
    corrected = await told_and_paused(office)
    version = (await load_campaign(office.db, None, corrected)).version_id
    now = office.clock.now()
    others = [{locale: f"{said} {n}" for locale, said in WORDS.items()} for n in range(2)]
    planned = await asyncio.gather(
        *(correct(office.db, "kumo", corrected, words, "test", "", now) for words in [WORDS, WORDS, *others]),
        *(announce(office.db, office.site, version, now, "test") for _ in range(3)),
    )
    assert len({c.campaign_id for c in planned if isinstance(c, Campaign)}) == 3
    assert [c for c in planned if not isinstance(c, Campaign)] == [corrected] * 3


async def test_a_newer_version_ends_no_correction_and_a_correction_ends_no_campaign(office: Office) -> None:
    corrected = await told_and_paused(office)
    office.server.say("connect", "451 4.7.1 later")
    now = office.clock.now()
    planned = await correct(office.db, "kumo", corrected, WORDS, "test", "", now)
    await steer(office.db, "kumo", planned.campaign_id, "approve", "test", "", now)
    await freeze_next(office.db, 1000, now)
    assert (await load_campaign(office.db, None, corrected)).state == "sending", (
        "it tells the rest, with the right words"
    )
    await office.tell(await office.publish("three", {"en": {"body": "# three"}, "ja": {"body": "# 三"}}))
    assert (await load_campaign(office.db, None, corrected)).state == "superseded"
    assert (await load_campaign(office.db, None, planned.campaign_id)).state == "sending"


async def test_a_correction_can_be_corrected_in_its_turn(office: Office) -> None:
    corrected = await told_and_paused(office)
    first = await correction_of(office, corrected)
    await office.db.run("campaigns.close_finished", now=office.clock.now())
    bounce = Feedback(
        first.campaign_id, (await person(office, "letter")).lane, (await person(office, "letter")).person_id,
        "email", 1, "bounced", "bad_domain", "", "mx", office.clock.now(),
    )  # fmt: skip
    await hear(office.db, [bounce], office.clock.now())
    second = await correction_of(office, first.campaign_id)
    assert await reasons(office, second.campaign_id) == {
        "letter": "not_reached", "message": "in_scope", "bounced": "not_reached", "waits": "not_reached",
    }  # fmt: skip


WRONG, RIGHT = "We keep it for one month.", "We keep it for one year."
RIGHT_WORDS = {"en": RIGHT, "ja": "1年"}


async def half_told(office: Office) -> int:
    """Thirty people, of whom the first batch got the wrong words when somebody paused; of one nobody knows."""
    for number in range(30):
        await office.person(f"p{number:02}")
    await office.publish("one", {"en": {"body": "# one"}, "ja": {"body": "# 一"}})
    texts = {"en": {"body": "# two", "summary": WRONG}, "ja": {"body": "# 二", "summary": "1か月"}}
    await office.tell(await office.publish("two", texts))
    first = (
        await office.rows("SELECT email FROM notice JOIN person USING (lane, person_id) ORDER BY lane, person_id")
    )[0]
    office.server.say("dot", KEEP_AND_DROP, "", to=first[0])
    really, batches = office.delivery._try, 0

    async def then_paused(hand: Hand, batch: Sequence[Row]) -> tuple[bool, datetime | None]:
        nonlocal batches
        batches += 1
        if batches == 2:
            await steer(office.db, "kumo", office.campaign_id, "pause", "test", "the wrong month", office.clock.now())
        return await really(hand, batch)

    office.delivery._try = then_paused  # type: ignore[method-assign] # paused between two batches
    await office.deliver()
    office.delivery._try = really  # type: ignore[method-assign]
    assert len(office.server.got) == 10
    return office.campaign_id


def said(office: Office, words: str) -> Counter[str]:
    """How often each address got these words."""
    found: Counter[str] = Counter()
    for got in office.server.got:
        letter = message_from_bytes(got.content, policy=SMTP)
        assert isinstance(letter, EmailMessage)
        body = letter.get_body(("plain",))
        assert body is not None
        found[got.address] += words in body.get_content()
    return +found


async def test_whoever_was_not_reached_is_told_the_right_words_once_and_nobody_is_lost(office: Office) -> None:
    corrected = await half_told(office)
    wrong = set(said(office, "month"))
    assert len(wrong) == 10
    planned = await correct(office.db, "kumo", corrected, RIGHT_WORDS, "test", "a mistake", office.clock.now())
    with pytest.raises(Conflict, match=f"campaign {planned.campaign_id} corrects what campaign {corrected} says"):
        await steer(office.db, "kumo", corrected, "resume", "test", "", office.clock.now())
    await steer(office.db, "kumo", planned.campaign_id, "approve", "test", "", office.clock.now())
    assert await freeze_next(office.db, 1000, office.clock.now()) == 1
    assert (await load_campaign(office.db, None, corrected)).state == "sending"
    await office.deliver()
    office.clock.move(timedelta(hours=1))
    await office.deliver()
    right, again = said(office, RIGHT), said(office, "month")
    assert set(again) == wrong, "nobody more got the wrong words"
    assert len(right) == 30
    corrected_again = [one for one in (await reasons(office, planned.campaign_id)).values() if one == "in_scope"]
    assert len(corrected_again) == 10, "nine that were told, and the one of whom nobody knew"
    assert sorted(right.values()) == [1] * 29 + [2], "that one gets the correction, and the notice with the right words"
    told = await office.rows("SELECT DISTINCT status FROM standing WHERE reason = 'in_scope'")
    assert told == [("told",)]
    await office.db.run("campaigns.close_finished", now=office.clock.now())
    assert [(await load_campaign(office.db, None, n)).state for n in (corrected, planned.campaign_id)] == ["done"] * 2
    for number in (corrected, planned.campaign_id):
        assert (await campaign_report(office.db, number, office.clock.now())).gaps == ()


async def test_another_letter_has_another_message_id_and_can_be_written_again(office: Office) -> None:
    corrected = await half_told(office)
    planned = await correct(office.db, "kumo", corrected, RIGHT_WORDS, "test", "", office.clock.now())
    await steer(office.db, "kumo", planned.campaign_id, "approve", "test", "", office.clock.now())
    assert await freeze_next(office.db, 1000, office.clock.now()) == 1
    office.clock.move(timedelta(hours=1))
    await office.deliver()
    unsure = await office.rows(
        "SELECT i.address, i.lane, i.person_id FROM intent i JOIN intent j USING (lane, person_id, campaign_id)"
        " WHERE j.attempt = 1 AND i.attempt = 2"
    )
    ((address, lane, person_id),) = unsure
    ids = [message_from_bytes(got.content)["Message-ID"] for got in office.server.got if got.address == address]
    assert len(set(ids)) == 3, "the wrong letter, the correction, and the notice with the right words"
    for attempt in (1, 2):
        again = await rebuild(office.db, office.keys, corrected, lane, person_id, attempt=attempt)
        assert again.matches
        assert (b"month" in again.body) is (attempt == 1)


async def test_a_correction_waits_until_what_a_dead_worker_had_in_hand_is_on_record(office: Office) -> None:
    corrected = await half_told(office)
    await office.db.execute("UPDATE slice SET leased_until = now() + interval '1 hour' WHERE due_at IS NOT NULL")
    planned = await correct(office.db, "kumo", corrected, RIGHT_WORDS, "test", "", office.clock.now())
    await steer(office.db, "kumo", planned.campaign_id, "approve", "test", "", office.clock.now())
    assert await freeze_next(office.db, 1000, office.clock.now()) == 0
    await office.db.execute("UPDATE slice SET leased_until = leased_until - interval '2 hours'")
    await office.die_before_recording()
    assert await freeze_next(office.db, 1000, office.clock.now()) == 0
    assert await office.deliver() == 1, "what was under way is settled although the campaign is paused"
    assert len(office.server.got) == 10, "and nothing is sent"
    assert await office.rows("SELECT count(*)::int FROM outcome WHERE kind = 'unknown'") == [(10,)]
    assert await freeze_next(office.db, 1000, office.clock.now()) == 1
    assert list((await reasons(office, planned.campaign_id)).values()).count("in_scope") == 10


async def test_a_correction_waits_until_all_accounts_of_a_mailbox_have_its_letter_on_record(db: Db, keys: Keys) -> None:
    rule = {"preset": "imacocokara", "notice_days": 0, "one_letter_per_mailbox": True, "reason": "as posted"}
    async with open_office(db, keys, a_site(rule=rule)) as office:
        for name in ("one", "two"):
            await office.person(name, email="both@people.example")
        await office.open()
        await office.deliver()
        assert office.server.addresses == ["both@people.example"]
        await steer(db, "kumo", office.campaign_id, "pause", "test", "the wrong month", office.clock.now())
        planned = await correct(db, "kumo", office.campaign_id, WORDS, "test", "a mistake", office.clock.now())
        await steer(db, "kumo", planned.campaign_id, "approve", "test", "", office.clock.now())
        assert await freeze_next(db, 1000, office.clock.now()) == 0
        assert await tell_companions(db, office.clock.now()) == 1
        assert await freeze_next(db, 1000, office.clock.now()) == 1
        assert await reasons(office, planned.campaign_id) == {"one": "in_scope", "two": "in_scope"}


async def test_a_crash_before_a_correction_is_open_leaves_everything_as_it_was(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrected = await half_told(office)
    planned = await correct(office.db, "kumo", corrected, RIGHT_WORDS, "test", "", office.clock.now())
    await steer(office.db, "kumo", planned.campaign_id, "approve", "test", "", office.clock.now())
    really = Db.run

    async def dies(db: Db, name: str, **given: object) -> int:
        done = await really(db, name, **given)
        if name == "campaigns.tell_the_rest":
            raise ConnectionResetError
        return done

    monkeypatch.setattr(Db, "run", dies)
    with pytest.raises(ConnectionResetError):
        await freeze_next(office.db, 1000, office.clock.now())
    monkeypatch.setattr(Db, "run", really)
    assert (await load_campaign(office.db, None, corrected)).state == "paused"
    await office.deliver()
    assert len(office.server.got) == 10, "nobody is told the wrong words meanwhile"
    assert await freeze_next(office.db, 1000, office.clock.now()) == 1
    office.clock.move(timedelta(hours=1))
    await office.deliver()
    assert len(said(office, RIGHT)) == 30


async def test_whoever_may_have_got_a_private_message_of_the_site_is_corrected(db: Db, keys: Keys) -> None:
    rule = {"preset": "imacocokara", "notice_days": 0, "reason": "as posted", "channels": ["webhook"]}
    async with endpoint() as there, open_office(db, keys, a_site(rule=rule, webhook={"url": there.url})) as office:
        await office.person("ann")
        there.mute = True
        await office.open()
        for wait in (0, 5, 300, 1800, 7200, 18_000, 36_000, 36_000, 36_000):
            office.clock.move(timedelta(seconds=wait))
            await office.deliver()
        outcomes = "SELECT kind::text, class, count(*)::int FROM outcome GROUP BY 1, 2 ORDER BY 3"
        assert await office.rows(outcomes) == [("expired", "endpoint", 1), ("unknown", "endpoint", 8)]
        assert len(there.ids) == 8
        assert len({letter["id"] for letter in there.letters}) == len(set(there.ids)) == 1
        there.mute = False
        assert (await office.statuses())["ann"] != "told"
        await office.db.run("campaigns.close_finished", now=office.clock.now())
        assert (await load_campaign(office.db, "kumo", office.campaign_id)).state == "done"
        correction = await correction_of(office, office.campaign_id)
        assert await reasons(office, correction.campaign_id) == {"ann": "in_scope"}
        assert there.letters[-1]["corrects"] == office.campaign_id
