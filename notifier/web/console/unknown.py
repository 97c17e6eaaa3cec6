"""Say what is done about letters of unknown fate: first what it means, then, with a reason, the word itself."""

from typing import cast

from aiohttp import web

from notifier.delivery.unknown import WORDS, Word, held_letters, resolve_unknown
from notifier.web.auth import grant_of
from notifier.web.console.campaign import open_campaign
from notifier.web.console.frame import desk
from notifier.web.console.step import reason_of
from notifier.web.context import SERVICE

WORD = "|".join(WORDS)


async def ask(request: web.Request) -> web.Response:
    """What the word does, and the form that takes the reason."""
    campaign, site, language = await open_campaign(request)
    values = {
        "campaign": campaign,
        "then": request.match_info["then"],
        "held": await held_letters(request.app[SERVICE].db, campaign.campaign_id),
        "site_name": site.name(language),
        "title": f"{site.title(campaign.policy, language)} {campaign.label}",
    }
    return desk(request, "unknown", "overview", values, time_zone=site.time_zone)


async def take(request: web.Request) -> web.Response:
    """Say it, and show the campaign again."""
    service, grant = request.app[SERVICE], grant_of(request)
    campaign, _, _ = await open_campaign(request)
    grant.demand(campaign.site, "send")
    word = cast("Word", request.match_info["then"])
    await resolve_unknown(
        service.db, campaign.site, campaign.campaign_id, word, grant.name, await reason_of(request),
        service.clock.now(),
    )  # fmt: skip
    raise web.HTTPSeeOther(f"/console/campaigns/{campaign.campaign_id}")
