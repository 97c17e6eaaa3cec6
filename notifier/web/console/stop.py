"""The stop switch: first what it means, then, with a reason, the switch itself."""

from aiohttp import web

from notifier.campaigns.stop import go, stop
from notifier.sites.site import load_site
from notifier.web.auth import demand, grant_of
from notifier.web.console.frame import desk
from notifier.web.console.step import reason_of
from notifier.web.context import SERVICE
from notifier.web.page import language_of


async def ask(request: web.Request) -> web.Response:
    """What the switch does, and the form that takes the reason."""
    site = await _site(request)
    name = "" if site is None else (await load_site(request.app[SERVICE].db, site)).name(language_of(request))
    return desk(request, "stop", "overview", {"switch": request.match_info["switch"], "site_name": name})


async def take(request: web.Request) -> web.Response:
    """Throw the switch or take it back, and show the overview."""
    site, service = await _site(request), request.app[SERVICE]
    turn = stop if request.match_info["switch"] == "stop" else go
    await turn(service.db, site, grant_of(request).name, await reason_of(request), service.clock.now())
    raise web.HTTPSeeOther("/console")


async def _site(request: web.Request) -> str | None:
    """The site that the address names, None for every one. Raises Forbidden or NotFound for whose it is not."""
    site, grant = request.match_info.get("site"), grant_of(request)
    if site is None:
        grant.demand_every_site("admin")
    else:
        await demand(request, grant, site, "send")
    return site
