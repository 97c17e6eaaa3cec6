"""The public comparison of two versions over HTTP: a page, JSON, and the form that chooses."""

from datetime import timedelta

import pytest

from notifier.compose import Service
from notifier.policies.publish import publish
from notifier.policies.version import Submission
from notifier.sites.site import Site
from tests.web import scene
from tests.web.asking import Client

SINCE = "/p/kumo/privacy/2026-03/en/since/2025-11"


@pytest.fixture
async def versions(service: Service, site: Site) -> None:
    """Two versions in two languages, and a third in English only whose text is hostile."""
    now = service.clock.now()
    await scene.play(service.db, site, now, people=1)
    evil = {"en": {"body": scene.HOSTILE_TEXT}}
    given = Submission.model_validate({"policy": "privacy", "label": "evil", "texts": evil})
    await publish(service.db, site, given, "command", now + timedelta(seconds=1))


async def read(client: Client, path: str, status: int = 200, **headers: str) -> str:
    async with client.get(path, headers=headers) as answer:
        assert answer.status == status, await answer.text()
        return await answer.text()


@pytest.mark.usefixtures("versions")
async def test_the_page_marks_the_words_that_went_and_came_and_says_so_to_those_who_hear_it(client: Client) -> None:
    page = await read(client, SINCE)
    assert '<del><span class="unseen">removed: </span>five' in page
    assert '<ins><span class="unseen">added: </span>two' in page
    assert "2 sections changed: words that came: 6, that went: 1." in page
    assert "What we use it for" not in page
    japanese = await read(client, SINCE.replace("/en/", "/ja/"))
    assert '<html lang="ja">' in japanese
    assert '<span class="unseen">削除： </span>5' in japanese
    assert "（梱包を担う会社も同様です）" in japanese


@pytest.mark.usefixtures("versions")
async def test_the_same_is_told_as_json(client: Client) -> None:
    async with client.get(f"{SINCE}/json") as answer:
        found = await answer.json()
    assert (found["old"], found["new"], found["locale"], found["meaning_changed"]) == ("2025-11", "2026-03", "en", True)
    assert {s["section"]: s["change"] for s in found["sections"]} == {
        "Privacy Policy": "same", "What we collect": "same", "What we use it for": "same",
        "How long we keep it": "edited", "Who else sees it": "edited", "How to reach us": "same",
    }  # fmt: skip
    assert {"op": "removed", "text": "five"} in found["sections"][3]["clauses"][0]["pieces"]


@pytest.mark.usefixtures("versions")
async def test_the_newer_can_be_compared_with_the_older_and_the_older_with_the_newer(client: Client) -> None:
    back = await read(client, "/p/kumo/privacy/2025-11/en/since/2026-03")
    assert "removed: </span>two" in back
    same = await read(client, "/p/kumo/privacy/2026-03/en/since/2026-03")
    assert "Nothing changed in what it says." in same


@pytest.mark.usefixtures("versions")
async def test_a_comparison_may_be_cached_and_is_asked_for_again_by_its_tag(client: Client) -> None:
    for path in (SINCE, f"{SINCE}/json"):
        async with client.get(path) as answer:
            assert answer.headers["Cache-Control"] == "public, max-age=300"
            tag = answer.headers["ETag"]
        await read(client, path, 304, **{"If-None-Match": tag})


@pytest.mark.usefixtures("versions")
async def test_what_is_not_there_is_not_found(client: Client) -> None:
    await read(client, "/p/kumo/privacy/2026-03/en/since/1999", 404)
    await read(client, "/p/kumo/privacy/2026-03/de/since/2025-11", 404)
    await read(client, "/p/kumo/privacy/evil/ja/since/2026-03", 404)
    await read(client, "/p/kumo/nothing/2026-03/en/since/2025-11", 404)
    await read(client, "/p/kumo/privacy/compare?old=2025-11", 404)


@pytest.mark.usefixtures("versions")
async def test_a_hostile_text_stays_text_in_a_comparison(client: Client) -> None:
    page = await read(client, "/p/kumo/privacy/evil/en/since/2026-03")
    assert "<script>" not in page
    assert "onerror" not in page
    assert 'href="javascript' not in page
    assert "{{ 7 * 7 }}" in page


@pytest.mark.usefixtures("versions")
async def test_the_history_and_the_version_lead_to_the_comparison_and_the_form_to_any_two(client: Client) -> None:
    history = await read(client, "/p/kumo/privacy/versions")
    assert f'href="{SINCE}"' in history
    assert 'href="/p/kumo/privacy/evil/en/since/2026-03"' in history
    assert 'href="/p/kumo/privacy/evil/ja/since/2026-03"' not in history
    assert f'href="{SINCE}"' in await read(client, "/p/kumo/privacy/2026-03/en")
    async with client.get("/p/kumo/privacy/compare?old=2025-11&new=2026-03&locale=en") as answer:
        assert (answer.status, answer.url.path) == (200, SINCE)
