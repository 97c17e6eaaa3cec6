"""One campaign's letters: every try is recorded, and what came back decides what happens next."""

import asyncio
import gc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from itertools import chain, repeat

import asyncpg
import pytest

from notifier.campaigns.campaign import load_campaign
from notifier.campaigns.steer import steer
from notifier.db import Db
from notifier.delivery.deliver import Delivery
from notifier.delivery.lease import claim
from notifier.errors import Unauthenticated
from notifier.keys import Keys
from notifier.outcomes.hear import hear
from notifier.outcomes.suppressions import add_suppression
from notifier.people.erase import erase_person
from notifier.sites.apply import apply
from tests.channels.smtp_server import DROP, KEEP_AND_DROP, SILENCE
from tests.office import NO_STOP, Office, open_office
from tests.sites import a_site


@pytest.fixture
async def office(db: Db, keys: Keys, request: pytest.FixtureRequest) -> AsyncIterator[Office]:
    rule = getattr(request, "param", {"preset": "imacocokara"})
    async with open_office(db, keys, a_site(rule=rule)) as opened:
        yield opened


EMAIL_ONLY = pytest.mark.parametrize("office", [{"preset": "pop-japan"}], indirect=True)


async def test_each_person_gets_one_letter_in_their_language_and_the_campaign_ends(office: Office) -> None:
    for number in range(25):
        await office.person(f"p{number:02}", locale="ja" if number % 2 else "en")
    await office.open(slice_size=10)
    assert await office.deliver() == 3
    assert sorted(office.server.addresses) == [f"p{n:02}@people.example" for n in range(25)]
    assert await office.outcomes() == [(f"p{n:02}", "email", 1, "accepted_by_relay") for n in range(25)]
    for got in office.server.got:
        letter = message_from_bytes(got.content, policy=SMTP)
        assert isinstance(letter, EmailMessage)
        odd = int(got.address[1:3]) % 2
        assert letter["Content-Language"] == ("ja" if odd else "en")
    await office.db.run("campaigns.close_finished", now=office.clock.now())
    assert (await load_campaign(office.db, None, office.campaign_id)).state == "done"


async def test_a_passing_failure_is_tried_again_with_the_same_message_id(office: Office) -> None:
    await office.person("busy")
    office.server.say("rcpt", "451 4.7.1 greylisted, come back", "", to="busy@people.example")
    await office.open()
    assert await office.deliver() == 1
    assert await office.deliver() == 0
    assert await office.statuses() == {"busy": "pending"}
    office.clock.move(timedelta(minutes=4))
    assert await office.deliver() == 0
    office.clock.move(timedelta(minutes=2))
    assert await office.deliver() == 1
    assert await office.outcomes() == [
        ("busy", "email", 1, "deferred"),
        ("busy", "email", 2, "accepted_by_relay"),
    ]
    assert await office.rows("SELECT count(*) FROM retry") == [(0,)]
    assert await office.rows("SELECT count(DISTINCT sha256) FROM intent") == [(1,)]


async def test_a_refused_address_is_suppressed_and_the_private_message_has_its_turn(office: Office) -> None:
    await office.person("gone")
    await office.person("fine")
    office.server.say("rcpt", "550 5.1.1 no such user", to="gone@people.example")
    await office.open()
    await office.deliver()
    assert await office.outcomes() == [
        ("fine", "email", 1, "accepted_by_relay"),
        ("gone", "email", 1, "refused"),
        ("gone", "inbox", 1, "placed"),
    ]
    assert await office.statuses() == {"gone": "told", "fine": "told"}
    assert await office.rows("SELECT reason FROM suppression") == [("bad_address",)]


@EMAIL_ONLY
async def test_an_internationalised_address_is_suppressed_however_it_was_written(office: Office) -> None:
    for name, address in (("sign", "reader@bücher.example"), ("code", "writer@xn--bcher-kva.example")):
        await office.person(name, email=address)
    await office.open()
    await office.deliver()
    for name in ("sign", "code"):
        await hear(office.db, [await office.feedback(name, "bounced", "bad_address")], office.clock.now())
    assert await office.rows("SELECT reason FROM suppression") == [("bad_address",)] * 2
    assert await office.rows("SELECT DISTINCT split_part(email, '@', 2) FROM person") == [("xn--bcher-kva.example",)]


