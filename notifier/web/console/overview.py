"""Every site with its policies, its campaigns and how far they have come."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from notifier.campaigns.campaign import Campaign, list_campaigns
from notifier.compliance.coverage import Covered, coverage_of
from notifier.db import Db
from notifier.pages import Tongue
from notifier.policies.publish import list_versions
from notifier.sites.site import Site, load_site
from notifier.web.auth import grant_of
from notifier.web.console.frame import desk
from notifier.web.console.progress import Counter, Planned, Progress, progress_of
from notifier.web.context import PAGES, SERVICE
from notifier.web.page import language_of

# How many people each channel of a frozen campaign tells at once. It never changes, so it is counted once per process.
PLANNED: web.AppKey[dict[int, list[Planned]]] = web.AppKey("planned", dict)

IN_SCOPE = ("in_scope", "unreachable", "suppressed")
MOVING = frozenset({"approved", "sending"})
# Campaigns whose letters are worth counting again each time.
_OPEN = MOVING | {"paused"}


@dataclass(frozen=True)
class PolicyLine:
    """One policy of a site, and whether a change of it waits for somebody's word."""

    policy: str
    title: str
    pending: bool


@dataclass(frozen=True)
class CampaignLine:
    """One campaign of a site in one line."""

    campaign_id: int
    corrects: int | None
    title: str
    label: str
    state: str
    effective_at: datetime
    frozen: bool
    people: int
    progress: Progress


@dataclass(frozen=True)
class SiteCard:
    """One site of the overview."""

    site: str
    name: str
    tongue: Tongue
    policies: list[PolicyLine]
    campaigns: list[CampaignLine]
    uncovered: list[Covered]


async def show_overview(request: web.Request) -> web.Response:
    """The page."""
    cards = await _cards(request)
    return desk(request, "overview", "overview", {"sites": cards, "live": _live(cards)})


async def show_overview_live(request: web.Request) -> web.Response:
    """The part of the page that moves."""
    cards = await _cards(request)
    return desk(request, "overview_live", "overview", {"sites": cards, "live": _live(cards)})


def _live(cards: list[SiteCard]) -> bool:
    return any(line.state in MOVING for card in cards for line in card.campaigns)


async def visible_sites(request: web.Request) -> list[Site]:
    """The sites that the signed-in token is for and may read."""
    grant, db = grant_of(request), request.app[SERVICE].db
    names = [row["site"] for row in await db.many(dict, "web.sites")]
    grant.demand(None, "read")
    return [await load_site(db, name) for name in names if grant.sees(name)]


async def _cards(request: web.Request) -> list[SiteCard]:
    db, language = request.app[SERVICE].db, language_of(request)
    cards = []
    for site in await visible_sites(request):
        pending = {v.policy for v in await list_versions(db, site.site) if v.state == "pending"}
        cards.append(
            SiteCard(
                site=site.site,
                name=site.name(language),
                tongue=request.app[PAGES].tongue(language, site.time_zone),
                policies=[PolicyLine(p, site.title(p, language), p in pending) for p in site.policies],
                campaigns=await _lines(request, site, language),
                uncovered=[look for look in await coverage_of(db, site.site) if look.gaps],
            )
        )
    return cards


async def _lines(request: web.Request, site: Site, language: str) -> list[CampaignLine]:
    db = request.app[SERVICE].db
    campaigns = await list_campaigns(db, site.site)
    open_ones = [c.campaign_id for c in campaigns if c.state in _OPEN and c.frozen_at]
    planned = await planned_of(request, open_ones)
    counters = await db.many(Counter, "pages.progress", campaigns=open_ones)
    to_tell = await in_scope_of(db, campaigns)
    return [
        CampaignLine(
            campaign.campaign_id, campaign.corrects, site.title(campaign.policy, language), campaign.label,
            campaign.state,
            campaign.effective_at, campaign.frozen_at is not None,
            to_tell[campaign.campaign_id],
            progress_of(campaign.campaign_id, planned, counters, there=campaign.inbox_at is not None),
        )
        for campaign in campaigns
    ]  # fmt: skip


async def planned_of(request: web.Request, campaigns: list[int]) -> list[Planned]:
    """What the channels of frozen campaigns were to tell."""
    known, db = request.app[PLANNED], request.app[SERVICE].db
    if new := [campaign for campaign in campaigns if campaign not in known]:
        rows = await db.many(Planned, "pages.planned", campaigns=new)
        known.update({campaign: [row for row in rows if row.campaign_id == campaign] for campaign in new})
    return [row for campaign in campaigns for row in known[campaign]]


async def in_scope_of(db: Db, campaigns: Sequence[Campaign]) -> dict[int, int]:
    """How many people each of some frozen campaigns must tell, reachable or not, with those who joined since."""
    rows = await db.many(dict, "pages.joined", campaigns=[campaign.campaign_id for campaign in campaigns])
    joined = {row["campaign_id"]: int(row["more"]) for row in rows}
    return {
        one.campaign_id: sum(int((one.frozen or {}).get(reason, 0)) for reason in IN_SCOPE)
        + joined.get(one.campaign_id, 0)
        for one in campaigns
    }
