"""Versions: published by a signed webhook, or drafted, by authors or a watched place, and published from here."""

import hashlib
from datetime import datetime
from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from notifier.campaigns.announce import announce
from notifier.campaigns.campaign import campaign_of_version, load_campaign
from notifier.campaigns.lint import Warn
from notifier.campaigns.warn import warnings_of
from notifier.db import Db
from notifier.errors import Conflict, Unauthenticated
from notifier.policies.authoring import Event, confirm, discard, history, submit
from notifier.policies.draft import Amendment
from notifier.policies.override import override, overrides
from notifier.policies.publish import Version, VersionText, list_versions, load_version, publish, texts_of
from notifier.policies.version import Label, Submission, read_submission
from notifier.presenting.pending import NEW_PURPOSE
from notifier.presenting.present import earliest_processing
from notifier.sites.site import Moment, Site, Slug, load_site
from notifier.web.api.campaigns import Step
from notifier.web.api.paths import Meant, SitePath, VersionPath
from notifier.web.auth import Grant
from notifier.web.changes import changes_of, proposed
from notifier.web.endpoint import ANYONE, Call, Endpoint
from notifier.web.receipts import Receipt, answered, keep
from notifier.web.webhook import HEADERS, verified_id


class VersionFilter(BaseModel):
    """Which versions."""

    model_config = ConfigDict(extra="forbid")

    policy: Annotated[Slug | None, Field(description="Only those of this policy.")] = None


class VersionSummary(BaseModel):
    """One state of a policy."""

    version_id: int
    policy: str
    label: str
    state: str = Field(description="pending, published, discarded or withdrawn.")
    stage: str = Field(description="Of a pending one draft, reviewed or scheduled; of any other its state.")
    sha256: str = Field(description="Over everything that it is or is to be published as, in hex: what a review is of.")
    materiality: str
    flags: list[str]
    corrects: str | None = Field(description="The label of the version whose typing mistake it mends.")
    untranslated: list[str] = Field(description="Locales of the site that have no text on purpose.")
    source: str = Field(description="Where it came from: author, webhook, command, folder or source.")
    authors: list[str] = Field(description="Who wrote at the draft, by the names of their tokens.")
    reviewed_by: str | None
    reviewed_at: datetime | None
    wanted_at: datetime | None = Field(description="When it is asked to take effect; null: as soon as it may.")
    publish_at: datetime | None = Field(description="When it is published by itself.")
    publish_zone: str | None = Field(description="In which zone that was said.")
    received_at: datetime
    ordinal: int | None = Field(description="1, 2, … among the published ones of the policy; 1 is the baseline.")
    published_at: datetime | None
    effective_at: datetime | None


class VersionList(BaseModel):
    """Published and pending versions, the newest first."""

    versions: list[VersionSummary]


class TextSummary(BaseModel):
    """One text of a version."""

    locale: str
    media_type: str
    sha256: str = Field(description="Of the exact bytes, in hex.")
    size: int = Field(description="In bytes.")
    summary: str = Field(description="What changed, in the publisher's words.")
    url: str | None = Field(
        description="Its permanent public address, once published; the exact bytes are at `<url>/raw`."
    )


class VersionEvent(BaseModel):
    """One step of a version, from its first draft on."""

    at: datetime
    actor: str
    action: str = Field(description="opened, amended, reviewed, review_void, scheduled, unscheduled, published, …")
    reason: str
    sha256: str = Field(description="Of the draft as it then was, in hex.")
    detail: dict[str, Any]


class VersionHint(BaseModel):
    """What kind of change the words of a draft hint at. Whether it matters is for a person to say."""

    kind: str = Field(description="new_purpose, new_recipient, new_data_category, retention, arbitration, contact, …")
    locale: str = Field(description="In whose text.")
    section: str
    words: str = Field(description="What the rule found.")
    gone: bool = Field(description="Whether these words are there no more.")


class VersionProposal(BaseModel):
    """What the hints come to. It does nothing until a person says the same."""

    materiality: str
    flags: list[str]


