"""Private messages and what compliance asks, over HTTP, on a campaign that was really frozen."""

import asyncio
import csv
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from pydantic import ValidationError

from notifier.campaigns.announce import freeze_next
from notifier.compose import Service
from notifier.delivery.settle import Tried, add_outcomes
from notifier.people.roster import get_person
from notifier.sites.apply import apply
from notifier.sites.site import Site
from notifier.web.app import build_app
from tests.sites import a_site
from tests.web.asking import Api, Client, ndjson, submission

Send = Callable[..., Awaitable[tuple[int, Any]]]
HATA = "/v1/sites/hata"
LONG_AGO = "2020-01-01T00:00:00Z"


@pytest.fixture
async def campaign(service: Service, api: Api, send_version: Send, market: Site) -> int:
    """An open campaign of the market: u1 and =u4 get private messages, u2 wants email only, u3 left."""
    people = [
        {"external_id": "u1", "email": "u1@example.jp", "locale": "ja", "registered_at": LONG_AGO},
        {"external_id": "u2", "email": "u2@example.jp", "channels": ["email"], "registered_at": LONG_AGO},
        {"external_id": "u3", "status": "closed", "registered_at": LONG_AGO},
        {"external_id": "=u4", "registered_at": LONG_AGO, "time_zone": "America/New_York"},
    ]
    await api.post(f"{HATA}/people", ndjson(*people))
    assert (await send_version("hata", submission("1")))[0] == 202
    status, answer = await send_version("hata", submission("2", "And <b>your</b> {{ name }}."), "msg_2")
    assert status == 202
    number = int(answer["campaign"].rpartition("/")[2])
    await api.post(f"{HATA}/campaigns/{number}/approve")
    assert await freeze_next(service.db, 100, service.clock.now()) == 1
    return number


@pytest.fixture
def inbox_of(api: Api, client: Client) -> Callable[[str], Awaitable[Api]]:
    """Asks as a person: ``await inbox_of("u1")``."""

    async def ask_as(external_id: str) -> Api:
        minted = await api.post(f"{HATA}/people/{external_id}/tokens")
        return Api(client, minted["token"])

    return ask_as


InboxOf = Callable[[str], Awaitable[Api]]


async def test_a_message_is_there_from_the_opening_and_its_words_are_harmless(inbox_of: InboxOf, campaign: int) -> None:
    person = await inbox_of("u1")
    box = await person.get("/v1/inbox")
    assert (box["unread"], [m["campaign_id"] for m in box["messages"]]) == (1, [campaign])
    message = await person.get(f"/v1/inbox/{campaign}")
    assert message["subject"]
    assert message["shown_at"] is None
    assert "{{ name }}" in message["text"]
    assert "<script" not in message["html"]


async def test_only_the_first_showing_counts(inbox_of: InboxOf, campaign: int, api: Api, service: Service) -> None:
    person = await inbox_of("u1")
    shown = await person.post(f"/v1/inbox/{campaign}/shown")
    await api.post("/v1/clock", {"advance_seconds": 60})
    assert (await person.post(f"/v1/inbox/{campaign}/shown"))["shown_at"] == shown["shown_at"]
    acknowledged = await person.post(f"/v1/inbox/{campaign}/acknowledged")
    assert acknowledged["shown_at"] == shown["shown_at"] < acknowledged["acknowledged_at"]
    assert (await person.get("/v1/inbox"))["unread"] == 0
    report = await api.get(f"{HATA}/campaigns/{campaign}")
    assert report["by_channel"]["inbox"]["shown"] == report["by_channel"]["inbox"]["acknowledged"] == 1


async def test_acknowledging_says_that_it_was_shown(inbox_of: InboxOf, campaign: int) -> None:
    acknowledged = await (await inbox_of("u1")).post(f"/v1/inbox/{campaign}/acknowledged")
    assert acknowledged["shown_at"] == acknowledged["acknowledged_at"] is not None


async def test_nobody_reads_what_is_not_theirs(
    inbox_of: InboxOf, campaign: int, client: Client, service: Service
) -> None:
    for external_id in ("u2", "u3"):
        person = await inbox_of(external_id)
        assert (await person.get("/v1/inbox"))["messages"] == []
        for method, path in (("GET", ""), ("POST", "/shown"), ("POST", "/acknowledged")):
            assert (await person.ask(method, f"/v1/inbox/{campaign}{path}"))[0] == 404
    token = (await inbox_of("u1")).headers["Authorization"]
    async with client.get("/v1/inbox", headers={"Authorization": token[:-2] + "xx"}) as answer:
        assert answer.status == 401


