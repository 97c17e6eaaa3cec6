"""Approvals, test letters, stages and the stop switch in the console, in a real browser."""

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from notifier.campaigns.campaign import load_campaign
from notifier.campaigns.stages import move_stages, trip_breakers
from notifier.campaigns.steer import steer
from notifier.channels import email
from notifier.channels.channel import Sent
from notifier.compose import Service
from notifier.db import Db
from notifier.delivery.relays import Refusing
from notifier.letters.write import Writer
from notifier.sites.apply import apply
from notifier.sites.site import Site, load_site
from tests.channels.smtp_server import SmtpServer, smtp_server
from tests.sites import a_site
from tests.telling import a_telling, some_letters
from tests.web import scene
from tests.web.test_pages import CHROMIUM, Token, Visit, sign_in, tab_to, type_where_it_begins, visit

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
__all__ = ["visit"]

WIDTHS = (360, 1200)
PICTURES = os.environ.get("NOTIFIER_TEST_PICTURES")


@pytest.fixture
async def relay(service: Service) -> AsyncIterator[SmtpServer]:
    """The site with a canary, two people's approval, a test letter first, and a real relay."""
    async with smtp_server() as server, email.open_channel(service.settings, service.keys) as channel:
        service.channels["email"] = channel  # type: ignore[index] # a plain dictionary in tests
        site = a_site(
            approval={"people": 2, "test_send": True},
            canary={"stages": [5, "50%"], "hold": 30},
            breaker={"bounces": "10%", "after": 5},
            relays=[{"host": "127.0.0.1", "port": server.port, "security": "none"}],
        )
        await apply(service.db, site, service.clock.now())
        yield server


@pytest.fixture
async def campaign(service: Service, relay: SmtpServer) -> int:
    """A campaign that waits for two people."""
    site = Site.model_validate(await service.db.value("sites.settings", site="kumo"))
    return await scene.play(service.db, site, service.clock.now())


async def fits(page: Page, name: str) -> None:
    """Nothing scrolls sideways at either width; a picture of each where somebody wants to look."""
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 900})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
        if PICTURES:
            await page.screenshot(path=Path(PICTURES) / f"{name}-{width}.png", full_page=True)


@pytest.mark.parametrize("language", ["en", "ja"])
async def test_every_page_of_safety_fits_a_phone_and_a_desk_in_both_languages(
    visit: Visit, token: Token, campaign: int, service: Service, language: str
) -> None:
    page, here = await visit.page(locale=language), f"/console/campaigns/{campaign}"
    await sign_in(page, await token(name="kei"))
    await page.goto(here)
    await fits(page, f"{language}-1-planned")
    await page.goto(f"{here}/test")
    await page.locator("textarea").fill("kei@office.example\nnoor@office.example")
    await page.locator("form button.primary").click()
    await expect(page.locator("#answers")).to_be_visible()
    assert await page.locator("tbody tr").count() == 4
    await fits(page, f"{language}-2-test")
    await page.goto(f"{here}/approve")
    await fits(page, f"{language}-3-approve")
    await page.locator("form button.primary").click()
    await expect(page.locator("#live .note")).to_contain_text("kei")
    await fits(page, f"{language}-4-approved-once")
    await begun_and_held(service, campaign)
    await page.goto(here)
    await expect(page.locator("#live .note time")).to_be_visible()
    await fits(page, f"{language}-5-held")
    await page.goto(f"{here}/go_on")
    await fits(page, f"{language}-6-go-on")
    await of_unknown_fate(service.db, campaign)
    await page.goto(here)
    await fits(page, f"{language}-7-unknown")
    await page.goto(f"{here}/unknown/give_up")
    await fits(page, f"{language}-7-give-up")
    await page.goto(here)
    await page.locator("#live .note.warn a.button").first.click()
    await fits(page, f"{language}-7-resend")
    await page.locator("form button.primary").click()
    await page.wait_for_url(f"**{here}")
    await expect(page.locator("#live .note.warn")).to_have_count(0)
    await bounced(service.db, campaign)
    assert await trip_breakers(service.db, service.clock.now()) == 1
    await page.goto(here)
    await expect(page.locator("#live .note.bad")).to_contain_text("10")
    await fits(page, f"{language}-7-breaker")
    await refused(service, campaign)
    await page.goto("/console")
    await fits(page, f"{language}-8-relay-paused")
    await page.locator(".note.warn a.button").click()
    await fits(page, f"{language}-8-relay")
    await page.locator("form button.primary").click()
    await page.wait_for_url("**/console")
    await expect(page.locator(".note.warn a.button")).to_have_count(0)
    await page.goto("/console/stop")
    await fits(page, f"{language}-8-stop")
    await page.locator("form button.danger").click()
    await page.wait_for_url("**/console")
    await fits(page, f"{language}-9-stopped")


