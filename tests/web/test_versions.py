"""Publishing over HTTP: signatures, the same again, conflicts, pending versions; activities, acts and objections."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from notifier.compose import Service
from notifier.policies.pending import submit_pending
from notifier.policies.version import Text
from notifier.sites.apply import apply
from notifier.sites.site import load_site
from notifier.sites.tokens import live_secrets, rotate_secret
from tests.sites import a_site
from tests.web.asking import Api, Client, ndjson, submission

Send = Callable[..., Awaitable[tuple[int, Any]]]
KUMO = "/v1/sites/kumo"


async def test_a_baseline_tells_nobody_and_the_next_version_has_a_campaign(send_version: Send, api: Api) -> None:
    status, first = await send_version("kumo", submission("1"))
    assert (status, first["campaign"], first["version"]["ordinal"]) == (202, None, 1)
    status, second = await send_version("kumo", submission("2", "And your name."), "msg_2")
    assert status == 202
    assert second["campaign"].startswith("http://notices.example/v1/sites/kumo/campaigns/")
    campaigns = (await api.get(f"{KUMO}/campaigns"))["campaigns"]
    assert [(c["label"], c["state"], c["steps"]) for c in campaigns] == [("2", "planned", ["approve", "cancel"])]
    versions = (await api.get(f"{KUMO}/versions?policy=privacy"))["versions"]
    assert [version["label"] for version in versions] == ["2", "1"]
    detail = await api.get(f"{KUMO}/versions/{second['version']['version_id']}")
    assert detail["campaign"] == second["campaign"]
    assert detail["texts"][0]["url"] == "http://notices.example/p/kumo/privacy/2/en"


async def test_case_17_the_same_again_gets_the_same_answer_and_other_content_a_conflict(
    send_version: Send, api: Api
) -> None:
    await send_version("kumo", submission("1"))
    first = await send_version("kumo", submission("2", "b"), "msg_2")
    assert await send_version("kumo", submission("2", "b"), "msg_2") == first
    assert await send_version("kumo", submission("2", "b"), "msg_3") == first
    assert (await send_version("kumo", submission("2", "c"), "msg_2"))[0] == 409
    assert (await send_version("kumo", submission("2", "c"), "msg_4"))[0] == 409
    assert len((await api.get(f"{KUMO}/campaigns"))["campaigns"]) == 1


async def test_a_refused_version_may_be_mended_under_the_same_id(send_version: Send) -> None:
    status, problem = await send_version("kumo", submission("1", flags=["new_flag"]))
    assert (status, [e["pointer"] for e in problem["errors"]]) == (422, ["/flags/0"])
    assert (await send_version("kumo", submission("1")))[0] == 202


@pytest.mark.parametrize(("age", "expected"), [(290, 202), (310, 401), (-310, 401)])
async def test_a_stale_time_stamp_is_refused_by_the_real_clock(
    send_version: Send, api: Api, age: float, expected: int
) -> None:
    await api.post("/v1/clock", {"advance_seconds": 86400 * 400})
    assert (await send_version("kumo", submission("1"), age=age))[0] == expected


async def test_both_live_secrets_sign_and_no_other_does(send_version: Send, service: Service, market: Any) -> None:
    (old,) = await live_secrets(service.db, service.keys, "kumo")
    new = await rotate_secret(service.db, service.keys, "kumo")
    assert (await send_version("kumo", submission("1"), "m1", old))[0] == 202
    assert (await send_version("kumo", submission("1"), "m2", new))[0] == 202
    (theirs,) = await live_secrets(service.db, service.keys, "hata")
    assert (await send_version("kumo", submission("1"), "m3", theirs))[0] == 401
    await rotate_secret(service.db, service.keys, "kumo")
    assert (await send_version("kumo", submission("1"), "m4", old))[0] == 401


async def test_an_unknown_site_answers_like_a_bad_signature(send_version: Send, service: Service) -> None:
    known = await send_version("kumo", submission("1"), secret="whsec_AAAA")
    unknown = await send_version("nobody", submission("1"), secret="whsec_AAAA")
    for status, problem in (known, unknown):
        problem.pop("request")
        assert status == 401
    assert known == unknown
    guessed = service.keys.webhook_secret("nobody", 1)
    assert (await send_version("nobody", submission("1"), secret=guessed))[0] == 401


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"webhook-id": "a"}, {"webhook-id": "a", "webhook-timestamp": "1", "webhook-signature": "v1,AA"},
        {"webhook-id": "a", "webhook-timestamp": "nan", "webhook-signature": "v1,AA"},
        {"webhook-id": "a", "webhook-timestamp": "now", "webhook-signature": "v1"},
        {"webhook-id": "a", "webhook-timestamp": "99999999999999999999", "webhook-signature": "v1,é"},
    ],
)  # fmt: skip
async def test_broken_signatures_are_refused(client: Client, headers: dict[str, str]) -> None:
    headers = headers | {"Content-Type": "application/json"}
    async with client.post(f"{KUMO}/hooks/versions", data=b"\xff{}", headers=headers) as answer:
        assert answer.status == 401


async def test_broken_signatures_at_the_right_time_are_refused(client: Client) -> None:
    import time

    for signature in ("v1", "v1,", "v1,é", "v1,AAA", "v2,AAAA", ",", " ", "v1,a,b"):
        headers = {"webhook-id": "a", "webhook-timestamp": str(int(time.time())), "webhook-signature": signature}
        headers["Content-Type"] = "application/json"
        async with client.post(f"{KUMO}/hooks/versions", data=b"\xff{}", headers=headers) as answer:
            assert answer.status == 401, signature


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{", 400), ("[]", 422), ("null", 422), ('{"policy": "privacy"}', 422),
        (json.dumps(submission("1") | {"label": "a/b"}), 422),
        (json.dumps(submission("1") | {"label": "<script>"}), 422),
        (json.dumps(submission("1", "a\u0000b")), 422),
        (json.dumps(submission("1") | {"policy": "nothing"}), 422),
        (json.dumps(submission("1") | {"effective_at": "0001-01-01T00:00:00+14:00"}), 202),
        (json.dumps(submission("1") | {"effective_at": "9999-12-31T23:59:59-14:00"}), 202),
        (json.dumps(submission("1", "{{ 7*7 }} <script>alert(1)</script> \u202e \U0001f600 \r\n")), 202),
    ],
    ids=str,
)  # fmt: skip
async def test_hostile_submissions_are_refused_or_harmless(
    send_version: Send, api: Api, body: str, expected: int
) -> None:
    status, answer = await send_version("kumo", body)
    assert status in (expected, 422), answer
    assert (await api.ask("GET", f"{KUMO}/versions"))[0] == 200


async def test_a_pending_version_is_published_or_discarded_by_a_person(service: Service, api: Api) -> None:
    kumo = await load_site(service.db, "kumo")

    async def open_pending(words: str) -> int:
        texts = {"en": Text(body=words)}
        version = await submit_pending(service.db, kumo, "privacy", texts, "folder", service.clock.now())
        assert version is not None
        return version.version_id

    one = await open_pending("# One")
    published = await api.post(f"{KUMO}/versions/{one}/publish", {"label": "1"})
    assert published["version"]["state"] == "published"
    two = await open_pending("# Two")
    status, problem = await api.ask("POST", f"{KUMO}/versions/{two}/publish", {"label": "1"})
    assert status == 409, problem
    assert (await api.ask("POST", f"{KUMO}/versions/{two}/discard"))[0] == 204
    assert (await api.ask("POST", f"{KUMO}/versions/{one}/discard"))[0] == 409
    assert (await api.ask("POST", f"{KUMO}/versions/999/discard"))[0] == 404


async def test_a_campaign_is_previewed_approved_once_and_cancelled(send_version: Send, api: Api) -> None:
    await api.post(f"{KUMO}/people", ndjson({"external_id": "a", "email": "a@example.jp", "locale": "ja",
                                            "registered_at": "2020-01-01T00:00:00Z"}))  # fmt: skip
    await send_version("kumo", submission("1"))
    _, second = await send_version("kumo", submission("2", "b"), "msg_2")
    campaign = second["campaign"].removeprefix("http://notices.example")
    preview = await api.get(f"{campaign}/preview")
    assert preview["frozen"] is False
    assert {"dimension": "reason", "value": "in_scope", "reason": "in_scope", "count": 1} in preview["counts"]
    once = {"headers": {"Idempotency-Key": "k1"}}
    approved = await api.post(f"{campaign}/approve", {"reason": "counsel agreed"}, **once)
    assert approved["state"] == "approved"
    assert await api.post(f"{campaign}/approve", {"reason": "counsel agreed"}, **once) == approved
    assert (await api.ask("POST", f"{campaign}/approve", {"reason": "other"}, **once))[0] == 409
    assert (await api.ask("POST", f"{campaign}/approve"))[0] == 409
    assert (await api.ask("POST", f"{campaign}/pause"))[0] == 409
    assert (await api.post(f"{campaign}/cancel"))["state"] == "cancelled"
    assert (await api.ask("POST", f"{KUMO}/campaigns/999999999999/cancel"))[0] == 404


async def test_whom_the_rule_asks_for_stands_beside_the_counts_of_a_campaign(
    send_version: Send, api: Api, service: Service
) -> None:
    audience = {"locales": ["DE_at"], "where": {"not": {"role": "press"}}, "dormant": False}
    await apply(service.db, a_site(rule={"preset": "pop-japan", "audience": audience}), service.clock.now())
    await send_version("kumo", submission("1"))
    _, second = await send_version("kumo", submission("2", "b"), "msg_2")
    asked = {
        "countries": [], "roles": [], "locales": ["de-AT"], "attributes": {}, "where": {"not": {"role": "press"}},
        "dormant": False,
    }  # fmt: skip
    assert (await api.get(second["campaign"].removeprefix("http://notices.example") + "/preview"))["audience"] == asked
    assert (await api.get(f"{KUMO}/campaigns"))["campaigns"][0]["audience"] == asked


async def test_use_is_reported_one_by_one_or_in_lines(api: Api, service: Service) -> None:
    await api.post(f"{KUMO}/people", ndjson({"external_id": "a"}))
    use = {"external_id": "a", "occurred_at": service.clock.now().isoformat(), "kind": "page_view"}
    assert (await api.post(f"{KUMO}/activities", use))["read"] == 1
    report = await api.post(f"{KUMO}/activities", ndjson(use, use | {"external_id": "b"}, {"kind": "?"}))
    assert (report["read"], report["faulty"], report["ignored"]["unknown_person"]) == (3, 1, 1)
    status, problem = await api.ask("POST", f"{KUMO}/activities", use | {"kind": "Page View"})
    assert (status, problem["errors"][0]["pointer"]) == (422, "/kind")
    assert (await api.ask("POST", f"{KUMO}/activities", [use]))[0] == 422
    for when in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1e400"):
        assert (await api.ask("POST", f"{KUMO}/activities", use | {"occurred_at": when}))[0] in (200, 422)


async def test_a_person_says_yes_no_and_no_longer_no(send_version: Send, api: Api) -> None:
    await api.post(f"{KUMO}/people", ndjson({"external_id": "a"}))
    await send_version("kumo", submission("1"))
    act = {"policy": "privacy", "version": "1", "via": "settings page"}
    one = f"{KUMO}/people/a"
    assert (await api.post(f"{one}/objections", act | {"statement": "No."}))["news"] is True
    assert (await api.post(f"{one}/objections", act | {"withdrawn": True}))["news"] is True
    assert (await api.post(f"{one}/acceptances", act))["news"] is True
    assert (await api.post(f"{one}/acceptances", act))["news"] is False
    assert (await api.ask("POST", f"{one}/acceptances", act | {"version": "9"}))[0] == 404
    assert (await api.ask("POST", f"{one}/acceptances", act | {"at": "2020-01-01T00:00:00Z"}))[0] == 422
    for when in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        assert (await api.ask("POST", f"{one}/acceptances", act | {"at": when}))[0] == 422
    assert (await api.ask("POST", f"{KUMO}/people/b/acceptances", act))[0] == 404