async def test_a_message_that_took_the_place_of_a_letter_is_there_too(
    inbox_of: InboxOf, campaign: int, service: Service
) -> None:
    person = await get_person(service.db, service.keys, "hata", "u2")
    placed = Tried(person.lane, person.person_id, 2, 0, "placed", via="inbox")
    await add_outcomes(service.db, campaign, "inbox", [placed], service.clock.now())
    asked = await inbox_of("u2")
    assert (await asked.get("/v1/inbox"))["unread"] == 1
    assert (await asked.post(f"/v1/inbox/{campaign}/shown"))["shown_at"]


async def test_an_erased_person_has_no_messages(inbox_of: InboxOf, campaign: int, api: Api) -> None:
    person = await inbox_of("u1")
    await api.ask("DELETE", f"{HATA}/people/u1")
    assert (await person.get("/v1/inbox"))["messages"] == []


async def test_a_live_stream_says_at_once_what_changed(inbox_of: InboxOf, campaign: int, client: Client) -> None:
    person = await inbox_of("u1")
    async with client.get("/v1/inbox/live", headers=person.headers) as stream:
        assert stream.content_type == "text/event-stream"

        async def next_state() -> Any:
            async for line in stream.content:
                if line.startswith(b"data:"):
                    return json.loads(line[5:])
            raise AssertionError("the stream ended")

        async with asyncio.timeout(10):
            assert await next_state() == {"unread": 1, "newest": campaign}
            await person.post(f"/v1/inbox/{campaign}/shown")
            assert await next_state() == {"unread": 0, "newest": campaign}


async def test_only_pages_of_origins_that_the_site_names_may_ask(
    client: Client, service: Service, market: Site, api: Api, inbox_of: InboxOf, campaign: int
) -> None:
    async def allowed(method: str, path: str, origin: str, person: Api | None = None) -> str | None:
        headers = {"Origin": origin, **(person.headers if person else {})}
        async with client.request(method, path, headers=headers) as answer:
            assert "Origin" in answer.headers["Vary"]
            assert "Access-Control-Allow-Credentials" not in answer.headers
            if method == "OPTIONS":
                assert answer.status == 204
                assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
            return answer.headers.get("Access-Control-Allow-Origin")

    hata, kumo, other = "https://hata.example", "https://kumo.example", "https://other.example"
    u1 = await inbox_of("u1")
    assert await allowed("OPTIONS", "/v1/inbox/7/shown", hata) is None, "nobody named any"
    await apply(service.db, market.model_copy(update={"origins": [hata]}), service.clock.now())
    await apply(service.db, a_site(origins=[kumo]), service.clock.now())
    for origin, preflight, answer in (
        (hata, hata, hata),
        (kumo, kumo, None),
        (other, None, None),
        ("null", None, None),
    ):
        assert await allowed("OPTIONS", "/v1/inbox/7/shown", origin) == preflight
        for path in ("/v1/inbox", "/v1/inbox/pending", "/v1/inbox/999"):
            assert await allowed("GET", path, origin, u1) == answer, (path, origin)
    u1.headers["Authorization"] += "x"
    assert await allowed("GET", "/v1/inbox", hata, u1) == hata, "so that the page can read that its token is too old"
    async with client.options("/v1/sites", headers={"Origin": hata}) as unknown:
        assert "Access-Control-Allow-Origin" not in unknown.headers


@pytest.mark.parametrize(
    "origin", ["hata.example", "https://hata.example/", "https://Hata.example", "*", "null", "https://a b", "ftp://x"]
)
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    with pytest.raises(ValidationError, match="origins"):
        a_site(origins=[origin])


async def test_a_campaigns_counts_add_up(api: Api, campaign: int) -> None:
    report = await api.get(f"{HATA}/campaigns/{campaign}")
    assert report["state"] == "sending"
    assert (report["population"], report["in_scope"], report["excluded"]) == (4, 3, {"closed": 1})
    parts = ("told", "unreachable", "suppressed", "superseded", "pending")
    assert sum(report[part] for part in parts) == report["in_scope"]
    assert (report["adds_up"], report["gaps"]) == (True, [])
    assert (await api.ask("GET", f"/v1/sites/kumo/campaigns/{campaign}"))[0] == 404


