"""Publishing is not sending: approvals, and the stop switch."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from notifier.campaigns.announce import announce, freeze_next
from notifier.campaigns.campaign import history, load_campaign
from notifier.campaigns.steer import steer
from notifier.campaigns.stop import go, stop, stop_events, stops
from notifier.db import Db
from notifier.errors import Conflict, NotFound
from notifier.keys import Keys
from notifier.sites.apply import apply
from notifier.sites.site import Site
from tests.flow.test_freeze import add_person, add_version
from tests.office import Office, open_office
from tests.sites import a_site


async def planned(db: Db, now: datetime, **settings: Any) -> tuple[Site, int]:
    """A campaign of the site, with one person to tell, that was just planned."""
    site = a_site(**settings)
    await apply(db, site, now)
    await add_person(db, "kumo", "p")
    return site, await announce(db, site, await add_version(db, "kumo", "v1", 1, now), now, "web hook")


async def approve(db: Db, campaign_id: int, actor: str, now: datetime) -> str:
    return (await steer(db, "kumo", campaign_id, "approve", actor, "", now)).state


async def steps(db: Db, campaign_id: int) -> list[tuple[str, str]]:
    return [(event.action, event.actor) for event in await history(db, campaign_id)]


async def test_two_different_people_must_approve_where_the_site_says_so(db: Db, now: datetime) -> None:
    _, campaign_id = await planned(db, now, approval={"people": 2})
    assert await approve(db, campaign_id, "kei", now) == "planned"
    assert (await load_campaign(db, "kumo", campaign_id)).approved_by == ["kei"]
    assert await freeze_next(db, 100, now) == 0
    with pytest.raises(Conflict, match=r"kei approved .* 1 of 2; somebody else must approve"):
        await approve(db, campaign_id, "kei", now)
    assert await approve(db, campaign_id, "noor", now) == "approved"
    assert await steps(db, campaign_id) == [("announced", "web hook"), ("approve", "kei"), ("approve", "noor")]
    assert await freeze_next(db, 100, now) == 1


async def test_of_two_approvals_at_once_one_is_the_first_and_one_the_last(db: Db, now: datetime) -> None:
    _, campaign_id = await planned(db, now, approval={"people": 2})
    states = await asyncio.gather(*(approve(db, campaign_id, name, now) for name in ("kei", "noor")))
    assert sorted(states) == ["approved", "planned"]
    assert [event.detail for event in (await history(db, campaign_id))[1:]] == [
        {"approvals": 1, "people": 2},
        {"approvals": 2, "people": 2},
    ]


async def test_the_same_person_twice_at_once_is_one_approval(db: Db, now: datetime) -> None:
    _, campaign_id = await planned(db, now, approval={"people": 2})
    tries = await asyncio.gather(*(approve(db, campaign_id, "kei", now) for _ in range(4)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in tries) == ["Conflict", "Conflict", "Conflict", "str"]
    assert (await load_campaign(db, "kumo", campaign_id)).state == "planned"


async def test_another_site_yaml_voids_the_approvals_before_it_but_loosens_nothing(db: Db, now: datetime) -> None:
    site, campaign_id = await planned(db, now, approval={"people": 2})
    await approve(db, campaign_id, "kei", now)
    looser = a_site(approval={"people": 1}, names={"en": "Kumo Shop", "ja": "くもストア"})
    await apply(db, looser, now + timedelta(hours=1))
    assert (await load_campaign(db, "kumo", campaign_id)).approved_by == []
    later = now + timedelta(hours=2)
    assert await approve(db, campaign_id, "noor", later) == "planned", "the campaign keeps asking for two"
    assert await approve(db, campaign_id, "kei", later) == "approved"
    await apply(db, site, later + timedelta(hours=1))
    assert (await load_campaign(db, "kumo", campaign_id)).approved_by == ["kei", "noor", "kei"]


async def test_where_nobody_is_asked_publishing_sends_and_the_record_says_why(db: Db, now: datetime) -> None:
    site, campaign_id = await planned(db, now, approval={"people": 0})
    events = await history(db, campaign_id)
    assert [(e.action, e.actor, e.reason) for e in events] == [
        ("announced", "web hook", ""),
        ("approve", "site.yaml", "approval.people is 0: publishing sends"),
    ]
    campaign = await load_campaign(db, "kumo", campaign_id)
    assert await announce(db, site, campaign.version_id, now, "again") == campaign_id
    assert len(await history(db, campaign_id)) == 2
    assert await freeze_next(db, 100, now) == 1


# ---------------------------------------------------------------- the stop switch


@pytest.fixture
async def office(db: Db, keys: Keys) -> AsyncIterator[Office]:
    async with open_office(db, keys, a_site(rule={"preset": "pop-japan"})) as opened:
        yield opened


@pytest.mark.parametrize("whose", ["kumo", None])
async def test_nothing_leaves_while_sending_is_stopped_and_then_all_goes_on(office: Office, whose: str | None) -> None:
    for number in range(25):
        await office.person(f"p{number:02}")
    await office.open()
    await stop(office.db, whose, "kei", "the wrong text", office.clock.now())
    assert await office.deliver() == 0
    await office.db.run("campaigns.close_finished", now=office.clock.now())
    assert office.server.addresses == []
    assert (await load_campaign(office.db, None, office.campaign_id)).state == "sending"
    await go(office.db, whose, "kei", "", office.clock.now())
    assert await office.deliver() == 1
    assert sorted(office.server.addresses) == [f"p{n:02}@people.example" for n in range(25)]
    events = await stop_events(office.db, "kumo", 10)
    assert [(e.site, e.action, e.actor, e.reason) for e in events] == [
        (whose, "go", "kei", ""),
        (whose, "stop", "kei", "the wrong text"),
    ]


async def test_a_worker_that_is_in_the_middle_stops_before_its_next_batch(office: Office) -> None:
    for number in range(30):
        await office.person(f"p{number:02}")
    await office.open()
    stopping = []

    def after_the_first_batch() -> bool:
        # Asked before every batch: a moment at which somebody else may throw the switch.
        stopping.append(True)
        return False

    await office.db.execute(
        "CREATE FUNCTION throw() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO stop VALUES (NULL, now(), 'kei', '') ON CONFLICT DO NOTHING; RETURN NULL; END $$"
    )
    await office.db.execute("CREATE TRIGGER throw AFTER INSERT ON outcome FOR EACH STATEMENT EXECUTE FUNCTION throw()")
    await office.delivery.deliver_next(after_the_first_batch)
    assert len(office.server.addresses) == 10
    await office.db.execute("DROP TRIGGER throw ON outcome")
    await go(office.db, None, "kei", "", office.clock.now())
    await office.deliver()
    assert sorted(office.server.addresses) == [f"p{n:02}@people.example" for n in range(30)], (
        "nobody lost, nobody twice"
    )


async def test_an_approved_campaign_is_not_frozen_while_its_site_is_stopped(db: Db, now: datetime) -> None:
    _, campaign_id = await planned(db, now)
    await approve(db, campaign_id, "kei", now)
    await stop(db, "kumo", "kei", "", now)
    assert await freeze_next(db, 100, now) == 0
    assert (await load_campaign(db, "kumo", campaign_id)).state == "approved"
    await go(db, "kumo", "kei", "", now)
    assert await freeze_next(db, 100, now) == 1


async def test_the_stop_of_one_site_is_none_of_another(office: Office) -> None:
    await office.person("p")
    await apply(office.db, a_site(site="other"), office.clock.now())
    await stop(office.db, "other", "kei", "", office.clock.now())
    await office.open()
    assert await office.deliver() == 1


async def test_stopping_twice_keeps_who_did_first_and_going_on_says_what_is_still_stopped(
    db: Db, site: Site, now: datetime
) -> None:
    with pytest.raises(NotFound, match="everything that is approved is being sent"):
        await go(db, "kumo", "noor", "", now)
    await asyncio.gather(*(stop(db, None, f"somebody {n}", "", now) for n in range(4)))
    assert len(await stop_events(db, None, 10)) == 1
    with pytest.raises(NotFound, match="kumo is not stopped; all sending was stopped by somebody"):
        await go(db, "kumo", "noor", "", now)
    await stop(db, "kumo", "kei", "", now)
    assert [one.site for one in await stops(db, "kumo")] == [None, "kumo"]
    await go(db, None, "noor", "", now)
    assert [one.site for one in await stops(db, "kumo")] == ["kumo"]
    assert await stops(db, "other") == []
