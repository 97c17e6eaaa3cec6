"""The pages as somebody uses them: a real browser on a real server and a real database.

Every test also fails when a page asks anybody but us, writes to the console, or breaks its content security policy.
"""

import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, ConsoleMessage, Dialog, Page, Request, async_playwright, expect

from notifier.compose import Service
from notifier.policies.publish import publish
from notifier.policies.version import Submission
from notifier.sites.apply import apply
from notifier.sites.site import Site
from notifier.web.app import build_app
from tests.web import scene

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
Token = Callable[..., Awaitable[str]]


@dataclass
class Visit:
    """A browser in front of our server, and everything it did that it should not have done."""

    browser: Browser
    base: str
    wrongs: list[str] = field(default_factory=list)

    async def page(self, **more: object) -> Page:
        """A page of a reader with a screen, a language and a colour scheme of their own."""
        given = {"locale": "en", "viewport": {"width": 1200, "height": 900}, **more}
        context = await self.browser.new_context(base_url=self.base, **given)
        page = await context.new_page()
        page.on("request", self._watch)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.wrongs.append(f"error: {error}"))
        page.on("dialog", self._dismiss)
        return page

    def _watch(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.base).netloc:
            self.wrongs.append(f"asked {request.url}")

    def _hear(self, message: ConsoleMessage) -> None:
        # A page that is missing on purpose is no wrong.
        if message.type in ("error", "warning") and "status of 4" not in message.text:
            self.wrongs.append(f"console: {message.text}")

    async def _dismiss(self, dialog: Dialog) -> None:
        self.wrongs.append(f"dialog: {dialog.message}")
        await dialog.dismiss()


@pytest.fixture
async def visit(service: Service) -> AsyncIterator[Visit]:
    """The browser; afterwards nothing may be wrong."""
    async with TestServer(build_app(service)) as server, async_playwright() as player:
        browser = await player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = Visit(browser, str(server.make_url("/")).rstrip("/"))
        yield opened
        await browser.close()
    assert opened.wrongs == []


@pytest.fixture
async def campaign(service: Service, site: Site) -> int:
    """A campaign that waits for approval."""
    return await scene.play(service.db, site, service.clock.now())


async def sign_in(page: Page, token: str) -> None:
    await page.goto("/console")
    await page.get_by_label("API token").or_(page.get_by_label("API トークン")).fill(token)
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(r"//[^/]+/console$"))


async def tab_to(page: Page, words: str) -> None:
    """Press Tab until the focus is on the link or button with these words."""
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.textContent.trim()") == words:
            return
    raise AssertionError(f"{words!r} cannot be reached by keyboard")


async def type_where_it_begins(page: Page, words: str) -> None:
    """Type into the field that a page begins with, once it has the focus: what is typed before is lost."""
    await expect(page.locator("[autofocus]")).to_be_focused()
    await page.keyboard.type(words)