async def test_notices_come_page_by_page_each_once(api: Api, campaign: int) -> None:
    path, found, cursor = f"{HATA}/campaigns/{campaign}/notices", [], ""
    while cursor is not None:
        page = await api.get(f"{path}?limit=1" + (f"&cursor={cursor}" if cursor else ""))
        found += [notice["external_id"] for notice in page["notices"]]
        cursor = page["next"]
    assert sorted(found) == ["=u4", "u1", "u2", "u3"]
    closed = await api.get(f"{path}?status=excluded&reason=closed&reason=dormant")
    assert [notice["external_id"] for notice in closed["notices"]] == ["u3"]
    for query in ("limit=0", "limit=1001", "cursor=x", "status=lost", "format=xml", "cursor=%00"):
        assert (await api.ask("GET", f"{path}?{query}"))[0] == 422, query


@pytest.mark.parametrize("how", ["?format=csv", "Accept"])
async def test_notices_come_as_csv_with_formulas_escaped(api: Api, campaign: int, how: str) -> None:
    query, headers = (how, {}) if how.startswith("?") else ("", {"Accept": "text/csv"})
    path = f"{HATA}/campaigns/{campaign}/notices{query}"
    async with api.client.get(path, headers=api.headers | headers) as answer:
        assert answer.content_type == "text/csv"
        assert answer.headers["Cache-Control"] == "no-store"
        rows = list(csv.DictReader(io.StringIO(await answer.text())))
    assert sorted(row["external_id"] for row in rows) == ["'=u4", "u1", "u2", "u3"]


async def test_the_questions_about_one_person_are_answered(api: Api, campaign: int, inbox_of: InboxOf) -> None:
    await (await inbox_of("u1")).post(f"/v1/inbox/{campaign}/shown")
    one = f"{HATA}/people/u1"
    events = (await api.get(f"{one}/timeline"))["events"]
    assert events == sorted(events, key=lambda event: event["at"])
    assert all(event["what"] for event in events)
    (notice,) = (await api.get(f"{one}/notices"))["notices"]
    assert (notice["status"], notice["told_by"]) == ("told", "inbox")
    await api.post(f"{one}/acceptances", {"policy": "privacy", "version": "2", "via": "button"})
    (acceptance,) = (await api.get(f"{one}/acceptances"))["acceptances"]
    assert (acceptance["kind"], acceptance["grade"]) == ("explicit", "A")
    explained = await api.get(f"{one}/explain?policy=privacy&version=2")
    assert explained["status"] == "told"
    assert explained["words"]
    told = await api.get(f"{one}/told?policy=privacy&version=2&before=2100-01-01T00:00:00Z")
    assert (told["told"], told["how"]["channel"]) == (True, "inbox")
    told = await api.get(f"{one}/told?policy=privacy&version=2&before=2020-01-01T00:00:00Z")
    assert told == {"told": False, "how": None}
    version = notice["campaign_id"] and (await api.get(f"{HATA}/versions?policy=privacy"))["versions"][0]["version_id"]
    (row,) = (await api.get(f"{HATA}/versions/{version}/acceptances?grade=A"))["acceptances"]
    assert row["external_id"] == "u1"
    for query in ("", "?policy=privacy", "?policy=privacy&version=2&version=1"):
        assert (await api.ask("GET", f"{one}/explain{query}"))[0] == 422
    assert (await api.ask("GET", f"{one}/explain?policy=privacy&version=9"))[0] == 404
    for question in ("timeline", "notices", "acceptances", "explain?policy=privacy&version=2"):
        assert (await api.ask("GET", f"{HATA}/people/nobody/{question}"))[0] == 404


async def test_an_open_stream_does_not_hold_up_the_end_of_the_server(
    inbox_of: InboxOf, campaign: int, service: Service
) -> None:
    headers = (await inbox_of("u1")).headers
    server = TestServer(build_app(service))
    async with TestClient(server) as other, asyncio.timeout(20):
        stream = await other.get("/v1/inbox/live", headers=headers)
        await stream.content.readline()
        async with asyncio.timeout(3):
            await server.close()
        stream.close()
