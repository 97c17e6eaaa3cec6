"""The stop switch: nothing leaves while it is thrown, for one site or for every one."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from notifier.campaigns.stop import go, stop, stop_events, stops
from notifier.errors import Forbidden, NotFound
from notifier.web.api.paths import SitePath
from notifier.web.auth import Grant
from notifier.web.endpoint import Call, Endpoint

_MOST_EVENTS = 100


class Because(BaseModel):
    """Why this is done. Kept for good, beside the name of the token."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field("", max_length=500)


class StopEntry(BaseModel):
    """Sending is stopped."""

    site: str | None = Field(description="Which site's; null: every site's.")
    since: datetime
    actor: str
    reason: str


class StopEventEntry(BaseModel):
    """Somebody stopped sending, or let it go on."""

    site: str | None = Field(description="Which site's; null: every site's.")
    at: datetime
    action: str = Field(description="stop or go.")
    actor: str
    reason: str


class Stops(BaseModel):
    """What is stopped now, and the latest of who stopped it and who let it go on."""

    stops: list[StopEntry] = Field(description="Empty: nothing is, and what is approved is being sent.")
    history: list[StopEventEntry]


async def stops_of_site(call: Call, path: SitePath) -> Stops:
    """See whether sending is stopped for a site, by its own switch or by the one of every site."""
    return await _stops(call, path.site)


async def stop_site(call: Call, path: SitePath, grant: Grant, body: Because | None) -> Stops:
    """Stop all sending of a site at once.

    Letters, private messages by webhook, retries and openings of campaigns: nothing is taken up, and what is in hand is
    held back. No campaign changes its state. Letters that a relay already has cannot be called back.
    """
    await stop(call.db, path.site, grant.name, _reason(body), call.now)
    return await _stops(call, path.site)


async def release_site(call: Call, path: SitePath, grant: Grant) -> Stops:
    """Let a site's sending go on, exactly where it was.

    The answer says whether the switch of every site is still thrown.
    """
    await go(call.db, path.site, grant.name, "", call.now)
    return await _stops(call, path.site)


async def all_stops(call: Call, grant: Grant) -> Stops:
    """See what is stopped anywhere. Needs a token that is for every site."""
    grant.demand_every_site("admin")
    return await _stops(call, None)


async def stop_everything(call: Call, grant: Grant, body: Because | None) -> Stops:
    """Stop all sending of every site at once. Needs a token that is for every site."""
    grant.demand_every_site("admin")
    await stop(call.db, None, grant.name, _reason(body), call.now)
    return await _stops(call, None)


async def release_everything(call: Call, grant: Grant) -> Stops:
    """Take back the switch of every site; sites with a stop of their own stay stopped."""
    grant.demand_every_site("admin")
    await go(call.db, None, grant.name, "", call.now)
    return await _stops(call, None)


def _reason(body: Because | None) -> str:
    return body.reason if body else ""


async def _stops(call: Call, site: str | None) -> Stops:
    found = [StopEntry.model_validate(one, from_attributes=True) for one in await stops(call.db, site)]
    events = await stop_events(call.db, site, _MOST_EVENTS)
    return Stops(stops=found, history=[StopEventEntry.model_validate(e, from_attributes=True) for e in events])


_SITE, _ALL = "/v1/sites/{site}/stop", "/v1/stop"

ENDPOINTS = (
    Endpoint("GET", _SITE, stops_of_site, "read"),
    Endpoint("POST", _SITE, stop_site, "send"),
    Endpoint("DELETE", _SITE, release_site, "send", refusals=(NotFound,)),
    Endpoint("GET", _ALL, all_stops, "admin", refusals=(Forbidden,)),
    Endpoint("POST", _ALL, stop_everything, "admin", refusals=(Forbidden,)),
    Endpoint("DELETE", _ALL, release_everything, "admin", refusals=(Forbidden, NotFound)),
)