class VersionDetail(VersionSummary):
    """One state of a policy, with its texts, its history and the address of its campaign."""

    hints: list[VersionHint] = Field(description="Of a pending one, beside the newest published one.")
    proposal: VersionProposal | None = Field(description="Null where there is nothing to compare a draft with.")
    texts: list[TextSummary]
    events: list[VersionEvent]
    campaign: str | None = Field(description="Address of its campaign; null where nobody is told.")
    warnings: list[Warn] = Field(
        description="What a careful reader would stumble over: in the texts, letters and rule."
    )
    processing_not_before: datetime | None = Field(
        description="For a new purpose: the earliest that anybody's data may be processed for it, as far as the notice "
        "goes; each person's own date is in their `pending`. Null: nobody's yet, or there is no new purpose."
    )


class Published(BaseModel):
    """What was published, and where its telling can be followed."""

    version: VersionSummary
    campaign: str | None = Field(description="Address of its campaign; null for a baseline or an editorial change.")
    warnings: list[Warn] = Field(
        description="What a careful reader would stumble over. Nothing is kept from being told."
    )


class OverrideBody(BaseModel):
    """Which version may take effect when, and why. The second person sends the same."""

    model_config = ConfigDict(extra="forbid")

    policy: Slug
    label: Label
    effective_at: Moment = Field(description="Exactly as it will be published.")
    reason: str = Field(min_length=10, max_length=2000, pattern=r"^[^\x00]*$")


class OverrideDetail(BaseModel):
    """Who asked for an earlier date, why, and who confirmed it. It holds once it is confirmed."""

    policy: str
    label: str
    effective_at: datetime
    reason: str
    asked_by: str
    asked_at: datetime
    confirmed_by: str | None
    confirmed_at: datetime | None


class OverrideList(BaseModel):
    """What was asked for and confirmed, the newest first."""

    overrides: list[OverrideDetail]


def summary_of(version: Version) -> VersionSummary:
    """What the API says of a version."""
    fields = {name: getattr(version, name) for name in VersionSummary.model_fields}
    return VersionSummary.model_validate(fields | {"sha256": version.sha256.hex()})


def _campaign_url(call: Call, site: str, campaign_id: int | None) -> str | None:
    base = call.service.settings.public_url.rstrip("/")
    return None if campaign_id is None else f"{base}/v1/sites/{site}/campaigns/{campaign_id}"


async def receive_version(call: Call, path: SitePath, raw: bytes) -> Published | web.Response:
    """Publish a version by signed webhook.

    Signed as Standard Webhooks asks, with a live webhook secret of the site. The same webhook-id or the same content
    again gets the same answer, and nothing happens twice. Publishing sends nothing: its campaign waits for approval.
    The first version of a policy is the baseline, of which nobody is told. Where the site wants somebody's review, it
    becomes a draft and waits for that.
    """
    webhook_id = await verified_id(call.service, path.site, call.request.headers, raw)
    receipt = Receipt(path.site, webhook_id, hashlib.sha256(raw).digest())
    if before := await answered(call.db, receipt):
        return before
    site = await load_site(call.db, path.site)
    submission = read_submission(raw)
    async with call.db.transaction() as tx:
        if site.review.by == "another":
            version = await submit(tx, site, submission, "webhook", call.now)
        else:
            version, _ = await publish(tx, site, submission, "webhook", call.now)
        published = await _announced(tx, call, site, version, "webhook")
    await keep(call.request, receipt, 202, published.model_dump_json().encode())
    return published


async def _announced(tx: Db, call: Call, site: Site, version: Version, actor: str) -> Published:
    """Plan the telling in the transaction that publishes: no material version is ever without its campaign."""
    campaign = await announce(tx, site, version.version_id, call.now, actor) if version.is_told else None
    warnings = await warnings_of(tx, site, version)
    return Published(version=summary_of(version), campaign=_campaign_url(call, site.site, campaign), warnings=warnings)


async def all_versions(call: Call, path: SitePath, query: VersionFilter) -> VersionList:
    """List published and pending versions, the newest first."""
    return VersionList(versions=[summary_of(v) for v in await list_versions(call.db, path.site, query.policy)])


async def one_version(call: Call, path: VersionPath) -> VersionDetail:
    """Read a version, with its texts' digests and addresses."""
    return await detail_of(call, await load_version(call.db, path.site, path.version_id))


