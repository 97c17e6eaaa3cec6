"""One campaign: its state and steps, its letters as they go, its counts, its plan, its rule and its history."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web
from babel.numbers import format_percent

from notifier.campaigns.announce import preview
from notifier.campaigns.campaign import Campaign, Event, history, list_campaigns, load_campaign
from notifier.campaigns.correct import can_be_corrected
from notifier.campaigns.rule import Rule
from notifier.campaigns.ruling import rulings
from notifier.campaigns.steer import possible
from notifier.campaigns.warn import warnings_of
from notifier.compliance.export import figures_csv
from notifier.compliance.figures import Report
from notifier.compliance.report import campaign_report, letters_of, planned_forecast
from notifier.delivery.unknown import held_letters
from notifier.letters.render import summary_html
from notifier.pages import Tongue
from notifier.policies.publish import load_version
from notifier.sites.site import Audience, Site, load_site
from notifier.web.auth import grant_of
from notifier.web.console.counts import by_reason, left_out, planned_levels, tables, told_levels
from notifier.web.console.frame import desk
from notifier.web.console.overview import MOVING, in_scope_of, planned_of
from notifier.web.console.progress import Counter, progress_of
from notifier.web.console.reports import REPORTS
from notifier.web.context import PAGES, SERVICE
from notifier.web.csv import stream_csv
from notifier.web.page import language_of


async def show_campaign(request: web.Request) -> web.Response:
    """The page."""
    service = request.app[SERVICE]
    campaign, site, language = await open_campaign(request)
    tongue = request.app[PAGES].tongue(language, site.time_zone)
    counts = await preview(service.db, campaign.campaign_id, service.clock.now())
    values = {
        **_frame(campaign, site, language),
        **await _live(request, campaign),
        **await _counts(request, campaign),
        "plan": tables(counts, lambda dimension, value: _name(tongue, dimension, value), tongue.t("campaign.others")),
        "audience": _audience(tongue, campaign.rule.audience),
        "told_means": _told_means(campaign.rule),
        "use": _use(campaign.rule),
        "rulings": rulings(campaign.rules),
        "warnings": await warnings_of(service.db, site, await load_version(service.db, site.site, campaign.version_id)),
        "words": {locale: summary_html(words) for locale, words in (campaign.words or {}).items()},
        "corrections": [c for c in await list_campaigns(service.db, site.site) if c.corrects == campaign.campaign_id],
        "events": await history(service.db, campaign.campaign_id),
    }
    return desk(request, "campaign", "overview", values, time_zone=site.time_zone)


async def show_live(request: web.Request) -> web.Response:
    """The part of the page that moves: from counters alone, so that watching costs nothing."""
    campaign, site, language = await open_campaign(request)
    values = {**_frame(campaign, site, language), **await _live(request, campaign)}
    return desk(request, "campaign_live", "overview", values, time_zone=site.time_zone)


async def show_counts(request: web.Request) -> web.Response:
    """The part of the page that is counted from the rows, asked for more rarely; all who watch share the counting."""
    campaign, site, language = await open_campaign(request)
    report = await request.app[REPORTS].recent(campaign) if campaign.frozen_at else None
    values = {**_frame(campaign, site, language), **await _counts(request, campaign, report)}
    return desk(request, "campaign_counts", "overview", values, time_zone=site.time_zone)


async def send_figures(request: web.Request) -> web.StreamResponse:
    """The counts as CSV, with every identity that does not hold."""
    service = request.app[SERVICE]
    campaign, _, _ = await open_campaign(request)
    rows = figures_csv(await campaign_report(service.db, campaign.campaign_id, service.clock.now()))
    return await stream_csv(request, f"campaign-{campaign.campaign_id}-figures.csv", lambda write: write(rows))


async def open_campaign(request: web.Request) -> tuple[Campaign, Site, str]:
    """The campaign that the address names, if the token may read it, with its site and the reader's language."""
    db = request.app[SERVICE].db
    campaign = await load_campaign(db, grant_of(request).site, int(request.match_info["campaign_id"]))
    grant_of(request).demand(campaign.site, "read")
    return campaign, await load_site(db, campaign.site), language_of(request)