STRICT = {
    "preset": "eu-psd2-framework",
    "evidence": "recipient",
    "deemed_acceptance": True,
    "reason": "clause 14 of the framework contract",
    "also": [{"preset": "us-contract", "applies_to": {"country": "US", "not": {"attributes.区分": "無料"}}}],
    "audience": {
        "countries": ["DE", "JP"], "locales": ["de"], "attributes": {"tier": "pro"}, "dormant": False,
        "where": {"any": [{"registered_at": {"before": "2026-01-01"}}, {"role": ["seller", "<b>business</b>"]}]},
    },
}  # fmt: skip
SHOWN = {
    "en": [
        "Country: Germany, Japan", "Language: German", "tier = pro", "before: '2026-01-01'", "- <b>business</b>",
        "Without dormant accounts", "the recipient’s server took the email; a private message tells nobody",
        "silence until the person’s own date counts as acceptance", "attributes.区分: 無料",
        "Some people are under more", "less, because: clause 14 of the framework contract",
    ],
    "ja": [
        "国：ドイツ, 日本", "言語：ドイツ語", "before: '2026-01-01'", "休眠アカウントを除く",
        "異議がなければ承諾とみなす", "メッセージだけでは通知済みとしない", "一部の人には",
    ],
}  # fmt: skip


@pytest.mark.parametrize("language", ["en", "ja"])
async def test_whoever_approves_sees_the_whole_rule(
    visit: Visit, token: Token, service: Service, relay: SmtpServer, language: str
) -> None:
    site = a_site(rule=STRICT)
    await apply(service.db, site, service.clock.now())
    campaign = await scene.play(service.db, site, service.clock.now())
    page = await visit.page(locale=language)
    await sign_in(page, await token(name="kei"))
    await page.goto(f"/console/campaigns/{campaign}")
    await page.locator("details summary").first.click()
    rule = page.locator("section[aria-labelledby=rule]")
    for words in SHOWN[language]:
        await expect(rule).to_contain_text(words)
    await fits(page, f"{language}-rule")


async def begun_and_held(service: Service, campaign: int) -> None:
    """Somebody else approves, the audience is frozen, and the first stage is handed over."""
    await steer(service.db, "kumo", campaign, "approve", "noor", "", service.clock.now())
    await scene.freeze(service.db, service.clock.now())
    await scene.sql(service.db, "UPDATE slice SET cursor_lane = to_lane, cursor_person = to_person WHERE stage = 1")
    await move_stages(service.db, service.clock.now())


async def refused(service: Service, campaign: int) -> None:
    """Receivers refuse what comes by the site's relay."""
    site = await load_site(service.db, "kumo")
    letters = some_letters(Writer(a_telling(site), service.keys, "https://notices.example"), 6)
    words = "550 5.7.1 Service unavailable; client host blocked using a list of addresses"
    sents = [Sent(letter, "deferred", "policy", words, site.relays[0].name) for letter in letters]
    assert await Refusing(service.db).note(site, sents, service.clock.now())


async def of_unknown_fate(db: Db, campaign: int) -> None:
    """Three letters wait for somebody's word."""
    await scene.sql(
        db,
        "INSERT INTO retry SELECT lane, person_id, campaign_id, 'email', 2, 0, NULL, true FROM notice"
        " WHERE campaign_id = $1 AND reason = 'in_scope' LIMIT 3",
        campaign,
    )
    await scene.sql(db, "UPDATE slice SET unsure = 3 WHERE campaign_id = $1 AND stage = 1", campaign)


