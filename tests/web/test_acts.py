"""Explicit acts: by the site for a signed-in person, and by the person's own page with a link that is good for one."""

import asyncio
import html as markup
import re
from datetime import timedelta
from typing import Any

import pytest

from notifier.clock import MovableClock
from notifier.compose import Service
from notifier.keys import ActLink
from tests.web.asking import Api
from tests.web.test_login import KUMO, Login

HOSTILE = '<script>alert(1)</script>{{7*7}}"\u202e'


@pytest.fixture
async def login(service: Service, api: Api, clock: MovableClock) -> Login:
    made = Login(service, api, clock)
    await made.publish("one", tell=False)
    await made.person("ann")
    await made.publish("two")
    return made


async def link(login: Login, label: str = "two", name: str = "ann", **more: Any) -> str:
    body = {"policy": "privacy", "version": label} | more
    minted = await login.api.post(f"{KUMO}/people/{name}/links", body)
    assert minted["url"].startswith("http://notices.example/act/")
    return minted["url"].removeprefix("http://notices.example")


async def get(login: Login, path: str, **headers: str) -> tuple[int, str]:
    async with login.api.client.get(path, headers=headers) as answer:
        assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "form-action 'self'" in answer.headers["Content-Security-Policy"]
        assert "Set-Cookie" not in answer.headers
        return answer.status, await answer.text()


def form(page: str, kind: str) -> dict[str, str]:
    """What a browser sends when the button of an act is pressed."""
    (own,) = [one for one in re.findall(r"<form.*?</form>", page, re.DOTALL) if f'value="{kind}"' in one]
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="(.*?)">', own)
    return {"act": kind} | {name: markup.unescape(value) for name, value in hidden}


async def press(login: Login, path: str, fields: dict[str, str]) -> tuple[int, str]:
    async with login.api.client.post(path, data=fields) as answer:
        return answer.status, await answer.text()


async def rows(login: Login, sql: str) -> list[dict[str, Any]]:
    async with login.service.db.connection() as connection:
        return [dict(row) for row in await connection.fetch(sql)]


async def test_accepting_on_ones_own_page_records_exactly_what_stood_there(login: Login) -> None:
    path = await link(login)
    status, page = await get(login, path)
    assert status == 200
    assert "一部を変更" in page
    assert 'href="/p/kumo/privacy/two/ja"' in page
    status, page = await press(login, path, form(page, "accept"))
    assert (status, "承諾を記録しました" in page) == (200, True)
    (accepted,) = (await login.api.get(f"{KUMO}/people/ann/acceptances"))["acceptances"]
    assert (accepted["kind"], accepted["grade"], accepted["label"]) == ("explicit", "A", "two")
    words = "くもストア「プライバシーポリシー」two 版を承諾します。"
    assert accepted["evidence"] | {"reason": ""} == {
        "reason": "", "via": "their own page", "locale": "ja", "statement": words,
    }  # fmt: skip
    assert await rows(login, "SELECT kind, locale, statement FROM act") == [
        {"kind": "accept", "locale": "ja", "statement": words}
    ]
    timeline = (await login.api.get(f"{KUMO}/people/ann/timeline"))["events"]
    assert "acted" in [event["kind"] for event in timeline]


async def test_looking_at_the_page_changes_nothing_however_often(login: Login) -> None:
    path = await link(login)
    for _ in range(3):
        assert (await get(login, path))[0] == 200
        async with login.api.client.head(path) as answer:
            assert answer.status == 200
    tables = ("act", "acceptance", "objection", "outcome", "intent")
    assert [await rows(login, f"SELECT FROM {table}") for table in tables] == [[]] * 5
    assert (await login.pending("ann"))["reason"] == "not_yet_told"


async def test_a_link_is_good_for_one_act_and_then_says_what_was_done(login: Login) -> None:
    path = await link(login)
    page = (await get(login, path))[1]
    await press(login, path, form(page, "object") | {"words": "いいえ"})
    status, after = await press(login, path, form(page, "accept"))
    assert (status, "異議を記録しました" in after, "<form" in after) == (200, True, False)
    assert "異議を記録しました" in (await get(login, path))[1]
    assert await rows(login, "SELECT statement, via, withdrawn FROM objection") == [
        {"statement": "いいえ", "via": "their own page", "withdrawn": False}
    ]
    assert await rows(login, "SELECT FROM acceptance") == []


