"""A correction by API, from the terminal and on the console: planned in every language, approved like any campaign."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier.campaigns.steer import steer
from notifier.cli import campaigns as commands
from notifier.compose import Service
from notifier.sites.site import Site
from tests.web import scene
from tests.web.asking import Api, Client

WORDS = {"en": "We wrote *five*. It is **two**.", "ja": "「5年」は誤りで、正しくは「2年」です。"}
Token = Callable[..., Awaitable[str]]
OURS = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def told(service: Service, site: Site) -> int:
    """A campaign that reached some of its people and is being sent."""
    number = await scene.play(service.db, site, service.clock.now(), people=40)
    await scene.begin(service.db, number, "kumo", service.clock.now())
    await scene.tell(service.db, number, service.clock.now())
    return number


def body_of(number: int) -> str:
    return f"/v1/sites/kumo/campaigns/{number}/correction"


async def test_a_correction_is_a_campaign_of_its_own_for_those_who_were_reached(
    api: Api, told: int, service: Service
) -> None:
    status, problem = await api.ask("POST", body_of(told), {"words": WORDS})
    assert (status, problem["detail"]) == (
        409,
        f"campaign {told} is sending; pause it first, then correct what it said",
    )
    await api.post(f"/v1/sites/kumo/campaigns/{told}/pause")
    made = await api.post(body_of(told), {"words": WORDS, "reason": "five was wrong"}, 201)
    assert (made["corrects"], made["state"], made["steps"]) == (told, "planned", ["approve", "cancel"])
    assert (await api.post(body_of(told), {"words": WORDS}, 201))["campaign_id"] == made["campaign_id"]
    reached = (await api.get(f"/v1/sites/kumo/campaigns/{told}"))["told"]
    correction = f"/v1/sites/kumo/campaigns/{made['campaign_id']}"
    found = await api.get(correction + "/preview")
    assert found["audience"] is None
    counts = found["counts"]
    assert {c["value"]: c["count"] for c in counts if c["dimension"] == "reason"} == {
        "in_scope": reached,
        "not_reached": 40 - reached,
    }
    await api.post(correction + "/approve")
    await scene.freeze(service.db, service.clock.now())
    report = await api.get(correction)
    assert (report["in_scope"], report["excluded"], report["adds_up"]) == (reached, {"not_reached": 40 - reached}, True)
    rows = (await api.get(correction + "/notices?reason=not_reached"))["notices"]
    assert len(rows) == 40 - reached
    version = next(c for c in (await api.get("/v1/sites/kumo/campaigns"))["campaigns"] if c["corrects"] is None)
    assert version["campaign_id"] == told
    detail = await api.get(f"/v1/sites/kumo/versions/{version['version_id']}")
    assert detail["campaign"].endswith(f"/campaigns/{told}")


@pytest.mark.parametrize("words", [{}, {"en": "right"}, {**WORDS, "de": "richtig"}, {**WORDS, "ja": "\x00"}, {"en": 7}])
async def test_words_that_do_not_do_are_refused_and_nothing_is_planned(api: Api, told: int, words: Any) -> None:
    await api.post(f"/v1/sites/kumo/campaigns/{told}/pause")
    status, problem = await api.ask("POST", body_of(told), {"words": words})
    assert status == 422
    assert all(fault["pointer"].startswith("/words") for fault in problem["errors"])
    assert len((await api.get("/v1/sites/kumo/campaigns"))["campaigns"]) == 1


async def test_it_is_planned_on_the_console_and_both_campaigns_show_it(
    client: Client, token: Token, told: int, service: Service
) -> None:
    async with client.post("/console/login", data={"token": await token()}, headers=OURS) as answer:
        assert answer.status == 200
    form = f"/console/campaigns/{told}/correction"
    async with client.get(form) as answer:
        assert answer.status == 409
    await steer(service.db, "kumo", told, "pause", "test", "", service.clock.now())
    async with client.get(form) as answer:
        assert 'name="words.ja"' in await answer.text()
    async with client.post(form, data={"words.en": "<b>right</b>", "words.ja": ""}, headers=OURS) as answer:
        assert answer.status == 422
        assert "&lt;b&gt;right" in await answer.text(), "what was written is not lost"
    given = {f"words.{locale}": words for locale, words in WORDS.items()}
    async with client.post(form, data=given, headers=OURS) as answer:
        page = await answer.text()
        assert "Privacy Policy 2026-03: correction" in page
        assert "<strong>two</strong>" in page
        number = int(str(answer.url).rpartition("/")[2])
    async with client.get(f"/console/campaigns/{told}") as answer:
        assert f"/console/campaigns/{number}" in await answer.text()
    async with client.get("/console") as answer:
        assert "Privacy Policy 2026-03: correction" in await answer.text()


async def test_reading_does_not_suffice_to_correct(client: Client, token: Token, told: int) -> None:
    reader = Api(client, await token("read"))
    assert (await reader.ask("POST", body_of(told), {"words": WORDS}))[0] == 403


async def test_a_persons_page_says_once_what_was_corrected(
    client: Client, token: Token, told: int, service: Service, api: Api
) -> None:
    now = service.clock.now()
    await api.post(f"/v1/sites/kumo/campaigns/{told}/pause")
    made = (await api.post(body_of(told), {"words": WORDS}, 201))["campaign_id"]
    await api.post(f"/v1/sites/kumo/campaigns/{made}/approve")
    await scene.freeze(service.db, now)
    await scene.tell(service.db, made, now + timedelta(hours=1), share=1)
    (who, *_) = (await api.get(f"/v1/sites/kumo/campaigns/{made}/notices?status=told"))["notices"]
    async with client.post("/console/login", data={"token": await token()}, headers=OURS) as answer:
        assert answer.status == 200
    async with client.get("/console/people", params={"site": "kumo", "id": who["external_id"]}) as answer:
        page = await answer.text()
    assert page.count("What it said was corrected") == 1
    assert "2026-03 · Correction" in page


async def test_the_terminal_plans_one_from_files(
    api: Api, told: int, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    await api.post(f"/v1/sites/kumo/campaigns/{told}/pause")
    monkeypatch.setenv("NOTIFIER_TOKEN", api.headers["Authorization"].partition(" ")[2])
    for locale, words in WORDS.items():
        (tmp_path / f"{locale}.md").write_text(words, "utf-8")
    files = [f"{locale}={tmp_path / locale}.md" for locale in WORDS]
    await commands.correct("kumo", told, words=files, url=str(client.make_url("/")))
    said = " ".join(capsys.readouterr().out.split())
    assert f"corrects campaign {told}; it is planned" in said
    assert "notifier campaigns approve kumo" in said
