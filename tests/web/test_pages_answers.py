"""The pages over HTTP: who may see what, what is cached, and that the exact bytes are the exact bytes."""

import asyncio
import csv
import hashlib
import io
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from urllib.parse import quote, urlencode

import pytest

from notifier.compose import Service
from notifier.policies.pending import submit_pending
from notifier.policies.publish import publish, texts_of
from notifier.policies.version import Submission, Text
from notifier.sites.apply import apply
from notifier.sites.site import Site
from tests.sites import a_site
from tests.web import scene
from tests.web.asking import Client

Token = Callable[..., Awaitable[str]]
OURS = {"Sec-Fetch-Site": "same-origin"}


async def sign_in(client: Client, token: str) -> None:
    async with client.post("/console/login", data={"token": token}, headers=OURS) as answer:
        assert answer.status == 200
        assert answer.url.path == "/console"


@pytest.fixture
async def campaign(service: Service, site: Site) -> int:
    """A campaign that waits for approval."""
    return await scene.play(service.db, site, service.clock.now(), people=20)


async def read(client: Client, path: str, status: int = 200, **headers: str) -> str:
    async with client.get(path, headers=headers) as answer:
        assert answer.status == status, await answer.text()
        return await answer.text()


async def test_the_console_is_closed_to_whoever_is_not_signed_in(client: Client) -> None:
    async with client.get("/console/campaigns/1", allow_redirects=False) as answer:
        assert answer.status == 303
        assert answer.headers["Location"] == "/console/login?next=/console/campaigns/1"


async def test_a_wrong_token_gets_the_form_again_and_no_cookie(client: Client) -> None:
    async with client.post("/console/login", data={"token": "notifier_nonsense"}, headers=OURS) as answer:
        assert answer.status == 401
        assert "unknown or was revoked" in await answer.text()
        assert not answer.cookies


async def test_signing_out_ends_the_session(client: Client, token: Token) -> None:
    await sign_in(client, await token())
    async with client.post("/console/logout", headers=OURS) as answer:
        assert answer.url.path == "/console/login"
    async with client.get("/console", allow_redirects=False) as answer:
        assert answer.status == 303


async def test_the_token_of_one_site_sees_nothing_of_another(
    client: Client, token: Token, campaign: int, market: Site
) -> None:
    await sign_in(client, await token(site=market.site))
    assert "Kumo" not in await read(client, "/console")
    for path in ("", "/live", "/counts", "/notices", "/notices.csv", "/approve"):
        await read(client, f"/console/campaigns/{campaign}{path}", 404)
    await read(client, "/console/sites/kumo/policies/privacy", 404)
    await read(client, "/console/people?site=kumo&id=u-00001", 404)


async def test_reading_does_not_suffice_to_approve(client: Client, token: Token, campaign: int) -> None:
    await sign_in(client, await token("read"))
    await read(client, f"/console/campaigns/{campaign}/approve")
    async with client.post(f"/console/campaigns/{campaign}/approve", headers=OURS) as answer:
        assert answer.status == 403
    assert "Waiting for approval" in await read(client, f"/console/campaigns/{campaign}")


async def test_another_site_s_page_cannot_approve(client: Client, token: Token, campaign: int) -> None:
    await sign_in(client, await token())
    async with client.post(
        f"/console/campaigns/{campaign}/approve", headers={"Sec-Fetch-Site": "cross-site"}
    ) as answer:
        assert answer.status == 403


async def test_steps_are_recorded_with_who_and_why_and_an_impossible_one_is_refused(
    client: Client, token: Token, campaign: int, service: Service
) -> None:
    await sign_in(client, await token(name="Sayo"))
    async with client.post(
        f"/console/campaigns/{campaign}/approve", data={"reason": "Ticket <b>812</b>"}, headers=OURS
    ) as answer:
        page = await answer.text()
    assert "Ticket &lt;b&gt;812&lt;/b&gt;" in page
    assert "Sayo" in page
    await read(client, f"/console/campaigns/{campaign}/approve", 409)
    async with client.post(f"/console/campaigns/{campaign}/resume", headers=OURS) as answer:
        assert answer.status == 409
    async with client.post(f"/console/campaigns/{campaign}/cancel", headers=OURS) as answer:
        assert "Cancelled" in await answer.text()