async def test_pressed_twice_at_once_it_is_done_once(login: Login) -> None:
    path = await link(login)
    page = (await get(login, path))[1]
    answers = await asyncio.gather(*(press(login, path, form(page, kind)) for kind in ("accept", "object") * 4))
    assert {status for status, _ in answers} == {200}
    assert len(await rows(login, "SELECT FROM act")) == 1
    assert len(await rows(login, "SELECT FROM acceptance") + await rows(login, "SELECT FROM objection")) == 1


async def test_an_objection_can_be_taken_back_by_another_link(login: Login) -> None:
    first = await link(login)
    await press(login, first, form((await get(login, first))[1], "object"))
    login.clock.move(timedelta(minutes=1))
    second = await link(login)
    page = (await get(login, second))[1]
    assert 'value="object"' not in page
    assert (await press(login, second, form(page, "withdraw")))[0] == 200
    assert [row["withdrawn"] for row in await rows(login, "SELECT withdrawn FROM objection ORDER BY at")] == [
        False,
        True,
    ]


async def test_who_wants_to_leave_accepts_nothing_by_use_any_more(login: Login) -> None:
    path = await link(login)
    status, page = await press(login, path, form((await get(login, path))[1], "close"))
    assert (status, "退会のお申し出を記録しました" in page) == (200, True)
    assert (await login.api.get(f"{KUMO}/people/ann"))["status"] == "closed"
    assert (await login.pending("ann"))["reason"] == "account_closed"
    other = await link(login)
    assert "アカウントは閉じられている" in (await get(login, other))[1]
    assert (await press(login, other, {"act": "accept", "locale": "ja", "statement": ""}))[0] == 409


async def test_a_page_that_a_newer_version_overtook_takes_no_act_and_says_so(login: Login) -> None:
    path = await link(login)
    page = (await get(login, path))[1]
    await login.publish("three", tell=False)
    status, after = await press(login, path, form(page, "accept"))
    assert (status, "新しい版が公開された" in after, 'href="/p/kumo/privacy"' in after) == (409, True, True)
    assert await rows(login, "SELECT FROM act") + await rows(login, "SELECT FROM acceptance") == []


async def test_a_page_whose_words_changed_takes_no_act(login: Login) -> None:
    path = await link(login)
    page = (await get(login, path))[1]
    for change in ({"statement": "I owe you everything."}, {"statement": ""}):
        status, after = await press(login, path, form(page, "accept") | change)
        assert (status, "もう一度ご確認ください" in after) == (409, True)
    assert await rows(login, "SELECT FROM act") == []


async def test_a_link_ends(login: Login) -> None:
    path = await link(login, valid_seconds=60)
    page = (await get(login, path))[1]
    login.clock.move(timedelta(seconds=61))
    status, after = await get(login, path)
    assert (status, "有効期限が切れています" in after) == (410, True)
    assert (await press(login, path, form(page, "accept")))[0] == 410
    assert await rows(login, "SELECT FROM act") == []


async def test_a_page_in_the_language_that_the_person_chooses_records_that_one(login: Login) -> None:
    path = await link(login)
    _, page = await get(login, path, Cookie="notifier-language=en")
    assert "I accept version two of “Privacy Policy” of Kumo Store." in page
    await press(login, path, form(page, "accept"))
    assert [row["locale"] for row in await rows(login, "SELECT locale FROM act")] == ["en"]


async def test_forged_links_lead_nowhere(login: Login, service: Service) -> None:
    path = await link(login)
    token = path.removeprefix("/act/")
    known = ActLink.open(token, service.keys)
    others = [
        token[:-5] + ("A" if token[-5] != "A" else "B") + token[-4:], token.replace("kumo", "hata"), token[1:],
        "x", "." * 9, "%00",
        token.replace(f".{known.version_id}.", ".1."), token + "%2e%2e", "…", token.rpartition(".")[0] + ".",
    ]  # fmt: skip
    for other in others:
        for method in ("GET", "POST"):
            async with login.api.client.request(method, f"/act/{other}", data={"act": "accept"}) as answer:
                assert answer.status == 404, other
    person = (await login.api.post(f"{KUMO}/people/ann/tokens"))["token"]
    async with login.api.client.get(f"/act/{person}") as answer:
        assert answer.status == 404
    assert await rows(login, "SELECT FROM act") == []


@pytest.mark.parametrize("fields", [{}, {"act": "consent"}, {"act": "accept\0"}, {"act": ["accept"]}])
async def test_a_form_that_names_no_act_is_refused(login: Login, fields: dict[str, Any]) -> None:
    path = await link(login)
    status, _ = await press(login, path, fields)
    assert status in (400, 409)
    assert await rows(login, "SELECT FROM act") == []


