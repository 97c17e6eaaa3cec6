"""Public pages are kept ready-made, and never out of date; nobody needs a token for them."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from notifier.compose import Service
from notifier.policies.publish import publish
from notifier.sites.apply import apply
from notifier.sites.site import Site
from notifier.web.public import texts
from notifier.web.public.ready import READY, Mark, Ready
from tests.sites import a_site
from tests.web.asking import Client
from tests.web.scene import submission

PAGE = "/p/kumo/privacy/2025-11/en"


@pytest.fixture(autouse=True)
async def published(service: Service, site: Site) -> None:
    """One version, long in effect."""
    at = service.clock.now() - timedelta(days=31)
    await publish(service.db, site, submission("2025-11", effective_at=at.isoformat()), "command", at)


async def get(client: Client, path: str, **headers: str) -> tuple[int, str, Any]:
    """Status, text and headers of an answer to somebody without token or cookie."""
    async with client.get(path, headers=headers) as answer:
        return answer.status, await answer.text(), answer.headers


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The templates that were filled in."""
    filled: list[str] = []
    page = texts.page

    def counted(request: web.Request, template: str, *given: Any, **more: Any) -> web.Response:
        filled.append(template)
        return page(request, template, *given, **more)

    monkeypatch.setattr(texts, "page", counted)
    return filled


PAGES = ["/p/kumo", "/p/kumo/privacy", "/p/kumo/privacy/versions", PAGE]


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_made_once_and_is_then_the_same(client: Client, made: list[str], path: str) -> None:
    first, *others = [await get(client, path) for _ in range(3)]
    assert first[0] == 200
    assert {other[1] for other in others} == {first[1]}
    assert len(made) == 1
    assert first[2]["Cache-Control"] == "public, max-age=300"
    for name, value in (("If-None-Match", first[2]["ETag"]), ("If-Modified-Since", first[2]["Last-Modified"])):
        status, body, headers = await get(client, path, **{name: value})
        assert (status, body) == (304, "")
        assert headers["ETag"] == first[2]["ETag"]
    assert (await get(client, path, **{"If-None-Match": '"x"', "If-Modified-Since": first[2]["Last-Modified"]}))[
        0
    ] == 200


async def test_those_who_ask_at_once_wait_for_one_page(client: Client, made: list[str]) -> None:
    answers = await asyncio.gather(*(get(client, PAGE) for _ in range(8)))
    assert {answer[0] for answer in answers} == {200}
    assert len(made) == 1


async def test_what_is_published_or_applied_shows_in_the_next_answer(
    client: Client, service: Service, site: Site
) -> None:
    assert "2026-03" not in (await get(client, PAGE))[1]
    now = service.clock.now()
    coming = now + timedelta(days=40)
    await publish(service.db, site, submission("2026-03", effective_at=coming.isoformat()), "command", now)
    status, page, _ = await get(client, PAGE)
    assert "/p/kumo/privacy/2026-03/en" in page
    assert "/p/kumo/privacy/2026-03" in (await get(client, "/p/kumo/privacy/versions"))[1]
    assert "2026-03" in (await get(client, "/p/kumo"))[1]
    await apply(service.db, a_site(names={"en": "Kumo & Sons", "ja": "くも"}), now)
    assert "Kumo &amp; Sons" in (await get(client, PAGE))[1]
    assert status == 200


async def test_a_version_is_in_force_from_its_moment_on(client: Client, service: Service, site: Site) -> None:
    now = service.clock.now()
    coming = now + timedelta(days=40)
    await publish(service.db, site, submission("2026-03", effective_at=coming.isoformat()), "command", now)
    assert "2025-11" in (await get(client, "/p/kumo/privacy"))[1].partition("</title>")[0]
    service.clock.reach(timedelta(days=41))  # type: ignore[attr-defined]
    assert "2026-03" in (await get(client, "/p/kumo/privacy"))[1].partition("</title>")[0]


@pytest.mark.parametrize("path", ["/p/kumo/privacy", "/p/kumo/privacy/versions", "/p/kumo"])
async def test_everybody_gets_their_own_language(client: Client, path: str) -> None:
    for _ in range(2):
        for language in ("en", "ja", "en-GB, ja;q=0.5", "de, ja;q=0.5"):
            _, page, headers = await get(client, path, **{"Accept-Language": language})
            assert ('<html lang="ja">' in page) == (language in ("ja", "de, ja;q=0.5"))
            assert headers["Vary"] == "Accept-Language, Cookie"


async def test_the_bytes_and_the_hash_of_a_version_never_change(client: Client, service: Service, site: Site) -> None:
    before = await get(client, PAGE + "/raw")
    now = service.clock.now()
    await publish(service.db, site, submission("2026-03"), "command", now)
    await apply(service.db, a_site(names={"en": "Kumo & Sons", "ja": "くも"}), now)
    after = await get(client, PAGE + "/raw")
    assert (before[1], before[2]["ETag"], before[2]["Last-Modified"]) == (
        after[1], after[2]["ETag"], after[2]["Last-Modified"],
    )  # fmt: skip
    assert after[2]["ETag"].strip('"') == hashlib.sha256(after[1].encode()).hexdigest()
    assert "immutable" in after[2]["Cache-Control"]
    assert (await get(client, PAGE + "/raw", **{"If-Modified-Since": after[2]["Last-Modified"]}))[0] == 304


async def test_what_is_not_there_is_not_found_and_nothing_of_it_is_kept(client: Client) -> None:
    ready = client.server.app[READY]  # type: ignore[attr-defined]
    for path in ("/p/nobody", "/p/kumo/terms", "/p/kumo/privacy/9/en", "/p/kumo/privacy/2025-11/de", "/p/k%00"):
        assert (await get(client, path))[0] == 404
    assert (await get(client, PAGE + "?x=1"))[0] == 200
    assert ready.size == 0


async def test_no_more_is_kept_than_fits_and_what_was_asked_for_last_stays(service: Service) -> None:
    ready = Ready(service, most=50_000)
    mark = Mark("kumo", b"", 1, 1, 1, ["en"], service.clock.now())

    class _Asked:
        headers: dict[str, str] = {}  # noqa: RUF012 - of a request that says nothing
        if_modified_since = None

    makes: list[int] = []

    async def answer(number: int) -> None:
        async def make(_: Any) -> web.Response:
            makes.append(number)
            return web.Response(body=bytes(10_000))

        await ready.answer(_Asked(), number, mark, make)  # type: ignore[arg-type]

    for number in (1, 2, 3, 4, 1, 5, 1):
        await answer(number)
        assert ready.size <= 50_000
    assert makes == [1, 2, 3, 4, 5]
    await answer(2)
    assert makes[-1] == 2
