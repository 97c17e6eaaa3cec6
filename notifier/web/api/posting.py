"""Posting: whether the site's own pages show what was published, and what was seen there."""

from datetime import datetime
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from notifier.errors import NotFound
from notifier.sites.site import load_site
from notifier.web.api.paths import LookPath, SitePath, SourcePath
from notifier.web.endpoint import Call, Endpoint


class PostedPageState(BaseModel):
    """A page of the site's own that must show a text, and how it stands with it."""

    policy: str
    locale: str
    address: str = Field(description="As in site.yaml.")
    label: str | None = Field(description="The version that it must show; null while none is published.")
    effective_at: datetime | None = Field(description="When that version takes effect.")
    posted_at: datetime | None = Field(description="When it was first seen to show that version.")
    looked_at: datetime | None
    due_at: datetime | None = Field(description="When it is looked at next.")
    verdict: str | None = Field(description="Of the last look: shown, earlier, other, doubtful or failed.")
    reason: str = Field(description="Why it is not shown.")
    odd: int = Field(description="How many looks in a row did not show the version.")
    alarm: str | None = Field(description="drift: the page changed without a version. missing: it does not show it.")
    alarm_at: datetime | None


class PostingState(BaseModel):
    """The pages of a site that must show its texts."""

    pages: list[PostedPageState]


class PostingLook(BaseModel):
    """One look at a page."""

    look_id: int
    address: str
    at: datetime
    expected: str = Field(description="The version that had to be seen.")
    shows: str | None = Field(description="The version that was; null: none.")
    verdict: str
    reason: str
    sha256: str | None = Field(description="Of the bytes as they came, in hex; null: none did.")
    text_sha256: str | None = Field(description="Of the text read out of them, after the steps of noise, in hex.")
    kept: bool = Field(description="Whether the bytes can still be had.")


class PostingLooks(BaseModel):
    """What was seen on one page, the newest first."""

    looks: list[PostingLook]


class LookFilter(BaseModel):
    """How many."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=1000, description="At most so many.")] = 100


async def all_pages(call: Call, path: SitePath) -> PostingState:
    """List the site's own pages that must show its texts, and how it stands with each."""
    site = await load_site(call.db, path.site)
    rows = await call.db.many(dict, "posting.pages", site=site.site)
    return PostingState(pages=[PostedPageState.model_validate(row) for row in rows])


async def look_at_page(call: Call, path: SourcePath) -> None:
    """Have a page looked at by the next worker, without waiting for its time."""
    if not await call.db.run("posting.look_now", site=path.site, policy=path.policy, locale=path.locale, now=call.now):
        raise NotFound(f"{path.site} names no page that must show {path.policy} in {path.locale}, or published none")


async def all_looks(call: Call, path: SourcePath, query: LookFilter) -> PostingLooks:
    """List what was seen on one page, the newest first: the proof that a text was posted, and for how long."""
    rows = await call.db.many(
        dict, "posting.looks", site=path.site, policy=path.policy, locale=path.locale, limit=query.limit
    )
    hexed = ({**row, **{name: row[name] and row[name].hex() for name in ("sha256", "text_sha256")}} for row in rows)
    return PostingLooks(looks=[PostingLook.model_validate(row) for row in hexed])


async def one_body(call: Call, path: LookPath) -> web.Response:
    """Download the bytes that a look brought, exactly as they came."""
    body: bytes | None = await call.db.value("posting.body", site=path.site, look_id=path.look_id)
    if body is None:
        raise NotFound(f"{path.site} keeps no bytes of a look {path.look_id}")
    # Somebody else's page: never shown as a page of ours.
    name = f'attachment; filename="look-{path.look_id}"'
    return web.Response(body=body, content_type="application/octet-stream", headers={"Content-Disposition": name})


_SITE = "/v1/sites/{site}"
_PAGE = _SITE + "/posting/{policy}/{locale}"

ENDPOINTS = (
    Endpoint("GET", _SITE + "/posting", all_pages, "read", refusals=(NotFound,)),
    Endpoint("POST", _PAGE + "/look", look_at_page, "publish", status=204, refusals=(NotFound,)),
    Endpoint("GET", _PAGE + "/looks", all_looks, "read"),
    Endpoint("GET", _SITE + "/looks/{look_id}", one_body, "read", refusals=(NotFound,)),
)
