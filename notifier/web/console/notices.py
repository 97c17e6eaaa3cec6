"""Everyone who was considered for a campaign, page by page or as a table for a spreadsheet."""

from urllib.parse import urlencode

from aiohttp import web

from notifier.compliance.export import notices_csv
from notifier.compliance.search import REASONS, STATUSES, CampaignNotice, Filters, campaign_notices
from notifier.presenting.shown import CHANNEL
from notifier.web.console.campaign import open_campaign
from notifier.web.console.frame import desk
from notifier.web.context import SERVICE
from notifier.web.csv import stream_csv

_NAMES = ("status", "reason", "channel", "locale", "late")
_ROWS = 50


async def show_notices(request: web.Request) -> web.Response:
    """One page of the notices that fit."""
    db = request.app[SERVICE].db
    campaign, site, language = await open_campaign(request)
    given = {name: request.query.get(name, "") for name in _NAMES}
    found = await campaign_notices(db, campaign.campaign_id, _filters(given), request.query.get("cursor"), _ROWS)
    here = f"/console/campaigns/{campaign.campaign_id}/notices"
    chosen = {name: value for name, value in given.items() if value}
    values = {
        "campaign": campaign,
        "title": f"{site.title(campaign.policy, language)} {campaign.label}",
        "filters": given,
        "statuses": STATUSES,
        "reasons": REASONS,
        "channels": (*campaign.rules.channels, CHANNEL),
        "locales": site.locales,
        "notices": [_line(campaign.site, row) for row in found.rows],
        "csv": f"{here}.csv?{urlencode(chosen)}",
        "first": f"{here}?{urlencode(chosen)}" if "cursor" in request.query else None,
        "next": f"{here}?{urlencode({**chosen, 'cursor': found.cursor})}" if found.cursor else None,
    }
    return desk(request, "notices", "overview", values, time_zone=site.time_zone)


async def send_notices(request: web.Request) -> web.StreamResponse:
    """All notices that fit as CSV, streamed."""
    db = request.app[SERVICE].db
    campaign, _, _ = await open_campaign(request)
    name = f"campaign-{campaign.campaign_id}-notices.csv"
    filters = _filters({n: request.query.get(n, "") for n in _NAMES})
    return await stream_csv(request, name, lambda write: notices_csv(db, campaign.campaign_id, filters, write))


def _filters(given: dict[str, str]) -> Filters:
    return Filters(
        statuses=[given["status"]] if given["status"] else [],
        reasons=[given["reason"]] if given["reason"] else [],
        channel=given["channel"] or None,
        locale=given["locale"] or None,
        late=bool(given["late"]),
    )


def _line(site: str, row: CampaignNotice) -> dict[str, object]:
    return {**vars(row), "href": f"/console/people?{urlencode({'site': site, 'id': row.external_id})}"}
