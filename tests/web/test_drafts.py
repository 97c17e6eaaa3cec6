"""Drafts over HTTP: written, changed, reviewed, scheduled, published; and what each step refuses."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from notifier.campaigns.scheduled import publish_due
from notifier.compose import Service
from notifier.sites.apply import apply
from tests.sites import a_site
from tests.web.asking import Api, Client, submission

Send = Callable[..., Awaitable[tuple[int, Any]]]
Token = Callable[..., Awaitable[str]]
KUMO = "/v1/sites/kumo"
TEXTS = {
    "en": {"body": "# Privacy\n\nWe keep letters for two years.", "summary": "Letters are kept for two years."},
    "ja": {"body": "# プライバシー\n\nお手紙は2年間保管します。", "summary": "保管期間を2年にしました。"},
}
DRAFT = {"policy": "privacy", "label": "2", "texts": TEXTS}


@pytest.fixture
async def baseline(send_version: Send) -> None:
    await send_version("kumo", submission("1"))


async def ready(api: Api, **said: Any) -> str:
    """The address of a draft that is reviewed."""
    draft = await api.post(f"{KUMO}/versions", DRAFT | said, 201)
    address = f"{KUMO}/versions/{draft['version_id']}"
    await api.post(f"{address}/review", {"sha256": draft["sha256"]})
    return address


async def test_a_draft_goes_all_the_way(api: Api, service: Service, baseline: None) -> None:
    draft = await api.post(f"{KUMO}/versions", {"policy": "privacy"}, 201)
    address = f"{KUMO}/versions/{draft['version_id']}"
    assert (draft["stage"], draft["label"], draft["texts"], draft["campaign"]) == ("draft", "", [], None)
    status, draft = await api.ask("PATCH", address, {"label": "2", "texts": TEXTS, "flags": ["retention"]})
    assert (status, draft["texts"][0]["url"], draft["flags"]) == (200, None, ["retention"])
    reviewed = await api.post(f"{address}/review", {"sha256": draft["sha256"], "reason": "read it"})
    assert (reviewed["stage"], reviewed["reviewed_by"]) == ("reviewed", "tester")
    day = (service.clock.now() + timedelta(days=2)).date()
    planned = await api.post(f"{address}/schedule", {"publish_at": f"{day}T09:00"})
    assert (planned["stage"], planned["publish_at"], planned["publish_zone"]) == (
        "scheduled", f"{day}T00:00:00Z", "Asia/Tokyo",
    )  # fmt: skip
    assert await publish_due(service.db, service.clock.now()) == 0
    await api.post("/v1/clock", {"advance_seconds": 3 * 86400})
    assert await publish_due(service.db, service.clock.now()) == 1
    published = await api.get(address)
    assert (published["state"], published["stage"], published["sha256"]) == ("published", "published", draft["sha256"])
    assert published["texts"][0]["url"] == "http://notices.example/p/kumo/privacy/2/en"
    assert published["campaign"] is not None
    assert [(e["actor"], e["action"]) for e in published["events"]] == [
        ("tester", "opened"), ("tester", "amended"), ("tester", "reviewed"), ("tester", "scheduled"),
        ("notifier", "published"),
    ]  # fmt: skip


async def test_nobody_sees_a_draft_before_it_is_published(api: Api, client: Client, baseline: None) -> None:
    await ready(api)
    for path in ("/p/kumo/privacy/2/en", "/p/kumo/privacy/2/en/raw", "/p/kumo/privacy/2/en/since/1"):
        async with client.get(path) as answer:
            assert answer.status == 404
    async with client.get("/p/kumo/privacy/versions") as answer:
        assert "two years" not in await answer.text()


async def test_a_schedule_can_be_taken_back(api: Api, baseline: None) -> None:
    address = await ready(api)
    await api.post(f"{address}/schedule", {"publish_at": "2090-04-01T09:00+02:00"})
    status, back = await api.ask("DELETE", f"{address}/schedule")
    assert (status, back["stage"], back["publish_at"]) == (200, "reviewed", None)


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("2091-03-25T02:30", "does not exist in Europe/Berlin"),
        ("2091-10-28T02:30", "comes twice in Europe/Berlin"),
        ("tomorrow", "not a date and time"),
        ("2001-01-01T00:00", "lies in the past"),
    ],
)
async def test_a_time_that_is_not_one_instant_to_come_is_answered_clearly(
    service: Service, api: Api, at: str, words: str
) -> None:
    await apply(service.db, a_site(time_zone="Europe/Berlin"), service.clock.now())
    address = await ready(api)
    status, problem = await api.ask("POST", f"{address}/schedule", {"publish_at": at})
    assert (status, problem["errors"][0]["pointer"]) == (422, "/publish_at")
    assert words in problem["errors"][0]["detail"]


async def test_what_is_missing_is_named(api: Api, baseline: None) -> None:
    draft = await api.post(f"{KUMO}/versions", DRAFT | {"texts": {"en": {"body": "# Privacy"}}}, 201)
    address = f"{KUMO}/versions/{draft['version_id']}"
    for step, body in (("review", {"sha256": draft["sha256"]}), ("publish", None)):
        status, problem = await api.ask("POST", f"{address}/{step}", body)
        assert status == 422
        assert [error["pointer"] for error in problem["errors"]] == ["/summaries/en", "/texts/ja"]


async def test_a_draft_that_changed_meanwhile_is_neither_reviewed_nor_changed(api: Api, baseline: None) -> None:
    draft = await api.post(f"{KUMO}/versions", DRAFT, 201)
    address = f"{KUMO}/versions/{draft['version_id']}"
    await api.ask("PATCH", address, {"label": "3"})
    assert (await api.ask("POST", f"{address}/review", {"sha256": draft["sha256"]}))[0] == 409
    assert (await api.ask("PATCH", f"{address}?sha256={draft['sha256']}", {"label": "4"}))[0] == 409
    assert (await api.get(address))["label"] == "3"


async def test_who_may_draft_may_not_publish(client: Client, token: Token, baseline: None, market: Any) -> None:
    api = Api(client, await token("draft", "read", site="kumo", name="aya"))
    draft = await api.post(f"{KUMO}/versions", DRAFT, 201)
    address = f"{KUMO}/versions/{draft['version_id']}"
    for step, body in (
        ("review", {"sha256": draft["sha256"]}), ("schedule", {"publish_at": "2090-04-01T09:00"}), ("publish", {}),
    ):  # fmt: skip
        assert (await api.ask("POST", f"{address}/{step}", body))[0] == 403
    theirs = Api(client, await token(site="hata"))
    assert (await theirs.ask("PATCH", address, {"label": "3"}))[0] == 404


async def test_where_somebody_else_must_review_a_webhook_opens_a_draft(
    service: Service, client: Client, token: Token, send_version: Send
) -> None:
    await apply(service.db, a_site(review={"by": "another"}), service.clock.now())
    status, answer = await send_version("kumo", submission("1"))
    assert (status, answer["version"]["stage"], answer["campaign"]) == (202, "draft", None)
    assert await send_version("kumo", submission("1"), "msg_2") == (status, answer)
    api = Api(client, await token(name="ben"))
    published = await api.post(f"{KUMO}/versions/{answer['version']['version_id']}/publish")
    assert (published["version"]["state"], published["version"]["reviewed_by"]) == ("published", "ben")


async def test_letters_are_previewed_in_every_locale_and_say_where_another_text_stands_in(
    api: Api, service: Service, baseline: None
) -> None:
    draft = await api.post(f"{KUMO}/versions", DRAFT | {"texts": {"en": TEXTS["en"]}}, 201)
    address = f"{KUMO}/versions/{draft['version_id']}"
    found = await api.get(f"{address}/preview")
    assert found["told"] is True
    english, japanese = found["letters"]
    assert [(one["locale"], one["text_locale"]) for one in found["letters"]] == [("en", "en"), ("ja", "en")]
    assert "Letters are kept for two years." in english["text"]
    assert "Letters are kept for two years." in english["html"]
    assert "somebody@example.com" in english["text"]
    assert english["subject"] == japanese["subject"]
    await api.ask("PATCH", address, {"texts": {"ja": TEXTS["ja"]}})
    [japanese] = (await api.get(f"{address}/preview?locale=ja"))["letters"]
    assert (japanese["text_locale"], "保管期間を2年にしました。" in japanese["text"]) == ("ja", True)
    assert japanese["sender"] == "くもストア <privacy@kumo.example>"
    assert (await api.get(f"{KUMO}/campaigns"))["campaigns"] == []


async def test_nobody_is_told_of_an_editorial_version_so_there_is_no_letter(api: Api, baseline: None) -> None:
    draft = await api.post(f"{KUMO}/versions", DRAFT | {"materiality": "editorial"}, 201)
    found = await api.get(f"{KUMO}/versions/{draft['version_id']}/preview")
    assert (found["told"], found["letters"]) == (False, [])


async def test_the_page_is_previewed_exactly_as_it_will_be(
    api: Api, client: Client, service: Service, baseline: None
) -> None:
    address = await ready(api)
    status, before = await api.ask("GET", f"{address}/preview/page?locale=ja")
    assert status == 200
    assert "お手紙は2年間保管します。" in before
    at = service.clock.now() + timedelta(minutes=5)
    await api.post(f"{address}/schedule", {"publish_at": at.isoformat()})
    _, before = await api.ask("GET", f"{address}/preview/page?locale=ja")
    await api.post("/v1/clock", {"advance_seconds": 301})
    assert await publish_due(service.db, at) == 1
    async with client.get("/p/kumo/privacy/2/ja") as answer:
        after = await answer.text()
    there = f"/v1/sites/kumo/versions/{address.rpartition('/')[2]}/preview/page"
    assert "お手紙は2年間保管します。" in after
    assert without_switch(before) == without_switch(after), there


async def test_what_was_discarded_can_still_be_seen_as_it_would_have_been(api: Api, baseline: None) -> None:
    address = await ready(api)
    await api.ask("POST", f"{address}/discard")
    status, page = await api.ask("GET", f"{address}/preview/page?locale=ja")
    assert (status, "お手紙は2年間保管します。" in page) == (200, True)
    assert (await api.ask("GET", f"{address}/preview"))[0] == 200


def without_switch(html: str) -> str:
    """The page but for where its language switch leads back to."""
    return "".join(line for line in html.splitlines(keepends=True) if "/language/" not in line)


async def test_a_draft_says_what_it_hints_at_and_does_nothing_by_itself(api: Api, baseline: None) -> None:
    texts = {"en": {"body": "# Privacy\n\nWe keep your address.\n\nDisputes are settled by arbitration.\n"}}
    draft = await api.post(f"{KUMO}/versions", DRAFT | {"texts": texts}, 201)
    assert draft["hints"] == [
        {"kind": "arbitration", "locale": "en", "section": "Privacy", "words": "arbitration", "gone": False}
    ]
    assert draft["proposal"] == {"materiality": "explicit", "flags": ["arbitration"]}
    assert (draft["materiality"], draft["flags"]) == ("material", [])