@EMAIL_ONLY
async def test_which_command_was_not_answered_as_it_should_be_is_on_record(office: Office) -> None:
    said = {"rcpt": "550 5.7.1 no", "data": "451 4.3.0 later", "dot": "550 5.7.1 no", "lost": "", "fine": ""}
    for name, reply in said.items():
        await office.person(name)
        if reply:
            office.server.say(name, reply, to=f"{name}@people.example")
    office.server.say("dot", KEEP_AND_DROP, to="lost@people.example")
    await office.open()
    await office.deliver()
    phases = "SELECT external_id, phase FROM outcome JOIN person USING (lane, person_id) ORDER BY 1"
    assert await office.rows(phases) == [
        ("data", "data"), ("dot", "dot"), ("fine", None), ("lost", "dot"), ("rcpt", "rcpt"),
    ]  # fmt: skip


@EMAIL_ONLY
async def test_without_another_channel_a_refusal_leaves_the_person_unreachable(office: Office) -> None:
    await office.person("gone")
    office.server.say("rcpt", "550 5.1.1 no such user", to="gone@people.example")
    await office.open()
    await office.deliver()
    assert await office.statuses() == {"gone": "unreachable"}


async def test_a_bounce_after_the_relay_took_the_letter_voids_the_telling_and_counts_once(office: Office) -> None:
    await office.person("late")
    await office.open()
    await office.deliver()
    await office.db.run("campaigns.close_finished", now=office.clock.now())
    bounce = await office.feedback("late", "bounced", "bad_address")
    assert await hear(office.db, [bounce, bounce], office.clock.now()) == 1
    assert await hear(office.db, [bounce], office.clock.now()) == 0
    assert await office.statuses() == {"late": "pending"}
    assert await office.deliver() == 1
    assert await office.statuses() == {"late": "told"}
    assert await office.outcomes() == [
        ("late", "email", 1, "accepted_by_relay"),
        ("late", "email", 1, "bounced"),
        ("late", "inbox", 1, "placed"),
    ]


async def test_a_report_never_shortens_what_holds_for_longer(office: Office) -> None:
    for name in ("ordered", "other"):
        await office.person(name)
    await office.open()
    await office.deliver()
    await add_suppression(
        office.db, office.keys, "kumo", "ordered@people.example", "asked us to", None, "kei", office.clock.now()
    )
    for name in ("ordered", "other"):
        await hear(office.db, [await office.feedback(name, "bounced", "mailbox_disabled")], office.clock.now())
    assert await office.rows("SELECT reason, isfinite(until) FROM suppression ORDER BY 1") == [
        ("asked us to", False), ("mailbox_disabled", True),
    ]  # fmt: skip
    await hear(office.db, [await office.feedback("other", "complained", "complaint")], office.clock.now())
    assert await office.rows("SELECT reason, isfinite(until) FROM suppression ORDER BY 1") == [
        ("asked us to", False), ("complaint", False),
    ]  # fmt: skip


async def test_a_late_bounce_never_touches_the_persons_newer_address(office: Office) -> None:
    await office.person("moved")
    await office.open()
    await office.deliver()
    await office.person("moved", email="new@people.example")
    await hear(office.db, [await office.feedback("moved", "bounced", "bad_address")], office.clock.now())
    assert await office.rows("SELECT count(*) FROM suppression") == [(0,)]
    assert await office.rows("SELECT email FROM person") == [("new@people.example",)]
    assert await office.rows("SELECT address FROM intent WHERE channel = 'email'") == [("moved@people.example",)]


async def test_news_of_a_letter_that_was_never_sent_or_of_an_erased_person_changes_nothing(office: Office) -> None:
    await office.person("erased")
    await office.open()
    never_sent = await office.feedback("erased", "bounced", "bad_address")
    assert await hear(office.db, [never_sent], office.clock.now()) == 0
    await office.deliver()
    await erase_person(office.db, office.keys, "kumo", "erased", office.clock.now())
    assert await hear(office.db, [never_sent], office.clock.now()) == 0
    assert await office.rows("SELECT kind::text FROM outcome") == [("accepted_by_relay",)]
    assert await office.rows("SELECT address FROM intent") == [(None,)]


async def test_somebody_erased_while_their_letter_is_on_its_way_leaves_no_address_and_no_reply(office: Office) -> None:
    await office.person("erased")
    await office.open()
    await office.db.execute(
        "CREATE FUNCTION erase() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " UPDATE person SET status = 'erased', email = NULL; RETURN NULL; END $$;"
        " CREATE TRIGGER meanwhile AFTER INSERT ON under_way FOR EACH STATEMENT EXECUTE FUNCTION erase()"
    )
    await office.deliver()
    assert await office.rows("SELECT address FROM intent") == [(None,)]
    assert await office.rows("SELECT kind::text, reply FROM outcome") == [("accepted_by_relay", "")]


