"""Send test letters of a campaign: the form, and what the relay said of each."""

import re
from collections.abc import Sequence

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from notifier.campaigns.campaign import Campaign, load_campaign
from notifier.delivery.test_send import MOST_ADDRESSES, Answer, send_test
from notifier.errors import Fault, Invalid
from notifier.policies.publish import texts_of
from notifier.sites.site import Mailbox, load_site
from notifier.web.auth import grant_of
from notifier.web.console.frame import desk
from notifier.web.context import SERVICE
from notifier.web.page import language_of
from notifier.web.reading import read_form

_ADDRESS: TypeAdapter[str] = TypeAdapter(Mailbox)


async def ask(request: web.Request) -> web.Response:
    """The form."""
    campaign = await _campaign(request)
    return await _page(request, campaign, "", [])


async def send(request: web.Request) -> web.Response:
    """Send them, and say what became of each."""
    service, campaign = request.app[SERVICE], await _campaign(request)
    form = await read_form(request)
    given = str(form.get("addresses", "")).replace("\0", "")
    try:
        answers = await send_test(
            service.db, service.keys, service.channels.get("email"), service.settings.public_url,
            campaign.site, campaign.campaign_id, _addresses(given),
            [str(locale) for locale in form.getall("locale", [])], grant_of(request).name, service.clock.now(),
        )  # fmt: skip
    except Invalid as error:
        return await _page(request, campaign, given, [], error.faults)
    return await _page(request, campaign, given, answers)


def _addresses(given: str) -> list[str]:
    """The addresses of the form, parted by spaces, commas or lines. Raises Invalid."""
    words = list(dict.fromkeys(word for word in re.split(r"[\s,;、，]+", given) if word))
    faults, found = [], []
    for word in words:
        try:
            found.append(_ADDRESS.validate_python(word))
        except ValidationError as error:
            faults.append(Fault(word[:100], error.errors()[0]["msg"].removeprefix("Value error, ")))
    if not 0 < len(words) <= MOST_ADDRESSES:
        faults.append(Fault("", f"1 to {MOST_ADDRESSES}"))
    if faults:
        raise Invalid("nothing was sent", faults)
    return found


async def _campaign(request: web.Request) -> Campaign:
    grant, number = grant_of(request), int(request.match_info["campaign_id"])
    campaign = await load_campaign(request.app[SERVICE].db, grant.site, number)
    grant.demand(campaign.site, "send")
    return campaign


async def _page(
    request: web.Request, campaign: Campaign, given: str, answers: Sequence[Answer], faults: Sequence[Fault] = ()
) -> web.Response:
    db, language = request.app[SERVICE].db, language_of(request)
    site = await load_site(db, campaign.site)
    values = {
        "campaign": campaign,
        "site_name": site.name(language),
        "title": f"{site.title(campaign.policy, language)} {campaign.label}",
        "locales": [text.locale for text in await texts_of(db, campaign.version_id)],
        "given": given,
        "answers": answers,
        "faults": faults,
    }
    return desk(request, "test_letter", "overview", values, time_zone=site.time_zone)
