"""Versions: published by a signed webhook, or opened by a watched folder and confirmed here."""

import hashlib
from datetime import datetime
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from notifier.campaigns.announce import announce
from notifier.campaigns.campaign import campaign_of_version
from notifier.db import Db
from notifier.errors import Conflict, Unauthenticated
from notifier.policies.pending import confirm, discard
from notifier.policies.publish import Version, VersionText, list_versions, load_version, publish, texts_of
from notifier.policies.version import Details, Submission, read_submission
from notifier.sites.site import Site, Slug, load_site
from notifier.web.api.paths import SitePath, VersionPath
from notifier.web.auth import Grant
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
    state: str = Field(description="pending, published or discarded.")
    materiality: str
    flags: list[str]
    source: str = Field(description="Where it came from: webhook, command or folder.")
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
    url: str = Field(description="Its permanent public address; the exact bytes are at `<url>/raw`.")


class VersionDetail(VersionSummary):
    """One state of a policy, with its texts and the address of its campaign."""

    texts: list[TextSummary]
    campaign: str | None = Field(description="Address of its campaign; null where nobody is told.")


class Published(BaseModel):
    """What was published, and where its telling can be followed."""

    version: VersionSummary
    campaign: str | None = Field(description="Address of its campaign; null for a baseline or an editorial change.")


def _summary(version: Version) -> VersionSummary:
    return VersionSummary.model_validate(version, from_attributes=True)


def _campaign_url(call: Call, site: str, campaign_id: int | None) -> str | None:
    base = call.service.settings.public_url.rstrip("/")
    return None if campaign_id is None else f"{base}/v1/sites/{site}/campaigns/{campaign_id}"


async def receive_version(call: Call, path: SitePath, raw: bytes) -> Published | web.Response:
    """Publish a version by signed webhook.

    Signed as Standard Webhooks asks, with a live webhook secret of the site. The same webhook-id or the same content
    again gets the same answer, and nothing happens twice. Publishing sends nothing: its campaign waits for approval.
    The first version of a policy is the baseline, of which nobody is told.
    """
    webhook_id = await verified_id(call.service, path.site, call.request.headers, raw)
    receipt = Receipt(path.site, webhook_id, hashlib.sha256(raw).digest())
    if before := await answered(call.db, receipt):
        return before
    site = await load_site(call.db, path.site)
    submission = read_submission(raw)
    async with call.db.transaction() as tx:
        version, _ = await publish(tx, site, submission, "webhook", call.now)
        published = await _announced(tx, call, site, version, "webhook")
    await keep(call.request, receipt, 202, published.model_dump_json().encode())
    return published


async def _announced(tx: Db, call: Call, site: Site, version: Version, actor: str) -> Published:
    """Plan the telling in the transaction that publishes: no material version is ever without its campaign."""
    campaign = await announce(tx, site, version.version_id, call.now, actor) if version.is_told else None
    return Published(version=_summary(version), campaign=_campaign_url(call, site.site, campaign))


async def all_versions(call: Call, path: SitePath, query: VersionFilter) -> VersionList:
    """List published and pending versions, the newest first."""
    return VersionList(versions=[_summary(v) for v in await list_versions(call.db, path.site, query.policy)])


async def one_version(call: Call, path: VersionPath) -> VersionDetail:
    """Read a version, with its texts' digests and addresses."""
    version = await load_version(call.db, path.site, path.version_id)
    texts = [_text(call, version, text) for text in await texts_of(call.db, version.version_id)]
    campaign = await campaign_of_version(call.db, version.version_id)
    return VersionDetail(
        **_summary(version).model_dump(), texts=texts, campaign=_campaign_url(call, path.site, campaign)
    )


def _text(call: Call, version: Version, text: VersionText) -> TextSummary:
    base = call.service.settings.public_url.rstrip("/")
    return TextSummary(
        locale=text.locale,
        media_type=text.media_type,
        sha256=text.sha256.hex(),
        size=len(text.body),
        summary=text.summary,
        url=f"{base}/p/{version.site}/{version.policy}/{version.label}/{text.locale}",
    )


async def publish_version(call: Call, path: VersionPath, grant: Grant, body: Details) -> Published:
    """Publish a pending version that a watched folder opened.

    Say what the files do not: its label, when it takes effect, how material it is. Publishing sends nothing: its
    campaign waits for approval.
    """
    site = await load_site(call.db, path.site)
    async with call.db.transaction() as tx:
        version, _ = await confirm(tx, site, path.version_id, body, call.now)
        return await _announced(tx, call, site, version, grant.name)


async def discard_version(call: Call, path: VersionPath) -> None:
    """Discard a pending version. The same files do not open it again."""
    await discard(call.db, path.site, path.version_id)


_ALL = "/v1/sites/{site}/versions"
_ONE = _ALL + "/{version_id}"

ENDPOINTS = (
    Endpoint(
        "POST", "/v1/sites/{site}/hooks/versions", receive_version, ANYONE, status=202,
        body_model=Submission, headers=HEADERS, refusals=(Unauthenticated, Conflict),
    ),
    Endpoint("GET", _ALL, all_versions, "read"),
    Endpoint("GET", _ONE, one_version, "read"),
    Endpoint("POST", _ONE + "/publish", publish_version, "publish", refusals=(Conflict,), once=True),
    Endpoint("POST", _ONE + "/discard", discard_version, "publish", status=204, refusals=(Conflict,)),
)  # fmt: skip
