"""One letter for several accounts of one mailbox, where the site says so, in every way that it can go."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from notifier.db import Db
from notifier.delivery import companions
from notifier.delivery.companions import tell_companions
from notifier.delivery.remind import remind
from notifier.keys import Keys
from notifier.letters.rebuild import rebuild
from notifier.outcomes.hear import hear
from notifier.outcomes.inbox import list_messages
from notifier.people.roster import get_person
from tests.sites import a_site
from tests.web.town import DAY, HOUR, Town, open_town

HOME = "home@people.example"


@pytest.fixture
async def town(db: Db, keys: Keys, request: pytest.FixtureRequest) -> AsyncIterator[Town]:
    rule = {"preset": "pop-japan", "one_letter_per_mailbox": True} | getattr(request, "param", {})
    async with open_town(db, keys, a_site(rule=rule)) as opened:
        yield opened


def ruled(**rule: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("town", [rule], indirect=True)


async def household(town: Town, *names: str) -> tuple[str, list[str]]:
    """Accounts of one mailbox, a version that is about to be told, and which of them is written to."""
    for name in names:
        await town.person(name, email=HOME)
    await town.tell("two")
    companions = [row[0] for row in await town.office.rows(
        "SELECT external_id FROM companion JOIN person USING (lane, person_id) ORDER BY 1"
    )]  # fmt: skip
    assert len(companions) == len(names) - 1
    return next(name for name in names if name not in companions), companions


async def explained(town: Town, name: str) -> list[str]:
    answer = await town.api.get(f"{town.base}/people/{name}/explain?policy=privacy&version=two")
    words: list[str] = answer["words"]
    return words


async def test_case_15_one_letter_tells_all_accounts_of_a_mailbox_and_each_has_evidence_of_its_own(town: Town) -> None:
    await town.person("zoe")
    lead, (other, third) = await household(town, "ann", "ben", "cho")
    assert (await town.report())["in_scope"] == 4
    await town.work()
    assert sorted(town.letters()) == ["home", "zoe"]
    report = await town.report()
    assert (report["told"], report["pending"], report["state"]) == (4, 0, "sending")
    assert await town.notice(other) | {"told_at": None} == await town.notice(lead) | {"told_at": None}
    assert (await town.notice(other))["told_at"] == (await town.notice(lead))["told_at"]
    assert {"tried", "accepted_by_relay", "told_with"} <= set(await town.events(other))
    assert any(f"They share a mailbox with the account {lead}" in one for one in await explained(town, third))
    await town.pass_time(34 * DAY)
    await town.use(other)
    assert [await town.accepted(name) for name in (lead, other, third)] == [[], [("two", "deemed", "D")], []]


async def test_the_letter_says_that_it_is_for_all_accounts_and_can_be_written_again_for_each(town: Town) -> None:
    lead, (other,) = await household(town, "ann", "ben")
    await town.work()
    (got,) = town.server.got
    assert b"every account with Kumo Store that is registered with this address" in got.content.replace(b"=\r\n", b"")
    letters = []
    for name in (lead, other):
        who = await get_person(town.db, town.office.keys, "kumo", name)
        letters.append(await rebuild(town.db, town.office.keys, town.campaign_id, who.lane, who.person_id))
    assert all(letter.matches for letter in letters)
    assert letters[0].body == letters[1].body


async def test_without_the_setting_everybody_has_a_letter_that_says_nothing_of_accounts(db: Db, keys: Keys) -> None:
    async with open_town(db, keys, a_site()) as town:
        for name in ("ann", "ben"):
            await town.person(name, email=HOME)
        await town.tell("two")
        await town.work()
        assert town.letters() == ["home", "home"]
        assert b"every account" not in town.server.got[0].content.replace(b"=\r\n", b"")


async def test_letters_that_would_say_something_else_are_not_one(town: Town) -> None:
    await town.person("jun", email=HOME, locale="ja")
    await town.person("far", email=HOME, time_zone="America/Lima")
    await household(town, "ann", "ben")
    await town.work()
    assert town.letters() == ["home"] * 3


async def test_a_bounce_of_the_letter_is_one_for_every_account(town: Town) -> None:
    lead, others = await household(town, "ann", "ben", "cho")
    await town.work()
    await town.pass_time(34 * DAY)
    await town.use(others[0])
    assert await town.accepted(others[0]) == [("two", "deemed", "D")]
    assert await town.bounce(lead) == 3
    assert await town.bounce(lead) == 0
    await town.work()
    assert [await town.stands(name) for name in (lead, *others)] == [("in_scope", "unreachable")] * 3
    assert await town.accepted(others[0]) == [("two", "deemed", "D"), ("two", "void", None)]
    assert (await town.report())["unreachable"] == 3


@ruled(preset="imacocokara", channels=["email", "inbox"])
async def test_after_a_bounce_each_account_has_its_own_private_message(town: Town) -> None:
    lead, others = await household(town, "ann", "ben", "cho")
    town.server.say("rcpt", "550 5.1.1 nobody", to=HOME)
    await town.work()
    await town.work()
    assert [(await town.notice(name))["told_by"] for name in (lead, *others)] == ["inbox"] * 3


async def test_a_bounce_before_the_fate_is_put_on_record_reaches_the_others_too(town: Town) -> None:
    lead, (other,) = await household(town, "ann", "ben")
    await town.office.deliver()
    await town.bounce(lead)
    await town.work()
    assert [await town.stands(name) for name in (lead, other)] == [("in_scope", "unreachable")] * 2


async def test_a_deferred_letter_keeps_all_of_them_waiting_and_its_tries_are_on_every_record(town: Town) -> None:
    town.server.say("rcpt", "451 4.7.1 later", to=HOME)
    lead, (other,) = await household(town, "ann", "ben")
    await town.work()
    assert [await town.stands(name) for name in (lead, other)] == [("in_scope", "pending")] * 2
    town.server.say("rcpt", "250 ok", to=HOME)
    await town.pass_time(6 * HOUR)
    assert town.letters() == ["home"]
    assert [await town.stands(name) for name in (lead, other)] == [("in_scope", "told")] * 2
    tries = [[one for one in await town.events(name) if one in ("tried", "deferred")] for name in (lead, other)]
    assert tries[0] == tries[1]
    assert "deferred" in tries[0]


@pytest.mark.parametrize("status", ["closed", "suspended", "erased", "moved"])
async def test_whose_lead_left_or_moved_before_the_letter_is_told_by_one_of_their_own(town: Town, status: str) -> None:
    lead, others = await household(town, "ann", "ben", "cho")
    if status == "erased":
        await town.api.ask("DELETE", f"{town.base}/people/{lead}")
    elif status == "moved":
        await town.person(lead, email="elsewhere@people.example")
    else:
        await town.person(lead, email=HOME, status=status)
    await town.work()
    await town.work()
    assert sorted(town.letters()) == (["elsewhere", "home"] if status == "moved" else ["home"])
    assert [await town.stands(name) for name in others] == [("in_scope", "told")] * 2
    following = await named(town)
    assert len(following) == 1
    assert await town.bounce(next(name for name in others if name not in following)) == 2


async def named(town: Town) -> list[str]:
    rows = await town.office.rows("SELECT external_id FROM companion JOIN person USING (lane, person_id)")
    return [row[0] for row in rows]


async def test_whoever_left_before_the_letter_is_not_told_by_it(town: Town) -> None:
    lead, (other, third) = await household(town, "ann", "ben", "cho")
    await town.person(other, email=HOME, status="closed")
    await town.person(third, email="third@people.example")
    await town.work()
    await town.work()
    assert sorted(town.letters()) == ["home", "third"]
    assert [await town.stands(name) for name in (lead, other, third)] == [
        ("in_scope", "told"), ("in_scope", "unreachable"), ("in_scope", "told"),
    ]  # fmt: skip


async def test_erasing_the_lead_takes_nothing_from_the_others_and_a_late_bounce_still_reaches_them(town: Town) -> None:
    lead, (other,) = await household(town, "ann", "ben")
    await town.work()
    town.office.campaign_id = town.campaign_id
    late = await town.office.feedback(lead, "bounced", "bad_address")
    await town.api.ask("DELETE", f"{town.base}/people/{lead}")
    assert await town.stands(other) == ("in_scope", "told")
    who = await get_person(town.db, town.office.keys, "kumo", other)
    assert (await rebuild(town.db, town.office.keys, town.campaign_id, who.lane, who.person_id)).matches
    assert await hear(town.db, [late], town.clock.now()) == 1
    assert await town.stands(other) == ("in_scope", "unreachable")


async def test_late_joiners_of_the_mailbox_get_a_letter_of_their_own(town: Town) -> None:
    await household(town, "ann", "ben")
    await town.work()
    await town.newcomer("late", email=HOME)
    await town.work()
    assert town.letters() == ["home", "home"]
    assert await town.stands("late") == ("in_scope", "told")


@ruled(preset="imacocokara", channels=["email", "inbox"], telling="all")
async def test_private_messages_are_each_accounts_own(town: Town) -> None:
    lead, others = await household(town, "ann", "ben", "cho")
    await town.work()
    told = {(who, channel) for who, channel, _, _ in await town.office.outcomes()}
    assert {(other, channel) for other in others for channel in ("email", "inbox")} <= told
    assert town.letters() == ["home"]
    for name in (lead, *others):
        who = await get_person(town.db, town.office.keys, "kumo", name)
        assert len(await list_messages(town.db, who.lane, who.person_id)) == 1


@ruled(remind_days_before=[7])
async def test_each_account_that_has_not_accepted_is_reminded_and_a_bounce_of_that_is_its_own(town: Town) -> None:
    lead, (other,) = await household(town, "ann", "ben")
    await town.work()
    assert town.letters() == ["home"]
    said = {"policy": "privacy", "version": "two", "via": "page"}
    await town.api.post(f"{town.base}/people/{lead}/acceptances", said)
    town.clock.move(26 * DAY)
    while await remind(town.db, town.clock.now()):
        pass
    await town.work()
    assert town.letters() == ["home", "home"]
    assert [b"every account" in got.content.replace(b"=\r\n", b"") for got in town.server.got] == [True, False]
    assert [(await town.events(name)).count("reminded") for name in (lead, other)] == [0, 1]
    town.office.campaign_id = town.campaign_id
    reminder = replace(await town.office.feedback(other, "bounced", "bad_address"), attempt=2)
    assert await hear(town.db, [reminder], town.clock.now()) == 1
    assert [await town.stands(name) for name in (lead, other)] == [("in_scope", "told")] * 2


@ruled(preset="imacocokara", channels=["email", "inbox"], evidence="recipient", evidence_hours=24)
async def test_without_evidence_in_time_each_account_has_the_next_channel(town: Town) -> None:
    lead, (other,) = await household(town, "ann", "ben")
    await town.work()
    await town.pass_time(timedelta(hours=25))
    assert [(await town.notice(name))["told_by"] for name in (lead, other)] == ["email", "email"]
    channels = {(who, channel) for who, channel, _, _ in await town.office.outcomes()}
    assert {(lead, "inbox"), (other, "inbox")} <= channels


async def test_a_crash_before_the_commit_leaves_the_companions_to_be_looked_at_again(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead, (other,) = await household(town, "ann", "ben")
    await town.office.deliver()

    async def crash(*_: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(companions, "count", crash)
        with pytest.raises(ConnectionError):
            await tell_companions(town.db, town.clock.now())
    assert await town.stands(other) == ("in_scope", "pending")
    await town.work()
    assert [await town.stands(name) for name in (lead, other)] == [("in_scope", "told")] * 2


async def test_a_campaign_is_done_only_when_the_companions_are_told(town: Town) -> None:
    await household(town, "ann", "ben")
    await town.office.deliver()
    await town.db.run("campaigns.close_finished", now=town.clock.now())
    assert (await town.report())["state"] == "sending"
    await town.work()
    await town.db.run("campaigns.close_finished", now=town.clock.now())
    assert (await town.report())["state"] == "done"


async def test_a_correction_is_one_letter_too(town: Town) -> None:
    await household(town, "ann", "ben")
    await town.work()
    await town.db.run("campaigns.close_finished", now=town.clock.now())
    words = {"en": "The date was wrong.", "ja": "日付に誤りがありました。"}
    answer = await town.api.post(f"{town.base}/campaigns/{town.campaign_id}/correction", {"words": words}, expect=201)
    town.campaign_id = answer["campaign_id"]
    await town.approve()
    await town.work()
    assert town.letters() == ["home", "home"]
    assert (await town.report())["told"] == 2
