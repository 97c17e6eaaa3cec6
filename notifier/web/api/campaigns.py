"""Campaigns: see who would be told, let it begin, hold it, follow it."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from notifier.campaigns.announce import Count, preview
from notifier.campaigns.campaign import Campaign, list_campaigns, load_campaign
from notifier.campaigns.correct import correct
from notifier.campaigns.ruling import Ruling, rulings
from notifier.campaigns.steer import possible, steer
from notifier.compliance.forecast import Forecast
from notifier.compliance.report import letters_of, planned_forecast
from notifier.delivery.test_send import MOST_ADDRESSES, send_test
from notifier.delivery.unknown import Word, resolve_unknown
from notifier.errors import Conflict
from notifier.policies.version import Summary
from notifier.sites.site import Audience, Locale, Mailbox
from notifier.web.api.paths import CampaignPath, SitePath
from notifier.web.auth import Grant
from notifier.web.endpoint import Call, Endpoint


class Approvals(BaseModel):
    """Whose word a campaign waits for."""

    people: int = Field(description="How many must approve; 0: it began by itself, as its site.yaml says.")
    approved_by: list[str] = Field(description="Who did, by the names of their tokens.")


class Stage(BaseModel):
    """How far a canary is."""

    stage: int = Field(description="Which stage is being sent, from 1.")
    of: int = Field(description="How many there are; the last is everybody else. 1: no canary.")
    held_at: datetime | None = Field(description="When everybody in it had been written to; the next one waits since.")
    goes_on_at: datetime | None = Field(description="When the next one opens; null: when somebody says go_on.")


class TestOrder(BaseModel):
    """Whom to send test letters."""

    model_config = ConfigDict(extra="forbid")

    addresses: list[Mailbox] = Field(min_length=1, max_length=MOST_ADDRESSES)
    locales: list[Locale] = Field([], max_length=100, description="In which of the version's locales; none: in all.")


class TestAnswer(BaseModel):
    """What became of one test letter."""

    address: str
    locale: str
    outcome: str = Field(description="accepted_by_relay, deferred, refused or unknown.")
    failure: str | None = Field(description="The class of a failure, like bad_address.")
    reply: str = Field(description="The relay's own words.")
    via: str = Field(description="Which relay said them.")


class TestAnswers(BaseModel):
    """What became of each test letter."""

    letters: list[TestAnswer]


class CampaignSummary(BaseModel):
    """A campaign: the telling of one version, or a correction of what another one said about it."""

    campaign_id: int
    version_id: int
    policy: str
    label: str
    state: str = Field(description="planned, approved, sending, paused, done, cancelled or superseded.")
    steps: list[str] = Field(description="What can be done now: approve, pause, resume, go_on, cancel.")
    approvals: Approvals
    stage: Stage
    created_at: datetime
    frozen_at: datetime | None = Field(description="When it was settled who is told.")
    opened_at: datetime | None
    closed_at: datetime | None
    published_at: datetime
    effective_at: datetime
    audience: Audience | None = Field(
        description="Whom the frozen rule asks for; null: a correction goes to whom the corrected campaign reached."
    )
    corrects: int | None = Field(
        description="The campaign whose notices this one corrects; null: it tells of the version."
    )
    superseded_by: int | None = Field(description="The campaign about a newer version that ended this one.")


class CampaignList(BaseModel):
    """A site's campaigns, the newest first."""

    campaigns: list[CampaignSummary]


class CampaignPreview(BaseModel):
    """Who would be told and why others not; once the audience is frozen, who is told."""

    campaign_id: int
    frozen: bool
    audience: Audience | None = Field(
        description="Whom the rule asks for; null: a correction goes to whom the corrected campaign reached."
    )
    counts: list[Count] = Field(description="People by reason, country, role, locale, channel and presets.")
    rules: list[Ruling] = Field(
        description="Everybody's rule, then what it comes to where a preset applies as well, with whom that is for."
    )
    forecast: Forecast | None = Field(
        description="When the last person would be told if it began now, by the limits; null where nothing is limited."
    )


class Step(BaseModel):
    """Why this is done. Kept in the campaign's history, beside the name of the token."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field("", max_length=500)


class UnknownWord(Step):
    """What is done about letters of unknown fate."""

    then: Word = Field(description="resend: the same letters again. give_up: the next channel has its turn.")


class Resolved(BaseModel):
    """How many letters the word was about."""

    letters: int


class Correction(Step):
    """What was wrong and what is right, in every language that letters went out in."""

    words: dict[Locale, Summary] = Field(
        min_length=1, description="Locale → your words: plain, or with a little Markdown, like a summary."
    )


def summary_of(campaign: Campaign) -> CampaignSummary:
    """What the API says of a campaign."""
    return CampaignSummary(
        campaign_id=campaign.campaign_id,
        version_id=campaign.version_id,
        policy=campaign.policy,
        label=campaign.label,
        state=campaign.state,
        steps=possible(campaign),
        approvals=Approvals(people=campaign.safety.approval.people, approved_by=campaign.approved_by),
        stage=Stage(stage=campaign.stage, of=campaign.stages, held_at=campaign.held_at, goes_on_at=campaign.goes_on_at),
        created_at=campaign.created_at,
        frozen_at=campaign.frozen_at,
        opened_at=campaign.opened_at,
        closed_at=campaign.closed_at,
        published_at=campaign.published_at,
        effective_at=campaign.effective_at,
        audience=_audience(campaign),
        corrects=campaign.corrects,
        superseded_by=campaign.superseded_by,
    )


def _audience(campaign: Campaign) -> Audience | None:
    return campaign.rule.audience if campaign.corrects is None else None


async def all_campaigns(call: Call, path: SitePath) -> CampaignList:
    """List a site's campaigns, the newest first."""
    return CampaignList(campaigns=[summary_of(c) for c in await list_campaigns(call.db, path.site)])


