"""The console's pages of a draft: edited, previewed, reviewed, scheduled and published by hand."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from notifier.compose import Service
from notifier.policies.override import overrides
from notifier.policies.publish import list_versions
from tests.web.asking import Client, submission
from tests.web.test_pages_answers import OURS, read, sign_in

Token = Callable[..., Awaitable[str]]
Send = Callable[..., Awaitable[Any]]
POLICY = "/console/sites/kumo/policies/privacy"


async def post(client: Client, path: str, data: dict[str, str], expect: int = 200) -> tuple[str, str]:
    """Sends a form; gives back where it led and the page."""
    async with client.post(path, data=data, headers=OURS) as answer:
        text = await answer.text()
        assert answer.status == expect, text
        return answer.url.path, text


async def test_a_draft_all_the_way_by_hand(client: Client, token: Token, service: Service, send_version: Send) -> None:
    body = submission("1")
    body["texts"]["ja"] = {"body": "# プライバシー"}
    await send_version("kumo", body)
    await sign_in(client, await token(name="aya"))
    assert "Begin a draft" in await read(client, POLICY)
    here, page = await post(client, f"{POLICY}/draft", {})
    for missing in ("/label", "/summaries/en", "/summaries/ja"):
        assert missing in page
    _, page = await post(client, f"{here}/save", {"label": "2", "materiality": "material", "summary.en": "A.",
                                                  "summary.ja": "あ。", "flags": "retention"})  # fmt: skip
    assert "Before it can be published" not in page
    assert "What people will read" in page
    [draft] = [v for v in await list_versions(service.db, "kumo") if v.state == "pending"]
    assert (draft.label, draft.flags, draft.authors) == ("2", ["retention"], ["aya"])
    assert 'value="2"' in await read(client, f"{here}/confirm")
    assert "プライバシー" in await read(client, f"{here}/page/ja")
    await post(client, f"{here}/review", {"sha256": "00" * 32}, 409)
    _, page = await post(client, f"{here}/review", {"sha256": draft.sha256.hex()})
    assert "Reviewed by aya on" in page
    _, page = await post(client, f"{here}/schedule", {"publish_at": "2001-01-01T09:00"}, 422)
    assert "lies in the past" in page
    _, page = await post(client, f"{here}/schedule", {"publish_at": "2090-04-01T09:00"})
    assert "Published by itself on" in page
    assert "Scheduled" in await read(client, POLICY)
    await post(client, f"{here}/unschedule", {})
    form = {"label": "2", "materiality": "material", "summary.en": "A.", "summary.ja": "あ。", "flags": "retention"}
    there, _ = await post(client, f"{here}/confirm", form)
    assert there.startswith("/console/campaigns/")
    japanese = await read(client, here, **{"Accept-Language": "ja"})
    assert "公表済み" in japanese
    assert "公表の予定を取り消す" not in japanese


async def test_a_typo_is_mended_from_the_page_and_the_public_history_links_the_two(
    client: Client, token: Token, send_version: Send
) -> None:
    await send_version("kumo", submission("1"))
    await sign_in(client, await token())
    here, page = await post(client, f"{POLICY}/correction", {})
    assert "corrects 1" in page
    await post(client, f"{here}/confirm", {"label": "1a", "materiality": "editorial"})
    history = await read(client, "/p/kumo/privacy/versions")
    assert '<a class="small" href="#v-1">corrects 1</a>' in history
    assert '<a class="small" href="#v-1a">corrected by 1a</a>' in history
    assert "corrects 1" in await read(client, POLICY)


async def test_whoever_reviews_a_draft_reads_on_the_same_page_what_changed(
    client: Client, token: Token, send_version: Send
) -> None:
    old = "# Privacy\n\n| Kind | Kept |\n|---|---|\n| Letters | 5 years |\n"
    await send_version("kumo", {"policy": "privacy", "label": "1", "texts": {"en": {"body": old}}})
    given = {"policy": "privacy", "label": "2", "texts": {"en": {"body": old.replace("5", "9")}}}
    headers = {"Authorization": f"Bearer {await token()}"}
    async with client.post("/v1/sites/kumo/versions", json=given, headers=headers) as answer:
        number = (await answer.json())["version_id"]
    await sign_in(client, await token(name="aya"))
    page = await read(client, f"/console/sites/kumo/versions/{number}")
    assert page.index('<del><span class="unseen">removed: </span>5') < page.index("I reviewed exactly this")
    assert '<th scope="col"><p class="clause is-cell stays">Kept</p>' in re.sub(r"\s*\n\s*", "", page)


async def test_who_may_only_read_takes_no_step(client: Client, token: Token, send_version: Send) -> None:
    await send_version("kumo", submission("1"))
    await sign_in(client, await token("read", site="kumo"))
    await post(client, f"{POLICY}/draft", {}, 403)


async def test_an_earlier_date_is_asked_for_by_one_and_confirmed_by_another(
    client: Client, token: Token, service: Service, send_version: Send
) -> None:
    await send_version("kumo", submission("1"))
    await sign_in(client, await token(name="aya"))
    form = {"label": "2", "effective_at": "2090-01-01T09:00", "reason": "An order of the authority."}
    _, page = await post(client, f"{POLICY}/override", form | {"reason": ""}, 422)
    assert "/reason" in page
    assert 'value="2"' in page
    _, page = await post(client, f"{POLICY}/override", form | {"effective_at": "soon"}, 422)
    assert "not a date and time" in page
    _, page = await post(client, f"{POLICY}/override", form)
    assert "Waits for somebody else" in page
    await sign_in(client, await token(name="ben"))
    page = await read(client, POLICY)
    assert "An order of the authority." in page
    at = re.search(r'name="effective_at" value="([^"]+)"', page)
    assert at is not None
    await post(client, f"{POLICY}/override", form | {"effective_at": at[1]})
    (one,) = await overrides(service.db, "kumo")
    assert (one.asked_by, one.confirmed_by) == ("aya", "ben")
    await sign_in(client, await token("read", name="cho"))
    await post(client, f"{POLICY}/override", form, 403)