async def test_the_parts_that_move_stop_asking_when_nothing_moves(
    client: Client, token: Token, campaign: int, service: Service
) -> None:
    await sign_in(client, await token())
    assert "hx-get" not in await read(client, f"/console/campaigns/{campaign}/live")
    await scene.begin(service.db, campaign, "kumo", service.clock.now())
    for part in ("live", "counts"):
        text = await read(client, f"/console/campaigns/{campaign}/{part}")
        assert f'hx-get="/console/campaigns/{campaign}/{part}"' in text
        assert "<html" not in text
    assert 'hx-get="/console/live"' in await read(client, "/console/live")


async def test_whoever_watches_shares_the_counting_and_a_new_state_is_counted_anew(
    client: Client, token: Token, campaign: int, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sign_in(client, await token())
    now, here = service.clock.now(), f"/console/campaigns/{campaign}"
    await scene.begin(service.db, campaign, "kumo", now)
    before, again = await asyncio.gather(*(read(client, f"{here}/counts") for _ in range(2)))
    await scene.tell(service.db, campaign, now)
    bounced = "Address does not exist"
    assert bounced not in before + again + await read(client, f"{here}/counts")
    assert bounced in await read(client, here)
    await scene.finish(service.db, campaign, now)
    assert bounced in await read(client, f"{here}/counts")
    monkeypatch.setattr("notifier.web.console.reports.SECONDS", 0.0)
    await scene.sql(service.db, "UPDATE campaign SET state = 'paused' WHERE campaign_id = $1", campaign)
    assert bounced in await read(client, f"{here}/counts")
    await scene.sql(service.db, "DELETE FROM outcome WHERE kind = 'refused'")
    assert bounced not in await read(client, f"{here}/counts")


async def test_notices_are_paged_filtered_and_saved_as_csv(
    client: Client, token: Token, campaign: int, service: Service
) -> None:
    await scene.settle_people(service.db, "market", 0, service.clock.now())
    await scene.begin(service.db, campaign, "kumo", service.clock.now())
    await scene.tell(service.db, campaign, service.clock.now())
    await sign_in(client, await token())
    base = f"/console/campaigns/{campaign}/notices"
    told = await read(client, f"{base}?status=told")
    assert "Unreachable</span>" not in told
    assert "is-told" in told
    await read(client, f"{base}?status=nonsense", 422)
    await read(client, f"{base}?cursor=nonsense", 422)
    async with client.get(f"{base}.csv?status=excluded") as answer:
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
        assert "attachment" in answer.headers["Content-Disposition"]
        rows = list(csv.DictReader(io.StringIO(await answer.text())))
    assert rows
    assert {row["status"] for row in rows} == {"excluded"}


async def test_notices_can_be_chosen_by_every_channel_that_may_have_told_somebody(
    client: Client, token: Token, service: Service
) -> None:
    site = a_site(rule={"preset": "jp-appi-notice", "channels": ["inbox"], "also": [{"preset": "us-contract"}]})
    await apply(service.db, site, service.clock.now())
    campaign = await scene.play(service.db, site, service.clock.now())
    await sign_in(client, await token())
    page = await read(client, f"/console/campaigns/{campaign}/notices")
    assert re.findall(r'<option value="(inbox|email|in_app|webhook)"', page) == ["inbox", "email", "in_app"]


async def test_a_person_is_found_by_the_site_s_own_id_whatever_it_looks_like(
    client: Client, token: Token, campaign: int
) -> None:
    await sign_in(client, await token())
    query = urlencode({"site": "kumo", "id": scene.HOSTILE_ID})
    page = await read(client, f"/console/people?{query}")
    assert "<script>alert" not in page
    assert "{{7*7}}" in page
    missing = await read(client, "/console/people?site=kumo&id=..", 404, **{"Accept-Language": "ja"})
    assert "「..」という ID の利用者" in missing


async def test_a_pending_version_is_published_or_sent_back_with_what_is_wrong(
    client: Client, token: Token, campaign: int, service: Service, site: Site
) -> None:
    texts = {"en": Text(body="# New\n\nwords"), "ja": Text(body="# 新\n\n文")}
    pending = await submit_pending(service.db, site, "privacy", texts, "folder", service.clock.now())
    assert pending is not None
    await sign_in(client, await token())
    assert "waiting for your word" in await read(client, "/console/sites/kumo/policies/privacy")
    address = f"/console/sites/kumo/versions/{pending.version_id}/confirm"
    assert "See the text" in await read(client, address)
    for wrong in ({"label": "no spaces"}, {"label": "2026-03"}, {"label": "x", "effective_at": "tomorrow"},
                  {"label": "x", "effective_at": "2020-01-01T00:00"}):  # fmt: skip
        given = {"materiality": "material", "summary.en": "kept words", **wrong}
        async with client.post(address, data=given, headers=OURS) as answer:
            page = await answer.text()
            assert answer.status == 422, wrong
            assert "kept words" in page
            assert 'role="alert"' in page
    given = {"label": "2026-06", "materiality": "material", "summary.en": "Everything", "summary.ja": "すべて"}
    async with client.post(address, data=given, headers=OURS) as answer:
        assert answer.url.path.startswith("/console/campaigns/")
        assert "2026-06" in await answer.text()


async def test_what_joined_while_the_form_was_read_is_shown_before_it_can_be_published(
    client: Client, token: Token, service: Service, site: Site
) -> None:
    now, english, japanese = service.clock.now(), Text(body="# New\n\nwords"), Text(body="# 新\n\n文")
    pending = await submit_pending(service.db, site, "privacy", {"en": english}, "folder", now)
    assert pending is not None
    await sign_in(client, await token())
    address = f"/console/sites/kumo/versions/{pending.version_id}"
    given = {"label": "2026-06", "materiality": "material"}
    given["sha256"] = re.findall(r'name="sha256" value="([0-9a-f]{64})"', await read(client, f"{address}/confirm"))[0]
    await submit_pending(service.db, site, "privacy", {"en": english, "ja": japanese}, "folder", now)
    async with client.post(f"{address}/confirm", data=given, headers=OURS) as answer:
        page = await answer.text()
        assert answer.status == 422
    assert "says something else by now" in page
    assert "新" in page
    assert "another watched place shows the change: Japanese" in await read(client, address)


async def test_a_pending_version_can_be_discarded(client: Client, token: Token, service: Service, site: Site) -> None:
    pending = await submit_pending(
        service.db, site, "privacy", {"en": Text(body="# No")}, "folder", service.clock.now()
    )
    assert pending is not None
    await sign_in(client, await token())
    address = f"/console/sites/kumo/versions/{pending.version_id}/discard"
    await read(client, address)
    async with client.post(address, headers=OURS) as answer:
        assert "waiting for your word" not in await answer.text()
    await read(client, address, 409)


async def test_the_current_text_comes_in_the_reader_s_language_and_says_what_follows(
    client: Client, campaign: int
) -> None:
    english = await read(client, "/p/kumo/privacy", **{"Accept-Language": "de, en;q=0.5"})
    assert '<html lang="en">' in english
    assert "Orders for five years" in english
    assert "2026-03" in english, "the coming version is announced"
    japanese = await read(client, "/p/kumo/privacy", **{"Accept-Language": "ja-JP"})
    assert "ご注文の記録は5年間" in japanese
    async with client.get("/p/kumo/privacy") as answer:
        assert answer.headers["Vary"] == "Accept-Language, Cookie"


async def test_a_version_has_a_permanent_page_that_browsers_may_keep(
    client: Client, campaign: int, service: Service
) -> None:
    address = "/p/kumo/privacy/2026-03/ja"
    async with client.get(address) as answer:
        page, tag = await answer.text(), answer.headers["ETag"]
        assert "public" in answer.headers["Cache-Control"]
    assert '<html lang="ja">' in page
    assert "効力発生前" in page
    assert "変更のあった節" in page
    async with client.get(address, headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
    service.clock.move(timedelta(days=40))
    assert "現在有効" in await read(client, address)
    assert "There is a newer version" in await read(client, "/p/kumo/privacy/2025-11/en")
    await read(client, "/p/kumo/privacy/2026-03/fr", 404)
    await read(client, "/p/kumo/privacy/none/en", 404)
    await read(client, "/p/kumo/nothing", 404)
    await read(client, "/p/nobody/privacy", 404)


async def test_the_history_lists_every_version_and_the_site_its_policies(client: Client, campaign: int) -> None:
    history = await read(client, "/p/kumo/privacy/versions")
    assert history.index("2026-03") < history.index("2025-11")
    assert 'href="/p/kumo/privacy/2025-11/ja"' in history
    assert 'href="/p/kumo/privacy"' in await read(client, "/p/kumo")


async def test_a_policy_without_a_version_says_so(client: Client, site: Site) -> None:
    assert "no published version yet" in await read(client, "/p/kumo/privacy")


@pytest.mark.parametrize(("kind", "suffix"), [("text/markdown", "md"), ("text/html", "html")])
async def test_the_raw_address_gives_the_exact_bytes_and_nothing_in_them_runs(
    client: Client, service: Service, site: Site, kind: str, suffix: str
) -> None:
    body = scene.HOSTILE_TEXT + "\r\nline\u2028end \U0001f9e7\n"
    given = {"policy": "privacy", "label": "1", "texts": {"en": {"media_type": kind, "body": body}}}
    version, _ = await publish(service.db, site, Submission.model_validate(given), "command", service.clock.now())
    (text,) = await texts_of(service.db, version.version_id)
    async with client.get("/p/kumo/privacy/1/en/raw") as answer:
        raw, headers = await answer.read(), answer.headers
    assert raw == body.encode() == text.body
    assert headers["Content-Type"] == f"{kind}; charset=utf-8"
    assert headers["ETag"] == f'"{hashlib.sha256(raw).hexdigest()}"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert headers["Content-Disposition"] == f'inline; filename="privacy-1-en.{suffix}"'
    assert "Last-Modified" in headers
    async with client.get("/p/kumo/privacy/1/en/raw", headers={"If-None-Match": headers["ETag"]}) as answer:
        assert answer.status == 304
        assert await answer.read() == b""
    page = await read(client, "/p/kumo/privacy/1/en")
    assert headers["ETag"].strip('"') in page
    tags = re.findall(r"<[^>]*>", page)
    assert not [tag for tag in tags if re.search(r"javascript:|\son\w+=|\sstyle=|^<(script|style|img|iframe)", tag)]


async def test_the_language_switch_keeps_the_choice_and_leads_nowhere_else(client: Client) -> None:
    for back, leads_to in [("/console/login?next=/console", "/console/login?next=/console"), ("//evil.example/", "/"),
                           ("https://evil.example/", "/"), ("/\\evil.example", "/"), ("", "/")]:  # fmt: skip
        async with client.get(f"/language/ja?back={quote(back)}", allow_redirects=False) as answer:
            assert answer.status == 303
            assert answer.headers["Location"] == leads_to
    assert "ポリシー通知" in await read(client, "/console/login")
    assert "ポリシー通知" in await read(client, "/", **{"Accept-Language": "en"})


async def test_an_error_is_a_page_in_the_reader_s_language(client: Client) -> None:
    page = await read(client, "/nothing/here", 404, **{"Accept-Language": "ja"})
    assert "ページが見つかりません" in page
    assert '<html lang="ja">' in page
