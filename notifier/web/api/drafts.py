"""Drafts of versions: written, changed, reviewed, scheduled."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from notifier.errors import Conflict
from notifier.policies.authoring import amend, review, schedule, unschedule, write
from notifier.policies.draft import Amendment, NewDraft
from notifier.sites.site import load_site
from notifier.web.api.campaigns import Step
from notifier.web.api.paths import SitePath, VersionPath
from notifier.web.api.versions import VersionDetail, detail_of
from notifier.web.auth import Grant
from notifier.web.endpoint import Call, Endpoint

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Reviewed(Step):
    """What was reviewed: exactly the draft with this digest."""

    sha256: Sha256 = Field(description="The version's `sha256`, as it was when it was read.")


class Schedule(BaseModel):
    """When a draft is published by itself."""

    model_config = ConfigDict(extra="forbid")

    publish_at: Annotated[str, StringConstraints(min_length=1, max_length=40)] = Field(
        description="A time on the site's clocks, or with an offset of its own.", examples=["2026-07-01T09:00"]
    )


class Changed(BaseModel):
    """Which draft is meant."""

    model_config = ConfigDict(extra="forbid")

    sha256: Sha256 | None = Field(None, description="Refuse to change a draft that says something else by now.")


async def write_draft(call: Call, path: SitePath, grant: Grant, body: NewDraft) -> VersionDetail:
    """Begin a draft. Nothing but its policy need be known yet; nobody sees it and nobody is told."""
    site = await load_site(call.db, path.site)
    return await detail_of(call, await write(call.db, site, body, grant.name, call.now))


async def amend_draft(call: Call, path: VersionPath, query: Changed, grant: Grant, body: Amendment) -> VersionDetail:
    """Change a draft. What is left out stays; any change undoes its review and its schedule."""
    site = await load_site(call.db, path.site)
    meant = bytes.fromhex(query.sha256) if query.sha256 else None
    return await detail_of(call, await amend(call.db, site, path.version_id, body, grant.name, call.now, meant))


async def review_draft(call: Call, path: VersionPath, grant: Grant, body: Reviewed) -> VersionDetail:
    """Record your review of exactly this draft.

    Refused when it could not be published so: a version that people are told of wants a text in every locale of the
    site and a summary for each. Where the site says so, nobody who wrote at it can review it.
    """
    site = await load_site(call.db, path.site)
    sha256 = bytes.fromhex(body.sha256)
    version = await review(call.db, site, path.version_id, sha256, grant.name, body.reason, call.now)
    return await detail_of(call, version)


async def schedule_draft(call: Call, path: VersionPath, grant: Grant, body: Schedule) -> VersionDetail:
    """Have a reviewed draft published at an instant.

    A time that the site's clocks skip or show twice is refused, with what to say instead. Publishing sends nothing: its
    campaign waits for approval.
    """
    site = await load_site(call.db, path.site)
    return await detail_of(call, await schedule(call.db, site, path.version_id, body.publish_at, grant.name, call.now))


async def unschedule_draft(call: Call, path: VersionPath, grant: Grant) -> VersionDetail:
    """Take the time back. The draft stays reviewed."""
    site = await load_site(call.db, path.site)
    return await detail_of(call, await unschedule(call.db, site, path.version_id, grant.name, "", call.now))


_ALL = "/v1/sites/{site}/versions"
_ONE = _ALL + "/{version_id}"

ENDPOINTS = (
    Endpoint("POST", _ALL, write_draft, "draft", 201, once=True),
    Endpoint("PATCH", _ONE, amend_draft, "draft", refusals=(Conflict,)),
    Endpoint("POST", _ONE + "/review", review_draft, "publish", refusals=(Conflict,), once=True),
    Endpoint("POST", _ONE + "/schedule", schedule_draft, "publish", refusals=(Conflict,), once=True),
    Endpoint("DELETE", _ONE + "/schedule", unschedule_draft, "publish", refusals=(Conflict,)),
)  # fmt: skip
