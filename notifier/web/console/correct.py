"""Correct what a campaign said: the words in every language, and the form that takes them."""

from collections.abc import Mapping

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from notifier.campaigns.campaign import Campaign, load_campaign
from notifier.campaigns.correct import can_be_corrected, correct
from notifier.compliance.report import campaign_report
from notifier.errors import Conflict, Fault, Invalid, faults_of
from notifier.policies.publish import texts_of
from notifier.policies.version import Summary
from notifier.sites.site import load_site
from notifier.web.auth import grant_of
from notifier.web.console.frame import desk
from notifier.web.context import SERVICE
from notifier.web.page import language_of
from notifier.web.reading import read_form

_LONGEST_REASON = 500
_WORDS: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, Summary])


async def ask_words(request: web.Request) -> web.Response:
    """The form: one field per language that letters went out in."""
    campaign = await _campaign(request, "read")
    if not can_be_corrected(campaign):
        raise Conflict(
            f"campaign {campaign.campaign_id} is {campaign.state}; pause it first, then correct what it said"
        )
    return await _form(request, campaign, {}, ())


async def take_words(request: web.Request) -> web.Response:
    """Plan the correction and show it: it waits for its approval."""
    service = request.app[SERVICE]
    campaign = await _campaign(request, "send")
    form = await read_form(request)
    words = {
        name.partition(".")[2]: str(value).replace("\r\n", "\n")
        for name, value in form.items()
        if name.startswith("words.")
    }
    reason = str(form.get("reason", "")).replace("\0", "").strip()[:_LONGEST_REASON]
    try:
        planned = await correct(
            service.db, campaign.site, campaign.campaign_id, _checked(words),
            grant_of(request).name, reason, service.clock.now(),
        )  # fmt: skip
    except Invalid as error:
        return await _form(request, campaign, words, error.faults, status=422)
    raise web.HTTPSeeOther(f"/console/campaigns/{planned.campaign_id}")


def _checked(words: Mapping[str, str]) -> dict[str, str]:
    try:
        return _WORDS.validate_python(words)
    except ValidationError as error:
        raise Invalid("nothing was planned", faults_of(error)) from error


async def _campaign(request: web.Request, scope: str) -> Campaign:
    grant, number = grant_of(request), int(request.match_info["campaign_id"])
    campaign = await load_campaign(request.app[SERVICE].db, grant.site, number)
    grant.demand(campaign.site, scope)
    return campaign


async def _form(
    request: web.Request, campaign: Campaign, given: Mapping[str, str], faults: tuple[Fault, ...], *, status: int = 200
) -> web.Response:
    service, language = request.app[SERVICE], language_of(request)
    site = await load_site(service.db, campaign.site)
    values = {
        "campaign": campaign,
        "site_name": site.name(language),
        "title": f"{site.title(campaign.policy, language)} {campaign.label}",
        "people": (await campaign_report(service.db, campaign.campaign_id, service.clock.now())).told,
        "locales": [text.locale for text in await texts_of(service.db, campaign.version_id)],
        "given": given,
        "faults": faults,
    }
    response = desk(request, "correct", "overview", values, time_zone=site.time_zone)
    response.set_status(status)
    return response