async def bounced(db: Db, campaign: int) -> None:
    await scene.sql(db, "INSERT INTO progress VALUES ($1, 'email', 'accepted_by_relay', 0, 20)", campaign)
    await scene.sql(db, "INSERT INTO progress VALUES ($1, 'email', 'bounced', 0, 4, 'bad_address')", campaign)


async def test_a_test_letter_is_sent_and_a_campaign_is_approved_by_two_by_keyboard_alone(
    visit: Visit, token: Token, campaign: int, service: Service, relay: SmtpServer
) -> None:
    page = await visit.page()
    await sign_in(page, await token(name="kei"))
    await page.goto(f"/console/campaigns/{campaign}/approve")
    await expect(page.locator("main")).to_contain_text("send a test letter first")
    await page.goto(f"/console/campaigns/{campaign}")
    await tab_to(page, "Send a test letter")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/test")
    await type_where_it_begins(page, "not an address")
    await tab_to(page, "Send")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("Nothing was sent")
    await page.locator("textarea").fill("")
    await page.locator("textarea").focus()
    await page.keyboard.type("kei@office.example")
    await tab_to(page, "Send")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("row", name="kei@office.example")).to_have_count(2)
    assert relay.addresses == ["kei@office.example"] * 2
    await page.goto(f"/console/campaigns/{campaign}")
    await tab_to(page, "Approve")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/approve")
    await expect(page.locator("main")).to_contain_text("somebody else has approved as well")
    await tab_to(page, "Approve")
    await page.keyboard.press("Enter")
    await expect(page.locator("#live .note")).to_contain_text("1 of 2 approvals, by kei. Somebody else must approve.")
    await page.goto(f"/console/campaigns/{campaign}/approve")
    await expect(page.locator("main")).to_contain_text("somebody else must approve")
    await begun_and_held(service, campaign)
    await page.goto(f"/console/campaigns/{campaign}")
    await tab_to(page, "Go on now")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/go_on")
    await tab_to(page, "Go on now")
    await page.keyboard.press("Enter")
    await expect(page.locator("#live .note")).to_contain_text("Stage 2 of 3")
    assert (await load_campaign(service.db, "kumo", campaign)).stage == 2


async def test_the_switch_is_thrown_and_taken_back_by_keyboard_and_every_page_says_so(
    visit: Visit, token: Token, campaign: int, service: Service
) -> None:
    page = await visit.page()
    await sign_in(page, await token(name="kei"))
    await tab_to(page, "Stop sending")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/sites/kumo/stop")
    await type_where_it_begins(page, "the wrong text")
    await tab_to(page, "Stop sending")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/console")
    for path in ("/console", f"/console/campaigns/{campaign}", "/console/people"):
        await page.goto(path)
        banner = page.locator("main .note.bad").first
        await expect(banner).to_contain_text("All sending of kumo is stopped.")
        await expect(banner).to_contain_text("kei")
        await expect(banner).to_contain_text("the wrong text")
    service.clock.move(timedelta(minutes=1))
    await tab_to(page, "Let it go on")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/sites/kumo/go")
    await type_where_it_begins(page, "the right text is in")  # the banner above has a link of the same words
    await tab_to(page, "Let it go on")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/console")
    await expect(page.get_by_text("is stopped")).to_have_count(0)


async def test_who_may_only_read_sees_that_sending_is_stopped_and_cannot_change_it(
    visit: Visit, token: Token, campaign: int, service: Service
) -> None:
    page = await visit.page()
    await sign_in(page, await token("read", site="kumo"))
    await expect(page.get_by_role("link", name="Stop sending")).to_have_count(0)
    await expect(page.get_by_role("link", name="Stop everything")).to_have_count(0)
    for path in ("/console/stop", "/console/sites/kumo/stop", f"/console/campaigns/{campaign}/test"):
        await page.goto(path)
        await expect(page.get_by_role("heading", level=1)).to_contain_text("not yours")
