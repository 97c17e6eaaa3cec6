"""Addresses that are not written to. They are named in bodies only, so that no log and no history has them."""

from datetime import datetime
from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from notifier.errors import NotFound
from notifier.outcomes.suppressions import (
    add_suppression,
    lift_suppression,
    list_suppressions,
    suppressions_csv,
)
from notifier.sites.site import Line, Mailbox, Moment
from notifier.web.api.paths import SitePath
from notifier.web.auth import Grant
from notifier.web.csv import CSV, stream_csv, wants_csv
from notifier.web.endpoint import Call, Endpoint

_LONGEST_PAGE = 1000
Email = Annotated[Mailbox, Field(max_length=254, json_schema_extra={"format": "email"})]


class SuppressionFilter(BaseModel):
    """Which page, and in which form."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=_LONGEST_PAGE)
    cursor: str | None = Field(None, description="The `next` of the page before.", pattern=r"^([0-9a-f]{2}){1,64}$")
    format: Literal["json", "csv"] | None = Field(None, description="Left out: as the header Accept says.")


class SuppressionRow(BaseModel):
    """An address that is not written to. The address itself is not kept."""

    model_config = ConfigDict(from_attributes=True)

    reason: str = Field(description="bad_address, mailbox_disabled, complaint, or the words of who added it.")
    since: datetime
    until: datetime | None = Field(description="null: until somebody lifts it.")
    actor: str | None = Field(description="Who put it there; `a report` for a bounce or a complaint.")
    external_ids: list[str] = Field(description="The people who have this address now.")


class SuppressionPage(BaseModel):
    """Some of the list, and the cursor of the next page; null at the end."""

    suppressions: list[SuppressionRow]
    next: str | None


class NewSuppression(BaseModel):
    """An address that is not to be written to."""

    model_config = ConfigDict(extra="forbid")

    address: Email
    reason: Line = Field("by request", description="Why, for the record.")
    until: Moment | None = Field(None, description="Left out: until somebody lifts it.")


class Lifting(BaseModel):
    """An address that may be written to again."""

    model_config = ConfigDict(extra="forbid")

    address: Email
    reason: Line = Field("by request", description="Why, for the record.")


async def list_all(call: Call, path: SitePath, query: SuppressionFilter) -> SuppressionPage | web.StreamResponse:
    """Which addresses are not written to, why, since when, and who has such an address now.

    Page by page as JSON, or all at once as CSV (`Accept: text/csv` or `?format=csv`), streamed.
    """
    if wants_csv(call.request, query.format):
        name = f"{path.site}-suppressions.csv"
        return await stream_csv(
            call.request, name, lambda write: suppressions_csv(call.db, path.site, call.now, write)
        )  # fmt: skip
    rows, cursor = await list_suppressions(call.db, path.site, call.now, query.cursor, query.limit)
    return SuppressionPage(suppressions=[SuppressionRow.model_validate(row) for row in rows], next=cursor)


async def add(call: Call, path: SitePath, body: NewSuppression, grant: Grant) -> None:
    """Write to an address no more, whoever has it. People are told by their other channels."""
    await add_suppression(
        call.db, call.service.keys, path.site, body.address, body.reason, body.until, grant.name, call.now
    )  # fmt: skip


async def lift(call: Call, path: SitePath, body: Lifting, grant: Grant) -> None:
    """Let an address be written to again, from the next campaign on. Who lifted it, and why, stays on record."""
    await lift_suppression(
        call.db, call.service.keys, path.site, body.address, body.reason, grant.name, call.now
    )  # fmt: skip


_ALL = "/v1/sites/{site}/suppressions"

ENDPOINTS = (
    Endpoint("GET", _ALL, list_all, "read", also={CSV: "RFC 4180, formulas escaped."}),
    Endpoint("POST", _ALL, add, "people", status=204),
    Endpoint("POST", _ALL + "/lift", lift, "people", status=204, refusals=(NotFound,)),
)
