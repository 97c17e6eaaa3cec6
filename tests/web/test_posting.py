"""Posting over HTTP: how it stands with the pages, what was seen, our own page as the one that must show a text."""

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from notifier.compose import Service
from notifier.policies.posting import look_at_postings
from notifier.policies.publish import publish
from notifier.sites.apply import apply
from notifier.sites.site import Site
from tests.flow.far_pages import Pages, far_pages
from tests.sites import KUMO, a_site
from tests.web.asking import Api, Client
from tests.web.scene import submission
from tests.web.test_pages_answers import OURS

BASE = "/v1/sites/kumo"


def site_with(**urls: Any) -> Site:
    """Kumo, whose texts must be seen on these pages."""
    return a_site(policies={"privacy": KUMO["policies"]["privacy"] | {"posted_at_url": urls}})


@pytest.fixture
async def pages(service: Service, client: Client) -> AsyncIterator[Pages]:
    """A page in English that shows something else; in Japanese our own page must show the text."""
    async with far_pages() as pages:
        described = site_with(en=f"{pages.url}/privacy", ja="hosted")
        now = service.clock.now()
        await apply(service.db, described, now)
        await publish(service.db, described, submission("2025-11"), "command", now)
        pages.page("<h1>Privacy</h1>" + "<p>Nothing of what was published stands here, but something else.</p>" * 9)
        for times in range(3):
            at = now + timedelta(minutes=20 * times)
            await look_at_postings(service.db, ("127.0.0.1",), str(client.make_url("/")), at)
        yield pages


async def signed_in(client: Client, api: Api) -> None:
    """Log in to the console."""
    token = api.headers["Authorization"].removeprefix("Bearer ")
    await client.post("/console/login", data={"token": token}, headers=OURS)


async def test_our_own_page_shows_exactly_what_was_published_and_the_sites_page_does_not(
    api: Api, client: Client, pages: Pages
) -> None:
    english, japanese = (await api.get(f"{BASE}/posting"))["pages"]
    assert (japanese["verdict"], japanese["alarm"], japanese["label"]) == ("shown", None, "2025-11")
    assert japanese["posted_at"] is not None
    assert (english["posted_at"], english["alarm"]) == (None, "missing")
    assert (english["verdict"], english["odd"]) == ("doubtful", 3)
    looks = (await api.get(f"{BASE}/posting/privacy/en/looks?limit=2"))["looks"]
    assert [(look["verdict"], look["shows"]) for look in looks] == [("doubtful", None)] * 2
    assert looks[0]["sha256"] == hashlib.sha256(pages.bodies["/privacy"]).hexdigest()
    answer = await client.get(f"{BASE}/looks/{looks[0]['look_id']}", headers=api.headers)
    assert await answer.read() == pages.bodies["/privacy"]
    assert answer.headers["Content-Disposition"].startswith("attachment")


async def test_a_look_can_be_asked_for_and_what_is_not_there_is_not_found(
    api: Api, service: Service, pages: Pages
) -> None:
    await api.post(f"{BASE}/posting/privacy/en/look", expect=204)
    before = len(pages.asked)
    await look_at_postings(service.db, ("127.0.0.1",), "https://notices.example", service.clock.now())
    assert len(pages.asked) == before + 1
    for method, path in (("POST", "posting/terms/en/look"), ("POST", "posting/privacy/de/look"), ("GET", "looks/999")):
        assert (await api.ask(method, f"{BASE}/{path}"))[0] == 404


@pytest.mark.parametrize(
    ("language", "banner", "reason"),
    [
        ("en", "kumo: the page of privacy (English) does not show version 2025-11", "hardly a word of it is the same"),
        ("ja", "kumo：privacy（英語）のページに版 2025-11 が表示されていません", "同じ語がほとんどありません"),
    ],
)
async def test_the_console_says_so_on_every_page_and_the_figures_do(
    api: Api, client: Client, pages: Pages, language: str, banner: str, reason: str
) -> None:
    await signed_in(client, api)
    for path in ("/console", "/console/people", "/console/sites/kumo/policies/privacy"):
        page = await (await client.get(path, headers={"Accept-Language": language})).text()
        assert banner in page
        assert reason in page
    assert ("Where this text must be posted" if language == "en" else "この文書の掲載先") in page
    figures = await (await client.get("/metrics", headers=api.headers)).text()
    assert 'notifier_posting_alarms{alarm="missing",locale="en",policy="privacy",site="kumo"} 1.0' in figures