def _frame(campaign: Campaign, site: Site, language: str) -> dict[str, Any]:
    return {
        "campaign": campaign,
        "live": campaign.state in MOVING,
        "site_name": site.name(language),
        "title": site.title(campaign.policy, language),
    }


async def _live(request: web.Request, campaign: Campaign) -> dict[str, Any]:
    db, ids = request.app[SERVICE].db, [campaign.campaign_id]
    planned = await planned_of(request, ids) if campaign.frozen_at else []
    counters = await db.many(Counter, "pages.progress", campaigns=ids)
    return {
        "steps": possible(campaign),
        "testable": campaign.state in ("planned", "approved", "sending", "paused"),
        "correctable": can_be_corrected(campaign),
        "trip": _trip(await history(db, campaign.campaign_id)) if campaign.state == "paused" else None,
        "held": await held_letters(db, campaign.campaign_id) if campaign.state in ("sending", "paused") else 0,
        "people": (await in_scope_of(db, [campaign]))[campaign.campaign_id],
        "progress": progress_of(campaign.campaign_id, planned, counters, there=campaign.inbox_at is not None),
    }


def _trip(events: Sequence[Event]) -> dict[str, Any] | None:
    """What the breaker found, if it was the breaker that paused the campaign: the last step that changes its state."""
    last = next((event for event in reversed(events) if event.action in ("breaker", "pause")), None)
    if last is None or last.action != "breaker":
        return None
    limit = format_percent(last.detail["limit"], format="0.###%")
    return {**last.detail, "words": f"breaker.{last.detail['rate']}", "limit": limit}


async def _counts(request: web.Request, campaign: Campaign, report: Report | None = None) -> dict[str, Any]:
    """What the page says of the numbers: counted now, unless a ``report`` is given."""
    service = request.app[SERVICE]
    now = service.clock.now()
    if campaign.frozen_at is None:
        counts = await preview(service.db, campaign.campaign_id, now)
        reasons = by_reason(counts)
        return {
            "levels": planned_levels(reasons), "adds_up": True, "gaps": (), "reasons": left_out(reasons),
            "failures": [], "joined": [], "grades": [], "presets": {}, "reminders": [],
            "forecast": await planned_forecast(service.db, campaign, letters_of(counts), now),
        }  # fmt: skip
    report = report or await campaign_report(service.db, campaign.campaign_id, now)
    notices = f"/console/campaigns/{campaign.campaign_id}/notices?status="
    return {
        "levels": told_levels(report, notices),
        "adds_up": report.adds_up,
        "gaps": report.gaps,
        "reasons": left_out(report.excluded),
        "failures": list(report.failures.items()),
        "joined": [(why, count) for why, count in report.joined.items() if count],
        "grades": [(grade, count) for grade, count in report.grades.items() if count],
        "presets": report.by_preset if len(report.by_preset) > 1 else {},
        "reminders": list(report.reminders.items()),
        "forecast": report.forecast,
    }


def _name(tongue: Tongue, dimension: str, value: str) -> str:
    """A value of the plan in words."""
    if not value:
        return tongue.t("none" if dimension in ("role", "channel") else "unknown")
    if dimension == "country":
        return tongue.country_name(value)
    if dimension == "locale":
        return tongue.language_name(value)
    return tongue.word("channel", value) if dimension == "channel" else value


def _audience(tongue: Tongue, audience: Audience) -> list[str]:
    """What its lists ask of people, who must fit all of it; empty when nothing. Conditions are shown as they are."""
    lists = {
        "rule.audience.country": [tongue.country_name(country) for country in audience.countries],
        "rule.audience.role": audience.roles,
        "rule.audience.locale": [tongue.language_name(locale) for locale in audience.locales],
    }
    asked = [tongue.t(words, what=", ".join(names)) for words, names in lists.items() if names]
    return asked + [f"{name} = {value}" for name, value in audience.attributes.items()]


def _told_means(rule: Rule) -> str:
    """The words for what tells somebody: of what people can keep only an email does."""
    return f"rule.evidence.durable.{rule.evidence}" if rule.durable else f"rule.evidence.{rule.evidence}"


def _use(rule: Rule) -> str:
    """The words for what continued use amounts to."""
    if rule.explicit:
        return "rule.use.explicit"
    if not rule.deems:
        return "rule.use.never"
    return "rule.use.silence" if rule.deemed_by == "silence" else "rule.use.deems"