async def test_hostile_words_are_kept_and_shown_as_words(login: Login) -> None:
    path = await link(login)
    page = (await get(login, path))[1]
    status, _ = await press(login, path, form(page, "object") | {"words": HOSTILE + "\0" + "x" * 9000})
    assert status == 200
    (row,) = await rows(login, "SELECT statement FROM objection")
    assert row["statement"].startswith(HOSTILE)
    assert len(row["statement"]) == 5000


async def test_the_link_of_somebody_erased_leads_nowhere(login: Login) -> None:
    path = await link(login)
    await login.api.ask("DELETE", f"{KUMO}/people/ann")
    async with login.api.client.get(path) as answer:
        assert answer.status == 404
    status, _ = await login.api.ask("POST", f"{KUMO}/people/ann/links", {"policy": "privacy", "version": "two"})
    assert status == 409


async def shown_now(login: Login) -> dict[str, str]:
    notice = (await login.pending("ann"))["notice"]
    return {"locale": notice["locale"], "statement": notice["statement"]}


async def test_the_site_s_own_page_records_what_it_showed_and_a_stale_one_is_refused(login: Login) -> None:
    shown = await shown_now(login)
    body = {"policy": "privacy", "version": "two", "via": "gate", "shown": shown}
    await login.publish("three", tell=False)
    assert (await login.api.ask("POST", f"{KUMO}/people/ann/acceptances", body))[0] == 409
    assert (await login.api.ask("POST", f"{KUMO}/people/ann/objections", body))[0] == 409
    del body["via"]
    assert (await login.api.ask("POST", f"{KUMO}/people/ann/closings", body))[0] == 409
    assert (await login.api.get(f"{KUMO}/people/ann"))["status"] == "active"
    assert await rows(login, "SELECT FROM act") + await rows(login, "SELECT FROM acceptance") == []


async def test_the_site_s_own_page_is_evidence(login: Login) -> None:
    shown = await shown_now(login)
    body = {"policy": "privacy", "version": "two", "via": "gate", "shown": shown}
    assert (await login.api.ask("POST", f"{KUMO}/people/ann/acceptances", body | {"shown": shown | {"locale": "en"}}))[
        0
    ] == 409
    assert (await login.api.post(f"{KUMO}/people/ann/acceptances", body))["news"]
    (accepted,) = (await login.api.get(f"{KUMO}/people/ann/acceptances"))["acceptances"]
    assert {name: accepted["evidence"][name] for name in ("via", "locale", "statement")} == {"via": "gate"} | shown
    assert [row["kind"] for row in await rows(login, "SELECT kind FROM act")] == ["accept"]


async def test_leaving_on_the_site_s_own_page_is_recorded_with_what_stood_there(login: Login) -> None:
    shown = await shown_now(login)
    body = {"policy": "privacy", "version": "two", "shown": shown}
    stale = body | {"shown": shown | {"statement": "0" * 64}}
    assert (await login.api.ask("POST", f"{KUMO}/people/ann/closings", stale))[0] == 409
    before = await login.api.get(f"{KUMO}/people/ann")
    assert (await login.api.post(f"{KUMO}/people/ann/closings", body))["news"]
    after = await login.api.get(f"{KUMO}/people/ann")
    assert (after["status"], after["closed_at"] is not None) == ("closed", True)
    kept = {"status", "closed_at", "changed_at"}
    assert {name: value for name, value in after.items() if name not in kept} == {
        name: value for name, value in before.items() if name not in kept
    }
    assert await rows(login, "SELECT kind, locale, statement FROM act") == [{"kind": "close"} | shown]


@pytest.mark.parametrize("days", [-400, 1])
async def test_leaving_before_the_version_or_in_the_future_is_refused(login: Login, days: int) -> None:
    at = (login.clock.now() + timedelta(days=days)).isoformat()
    body = {"policy": "privacy", "version": "two", "at": at}
    assert (await login.api.ask("POST", f"{KUMO}/people/ann/closings", body))[0] == 422


async def test_a_link_for_a_version_that_is_none_is_not_made(login: Login) -> None:
    for body, status in (({"version": "nine"}, 404), ({"valid_seconds": 5}, 422), ({"more": 1}, 422)):
        given = {"policy": "privacy", "version": "two"} | body
        assert (await login.api.ask("POST", f"{KUMO}/people/ann/links", given))[0] == status
