"""Sources over HTTP: how it stands with them, what came, and a person's word on what was doubted."""

from collections.abc import AsyncIterator

import pytest

from notifier.compose import Service
from notifier.policies.sources import look_at_sources
from notifier.sites.apply import apply
from tests.flow.far_pages import Pages, far_pages
from tests.sites import a_site
from tests.web.asking import Api, Client
from tests.web.test_pages_answers import OURS

BASE = "/v1/sites/kumo"
CLAUSE = "<p>We keep what you give us for as long as you are with us, and delete it when you leave us for good.</p>"


@pytest.fixture
async def pages(service: Service) -> AsyncIterator[Pages]:
    """A watched page that was seen once."""
    async with far_pages() as pages:
        source = {"policy": "privacy", "locale": "en", "page": f"{pages.url}/privacy"}
        await apply(service.db, a_site(watch={"sources": [source]}), service.clock.now())
        pages.page(CLAUSE * 20)
        await look_at_sources(service.db, ("127.0.0.1",), service.clock.now())
        yield pages


async def look(api: Api, service: Service) -> None:
    """Ask for a look at once, and have a worker do it."""
    await api.post(f"{BASE}/sources/privacy/en/look", expect=204)
    assert await look_at_sources(service.db, ("127.0.0.1",), service.clock.now()) == 1


async def test_a_doubtful_snapshot_is_shown_and_a_person_can_take_it(api: Api, service: Service, pages: Pages) -> None:
    pages.page("<h1>Short now</h1>" + CLAUSE * 4)
    await look(api, service)
    [source] = (await api.get(f"{BASE}/sources"))["sources"]
    assert (source["verdict"], "where it had" in source["reason"]) == ("doubtful", True)
    snapshots = (await api.get(f"{BASE}/sources/privacy/en/snapshots"))["snapshots"]
    assert [one["verdict"] for one in snapshots] == ["doubtful", "first"]
    [before] = (await api.get(f"{BASE}/versions"))["versions"]
    await api.post(f"{BASE}/snapshots/{snapshots[0]['snapshot_id']}/take", expect=204)
    [after] = (await api.get(f"{BASE}/versions"))["versions"]
    assert (after["state"], after["version_id"] != before["version_id"]) == ("pending", True)
    await look(api, service)
    assert (await api.get(f"{BASE}/sources"))["sources"][0]["verdict"] == "same"


async def test_the_bytes_come_back_as_a_download_and_as_nothing_else(api: Api, client: Client, pages: Pages) -> None:
    [snapshot] = (await api.get(f"{BASE}/sources/privacy/en/snapshots"))["snapshots"]
    answer = await client.get(f"{BASE}/snapshots/{snapshot['snapshot_id']}", headers=api.headers)
    assert await answer.read() == pages.bodies["/privacy"]
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.content_type == "application/octet-stream"


async def test_what_is_not_there_is_not_found_and_what_cannot_be_a_text_is_refused(
    api: Api, service: Service, pages: Pages
) -> None:
    for path in ("sources/privacy/ja/look", "sources/terms/en/look", "snapshots/999/take"):
        assert (await api.ask("POST", f"{BASE}/{path}"))[0] == 404
    pages.bodies["/privacy"] = "<main>個人情報".encode("shift_jis")
    await look(api, service)
    [source] = (await api.get(f"{BASE}/sources"))["sources"]
    status, problem = await api.ask("POST", f"{BASE}/snapshots/{source['last_id']}/take")
    assert (status, "encoding" in problem["detail"]) == (409, True)


async def test_the_page_of_the_policy_says_where_it_is_watched(client: Client, api: Api, pages: Pages) -> None:
    await client.post(
        "/console/login", data={"token": api.headers["Authorization"].removeprefix("Bearer ")}, headers=OURS
    )
    for language, words in (("en", "Where this text is watched"), ("ja", "この文書の監視元")):
        answer = await client.get(
            "/console/sites/kumo/policies/privacy",
            headers={"Accept-Language": language, "Cookie": f"language={language}"},
        )
        page = await answer.text()
        assert words in page, page[:2000]
        assert f"{pages.url}/privacy" in page
