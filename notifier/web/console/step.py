"""Approve, pause, resume or cancel a campaign: first what it means, then, with a reason, the step itself."""

from aiohttp import web

from notifier.campaigns.announce import preview
from notifier.campaigns.campaign import Campaign, load_campaign
from notifier.campaigns.safety import missing
from notifier.campaigns.steer import STEPS, objection_of, possible, steer
from notifier.errors import Conflict
from notifier.sites.site import load_site
from notifier.web.auth import grant_of
from notifier.web.console.frame import desk
from notifier.web.context import SERVICE
from notifier.web.page import language_of
from notifier.web.reading import read_form

_LONGEST_REASON = 500


async def ask_step(request: web.Request) -> web.Response:
    """What the step does, and the form that takes the reason."""
    service = request.app[SERVICE]
    campaign, step = await _campaign(request, "read"), request.match_info["step"]
    if step not in possible(campaign):
        raise Conflict(f"campaign {campaign.campaign_id} is {campaign.state}; this step is not possible now")
    if step == "approve":
        who = grant_of(request).name
        if objection := objection_of(campaign, who):
            raise Conflict(objection)
    site = await load_site(service.db, campaign.site)
    language = language_of(request)
    values = {
        "campaign": campaign,
        "step": step,
        "kind": "approve_first" if step == "approve" and missing(campaign.safety, campaign.approved_by) > 1 else step,
        "site_name": site.name(language),
        "title": f"{site.title(campaign.policy, language)} {campaign.label}",
        "people": await _people(request, campaign) if step == "approve" else None,
    }
    return desk(request, "step", "overview", values, time_zone=site.time_zone)


async def take_step(request: web.Request) -> web.Response:
    """Take the step and show the campaign again."""
    service = request.app[SERVICE]
    campaign = await _campaign(request, "send")
    await steer(
        service.db, campaign.site, campaign.campaign_id, request.match_info["step"],
        grant_of(request).name, await reason_of(request), service.clock.now(),
    )  # fmt: skip
    raise web.HTTPSeeOther(f"/console/campaigns/{campaign.campaign_id}")


async def reason_of(request: web.Request) -> str:
    """The reason that was given in the form, for the record; empty when there is none."""
    return str((await read_form(request)).get("reason", "")).replace("\0", "").strip()[:_LONGEST_REASON]


async def _campaign(request: web.Request, scope: str) -> Campaign:
    grant, number = grant_of(request), int(request.match_info["campaign_id"])
    campaign = await load_campaign(request.app[SERVICE].db, grant.site, number)
    grant.demand(campaign.site, scope)
    return campaign


async def _people(request: web.Request, campaign: Campaign) -> int:
    service = request.app[SERVICE]
    counts = await preview(service.db, campaign.campaign_id, service.clock.now())
    return sum(count.count for count in counts if (count.dimension, count.value) == ("reason", "in_scope"))


STEP = "|".join(STEPS)
