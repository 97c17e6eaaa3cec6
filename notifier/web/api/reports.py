"""What compliance asks of a whole campaign or version: counts that add up, and who exactly, page by page or as CSV."""

from datetime import datetime
from typing import Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from notifier.acceptance.decide import Grade
from notifier.campaigns.campaign import load_campaign
from notifier.compliance.export import figures_csv, notices_csv
from notifier.compliance.forecast import Forecast
from notifier.compliance.report import campaign_report
from notifier.compliance.search import LONGEST_PAGE, Filters, Reason, Status, campaign_notices, version_acceptances
from notifier.policies.publish import load_version
from notifier.web.api.campaigns import CampaignSummary, summary_of
from notifier.web.api.paths import CampaignPath, VersionPath
from notifier.web.csv import CSV, stream_csv, wants_csv
from notifier.web.endpoint import Call, Endpoint


class CampaignReport(CampaignSummary):
    """One campaign in numbers. `gaps` names every identity that does not hold; then rely on none of them."""

    population: int
    in_scope: int
    excluded: dict[str, int] = Field(description="Left out, by reason.")
    told: int
    too_little_evidence: int = Field(description="Told, with less evidence than their rule asks for.")
    unreachable: int
    suppressed: int
    superseded: int
    pending: int
    held: int = Field(description="Of the pending: whose letter is of unknown fate and waits for a word (`…/unknown`).")
    accepted: dict[str, int] = Field(description="deemed, explicit, registration; told or not.")
    grades: dict[str, int] = Field(description="Those acceptances by grade, A to E.")
    by_preset: dict[str, dict[str, int]] = Field(description="What became of the told, by the preset of their rule.")
    told_split: dict[str, int] = Field(
        description="What became of the told. not_deemed: their rule never deems; awaiting_use: no acceptance so far."
    )
    objections: int
    by_channel: dict[str, dict[str, int]] = Field(description="Planned, and outcomes so far, by channel.")
    failures: dict[str, int] = Field(description="Why letters failed, by class.")
    joined: dict[str, int] = Field(
        description="After the freeze: registered (late, or known to us late), restored, new_address."
    )
    reminders: dict[str, int] = Field(description="Reminders and nudges that were tried; none of them moves a date.")
    forecast: Forecast | None = Field(
        description="When the last person is told at this pace and by the limits, and how many too late."
    )
    adds_up: bool
    gaps: list[str]


class _Page(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=LONGEST_PAGE)
    cursor: str | None = Field(None, description="The `next` of the page before.", max_length=64)


class NoticeFilter(_Page):
    """Which notices; every filter that is given must fit. `status` and `reason` may be repeated."""

    status: list[Status] = []
    reason: list[Reason] = []
    channel: str | None = Field(None, max_length=20, description="The one that told.")
    locale: str | None = Field(None, max_length=50, description="The one used.")
    late: bool = Field(False, description="Only told too late for their notice period to end by the effective date.")
    format: Literal["json", "csv"] | None = Field(None, description="Left out: as the header Accept says.")


class NoticeRow(BaseModel):
    """One notice, where it stands, what last failed, and the acceptance that followed."""

    model_config = ConfigDict(from_attributes=True)

    external_id: str
    reason: str
    status: str
    requested_locale: str
    locale: str
    channels: list[str]
    fallback: list[str]
    told_at: datetime | None
    told_by: str | None
    recipient_at: datetime | None
    shown_at: datetime | None
    accepted: str | None
    grade: str | None
    accepted_at: datetime | None
    failed_class: str | None
    failed_reply: str | None


class NoticePage(BaseModel):
    """Some notices, and the cursor of the next page; null at the end."""

    notices: list[NoticeRow]
    next: str | None


class AcceptanceFilter(_Page):
    """Which acceptances."""

    kind: Literal["deemed", "explicit", "registration"] | None = None
    grade: Grade | None = None


class AcceptanceRow(BaseModel):
    """Who accepted, and how: the latest revision."""

    model_config = ConfigDict(from_attributes=True)

    external_id: str
    revision: int
    kind: str
    grade: str
    accepted_at: datetime
    counts_from: datetime | None
    recorded_at: datetime


class AcceptancePage(BaseModel):
    """Some acceptances, and the cursor of the next page; null at the end."""

    acceptances: list[AcceptanceRow]
    next: str | None


class ReportFormat(BaseModel):
    """As what."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["json", "csv"] | None = Field(None, description="Left out: as the header Accept says.")


async def one_campaign(call: Call, path: CampaignPath, query: ReportFormat) -> CampaignReport | web.StreamResponse:
    """One campaign: its state, counts that add up, and a forecast.

    population = in scope + excluded; in scope = told + too little evidence + unreachable +
    suppressed + superseded + pending;
    told = deemed + explicit + not posted + closed + not deemed + explicit act required + objected + awaiting use, in
    all and by preset;
    accepted = the grades together. As CSV (`Accept: text/csv` or `?format=csv`) a line per figure, and one per
    identity that does not hold.
    """
    campaign = await load_campaign(call.db, path.site, path.campaign_id)
    report = await campaign_report(call.db, path.campaign_id, call.now)
    if wants_csv(call.request, query.format):
        rows = figures_csv(report)
        return await stream_csv(call.request, f"campaign-{path.campaign_id}-figures.csv", lambda write: write(rows))
    return CampaignReport.model_validate(summary_of(campaign).model_dump() | vars(report))


async def list_notices(call: Call, path: CampaignPath, query: NoticeFilter) -> NoticePage | web.StreamResponse:
    """Who was considered for a campaign, and what became of each.

    Page by page as JSON, or all at once as CSV (`Accept: text/csv` or `?format=csv`), streamed.
    """
    await load_campaign(call.db, path.site, path.campaign_id)
    filters = Filters(query.status, query.reason, query.channel, query.locale, query.late)
    if wants_csv(call.request, query.format):
        name = f"campaign-{path.campaign_id}-notices.csv"
        return await stream_csv(
            call.request, name, lambda write: notices_csv(call.db, path.campaign_id, filters, write)
        )  # fmt: skip
    page = await campaign_notices(call.db, path.campaign_id, filters, query.cursor, query.limit)
    return NoticePage(notices=[NoticeRow.model_validate(row) for row in page.rows], next=page.cursor)


async def list_acceptances(call: Call, path: VersionPath, query: AcceptanceFilter) -> AcceptancePage:
    """Who accepted a version, how, and with which grade."""
    await load_version(call.db, path.site, path.version_id)
    page = await version_acceptances(
        call.db, path.version_id, query.kind, query.grade, query.cursor, query.limit
    )  # fmt: skip
    return AcceptancePage(acceptances=[AcceptanceRow.model_validate(row) for row in page.rows], next=page.cursor)


_ONE = "/v1/sites/{site}/campaigns/{campaign_id}"

ENDPOINTS = (
    Endpoint("GET", _ONE, one_campaign, "read", also={CSV: "RFC 4180: part, name, count."}),
    Endpoint("GET", _ONE + "/notices", list_notices, "read", also={CSV: "RFC 4180, formulas escaped."}),
    Endpoint("GET", "/v1/sites/{site}/versions/{version_id}/acceptances", list_acceptances, "read"),
)