async def test_a_forged_report_is_refused(office: Office) -> None:
    with pytest.raises(Unauthenticated):
        office.delivery.channels["email"].hear({}, b"To: b+forged@kumo.example\r\n\r\nbounced")


async def test_who_left_since_the_freeze_is_not_written_to(office: Office) -> None:
    await office.person("stays")
    await office.person("leaves")
    await office.open()
    await office.person("leaves", status="closed")
    await office.deliver()
    assert office.server.addresses == ["stays@people.example"]
    assert await office.statuses() == {"stays": "told", "leaves": "unreachable"}
    assert ("leaves", "email", 1, "withheld") in await office.outcomes()


async def test_an_address_that_was_suppressed_since_the_freeze_is_not_written_to(office: Office) -> None:
    await office.person("complained")
    await office.open()
    await office.db.execute(
        "INSERT INTO suppression (site, email_mac, reason, since)"
        " SELECT site, email_mac, 'complaint', now() FROM person"
    )
    await office.deliver()
    assert office.server.addresses == []
    assert await office.outcomes() == [("complained", "email", 1, "refused"), ("complained", "inbox", 1, "placed")]
    assert await office.statuses() == {"complained": "told"}


async def test_the_new_address_is_used_when_somebody_moved_before_it_was_their_turn(office: Office) -> None:
    await office.person("moved")
    await office.open()
    await office.person("moved", email="new@people.example")
    await office.deliver()
    assert office.server.addresses == ["new@people.example"]


async def test_a_paused_campaign_sends_nothing_and_a_resumed_one_sends_the_rest(office: Office) -> None:
    for number in range(30):
        await office.person(f"p{number:02}")
    await office.open()
    stops = chain([False, False], repeat(True))
    await office.delivery.deliver_next(lambda: next(stops))
    assert len(office.server.got) == 20
    await steer(office.db, "kumo", office.campaign_id, "pause", "test", "a typo", office.clock.now())
    assert await office.deliver() == 0
    await steer(office.db, "kumo", office.campaign_id, "resume", "test", "", office.clock.now())
    await office.deliver()
    assert len(office.server.got) == len(set(office.server.addresses)) == 30


async def test_what_was_under_way_at_a_death_becomes_unknown_and_the_same_bytes_go_out_again(
    office: Office,
) -> None:
    for number in range(15):
        await office.person(f"p{number:02}")
    await office.open()
    office.server.say("dot", SILENCE)
    dying = asyncio.create_task(office.delivery.deliver_next(NO_STOP))
    while not await office.rows("SELECT FROM under_way"):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    office.server.say("dot", "250 2.0.0 kept")
    assert await office.rows("SELECT count(*) FROM attempt") == [(10,)]
    assert await office.outcomes() == []
    assert await office.deliver() == 0, "the lease of the dead worker still runs"
    await office.db.execute("UPDATE slice SET leased_until = leased_until - interval '1 hour'")
    assert await office.deliver() == 1
    assert sorted(k for *_, k in await office.outcomes()) == ["accepted_by_relay"] * 5 + ["unknown"] * 10
    office.clock.move(timedelta(minutes=31))
    await office.deliver()
    assert set((await office.statuses()).values()) == {"told"}
    assert await office.rows(
        "SELECT count(*) FROM (SELECT FROM intent GROUP BY person_id HAVING count(DISTINCT sha256) > 1) differing"
    ) == [(0,)]


async def test_a_second_copy_is_the_same_letter_though_site_and_person_have_changed_since(office: Office) -> None:
    for name in ("doubtful", "late"):
        await office.person(name)
    office.server.say("dot", KEEP_AND_DROP, "", to="doubtful@people.example")
    office.server.say("rcpt", "451 4.7.1 later", "", to="late@people.example")
    await office.open()
    await office.deliver()
    senders = {name: one.model_copy(update={"name": "Kumo Renamed"}) for name, one in office.site.senders.items()}
    changed = office.site.model_copy(update={"senders": senders})
    await apply(office.db, changed, office.clock.now())
    await office.person("doubtful", locale="ja", time_zone="Asia/Tokyo")
    new = office.delivery  # another worker, which knows nothing of the letters before
    office.delivery = Delivery(new.db, new.clock, new.keys, new.channels, new.settings, "another")
    office.clock.move(timedelta(minutes=31))
    await office.deliver()
    copies = {got.address.partition("@")[0]: [] for got in office.server.got}
    for got in office.server.got:
        copies[got.address.partition("@")[0]].append(got.content)
    assert len(copies["doubtful"]) == 2
    assert len(set(copies["doubtful"])) == 1
    assert len(copies["late"]) == 1
    assert b"Kumo Renamed" in copies["late"][0], "nothing had left for them"
    assert b"Kumo Renamed" not in copies["doubtful"][1]


