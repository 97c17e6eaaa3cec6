"""Sources: how it stands with the places that texts are read from, and what came from there."""

from datetime import datetime
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from notifier.errors import Conflict, NotFound
from notifier.policies.sources import take
from notifier.sites.site import load_site
from notifier.web.api.paths import SitePath, SnapshotPath, SourcePath
from notifier.web.endpoint import Call, Endpoint


class SourceState(BaseModel):
    """A place that a text is read from, and how it stands with it."""

    policy: str
    locale: str
    address: str
    looked_at: datetime | None
    due_at: datetime = Field(description="When it is looked at next.")
    verdict: str | None = Field(
        description="Of the last look: first, same, technical, waiting, changed, doubtful or failed."
    )
    reason: str = Field(description="Why it is doubtful or failed.")
    agreed: int = Field(description="How many looks in a row found the change that waits.")
    failures: int = Field(description="How many looks in a row brought nothing.")
    settled_id: int | None = Field(description="The snapshot that counts as the text.")
    last_id: int | None = Field(description="The last snapshot.")


class SourceList(BaseModel):
    """The sources of a site."""

    sources: list[SourceState]


class SnapshotSummary(BaseModel):
    """What came from a source, as often as it came the same."""

    snapshot_id: int
    address: str
    taken_at: datetime = Field(description="When it came first.")
    seen_at: datetime = Field(description="When it came last.")
    times: int
    verdict: str
    reason: str
    sha256: str = Field(description="Of the bytes, in hex.")
    size: int = Field(description="In bytes.")


class SnapshotList(BaseModel):
    """What came from one source, the newest first."""

    snapshots: list[SnapshotSummary]


class SnapshotFilter(BaseModel):
    """How many."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=1000, description="At most so many.")] = 100


async def all_sources(call: Call, path: SitePath) -> SourceList:
    """List the places that a site's texts are read from, and how it stands with each."""
    site = await load_site(call.db, path.site)
    rows = await call.db.many(dict, "watch.sources", site=site.site)
    return SourceList(sources=[SourceState.model_validate(row) for row in rows])


async def look_now(call: Call, path: SourcePath) -> None:
    """Have a source looked at by the next worker, without waiting for its time."""
    if not await call.db.run("watch.look_now", site=path.site, policy=path.policy, locale=path.locale, now=call.now):
        raise NotFound(f"{path.site} has no source of {path.policy} in {path.locale}")


async def all_snapshots(call: Call, path: SourcePath, query: SnapshotFilter) -> SnapshotList:
    """List what came from one source, the newest first. Answers that changed nothing are dropped in time."""
    rows = await call.db.many(
        dict, "watch.snapshots", site=path.site, policy=path.policy, locale=path.locale, limit=query.limit
    )
    return SnapshotList(snapshots=[SnapshotSummary(**{**row, "sha256": row["sha256"].hex()}) for row in rows])


async def one_snapshot(call: Call, path: SnapshotPath) -> web.Response:
    """Download the bytes of a snapshot, exactly as they came."""
    found = await call.db.first(dict, "watch.answer", site=path.site, snapshot_id=path.snapshot_id)
    if found is None:
        raise NotFound(f"{path.site} has no snapshot {path.snapshot_id}")
    # Somebody else's page: never shown as a page of ours.
    name = f'attachment; filename="snapshot-{path.snapshot_id}"'
    return web.Response(
        body=found["body"], content_type="application/octet-stream", headers={"Content-Disposition": name}
    )


async def take_snapshot(call: Call, path: SnapshotPath) -> None:
    """Say that a snapshot is the policy's text, whatever was doubted about it.

    Opens a pending version if it says something new. Nobody is told before that version is confirmed.
    """
    await take(call.db, await load_site(call.db, path.site), path.snapshot_id, call.now)


_SITE = "/v1/sites/{site}"
_SOURCE = _SITE + "/sources/{policy}/{locale}"
_SNAPSHOT = _SITE + "/snapshots/{snapshot_id}"

ENDPOINTS = (
    Endpoint("GET", _SITE + "/sources", all_sources, "read", refusals=(NotFound,)),
    Endpoint("POST", _SOURCE + "/look", look_now, "publish", status=204, refusals=(NotFound,)),
    Endpoint("GET", _SOURCE + "/snapshots", all_snapshots, "read"),
    Endpoint("GET", _SNAPSHOT, one_snapshot, "read", refusals=(NotFound,)),
    Endpoint("POST", _SNAPSHOT + "/take", take_snapshot, "publish", status=204, refusals=(NotFound, Conflict)),
)
