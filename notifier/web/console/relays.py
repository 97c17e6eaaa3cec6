"""Let a relay be used again that receivers refused: first what it means, then, with a reason, the word itself."""

from aiohttp import web

from notifier.delivery.relays import list_relays, resume_relay
from notifier.errors import NotFound
from notifier.sites.site import load_site
from notifier.web.auth import demand, grant_of
from notifier.web.console.frame import desk
from notifier.web.console.step import reason_of
from notifier.web.context import SERVICE
from notifier.web.page import language_of


async def ask(request: web.Request) -> web.Response:
    """What the word does, and the form that takes the reason."""
    name, relay, service = *await _relay(request), request.app[SERVICE]
    known = await list_relays(service.db, name, service.clock.now())
    found = next((one for one in known if one.relay == relay and one.paused_until), None)
    if found is None:
        raise NotFound(f"{relay} is no relay of {name} that is paused")
    site = await load_site(service.db, name)
    values = {"site_name": site.name(language_of(request)), "relay": found}
    return desk(request, "relay", "overview", values, time_zone=site.time_zone)


async def take(request: web.Request) -> web.Response:
    """Let it be used again, and show the overview."""
    site, relay, service = *await _relay(request), request.app[SERVICE]
    await resume_relay(
        service.db, site, relay, grant_of(request).name, await reason_of(request), service.clock.now()
    )  # fmt: skip
    raise web.HTTPSeeOther("/console")


async def _relay(request: web.Request) -> tuple[str, str]:
    site = request.match_info["site"]
    await demand(request, grant_of(request), site, "send")
    return site, request.match_info["relay"]