async def test_a_wrong_token_is_refused_and_the_right_one_opens_the_overview(
    visit: Visit, token: Token, campaign: int
) -> None:
    page = await visit.page()
    await page.goto(f"/console/campaigns/{campaign}")
    await page.get_by_label("API token").fill("notifier_nonsense")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("unknown or was revoked")
    await page.get_by_label("API token").fill(await token())
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Privacy Policy 2026-03")
    await page.get_by_role("link", name="Overview").first.click()
    await expect(page.get_by_role("heading", name="Kumo Store")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_a_campaign_is_approved_by_keyboard_and_its_page_follows_by_itself(
    visit: Visit, token: Token, campaign: int, service: Service
) -> None:
    page = await visit.page()
    await sign_in(page, await token())
    await tab_to(page, "Privacy Policy 2026-03")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/campaigns/{campaign}")
    await tab_to(page, "Approve")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/approve")
    await type_where_it_begins(page, "Reviewed by counsel")
    await tab_to(page, "Approve and send")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/campaigns/{campaign}")
    await expect(page.locator("#live .badge")).to_have_text("Approved")
    await expect(page.get_by_text("Reviewed by counsel")).to_be_visible()
    await scene.freeze(service.db, service.clock.now())
    await expect(page.locator("#live .badge")).to_have_text("Sending", timeout=10_000)
    await tab_to(page, "Pause")
    await scene.tell(service.db, campaign, service.clock.now())
    await expect(page.locator("#live")).to_contain_text("letters settled", timeout=10_000)
    await expect(page.locator("#live .big")).not_to_have_text("0%", timeout=10_000)
    assert await page.evaluate("document.activeElement.textContent") == "Pause", "the update took the focus away"
    await scene.finish(service.db, campaign, service.clock.now())
    await expect(page.locator("#live .badge")).to_have_text("Done", timeout=10_000)
    await expect(page.locator("#live[hx-get]")).to_have_count(0)


async def test_before_the_first_letter_the_page_says_when_the_last_one_leaves_within_the_limits(
    visit: Visit, token: Token, campaign: int, service: Service, site: Site
) -> None:
    limited = Site.model_validate(site.model_dump() | {"pace": {"per_day": 10}})
    await apply(service.db, limited, service.clock.now())
    key = await token()
    for locale, words, late in (
        ("en", "If it began now", "People told too late"), ("ja", "今始めた場合", "予告期間が終わらない人数"),
    ):  # fmt: skip
        page = await visit.page(locale=locale)
        await sign_in(page, key)
        await page.goto(f"/console/campaigns/{campaign}")
        await expect(page.locator("#counted")).to_contain_text(words)
        await expect(page.locator("#counted")).to_contain_text(late)


async def test_a_campaign_shows_every_count_and_that_they_add_up(
    visit: Visit, token: Token, campaign: int, service: Service
) -> None:
    await scene.begin(service.db, campaign, "kumo", service.clock.now())
    await scene.tell(service.db, campaign, service.clock.now())
    service.clock.move(timedelta(hours=1))
    page = await visit.page()
    await sign_in(page, await token())
    await page.goto(f"/console/campaigns/{campaign}")
    sums = await page.locator(".level .sum").all_inner_texts()
    assert len(sums) == 3
    for line in sums:
        whole, parts = line.split("=")
        assert int(whole) == sum(int(part) for part in parts.split("+")), line
    assert sums[0].startswith("60 =")
    await expect(page.get_by_text("All counts add up.")).to_be_visible()
    await expect(page.locator(".sum.off")).to_have_count(0)
    await expect(page.get_by_role("row", name="Account suspended")).to_contain_text("3")
    await expect(page.get_by_role("row", name="Address does not exist")).to_be_visible()
    await expect(page.get_by_role("row", name="Japan", exact=False).first).to_be_visible()
    await page.get_by_role("link", name="Unreachable").click()
    await expect(page.locator("tbody .badge").first).to_have_text("Unreachable")


async def test_a_person_s_timeline_tells_the_story_in_the_reader_s_language(
    visit: Visit, token: Token, campaign: int, service: Service
) -> None:
    await scene.begin(service.db, campaign, "kumo", service.clock.now())
    await scene.tell(service.db, campaign, service.clock.now(), share=1)
    page = await visit.page(locale="ja")
    await sign_in(page, await token())
    await page.get_by_role("link", name="利用者").first.click()
    await page.get_by_label("外部 ID").fill("u-00002")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("u-00002")
    words = await page.locator(".timeline h3").all_inner_texts()
    assert words[-1] == "登録"
    assert "対象者かどうかを判定：対象" in words
    await expect(page.locator("article").first).to_contain_text("プライバシーポリシー")
    title = await page.locator(".timeline time").first.get_attribute("title")
    assert title is not None
    assert title.endswith("UTC")
    await page.get_by_role("link", name="English").click()
    await expect(page.get_by_role("heading", name="Timeline")).to_be_visible()


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_page_scrolls_sideways_on_a_phone(
    visit: Visit, token: Token, campaign: int, service: Service, language: str, scheme: str
) -> None:
    await scene.begin(service.db, campaign, "kumo", service.clock.now())
    await scene.tell(service.db, campaign, service.clock.now())
    page = await visit.page(locale=language, color_scheme=scheme, viewport={"width": 360, "height": 740})
    await sign_in(page, await token())
    person = urlencode({"site": "kumo", "id": scene.HOSTILE_ID})
    for path in (
        "/", "/console", f"/console/campaigns/{campaign}", f"/console/campaigns/{campaign}/pause",
        f"/console/campaigns/{campaign}/notices", "/console/people", f"/console/people?{person}",
        "/console/sites/kumo/policies/privacy", "/p/kumo", "/p/kumo/privacy", "/p/kumo/privacy/versions",
        f"/p/kumo/privacy/2026-03/{language}", f"/p/kumo/privacy/2026-03/{language}/since/2025-11", "/nowhere",
    ):  # fmt: skip
        await page.goto(path)
        assert await page.evaluate("document.documentElement.scrollWidth") == 360, path
        assert await page.evaluate("document.documentElement.lang") == language, path


async def test_hostile_words_are_shown_and_do_nothing(
    visit: Visit, token: Token, campaign: int, service: Service, site: Site
) -> None:
    texts = {
        "en": {"body": scene.HOSTILE_TEXT, "summary": "<script>alert(1)</script> {{ 7*7 }} \u202ereversed"},
        "ja": {"media_type": "text/html", "body": scene.HOSTILE_TEXT},
    }
    given = Submission.model_validate(
        {"policy": "privacy", "label": "evil", "materiality": "editorial", "texts": texts}
    )
    await publish(service.db, site, given, "webhook", service.clock.now())
    await scene.begin(service.db, campaign, "kumo", service.clock.now())
    await scene.tell(service.db, campaign, service.clock.now(), share=1)
    page = await visit.page()
    for locale in ("en", "ja"):
        await page.goto(f"/p/kumo/privacy/evil/{locale}")
        assert await page.locator("article script, article img, article style, article [onclick]").count() == 0
        await expect(page.locator("article")).to_contain_text("{{ 7 * 7 }}")
        await page.get_by_role("link", name="away").or_(page.locator("article")).first.hover()
    await page.goto("/p/kumo/privacy/evil/en")
    await expect(page.locator(".summary")).to_contain_text("<script>alert(1)</script> {{ 7*7 }}")
    await page.goto("/p/kumo/privacy/evil/ja/raw")
    # There the browser says what it refused to run: that much is expected, and nothing else.
    assert all(re.search("Content Security Policy|frame is sandboxed", wrong) for wrong in visit.wrongs)
    visit.wrongs.clear()
    await sign_in(page, await token())
    await page.goto(f"/console/people?{urlencode({'site': 'kumo', 'id': scene.HOSTILE_ID})}")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("{{7*7}}")
    await page.goto(f"/console/campaigns/{campaign}/notices?status=unreachable")
    await expect(page.locator("tbody tr").first).to_be_visible()


async def test_everything_works_without_javascript(visit: Visit, token: Token, campaign: int) -> None:
    page = await visit.page(java_script_enabled=False)
    await sign_in(page, await token())
    await page.get_by_role("link", name="Privacy Policy 2026-03").click()
    await page.get_by_role("link", name="Approve").click()
    await page.get_by_role("button", name="Approve and send").click()
    await expect(page.locator("#live .badge")).to_have_text("Approved")


async def test_a_long_text_has_contents_that_lead_to_its_sections(visit: Visit, campaign: int) -> None:
    page = await visit.page()
    await page.goto("/p/kumo/privacy/2026-03/ja")
    await page.get_by_role("navigation", name="目次").get_by_role("link", name="保存期間").click()
    await expect(page.get_by_role("heading", name="保存期間", exact=True)).to_be_in_viewport()
    await page.get_by_role("link", name="English").click()
    await expect(page.get_by_role("heading", name="How long we keep it")).to_be_visible()
    await page.get_by_role("link", name="The exact bytes").click()
    await page.wait_for_url("**/raw")
