"""What compliance asks of one person: each question one address."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from notifier.campaigns.ruling import Ruling
from notifier.compliance.answer import text_in_force
from notifier.compliance.explain import explain
from notifier.compliance.search import (
    PersonAcceptance,
    PersonNotice,
    Told,
    acceptances,
    notices,
    timeline,
    told_before,
)
from notifier.people.roster import Person, get_person
from notifier.policies.publish import Version, find_version
from notifier.policies.version import Label
from notifier.sites.site import Moment, Slug, load_site
from notifier.web.api.paths import PersonPath
from notifier.web.endpoint import Call, Endpoint


class WhichVersion(BaseModel):
    """One published version."""

    model_config = ConfigDict(extra="forbid")

    policy: Slug
    version: Label = Field(description="The version's label.")


class ToldBefore(WhichVersion):
    """One published version and a moment."""

    before: Moment = Field(description="A time with its zone, like 2026-03-01T00:00:00Z.")


class TimelineEvent(BaseModel):
    """One fact about a person."""

    at: datetime
    kind: str
    what: str = Field(description="What happened, in English.")
    policy: str | None
    label: str | None
    campaign_id: int | None
    corrects: int | None = Field(description="The campaign whose notices this one corrects.")
    channel: str | None
    attempt: int | None
    facts: dict[str, Any] = Field(description="What only this kind of fact has.")


class Timeline(BaseModel):
    """Every fact about a person, in the order of time."""

    events: list[TimelineEvent]


class PersonNotices(BaseModel):
    """Every notice of a person and where it stands, the newest version first."""

    notices: list[PersonNotice]


class PersonAcceptances(BaseModel):
    """Every acceptance of a person with all its revisions, the newest version first."""

    acceptances: list[PersonAcceptance]


class DecisionNow(BaseModel):
    """What the facts amount to now."""

    model_config = ConfigDict(from_attributes=True)

    outcome: str
    reason: str
    since: datetime | None
    grade: str | None
    counts_from: datetime | None = Field(description="The person's own date: use counts from here.")
    again_at: datetime | None = Field(description="When the answer may change by time alone.")


class ExplanationAnswer(BaseModel):
    """Why a person was or was not told of a version, by which rule, when, and what holds acceptance back."""

    policy: str
    label: str
    words: list[str] = Field(description="Every fact in English, in the order in which it came to matter.")
    status: str | None = Field(description="Of their notice; null when they were never considered.")
    recorded: PersonAcceptance | None
    decision: DecisionNow | None
    rule: Ruling | None = Field(
        description="The rule that they are under, the strictest of the presets that apply; null: never considered."
    )


class ToldAnswer(BaseModel):
    """Whether a person was validly told of a version before a moment, and how."""

    told: bool
    how: Told | None


class OnADay(BaseModel):
    """A policy, and the moment that is asked about."""

    model_config = ConfigDict(extra="forbid")

    policy: Slug
    on: Moment | None = Field(None, description="A time with its zone, like 2026-03-01T00:00:00Z. Left out: now.")


class TextInForce(BaseModel):
    """The text itself, in the locale in which this person was told, or else in the one they ask for."""

    locale: str
    sha256: str = Field(description="Of the exact bytes, in hex.")
    url: str = Field(description="Its permanent public address.")


class NotInForce(BaseModel):
    """A newer version that had taken effect, but not for this person."""

    version: str
    effective_at: datetime
    lacking: str = Field(
        description="not_posted, act_required, objected, not_accepted, not_told, notice_period or no_use_yet."
    )


class InForceAnswer(BaseModel):
    """Which text was in force for a person on a day, and by what."""

    policy: str
    on: datetime
    version: str | None = Field(description="Its label; null where none was in force.")
    basis: str | None = Field(description="accepted, baseline, notice, editorial or registration.")
    since: datetime | None
    kind: str | None = Field(description="Of the acceptance: deemed, explicit or registration.")
    grade: str | None = Field(description="Of the acceptance, A to E.")
    proof: str | None = Field(description="Of a baseline: proved or imported.")
    told_at: datetime | None
    text: TextInForce | None
    not_in_force: list[NotInForce] = Field(description="Newer versions that had taken effect, and what was lacking.")
    words: list[str] = Field(description="The same in English.")


async def person_in_force(call: Call, path: PersonPath, query: OnADay) -> InForceAnswer:
    """Which text of a policy was in force for this person on a day, and by what acceptance or notice.

    As the record stands today: an acceptance that was void since counts for nothing, also before that.
    """
    site = await load_site(call.db, path.site)
    answer = await text_in_force(call.db, site, await _person(call, path), query.policy, query.on or call.now)
    found, text = answer.found, answer.text
    version = None if found is None else found.version
    base = call.service.settings.public_url.rstrip("/")
    return InForceAnswer(
        policy=answer.policy, on=answer.on,
        version=version and version.label, basis=found and found.basis, since=found and found.since,
        kind=version and version.kind, grade=version and version.grade,
        proof=version.proof if version and found and found.basis == "baseline" else None,
        told_at=version and version.told_at,
        text=text and TextInForce(locale=text.locale, sha256=text.sha256.hex(), url=base + text.path),
        not_in_force=[
            NotInForce(version=one.version.label, effective_at=one.version.effective_at, lacking=one.lacking)
            for one in answer.not_yet
        ],
        words=[fact.text for fact in answer.facts],
    )  # fmt: skip


async def person_timeline(call: Call, path: PersonPath) -> Timeline:
    """Everything on record about one person, in the order of time."""
    events = await timeline(call.db, await _person(call, path))
    return Timeline(
        events=[
            TimelineEvent(
                at=event.at, kind=event.kind, what=event.words.text, policy=event.policy, label=event.label,
                campaign_id=event.campaign_id, corrects=event.corrects, channel=event.channel, attempt=event.attempt,
                facts=event.detail,
            )
            for event in events
        ]
    )  # fmt: skip


async def person_notices(call: Call, path: PersonPath) -> PersonNotices:
    """Every notice of one person and where it stands."""
    return PersonNotices(notices=await notices(call.db, await _person(call, path)))


async def person_acceptances(call: Call, path: PersonPath) -> PersonAcceptances:
    """Every acceptance of one person, with what it rests on."""
    return PersonAcceptances(acceptances=await acceptances(call.db, await _person(call, path)))


async def explain_person(call: Call, path: PersonPath, query: WhichVersion) -> ExplanationAnswer:
    """Why one person was or was not told of a version, and what holds acceptance back."""
    person, version = await _person(call, path), await _version(call, path, query)
    found = await explain(call.db, person, version, call.now)
    decision = None if found.decision is None else DecisionNow.model_validate(found.decision)
    return ExplanationAnswer(
        policy=found.policy,
        label=found.label,
        words=found.words,
        status=found.status,
        recorded=found.recorded,
        decision=decision,
        rule=found.rule,
    )


async def person_told(call: Call, path: PersonPath, query: ToldBefore) -> ToldAnswer:
    """Whether one person was validly told of a version before a moment: with the evidence that their rule asks for."""
    person, version = await _person(call, path), await _version(call, path, query)
    told = await told_before(call.db, person, version.version_id, query.before)
    return ToldAnswer(told=told is not None, how=told)


async def _person(call: Call, path: PersonPath) -> Person:
    return await get_person(call.db, call.service.keys, path.site, path.external_id)


async def _version(call: Call, path: PersonPath, query: WhichVersion) -> Version:
    return await find_version(call.db, path.site, query.policy, query.version)


_ONE = "/v1/sites/{site}/people/{external_id}"

ENDPOINTS = (
    Endpoint("GET", _ONE + "/in-force", person_in_force, "read"),
    Endpoint("GET", _ONE + "/timeline", person_timeline, "read"),
    Endpoint("GET", _ONE + "/notices", person_notices, "read"),
    Endpoint("GET", _ONE + "/acceptances", person_acceptances, "read"),
    Endpoint("GET", _ONE + "/explain", explain_person, "read"),
    Endpoint("GET", _ONE + "/told", person_told, "read"),
)
