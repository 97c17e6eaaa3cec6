"""Which text was in force, and a campaign's figures: over HTTP, on the console, from the terminal."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from notifier.clock import MovableClock
from notifier.compose import Service
from notifier.db import Db
from notifier.keys import Keys
from notifier.sites.site import Site
from notifier.sites.tokens import create_token
from tests.sites import a_site
from tests.web import scene
from tests.web.asking import Api, Client, ndjson, submission
from tests.web.test_pages_answers import read, sign_in
from tests.web.town import DAY, open_town

KUMO = "/v1/sites/kumo"


async def test_which_text_was_in_force_is_answered_with_its_address_and_what_was_lacking(
    api: Api, send_version: Callable[..., Awaitable[tuple[int, Any]]], clock: MovableClock
) -> None:
    await send_version("kumo", submission("one"))
    await send_version("kumo", submission("two", "We keep it longer.", materiality="material"), "msg_2")
    await api.post(f"{KUMO}/people", ndjson({"external_id": "ann", "registered_at": "2020-01-01T00:00:00Z"}))
    clock.move(timedelta(days=60))
    answer = await api.get(f"{KUMO}/people/ann/in-force?policy=privacy")
    assert (answer["version"], answer["basis"]) == ("one", "registration")
    assert answer["text"]["url"] == "http://notices.example/p/kumo/privacy/one/en"
    assert [(one["version"], one["lacking"]) for one in answer["not_in_force"]] == [("two", "not_accepted")]
    assert "No acceptance of it is on record." in answer["words"][0]
    await api.post(f"{KUMO}/people/ann/acceptances", {"policy": "privacy", "version": "two"})
    answer = await api.get(f"{KUMO}/people/ann/in-force?policy=privacy")
    assert (answer["version"], answer["basis"], answer["kind"], answer["grade"]) == ("two", "accepted", "explicit", "A")
    before = await api.get(f"{KUMO}/people/ann/in-force?policy=privacy&on=2019-01-01T00:00:00Z")
    assert (before["version"], before["text"]) == (None, None)
    assert (await api.ask("GET", f"{KUMO}/people/ann/in-force?policy=terms"))[0] == 404


async def test_a_campaign_s_figures_come_as_csv_and_stand_on_its_page_with_grades_in_words(
    api: Api, client: Client, service: Service, site: Site, token: Callable[..., Awaitable[str]]
) -> None:
    now = service.clock.now()
    campaign_id = await scene.play(service.db, site, now, people=40)
    await scene.begin(service.db, campaign_id, "kumo", now)
    await scene.tell(service.db, campaign_id, now)
    report = await api.get(f"{KUMO}/campaigns/{campaign_id}")
    assert sum(sum(ends.values()) for ends in report["by_preset"].values()) == report["told"]
    assert sum(report["grades"].values()) == sum(report["accepted"].values())
    status, figures = await api.ask("GET", f"{KUMO}/campaigns/{campaign_id}?format=csv")
    assert (status, figures.splitlines()[0]) == (200, "part,name,count")
    assert f"population,,{report['population']}" in figures.splitlines()
    await sign_in(client, await token("read"))
    page = await read(client, f"/console/campaigns/{campaign_id}?lang=ja")
    for grade, count in report["grades"].items():
        assert (f"{grade}（" in page) == bool(count)
    assert await read(client, f"/console/campaigns/{campaign_id}/figures.csv") == figures


async def test_the_person_s_page_links_the_text_that_was_in_force_on_a_day(
    client: Client, service: Service, site: Site, token: Callable[..., Awaitable[str]]
) -> None:
    await scene.play(service.db, site, service.clock.now(), people=5)
    (row,) = await service.db.many(dict, "people.person", **await _anybody(service))
    await sign_in(client, await token("read"))
    page = await read(client, f"/console/people?site=kumo&id={row['external_id']}&lang=en")
    assert 'href="/p/kumo/privacy/' in page
    assert "was in force for them" in page
    early = await read(client, f"/console/people?site=kumo&id={row['external_id']}&on=1999-01-01&lang=en")
    assert "no version of" in early
    assert 'value="1999-01-01"' in early
    assert "was in force for them" in await read(
        client, f"/console/people?site=kumo&id={row['external_id']}&on=nonsense&lang=en"
    )


async def test_the_person_s_page_says_of_each_version_whether_they_were_validly_told_before_a_day(
    db: Db, keys: Keys
) -> None:
    site = a_site(rule={"preset": "us-contract"})
    async with open_town(db, keys, site) as town:
        await town.person("ann")
        await town.tell("two")
        await town.work()
        await town.pass_time(3 * DAY)
        told_on = town.clock.now()
        await town.bounce("ann", "accepted_by_recipient", None)
        await town.pass_time(3 * DAY)
        client = town.api.client
        await sign_in(client, await create_token(db, None, "reader", ["read"], town.clock.now()))

        async def page(day: datetime, language: str) -> str:
            on = day.astimezone(ZoneInfo(site.time_zone)).date()
            wish = {"Accept-Language": language}
            return await read(client, f"/console/people?site=kumo&id=ann&on={on}", **wish)

        early, late = await page(told_on - DAY, "en"), await page(told_on + DAY, "en")
        assert "they had not been validly told of version two" in early, "our relay's word is too little"
        assert "they had been validly told of version two" in late
        assert "有効に通知済みでした" in await page(told_on + DAY, "ja")
        assert "有効な通知はありませんでした" in await page(told_on - DAY, "ja")
        assert "By then no campaign had considered this person" in await page(told_on - 40 * DAY, "en")


async def _anybody(service: Service) -> dict[str, Any]:
    async with service.db.connection() as connection:
        row = await connection.fetchrow(
            "SELECT lane, external_id FROM person WHERE external_id ~ '^[a-z0-9-]+$' LIMIT 1"
        )
    return {"lane": row["lane"], "site": "kumo", "external_id": row["external_id"], "pseudonym": ""}
