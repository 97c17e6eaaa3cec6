"""No reply came after the last byte: the letter is sent again, held for a word, or a report is waited for."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from notifier.campaigns.campaign import history, load_campaign
from notifier.campaigns.steer import steer
from notifier.compliance.report import campaign_report
from notifier.db import Db
from notifier.delivery.second import tell_by_second_channel
from notifier.delivery.unknown import held_letters, resolve_unknown
from notifier.errors import Conflict
from notifier.keys import Keys
from notifier.outcomes.hear import hear
from notifier.sites.apply import apply
from tests.channels.smtp_server import KEEP_AND_DROP
from tests.office import NO_STOP, Office, open_office
from tests.sites import a_site

LOST = ("lost", "kept")


@pytest.fixture
async def office(db: Db, keys: Keys) -> AsyncIterator[Office]:
    async with open_office(db, keys, a_site(rule={"preset": "pop-japan"})) as opened:
        yield opened


async def tried(office: Office, *, channels: tuple[str, ...] = ("email",), **unknown: Any) -> None:
    """Six people were written to; of two of them nobody knows whether the letter arrived."""
    relay = {"host": "127.0.0.1", "port": office.server.port, "security": "none", "sessions": 1}
    site = a_site(
        rule={"preset": "pop-japan", "channels": channels, "telling": "any"}, unknown=unknown, relays=[relay],
        webhook={"url": "http://127.0.0.1:9/"},
    )  # fmt: skip
    await apply(office.db, site, office.clock.now())
    office.site = site
    for name in (*LOST, "a", "b", "c", "d"):
        await office.person(name)
    for name in LOST:
        office.server.say("dot", KEEP_AND_DROP, "", to=f"{name}@people.example")
    await office.open()
    await office.deliver()


async def close(office: Office) -> str:
    await office.db.run("campaigns.close_finished", now=office.clock.now())
    return (await load_campaign(office.db, None, office.campaign_id)).state


def copies(office: Office) -> Counter[str]:
    return Counter(address.partition("@")[0] for address in office.server.addresses)


async def resolve(office: Office, word: Any) -> int:
    return await resolve_unknown(office.db, "kumo", office.campaign_id, word, "kei", "asked them", office.clock.now())


async def test_held_letters_wait_for_a_word_and_the_campaign_with_them(office: Office) -> None:
    await tried(office, then="hold")
    office.clock.move(timedelta(days=6))
    await office.deliver()
    assert copies(office)["lost"] == 1, "nothing is sent again by itself, however long it takes"
    assert await held_letters(office.db, office.campaign_id) == 2
    assert await close(office) == "sending"
    report = await campaign_report(office.db, office.campaign_id, office.clock.now())
    assert (report.told, report.pending, report.held, report.gaps) == (4, 2, 2, ())
    assert report.forecast is not None
    assert report.forecast.last_told_at < office.clock.now(), "what waits for a word is not foreseen"
    assert await resolve(office, "resend") == 2
    await office.deliver()
    assert [copies(office)[name] for name in LOST] == [2, 2]
    assert set((await office.statuses()).values()) == {"told"}
    assert await close(office) == "done"
    last = (await history(office.db, office.campaign_id))[-2]
    assert (last.action, last.actor, last.detail) == ("unknown_resend", "kei", {"letters": 2})
    with pytest.raises(Conflict, match="done"):
        await resolve(office, "resend")


async def test_given_up_they_failed_and_the_next_channel_has_its_turn(office: Office) -> None:
    await tried(office, then="hold", channels=("email", "webhook"))
    assert await resolve(office, "give_up") == 2
    with pytest.raises(Conflict, match="waits for a word"):
        await resolve(office, "give_up")
    queued = await office.rows("SELECT external_id, channel FROM retry JOIN person USING (lane, person_id) ORDER BY 1")
    assert queued == [("kept", "webhook"), ("lost", "webhook")]
    failed = await office.rows("SELECT kind::text, class, reply FROM outcome WHERE kind = 'expired'")
    assert failed == [("expired", "unknown", "given up by kei: whether it arrived is unknown")] * 2
    progress = await office.rows("SELECT kind::text, sum(count)::int FROM progress GROUP BY 1 ORDER BY 1")
    assert dict(progress) == {"accepted_by_relay": 4, "unknown": 2, "expired": 2}
    assert (await campaign_report(office.db, office.campaign_id, office.clock.now())).gaps == ()
    assert await office.rows("SELECT sum(unsure)::int FROM slice WHERE channel = 'email'") == [(2,)]
    await office.deliver()
    assert await office.rows("SELECT sum(unsure)::int FROM slice WHERE channel = 'email'") == [(0,)]
    assert copies(office)["lost"] == 1


@pytest.mark.parametrize("unknown", [{"then": "hold"}, {"then": "verify", "verify_hours": 48}])
async def test_a_report_answers_for_good_and_nobody_is_asked(office: Office, unknown: dict[str, Any]) -> None:
    await tried(office, **unknown)
    news = [
        await office.feedback("lost", "bounced", "bad_address"),
        await office.feedback("kept", "accepted_by_recipient"),
    ]
    assert await hear(office.db, news, office.clock.now()) == 2
    assert await held_letters(office.db, office.campaign_id) == 0
    await office.deliver()
    assert await office.rows("SELECT count(*) FROM retry") == [(0,)]
    assert await close(office) == "done"
    statuses = await office.statuses()
    assert (statuses["kept"], statuses["lost"]) == ("told", "unreachable")
    assert copies(office) == Counter(dict.fromkeys((*LOST, "a", "b", "c", "d"), 1))


async def nothing_waits(office: Office) -> bool:
    await office.deliver()
    return await office.rows("SELECT count(*) FROM retry") == [(0,)] and await close(office) == "done"


async def test_a_report_that_comes_before_the_unknown_of_a_second_copy_is_recorded_answers_as_well(
    office: Office,
) -> None:
    await tried(office, then="hold")
    assert await resolve(office, "resend") == 2
    for name in LOST:
        office.server.say("dot", KEEP_AND_DROP, "", to=f"{name}@people.example")
    office.server.delay = 0.2
    working = asyncio.create_task(office.delivery.deliver_next(NO_STOP))
    while not await office.rows("SELECT FROM under_way"):
        await asyncio.sleep(0.005)
    news = [replace(await office.feedback(name, "accepted_by_recipient"), attempt=2) for name in LOST]
    assert await hear(office.db, news, office.clock.now()) == 2
    await working
    assert await office.rows("SELECT count(*)::int FROM outcome WHERE kind = 'unknown' AND attempt = 2") == [(2,)]
    assert await nothing_waits(office)


async def test_what_a_worker_that_lost_its_lease_knows_answers_as_well(office: Office) -> None:
    await tried(office, then="hold")
    assert await resolve(office, "resend") == 2
    contents, office.server.delay = len(office.server.contents), 0.3
    slow = asyncio.create_task(office.delivery.deliver_next(NO_STOP))
    while len(office.server.contents) == contents:
        await asyncio.sleep(0.005)
    await office.db.execute("UPDATE slice SET leased_until = now() - interval '1 hour' WHERE worker IS NOT NULL")
    assert await replace(office.delivery, worker="another").deliver_next(NO_STOP) == 1
    assert await held_letters(office.db, office.campaign_id) == 2
    await slow
    office.server.delay = 0
    assert await held_letters(office.db, office.campaign_id) == 1, "one was in the relay, and the other did not begin"
    assert await office.db.run("delivery_unknown.wake_answered", now=office.clock.now()) == 1
    await office.deliver()
    assert await office.rows("SELECT count(*) FROM retry") == [(1,)]
    assert await office.db.run("delivery_unknown.wake_answered", now=office.clock.now()) == 0
    assert await resolve(office, "resend") == 1
    assert await nothing_waits(office)


async def test_a_report_also_answers_for_a_letter_that_was_put_off_after_its_fate_was_unknown(office: Office) -> None:
    await tried(office)
    for name in LOST:
        office.server.say("rcpt", "451 4.7.1 greylisted, come back", to=f"{name}@people.example")
    office.clock.move(timedelta(hours=1))
    await office.deliver()
    assert await office.rows("SELECT DISTINCT attempt, unsure FROM retry") == [(3, True)]
    news = [await office.feedback(name, "accepted_by_recipient") for name in LOST]
    assert await hear(office.db, news, office.clock.now()) == 2
    assert await nothing_waits(office)


async def test_verify_waits_its_time_and_then_sends_the_same_again(office: Office) -> None:
    await tried(office, then="verify", verify_hours=6)
    office.clock.move(timedelta(hours=5.9))
    await office.deliver()
    assert copies(office)["lost"] == 1
    assert await held_letters(office.db, office.campaign_id) == 0, "nobody is asked"
    with pytest.raises(Conflict, match="waits for a word"):
        await resolve(office, "resend")
    office.clock.move(timedelta(hours=0.2))
    await office.deliver()
    assert [copies(office)[name] for name in LOST] == [2, 2]
    assert len({got.content for got in office.server.got if got.address == "lost@people.example"}) == 1
    assert await close(office) == "done"


async def test_what_a_killed_worker_left_is_held_as_well(office: Office) -> None:
    await tried(office, then="hold")
    await office.die_before_recording()
    await office.db.execute("UPDATE slice SET leased_until = now() - interval '1 hour', due_at = now()")
    await office.delivery.deliver_next(NO_STOP)
    assert await held_letters(office.db, office.campaign_id) == 6
    assert await close(office) == "sending"


async def test_the_second_channel_by_time_waits_for_nobodys_word(office: Office) -> None:
    await tried(office, then="hold", channels=("email", "webhook"))
    office.clock.move(timedelta(hours=73))
    assert await tell_by_second_channel(office.db, office.clock.now()) == 1
    queued = await office.rows("SELECT channel, due_at IS NULL FROM retry ORDER BY 1, 2")
    assert queued == [("email", True)] * 2 + [("webhook", False)] * 2


async def test_a_word_may_be_said_while_the_campaign_is_paused_and_is_carried_out_when_it_goes_on(
    office: Office,
) -> None:
    await tried(office, then="hold")
    await steer(office.db, "kumo", office.campaign_id, "pause", "kei", "", office.clock.now())
    assert await resolve(office, "resend") == 2
    await office.deliver()
    assert copies(office)["lost"] == 1
    await steer(office.db, "kumo", office.campaign_id, "resume", "kei", "", office.clock.now())
    await office.deliver()
    assert copies(office)["lost"] == 2