async def detail_of(call: Call, version: Version) -> VersionDetail:
    """All that the API says of one version."""
    campaign = await campaign_of_version(call.db, version.version_id)
    changes = await changes_of(call.db, version) if version.state == "pending" else []
    proposal = proposed(changes)
    return VersionDetail(
        **summary_of(version).model_dump(),
        hints=[VersionHint(locale=c.text.locale, **hint._asdict()) for c in changes for hint in c.hints],
        proposal=proposal and VersionProposal(materiality=proposal.materiality, flags=list(proposal.flags)),
        texts=[_text(call, version, text) for text in await texts_of(call.db, version.version_id)],
        events=[_event(event) for event in await history(call.db, version.version_id)],
        campaign=_campaign_url(call, version.site, campaign),
        warnings=await warnings_of(call.db, await load_site(call.db, version.site), version),
        processing_not_before=await _not_before(call, version, campaign),
    )


def _event(event: Event) -> VersionEvent:
    return VersionEvent.model_validate({**vars(event), "sha256": event.sha256.hex()})


async def _not_before(call: Call, version: Version, campaign_id: int | None) -> datetime | None:
    if campaign_id is None or version.effective_at is None or NEW_PURPOSE not in version.flags:
        return None
    campaign = await load_campaign(call.db, version.site, campaign_id)
    return earliest_processing(campaign.rule, version.effective_at, campaign.opened_at)


def _text(call: Call, version: Version, text: VersionText) -> TextSummary:
    address = f"/p/{version.site}/{version.policy}/{version.label}/{text.locale}"
    return TextSummary(
        locale=text.locale,
        media_type=text.media_type,
        sha256=text.sha256.hex(),
        size=len(text.body),
        summary=text.summary,
        url=call.service.settings.public_url.rstrip("/") + address if version.state == "published" else None,
    )


async def publish_version(
    call: Call, path: VersionPath, query: Meant, grant: Grant, body: Amendment | None
) -> Published:
    """Publish a pending version now.

    Say what is not said yet: its label, when it takes effect, how material it is. Whoever publishes what nobody
    reviewed reviews it by that, where the site allows it. Publishing sends nothing: its campaign waits for approval.
    """
    site = await load_site(call.db, path.site)
    async with call.db.transaction() as tx:
        change = body or Amendment()
        version, _ = await confirm(tx, site, path.version_id, change, grant.name, call.now, query.digest)
        return await _announced(tx, call, site, version, grant.name)


async def override_date(call: Call, path: SitePath, grant: Grant, body: OverrideBody) -> OverrideDetail:
    """Ask that a version may take effect sooner than people are promised or, where somebody else asked, confirm it.

    It takes two people, by the names of their tokens, and a reason. Nothing is published by this. What each person is
    promised stays: use counts from their own date, however soon the version takes effect.
    """
    site = await load_site(call.db, path.site)
    said = await override(
        call.db, site, body.policy, body.label, body.effective_at, body.reason, grant.name, call.now
    )  # fmt: skip
    return OverrideDetail.model_validate(said, from_attributes=True)


async def all_overrides(call: Call, path: SitePath) -> OverrideList:
    """List what was asked for and confirmed, the newest first."""
    found = await overrides(call.db, path.site)
    return OverrideList(overrides=[OverrideDetail.model_validate(one, from_attributes=True) for one in found])


async def discard_version(call: Call, path: VersionPath, grant: Grant, body: Step | None) -> None:
    """Give a pending version up. It is kept; what it was read from does not open it again."""
    site = await load_site(call.db, path.site)
    await discard(call.db, site, path.version_id, grant.name, body.reason if body else "", call.now)


_ALL = "/v1/sites/{site}/versions"
_ONE = _ALL + "/{version_id}"
_OVERRIDES = "/v1/sites/{site}/overrides"

ENDPOINTS = (
    Endpoint(
        "POST", "/v1/sites/{site}/hooks/versions", receive_version, ANYONE, status=202,
        body_model=Submission, headers=HEADERS, refusals=(Unauthenticated, Conflict),
    ),
    Endpoint("GET", _OVERRIDES, all_overrides, "read"),
    Endpoint("POST", _OVERRIDES, override_date, "publish"),
    Endpoint("GET", _ALL, all_versions, "read"),
    Endpoint("GET", _ONE, one_version, "read"),
    Endpoint("POST", _ONE + "/publish", publish_version, "publish", refusals=(Conflict,), once=True),
    Endpoint("POST", _ONE + "/discard", discard_version, "publish", status=204, refusals=(Conflict,)),
)  # fmt: skip