async def test_a_letter_of_unknown_fate_is_not_sent_again_when_the_recipients_server_said_it_has_it(
    office: Office,
) -> None:
    await office.person("kept")
    await office.person("lost")
    for name, fate in (("kept", KEEP_AND_DROP), ("lost", DROP)):
        office.server.say("dot", fate, "", to=f"{name}@people.example")
    await office.open()
    await office.deliver()
    assert {kind for *_, kind in await office.outcomes()} == {"unknown"}
    await hear(office.db, [await office.feedback("kept", "accepted_by_recipient")], office.clock.now())
    office.clock.move(timedelta(minutes=31))
    await office.deliver()
    assert sorted(office.server.addresses) == ["kept@people.example", "lost@people.example"]
    assert await office.statuses() == {"kept": "told", "lost": "told"}
    assert await office.rows("SELECT count(*) FROM retry") == [(0,)]


async def test_a_worker_that_lost_its_lease_keeps_its_outcomes_and_moves_nothing(office: Office) -> None:
    for number in range(15):
        await office.person(f"p{number:02}")
    await office.open()
    office.server.delay = 0.02
    slow = asyncio.create_task(office.delivery.deliver_next(NO_STOP))
    while len(office.server.got) < 2:
        await asyncio.sleep(0.005)
    await office.db.execute("UPDATE slice SET leased_until = leased_until - interval '1 hour'")
    other = await claim(office.db, "another", timedelta(seconds=60), office.clock.now(), office.clock.real())
    assert other is not None
    assert other.taken_over
    before = await office.rows("SELECT cursor_lane, cursor_person FROM slice WHERE channel = 'email'")
    await slow
    assert len(await office.outcomes()) == 10
    assert await office.rows("SELECT cursor_lane, cursor_person FROM slice WHERE channel = 'email'") == before
    assert await office.rows("SELECT worker FROM slice WHERE channel = 'email'") == [("another",)]


async def test_a_worker_that_fails_in_disorder_leaves_its_slice_to_the_next_one_at_once(office: Office) -> None:
    await office.person("p")
    await office.open()
    await office.db.execute("ALTER TABLE progress RENAME TO gone")
    with pytest.raises(asyncpg.UndefinedTableError):
        await office.deliver()
    await office.db.execute("ALTER TABLE gone RENAME TO progress")
    assert await office.deliver() == 1
    assert await office.outcomes() == [("p", "email", 1, "unknown")]
    office.clock.move(timedelta(minutes=31))
    await office.deliver()
    assert await office.statuses() == {"p": "told"}


async def test_two_workers_at_once_never_hold_the_same_slice(office: Office) -> None:
    for number in range(40):
        await office.person(f"p{number:02}")
    await office.open(slice_size=10)
    now, real = office.clock.now(), datetime.now(UTC)
    claims = await asyncio.gather(*(claim(office.db, f"w{n}", timedelta(seconds=60), now, real) for n in range(8)))
    held = [c.slice for c in claims if c is not None]
    assert sorted(held) == [1, 2, 3, 4]


async def test_what_a_worker_keeps_of_campaigns_does_not_grow_with_them(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifier.delivery.deliver.MOST_WRITERS", 2)
    await office.person("ann")
    await office.open()
    await office.deliver()
    ids = [office.campaign_id]
    for label in ("three", "four"):
        texts = {locale: {"body": f"# {label} {locale}"} for locale in ("en", "ja")}
        soonest = office.clock.now() + timedelta(days=office.site.notice_days([]))
        await office.tell(await office.publish(label, texts, effective_at=soonest.isoformat()))
        ids.append(max(row[0] for row in await office.rows("SELECT campaign_id FROM campaign")))
        await office.delivery._writer(ids[0])  # used again, so it is not the next to go
        await office.deliver()
    assert len(office.server.got) == 3
    assert list(office.delivery._writers) == [(ids[0], None), (ids[2], None)]
    gc.collect()
    assert {sheet.campaign_id for sheet in office.delivery._batches._sheets._numbers} == {ids[0], ids[2]}