async def preview_campaign(call: Call, path: CampaignPath) -> CampaignPreview:
    """See who would be told and why others would not.

    Nothing is sent or changed. Once the audience is frozen, the counts are those of the frozen audience.
    """
    campaign = await load_campaign(call.db, path.site, path.campaign_id)
    counts = await preview(call.db, path.campaign_id, call.now)
    frozen = campaign.frozen_at is not None
    seen = None if frozen else await planned_forecast(call.db, campaign, letters_of(counts), call.now)
    return CampaignPreview(
        campaign_id=path.campaign_id, frozen=frozen, audience=_audience(campaign), counts=counts,
        rules=rulings(campaign.rules), forecast=seen,
    )  # fmt: skip


async def approve_campaign(call: Call, path: CampaignPath, grant: Grant, body: Step | None) -> CampaignSummary:
    """Approve a planned campaign.

    With the last approval that its site asks for the audience is frozen, then the letters go out. Where two people must
    approve, the second has a token of another name; the same one again is a 409.
    """
    return await _steer(call, path, "approve", grant, body)


async def test_campaign(call: Call, path: CampaignPath, grant: Grant, body: TestOrder) -> TestAnswers:
    """Send a few addresses the letters of a campaign, marked as a test.

    Works before the approval. Nothing of it is a notice, and what bounces changes nothing; the campaign's history says
    what the relay answered. Sent again, it is sent again: at most ten times in ten minutes. Suppressed addresses get
    nothing.
    """
    service = call.service
    answers = await send_test(
        call.db, service.keys, service.channels.get("email"), service.settings.public_url, path.site, path.campaign_id,
        list(dict.fromkeys(body.addresses)), body.locales, grant.name, call.now,
    )  # fmt: skip
    return TestAnswers(letters=[TestAnswer.model_validate(one, from_attributes=True) for one in answers])


async def pause_campaign(call: Call, path: CampaignPath, grant: Grant, body: Step | None) -> CampaignSummary:
    """Hold a campaign. Letters that a relay already has cannot be called back."""
    return await _steer(call, path, "pause", grant, body)


async def resume_campaign(call: Call, path: CampaignPath, grant: Grant, body: Step | None) -> CampaignSummary:
    """Go on with a campaign that was held."""
    return await _steer(call, path, "resume", grant, body)


async def go_on_campaign(call: Call, path: CampaignPath, grant: Grant, body: Step | None) -> CampaignSummary:
    """Go on with the next stage of a canary, without waiting for the end of its hold."""
    return await _steer(call, path, "go_on", grant, body)


async def cancel_campaign(call: Call, path: CampaignPath, grant: Grant, body: Step | None) -> CampaignSummary:
    """End a campaign before everybody is told. What was sent and recorded stays."""
    return await _steer(call, path, "cancel", grant, body)


async def correct_campaign(call: Call, path: CampaignPath, grant: Grant, body: Correction) -> CampaignSummary:
    """Plan a correction of what a campaign said, for exactly those whom it reached.

    It becomes a campaign of its own, which waits for its approval. It tells nobody of the version: it starts no notice
    period and amounts to no acceptance. The same words again are the same correction.
    """
    planned = await correct(call.db, path.site, path.campaign_id, body.words, grant.name, body.reason, call.now)
    return summary_of(planned)


async def resolve(call: Call, path: CampaignPath, grant: Grant, body: UnknownWord) -> Resolved:
    """Say what is done about all letters of a campaign that are of unknown fate and wait for a word.

    They wait where site.yaml says `unknown: {then: hold}`. Whose letter a report answered meanwhile is not among them.
    """
    count = await resolve_unknown(
        call.db, path.site, path.campaign_id, body.then, grant.name, body.reason, call.now
    )  # fmt: skip
    return Resolved(letters=count)


async def _steer(call: Call, path: CampaignPath, step: str, grant: Grant, body: Step | None) -> CampaignSummary:
    reason = body.reason if body else ""
    return summary_of(await steer(call.db, path.site, path.campaign_id, step, grant.name, reason, call.now))


_ONE = "/v1/sites/{site}/campaigns/{campaign_id}"

ENDPOINTS = (
    Endpoint("GET", "/v1/sites/{site}/campaigns", all_campaigns, "read"),
    Endpoint("GET", _ONE + "/preview", preview_campaign, "read"),
    Endpoint("POST", _ONE + "/approve", approve_campaign, "send", refusals=(Conflict,), once=True),
    Endpoint("POST", _ONE + "/test", test_campaign, "send", refusals=(Conflict,)),
    Endpoint("POST", _ONE + "/pause", pause_campaign, "send", refusals=(Conflict,), once=True),
    Endpoint("POST", _ONE + "/resume", resume_campaign, "send", refusals=(Conflict,), once=True),
    Endpoint("POST", _ONE + "/correction", correct_campaign, "send", 201, refusals=(Conflict,), once=True),
    Endpoint("POST", _ONE + "/go_on", go_on_campaign, "send", refusals=(Conflict,), once=True),
    Endpoint("POST", _ONE + "/unknown", resolve, "send", refusals=(Conflict,), once=True),
    Endpoint("POST", _ONE + "/cancel", cancel_campaign, "send", refusals=(Conflict,), once=True),
)
