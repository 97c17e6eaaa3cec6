"""What a person says themselves about one version: yes, no, no longer no, and that they leave."""

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from notifier.acceptance.accept import record_explicit
from notifier.acceptance.leave import record_leaving
from notifier.acceptance.object import Statement, record_objection, withdraw_objection
from notifier.db import Db
from notifier.errors import Conflict
from notifier.keys import ActLink
from notifier.lanes import new_id
from notifier.people.roster import Person, get_person
from notifier.policies.publish import Version, find_version
from notifier.policies.version import Label
from notifier.presenting.act import Kind, Shown, record_act, refuse_overtaken
from notifier.presenting.pending import load_pending
from notifier.sites.site import Locale, Moment, Slug
from notifier.web.api.login import Digest, what_was_shown
from notifier.web.api.paths import PersonPath
from notifier.web.endpoint import Call, Endpoint
from notifier.web.reading import Whole

Line = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class WasShown(BaseModel):
    """The words that were on the person's screen. Words that are no longer the ones to show are refused."""

    model_config = ConfigDict(extra="forbid")

    locale: Locale
    statement: Digest


class LinkWish(BaseModel):
    """Which version a link is about, and how long it shall be good."""

    model_config = ConfigDict(extra="forbid")

    policy: Slug
    version: Label = Field(description="The version's label.")
    valid_seconds: Whole = Field(7 * 86400, ge=60, le=90 * 86400)


class MintedLink(BaseModel):
    """A link for one act of one person. Hand it to that person and to nobody else: whoever has it can act."""

    url: str
    expires_at: datetime


class ClosingAct(BaseModel):
    """A person said on exactly this version that they leave."""

    model_config = ConfigDict(extra="forbid")

    policy: Slug
    version: Label = Field(description="The version's label.")
    at: Moment | None = Field(None, description="When they said it. Left out: now.")
    shown: WasShown | None = Field(None, description="What stood on your page, for the record: as `pending` gave it.")


class Act(ClosingAct):
    """Something a person said about exactly this version."""

    via: Line = Field("", description="How, in your words: which page, form or conversation.")


class ObjectionAct(Act):
    """A person's no to exactly this version, or its being taken back."""

    statement: str = Field("", max_length=5000, description="Their own words.")
    withdrawn: bool = Field(False, description="True: they take an earlier objection back.")


class Recorded(BaseModel):
    """Whether it was news."""

    policy: str
    version: str
    news: bool = Field(description="False: the same was on record already, and nothing was added.")


async def accept_explicitly(call: Call, path: PersonPath, body: Act) -> Recorded:
    """Record that a person accepted exactly this version by an act of their own.

    An acceptance is a fact about a contract. It is not consent to any processing of data.
    """
    person, version = await _found(call, path, body)
    at = body.at or call.now
    async with call.db.transaction() as tx:
        evidence = await _record_shown(call, tx, path, body, "accept")
        news = await record_explicit(tx, path.site, person, version.version_id, at, body.via, call.now, **evidence)
    return Recorded(policy=version.policy, version=version.label, news=news)


async def object_to(call: Call, path: PersonPath, body: ObjectionAct) -> Recorded:
    """Record that a person objects to a version, or takes that back.

    From an objection on, no use amounts to acceptance. What is already on record stays beside it.
    """
    person, version = await _found(call, path, body)
    said = Statement(body.at or call.now, body.via, body.statement)
    verb = withdraw_objection if body.withdrawn else record_objection
    async with call.db.transaction() as tx:
        await _record_shown(call, tx, path, body, "withdraw" if body.withdrawn else "object")
        news = await verb(tx, path.site, person, version.version_id, said, call.now)
    return Recorded(policy=version.policy, version=version.label, news=news)


async def leave(call: Call, path: PersonPath, body: ClosingAct) -> Recorded:
    """Record that a person leaves: their account is closed, from the moment at which they said so.

    What was deemed at or after that moment is void. Nothing else that you said of the person changes.
    """
    person, version = await _found(call, path, body)
    async with call.db.transaction() as tx:
        await _record_shown(call, tx, path, body, "close")
        news = await record_leaving(tx, path.site, person, version.version_id, body.at or call.now, call.now)
    return Recorded(policy=version.policy, version=version.label, news=news)


async def mint_link(call: Call, path: PersonPath, body: LinkWish) -> MintedLink:
    """Make a link to a page where this person accepts, objects, takes that back, or leaves.

    Good for one act. Looking at the page changes nothing, and a page that a newer version overtook takes no act.
    """
    person, version = await _found(call, path, body)
    expires = (call.now + timedelta(seconds=body.valid_seconds)).replace(microsecond=0)
    link = ActLink(path.site, person.lane, person.person_id, version.version_id, new_id(), expires)
    base = call.service.settings.public_url.rstrip("/")
    return MintedLink(url=f"{base}/act/{link.seal(call.service.keys)}", expires_at=expires)


async def _record_shown(call: Call, tx: Db, path: PersonPath, body: ClosingAct, kind: Kind) -> dict[str, str]:
    """Record what the site says stood on its page, and return it for the evidence. Raises Conflict for a stale one."""
    if body.shown is None:
        return {}
    found = await load_pending(tx, call.service.keys, path.site, path.external_id, call.now)
    one, _ = await what_was_shown(call, found, body.policy, body.version, body.shown.locale, body.shown.statement)
    await refuse_overtaken(tx, path.site, body.policy, one.version_id)
    shown = Shown(body.shown.locale, body.shown.statement)
    await record_act(tx, one, new_id(), one.version_id, kind, shown, call.now)
    return {"locale": shown.locale, "statement": shown.statement}


async def _found(call: Call, path: PersonPath, act: ClosingAct | LinkWish) -> tuple[Person, Version]:
    person = await get_person(call.db, call.service.keys, path.site, path.external_id)
    if person.status == "erased":
        raise Conflict("this person was erased; nothing more is recorded of them")
    return person, await find_version(call.db, path.site, act.policy, act.version)


_ONE = "/v1/sites/{site}/people/{external_id}"

ENDPOINTS = (
    Endpoint("POST", _ONE + "/acceptances", accept_explicitly, "activity", refusals=(Conflict,), once=True),
    Endpoint("POST", _ONE + "/objections", object_to, "activity", refusals=(Conflict,), once=True),
    Endpoint("POST", _ONE + "/closings", leave, "activity", refusals=(Conflict,), once=True),
    Endpoint("POST", _ONE + "/links", mint_link, "activity", refusals=(Conflict,)),
)
