"""The widget in a real browser, on another origin's page whose content security policy allows next to nothing."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page, Request, Route, async_playwright, expect

from notifier.campaigns.announce import announce, freeze_next
from notifier.campaigns.steer import steer
from notifier.clock import MovableClock
from notifier.compose import Service
from notifier.keys import PersonToken
from notifier.people.person import PersonInput
from notifier.people.roster import get_person, put_person
from notifier.policies.publish import publish
from notifier.policies.version import Submission
from notifier.sites.apply import apply
from notifier.sites.site import Site
from notifier.web.app import build_app
from tests.sites import a_site
from tests.web.test_pages import CHROMIUM, FLAGS

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

HOST_PAGE = """<!DOCTYPE html><html lang="{lang}"><head><meta charset="utf-8"><title>A shop</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<script src="{service}/static/widget.js" defer></script></head>
<body><h1>A shop</h1><policy-notices token-url="/token" {more}></policy-notices><p>{filler}</p></body></html>"""
HOSTILE = (
    "<h1>Words</h1><script>alert(1)</script><img src=x onerror=alert(1)><a href='javascript:alert(1)'>link</a>"
    "<svg onload=alert(1)><style>*{display:none}</style></svg><p onclick=alert(1) style='color:red'>end</p>"
    "<iframe srcdoc='<script>alert(1)</script>'></iframe><form action='https://elsewhere.example'><input></form>"
)


@dataclass
class Host:
    """A shop with a page of its own, and whoever is signed in there."""

    service: Service
    clock: MovableClock
    notices: str
    site: Site
    browser: Browser
    address: str = ""
    signed_in: str = ""
    lifetime: timedelta = timedelta(hours=1)
    more: str = ""
    asked: list[str] = field(default_factory=list)
    wrongs: list[str] = field(default_factory=list)

    async def page(self, lang: str = "en", **screen: Any) -> Page:
        context = await self.browser.new_context(**({"viewport": {"width": 1200, "height": 800}} | screen))
        page = await context.new_page()
        page.on("request", self._watch)
        page.on("console", lambda said: self.wrongs.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.wrongs.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.wrongs.append(f"dialog: {dialog.message}"))
        self.lang = lang
        await page.goto(self.address)
        return page

    def _watch(self, request: Request) -> None:
        self.asked.append(f"{request.method} {urlsplit(request.url).path}")
        if not request.url.startswith((self.notices, self.address)):
            self.wrongs.append(f"asked {request.url}")

    async def show(self, _: web.Request) -> web.Response:
        policy = (
            f"default-src 'none'; script-src {self.notices}; connect-src 'self' {self.notices}; base-uri 'none';"
            " form-action 'none'; require-trusted-types-for 'script'; trusted-types policy-notices"
        )
        words = {"service": self.notices, "lang": self.lang, "more": self.more, "filler": "Parcels. " * 300}
        page = HOST_PAGE.format(**words)
        return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": policy})

    async def token(self, _: web.Request) -> web.Response:
        if not self.signed_in:
            return web.Response(status=204)
        person = await get_person(self.service.db, self.service.keys, "kumo", self.signed_in)
        expires = self.clock.now() + self.lifetime
        sealed = PersonToken("kumo", person.lane, person.person_id, expires).seal(self.service.keys)
        return web.json_response({"token": sealed})

    async def nothing(self, _: web.Request) -> web.Response:
        return web.Response(status=204)

    async def person(self, name: str, **given: Any) -> None:
        fields = {"external_id": name, "email": f"{name}@people.example", "registered_at": "2020-01-01T00:00:00Z"}
        now = self.clock.now()
        await put_person(self.service.db, self.service.keys, "kumo", PersonInput.model_validate(fields | given), now)
        self.signed_in = name

    async def tell(self, **more: Any) -> int:
        """Publish a baseline and a version to be told of, and open its campaign."""
        for label, words in (("one", "We keep letters."), ("two", "We keep letters and parcels.")):
            texts = {
                "en": {"body": f"# Privacy\n\n## Keeping\n\n{words}", "summary": "We keep **parcels** too."},
                "ja": {
                    "body": f"# プライバシー\n\n## 保存\n\n手紙を保存します。{label}",
                    "summary": "荷物も保存します。",
                },
            }
            body = {"policy": "privacy", "label": label, "materiality": "material", "texts": texts} | more
            now = self.clock.now()
            version, _ = await publish(self.service.db, self.site, Submission.model_validate(body), "command", now)
        campaign_id = await announce(self.service.db, self.site, version.version_id, now, "test")
        await steer(self.service.db, "kumo", campaign_id, "approve", "test", "", now)
        await freeze_next(self.service.db, 1000, now)
        return campaign_id

    async def rows(self, sql: str) -> list[Any]:
        async with self.service.db.connection() as connection:
            return [tuple(row) for row in await connection.fetch(sql)]

    async def outcomes(self) -> list[Any]:
        return await self.rows("SELECT channel, kind::text FROM outcome ORDER BY channel, kind")

    async def until(self, outcomes: list[Any]) -> None:
        async with asyncio.timeout(10):
            while await self.outcomes() != outcomes:
                await asyncio.sleep(0.05)


@pytest.fixture
async def host(service: Service, clock: MovableClock) -> AsyncIterator[Host]:
    """The shop and the service, on two origins; afterwards nothing may be wrong."""
    async with TestServer(build_app(service)) as server, async_playwright() as player:
        browser = await player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        shop = Host(service, clock, str(server.make_url("/")).rstrip("/"), a_site(), browser)
        app = web.Application()
        routes = (("/", shop.show), ("/token", shop.token), ("/favicon.ico", shop.nothing))
        app.router.add_routes([web.get(path, answer) for path, answer in routes])
        async with TestServer(app) as there:
            shop.address = str(there.make_url("/"))
            shop.site = a_site(origins=[shop.address.rstrip("/")])
            await apply(service.db, shop.site, clock.now())
            yield shop
            await browser.close()
    assert shop.wrongs == []


async def test_a_banner_is_read_by_keyboard_and_its_words_count_as_shown_once_they_were_in_sight(host: Host) -> None:
    await host.person("ann")
    await host.tell()
    page = await host.page()
    banner = page.get_by_role("region", name="Notice")
    await expect(banner.get_by_role("status")).to_contain_text("Changes to our Privacy Policy")
    await page.wait_for_timeout(1300)
    assert await host.outcomes() == [], "a strip with a title shows no words"
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.shadowRoot.activeElement.textContent") == "Read"
    await page.keyboard.press("Enter")
    await expect(banner).to_contain_text("What changed since version one")
    await expect(banner.locator("ins")).to_contain_text("and parcels")
    assert await host.outcomes() == [], "not yet a second"
    await host.until([("in_app", "shown")])
    await page.keyboard.press("Escape")
    await expect(banner).to_have_count(0)
    again = await host.page()
    await again.wait_for_timeout(500)
    await expect(again.get_by_role("region")).to_have_count(0)
    assert host.asked.count("POST /v1/inbox/pending/shown") == 1


@pytest.mark.parametrize("how", ["hidden", "covered"])
async def test_words_that_nobody_could_see_were_not_shown(host: Host, how: str) -> None:
    await host.person("ann", email="")
    await host.tell()
    page = await host.page()
    await expect(page.get_by_role("dialog")).to_be_visible()
    if how == "hidden":
        await page.evaluate(
            "Object.defineProperty(document, 'visibilityState', {get: () => window.now || 'hidden'});"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
    else:
        await page.evaluate(
            "(() => { const d = document.createElement('dialog'); document.body.append(d); d.textContent = 'over';"
            "d.style.cssText = 'width:100vw;height:100vh;max-width:none;max-height:none';"
            "d.showModal(); window.over = d })()"
        )
    await page.wait_for_timeout(1800)
    assert await host.outcomes() == []
    await page.evaluate(
        "window.now = 'visible'; window.over?.remove(); document.dispatchEvent(new Event('visibilitychange'))"
    )
    await host.until([("in_app", "shown")])


async def test_a_gate_opens_by_an_act_on_the_words_that_stood_there_and_by_nothing_else(host: Host) -> None:
    await host.person("ann")
    await host.tell(materiality="explicit")
    host.clock.move(timedelta(days=40))
    page = await host.page()
    gate = page.get_by_role("dialog")
    await expect(gate).to_contain_text("It needs an act of your own")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await expect(gate).to_be_visible()
    await gate.get_by_role("button", name="I object").click()
    await expect(gate.get_by_role("status")).to_have_text("Your objection was recorded.")
    await gate.get_by_role("button", name="I accept").click()
    await expect(gate.get_by_role("status")).to_have_text("Your acceptance was recorded.")
    await gate.get_by_role("button", name="Continue").click()
    await expect(gate).to_have_count(0)
    acts = await host.rows("SELECT kind, locale, length(statement) FROM act ORDER BY at")
    assert acts == [("object", "en", 64), ("accept", "en", 64)]
    accepted = await host.rows("SELECT kind::text, grade::text, evidence ->> 'via' FROM acceptance")
    assert accepted == [("explicit", "A", "the site's page, by the widget")]
    again = await host.page()
    await again.wait_for_timeout(500)
    await expect(again.get_by_role("dialog")).to_have_count(0)


async def test_an_act_on_words_that_were_overtaken_is_refused_and_said(host: Host) -> None:
    await host.person("ann")
    await host.tell(materiality="explicit")
    host.clock.move(timedelta(days=40))
    page = await host.page()
    await expect(page.get_by_role("dialog")).to_be_visible()
    texts = {locale: {"body": "# Newer", "summary": "Newer."} for locale in ("en", "ja")}
    body = {"policy": "privacy", "label": "three", "materiality": "material", "texts": texts}
    await publish(host.service.db, host.site, Submission.model_validate(body), "command", host.clock.now())
    await page.get_by_role("button", name="I accept").click()
    await expect(page.get_by_role("status")).to_contain_text("nothing was recorded")
    assert await host.rows("SELECT FROM acceptance") == []
    host.wrongs = [wrong for wrong in host.wrongs if "409" not in wrong]  # the browser says so itself


async def test_even_a_hostile_answer_becomes_nothing_but_words(host: Host) -> None:
    await host.person("ann", email="")
    await host.tell()

    async def poison(route: Route) -> None:
        answer = await route.fetch()
        given = await answer.json()
        given["versions"][0]["notice"] |= {"html": HOSTILE, "subject": "<img src=x onerror=alert(1)>"}
        await route.fulfill(response=answer, json=given)

    context = await host.browser.new_context()
    page = await context.new_page()
    page.on("dialog", lambda dialog: host.wrongs.append(dialog.message))
    await page.route("**/v1/inbox/pending", poison)
    host.lang = "en"
    await page.goto(host.address)
    words = page.locator("policy-notices .words")
    await expect(words).to_contain_text("Wordslinkend")
    assert await words.locator("script, img, svg, style, iframe, form, input, [onclick], [style], [href]").count() == 0
    await expect(page.get_by_role("dialog", name="<img src=x onerror=alert(1)>")).to_be_visible()


async def test_messages_are_listed_read_and_acknowledged(host: Host) -> None:
    host.site = host.site.model_copy(
        update={"rule": host.site.rule.model_copy(update={"channels": ["inbox", "email"], "telling": "any"})}
    )
    await apply(host.service.db, host.site, host.clock.now())
    await host.person("ann", locale="ja")
    await host.tell()
    host.more = "inbox"
    page = await host.page("ja", viewport={"width": 360, "height": 640})
    await page.get_by_role("button", name="閉じる").click()
    await page.get_by_role("button", name="メッセージ (1 未読)").click()
    await page.get_by_role("button", name="プライバシーポリシー改定のお知らせ").click()
    await expect(page.locator(".words")).to_contain_text("荷物も保存します。")
    await host.until([("inbox", "shown")])
    await page.get_by_role("button", name="確認しました").click()
    await host.until([("inbox", "acknowledged"), ("inbox", "shown")])
    await expect(page.get_by_role("button", name="メッセージ", exact=True)).to_be_visible()


async def test_a_token_that_has_expired_is_renewed_and_a_busy_service_is_asked_again(host: Host) -> None:
    await host.person("ann")
    await host.tell()
    host.lifetime = timedelta(seconds=-5)
    busy = [503, 200]

    async def first_busy(route: Route) -> None:
        if host.lifetime > timedelta(0) and busy.pop(0) == 503:
            await route.fulfill(status=503, headers={"Access-Control-Allow-Origin": "*", "Retry-After": "1"})
        else:
            host.lifetime = timedelta(hours=1)
            await route.continue_()

    context = await host.browser.new_context()
    page = await context.new_page()
    await page.route("**/v1/inbox/pending", first_busy)
    host.lang = "en"
    await page.goto(host.address)
    await expect(page.get_by_role("region", name="Notice")).to_be_visible(timeout=10_000)


async def test_nobody_signed_in_and_a_page_of_another_origin_show_nothing(host: Host) -> None:
    await host.person("ann")
    await host.tell()
    host.signed_in = ""
    page = await host.page()
    await page.wait_for_timeout(300)
    assert [one for one in host.asked if "inbox" in one] == []
    host.signed_in = "ann"
    await apply(host.service.db, a_site(origins=["https://elsewhere.example"]), host.clock.now())
    refused = await host.page()
    await refused.wait_for_timeout(500)
    await expect(refused.get_by_role("region")).to_have_count(0)
    host.wrongs = [wrong for wrong in host.wrongs if "CORS" not in wrong and "ERR_FAILED" not in wrong]


async def test_the_script_is_small_and_any_page_may_load_it(host: Host) -> None:
    async with ClientSession(auto_decompress=False) as asking:
        address = f"{host.notices}/static/widget.js"
        async with asking.get(address, headers={"Accept-Encoding": "gzip"}) as answer:
            assert answer.content_type == "text/javascript"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
            assert len(await answer.read()) < 8192
            tag = answer.headers["ETag"]
        async with asking.get(address, headers={"If-None-Match": tag}) as known:
            assert known.status == 304
