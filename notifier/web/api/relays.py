"""A site's relays: by which its letters go, and which are left alone as receivers refuse what comes by them."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from notifier.delivery.relays import list_relays, relay_events, resume_relay
from notifier.errors import NotFound
from notifier.web.api.paths import SitePath
from notifier.web.auth import Grant
from notifier.web.endpoint import Call, Endpoint

_MOST_EVENTS = 100


class RelayWord(BaseModel):
    """Which relay may be used again, and why."""

    model_config = ConfigDict(extra="forbid")

    relay: Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]+$")] = Field(
        description="As the list names it: host and port."
    )
    reason: str = Field("", max_length=500, description="Kept for good, beside the name of the token.")


class RelayEntry(BaseModel):
    """One relay of the site."""

    relay: str = Field(description="Host and port.")
    paused_at: datetime | None = Field(description="Since when nothing goes by it; null: letters do.")
    paused_until: datetime | None = Field(description="When it is used again by itself.")
    reason: str = Field(description="What was said to the last letter that was refused by it.")


class RelayEventEntry(BaseModel):
    """A relay was paused, or somebody let it go on."""

    relay: str
    at: datetime
    action: str = Field(description="paused or resumed.")
    actor: str
    reason: str
    until: datetime | None = Field(description="Of a pause: when it ends by itself.")


class RelayList(BaseModel):
    """The relays in their order, and the latest of what became of them."""

    relays: list[RelayEntry]
    history: list[RelayEventEntry]


async def relays_of_site(call: Call, path: SitePath) -> RelayList:
    """See by which relays a site's letters go, and which are paused since receivers refuse them."""
    return await _relays(call, path.site)


async def resume(call: Call, path: SitePath, grant: Grant, body: RelayWord) -> RelayList:
    """Let letters go by a paused relay again, within half a minute.

    Whom it refused is tried again an hour after that.
    """
    await resume_relay(call.db, path.site, body.relay, grant.name, body.reason, call.now)
    return await _relays(call, path.site)


async def _relays(call: Call, site: str) -> RelayList:
    found = await list_relays(call.db, site, call.now)
    events = await relay_events(call.db, site, _MOST_EVENTS)
    return RelayList(
        relays=[RelayEntry.model_validate(one, from_attributes=True) for one in found],
        history=[RelayEventEntry.model_validate(one, from_attributes=True) for one in events],
    )


_RELAYS = "/v1/sites/{site}/relays"

ENDPOINTS = (
    Endpoint("GET", _RELAYS, relays_of_site, "read"),
    Endpoint("POST", _RELAYS + "/resume", resume, "send", refusals=(NotFound,)),
)
