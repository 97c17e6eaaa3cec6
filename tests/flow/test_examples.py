"""The two example sites, played through to acceptance: each test is a sentence of what their policies promise."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import orjson
import pytest

from notifier.acceptance.accept import accept
from notifier.activity.record import record
from notifier.compliance.report import campaign_report
from notifier.compliance.search import acceptances
from notifier.db import Db
from notifier.demo.editions import edition
from notifier.errors import Invalid
from notifier.keys import Keys
from notifier.outcomes.inbox import list_messages
from notifier.people.roster import get_person
from notifier.policies.publish import find_version
from notifier.resources import resource
from notifier.sites.file import read_site
from tests.office import Office, open_office


async def at_the(example: str, db: Db, keys: Keys) -> AsyncIterator[Office]:
    """An example site with its first version published a while ago."""
    folder = resource("examples") / example
    async with open_office(db, keys, read_site((folder / "site.yaml").read_text("utf-8"))) as office:
        await office.publish("1", edition(folder, example, 1).texts)
        office.clock.move(timedelta(days=60))
        yield office


@pytest.fixture
async def shop(db: Db, keys: Keys) -> AsyncIterator[Office]:
    async for office in at_the("kumo-store", db, keys):
        yield office


@pytest.fixture
async def market(db: Db, keys: Keys) -> AsyncIterator[Office]:
    async for office in at_the("hanabi-market", db, keys):
        yield office


async def change(office: Office, **more: Any) -> None:
    """Publish the example's second version and tell everybody."""
    second = edition(resource("examples") / office.site.site, office.site.site, 2)
    await office.tell(await office.publish("2", second.texts, flags=second.flags, **more))
    await office.deliver()


async def uses(office: Office, name: str, kind: str = "login") -> list[tuple[str, str]]:
    """Report that somebody uses the site now. Returns the kinds and grades of their acceptances after that."""

    async def lines() -> AsyncIterator[bytes]:
        yield orjson.dumps({"external_id": name, "occurred_at": office.clock.now(), "kind": kind})

    await record(office.db, office.site.site, lines(), office.clock.now())
    while await accept(office.db, office.clock.now()):
        pass
    person = await get_person(office.db, office.keys, office.site.site, name)
    return [(a.kind, a.grade) for a in await acceptances(office.db, person)]


async def test_the_shop_notifies_through_the_email_address_that_was_provided(shop: Office) -> None:
    await shop.person("a", locale="ja", channels=["inbox"])
    await shop.person("without-address", email=None)
    await change(shop)
    assert shop.server.addresses == ["a@people.example"]
    assert await shop.statuses() == {"a": "told", "without-address": "unreachable"}
    person = await get_person(shop.db, shop.keys, "kumo-store", "a")
    assert await list_messages(shop.db, person.lane, person.person_id) == []


async def test_continued_use_of_the_shop_after_the_change_is_deemed_acceptance(shop: Office) -> None:
    await shop.person("a")
    await change(shop)
    assert await uses(shop, "a") == [], "thirty days have not passed"
    shop.clock.move(timedelta(days=33))
    assert await uses(shop, "a", kind="policy_viewed") == [], "reading the new policy is not use"
    assert await uses(shop, "a", kind="purchase") == [("deemed", "D")]
    report = await campaign_report(shop.db, shop.campaign_id, shop.clock.now())
    assert (report.told, report.accepted["deemed"], report.adds_up) == (1, 1, True)


async def test_whoever_stops_using_the_shop_accepts_nothing(shop: Office) -> None:
    await shop.person("a")
    await change(shop)
    shop.clock.move(timedelta(days=33))
    assert await uses(shop, "a", kind="account_closed") == []
    shop.clock.move(timedelta(days=300))
    report = await campaign_report(shop.db, shop.campaign_id, shop.clock.now())
    assert (report.told, report.accepted["deemed"], report.adds_up) == (1, 0, True)


async def test_the_shop_cannot_put_a_change_into_effect_sooner_than_it_promised(shop: Office) -> None:
    with pytest.raises(Invalid) as refused:
        await change(shop, effective_at=(shop.clock.now() + timedelta(days=3)).isoformat())
    assert [fault.pointer for fault in refused.value.faults] == ["/effective_at"]


async def test_the_market_changes_its_policy_by_posting_it_and_the_change_is_effective_upon_posting(
    market: Office,
) -> None:
    await market.person("a", roles=["buyer"])
    await change(market)
    posted = await find_version(market.db, "hanabi-market", "privacy", "2")
    assert posted.effective_at == posted.published_at


async def test_the_market_notifies_by_email_or_private_message(market: Office) -> None:
    await market.person("by-mail", roles=["buyer"])
    await market.person("by-message", roles=["seller"], channels=["inbox"])
    await market.person("without-address", roles=["buyer"], email=None)
    await market.person("bounced", roles=["seller"])
    market.server.say("rcpt", "550 5.1.1 no such user", to="bounced@people.example")
    await change(market)
    assert market.server.addresses == ["by-mail@people.example"]
    assert set((await market.statuses()).values()) == {"told"}
    messages = {}
    for name in ("by-mail", "by-message", "without-address", "bounced"):
        person = await get_person(market.db, market.keys, "hanabi-market", name)
        messages[name] = len(await list_messages(market.db, person.lane, person.person_id))
    assert messages == {"by-mail": 0, "by-message": 1, "without-address": 1, "bounced": 1}


async def test_use_of_the_market_following_the_change_constitutes_acceptance(market: Office) -> None:
    await market.person("a", roles=["buyer"])
    await market.person("b", roles=["seller"], email=None)
    await market.person("reader", roles=["newsletter"])
    await change(market)
    market.clock.move(timedelta(hours=1))
    assert await uses(market, "b") == [("deemed", "D")], "a private message cannot bounce"
    market.clock.move(timedelta(days=4))
    assert await uses(market, "a", kind="purchase") == [("deemed", "D")]
    assert await uses(market, "reader") == [], "nothing changed for whoever has no account"
    report = await campaign_report(market.db, market.campaign_id, market.clock.now())
    assert (report.excluded, report.accepted["deemed"], report.adds_up) == ({"outside_rule": 1}, 2, True)
