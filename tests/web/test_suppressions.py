"""Addresses that are not written to: seen with whose they are, put there and lifted, and never named outside a body."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from notifier.channels.channel import Feedback
from notifier.compose import Service
from notifier.outcomes.hear import hear
from notifier.sites.site import Site
from tests.flow.story import POSTED, begin
from tests.web.asking import Api

LIST = "/v1/sites/kumo/suppressions"


@pytest.fixture(autouse=True)
async def people(api: Api) -> None:
    """Two people share an address, one has another."""
    for name, address in (("aoi", "home@people.example"), ("mia", "home@people.example"), ("=ken", "ken@a.example")):
        body = {"email": address, "registered_at": "2024-01-01T00:00:00Z"}
        status, _ = await api.ask("PUT", f"/v1/sites/kumo/people/{name}", body)
        assert status == 200


async def listed(api: Api) -> list[tuple[str, list[str]]]:
    found = await api.get(LIST)
    return sorted((row["reason"], row["external_ids"]) for row in found["suppressions"])


async def audit(service: Service) -> list[tuple[Any, ...]]:
    async with service.db.connection() as connection:
        rows = await connection.fetch("SELECT action, actor, reason FROM suppression_event ORDER BY at, action")
    return [tuple(row) for row in rows]


async def test_an_address_is_put_there_and_lifted_by_name(api: Api, service: Service) -> None:
    assert await listed(api) == []
    await api.post(LIST, {"address": "Home@People.example", "reason": "asked by phone"}, expect=204)
    assert await listed(api) == [("asked by phone", ["aoi", "mia"])]
    await api.post(f"{LIST}/lift", {"address": "home@people.example", "reason": "asked again"}, expect=204)
    assert await listed(api) == []
    status, problem = await api.ask("POST", f"{LIST}/lift", {"address": "home@people.example"})
    assert (status, "nothing was changed" in problem["detail"]) == (404, True)
    assert await audit(service) == [("added", "tester", "asked by phone"), ("lifted", "tester", "asked again")]


async def test_an_address_is_the_same_with_its_domain_in_either_form(api: Api) -> None:
    person = {"email": "aoi@bücher.example", "registered_at": "2024-01-01T00:00:00Z"}
    await api.ask("PUT", "/v1/sites/kumo/people/aoi", person)
    await api.post(LIST, {"address": "aoi@XN--bcher-kva.example", "reason": "asked by phone"}, expect=204)
    assert await listed(api) == [("asked by phone", ["aoi"])]
    await api.post(f"{LIST}/lift", {"address": "Aoi@Bücher.example"}, expect=204)
    assert await listed(api) == []


async def test_the_address_itself_lies_nowhere(api: Api, service: Service) -> None:
    await api.post(LIST, {"address": "gone@elsewhere.example"}, expect=204)
    page = await api.get(LIST)
    assert page["suppressions"][0]["external_ids"] == []
    assert "elsewhere" not in str(page)
    async with service.db.connection() as connection:
        rows = await connection.fetch(
            "SELECT s::text FROM suppression s UNION ALL SELECT e::text FROM suppression_event e"
        )
    assert [row for row in rows if "elsewhere" in row[0]] == []


async def test_whoever_moved_is_not_held_by_their_old_address(api: Api) -> None:
    await api.post(LIST, {"address": "home@people.example"}, expect=204)
    moved = {"email": "new@people.example", "registered_at": "2024-01-01T00:00:00Z"}
    await api.ask("PUT", "/v1/sites/kumo/people/mia", moved)
    assert await listed(api) == [("by request", ["aoi"])]


async def test_an_end_that_came_ends_it_and_a_past_one_is_refused(api: Api, service: Service, clock: Any) -> None:
    until = (service.clock.now() + timedelta(days=1)).isoformat()
    await api.post(LIST, {"address": "home@people.example", "until": until}, expect=204)
    assert len(await listed(api)) == 1
    clock.move(timedelta(days=2))
    assert await listed(api) == []
    status, problem = await api.ask("POST", LIST, {"address": "home@people.example", "until": until})
    assert (status, problem["errors"][0]["pointer"]) == (422, "/until")


async def test_a_report_puts_an_address_there_and_a_second_report_does_not_undo_the_lifting(
    api: Api, service: Service, site: Site
) -> None:
    story = await begin(service.db, site="kumo")
    async with service.db.connection() as connection:
        lane, person_id = await connection.fetchrow("SELECT lane, person_id FROM person WHERE external_id = '=ken'")
        await connection.execute(
            "INSERT INTO outcome VALUES ($1, $2, $3, 'email', 1, 'accepted_by_relay', $4, NULL, '', '', $4, NULL,"
            " 'ken@a.example', 'x')",
            lane, person_id, story.campaign_id, POSTED,
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO notice VALUES ($1, $2, $3, 'in_scope', 2)", lane, person_id, story.campaign_id
        )
    bounce = Feedback(story.campaign_id, lane, person_id, "email", 1, "bounced", "bad_address", "550 gone", "mx", None)
    assert await hear(service.db, [bounce], service.clock.now()) == 1
    assert await listed(api) == [("bad_address", ["=ken"])]
    await api.post(f"{LIST}/lift", {"address": "ken@a.example"}, expect=204)
    assert await hear(service.db, [bounce], service.clock.now()) == 0
    assert await listed(api) == []
    assert [row[:2] for row in await audit(service)] == [("added", "a report"), ("lifted", "tester")]


async def test_it_is_read_page_by_page(api: Api) -> None:
    for number in range(5):
        await api.post(LIST, {"address": f"a{number}@a.example", "reason": f"{number}"}, expect=204)
    seen: list[str] = []
    cursor = ""
    while True:
        page = await api.get(f"{LIST}?limit=2{cursor}")
        seen += [row["reason"] for row in page["suppressions"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert sorted(seen) == list("01234")
    assert (await api.ask("GET", f"{LIST}?cursor=xyz"))[0] == 422


async def test_all_of_it_is_a_table_for_a_spreadsheet(api: Api) -> None:
    await api.post(LIST, {"address": "ken@a.example", "reason": "=1+1"}, expect=204)
    status, text = await api.ask("GET", f"{LIST}?format=csv")
    head, line = text.splitlines()
    assert (status, head) == (200, "external_id,reason,since,until,actor")
    external_id, reason, since, until, actor = line.split(",")
    assert (external_id, reason, until, actor) == ("'=ken", "'=1+1", "", "tester")
    assert datetime.fromisoformat(since).tzinfo is not None


@pytest.mark.parametrize(
    "body",
    [
        {}, {"address": "nobody"}, {"address": "a@b.example", "reason": "two\nlines"}, {"address": "a@b.example\0"},
        {"address": "a@b.example", "until": "2026-01-01"}, {"address": "a@b.example", "more": 1},
    ],
)  # fmt: skip
async def test_what_does_not_fit_is_refused_and_nothing_is_kept(api: Api, body: Any) -> None:
    assert (await api.ask("POST", LIST, body))[0] == 422
    assert await listed(api) == []


async def test_each_route_wants_its_scope_and_its_site(
    client: TestClient[Any, Any], market: Site, token: Callable[..., Awaitable[str]]
) -> None:
    reader, writer = Api(client, await token("read", site="kumo")), Api(client, await token("people", site="kumo"))
    body = {"address": "home@people.example"}
    assert (await reader.ask("POST", LIST, body))[0] == 403
    assert (await writer.ask("POST", LIST, body))[0] == 204
    assert (await writer.ask("GET", LIST))[0] == 403
    assert (await reader.ask("POST", f"{LIST}/lift", body))[0] == 403
    for method, path in (("GET", ""), ("POST", ""), ("POST", "/lift")):
        assert (await writer.ask(method, f"/v1/sites/hata/suppressions{path}", body))[0] == 404
