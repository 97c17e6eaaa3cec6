"""What a person says themselves about one version: yes, no, and no longer no."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from notifier.acceptance.accept import record_explicit
from notifier.acceptance.object import Statement, record_objection, withdraw_objection
from notifier.errors import Conflict
from notifier.people.roster import Person, get_person
from notifier.policies.publish import Version, find_version
from notifier.policies.version import Label
from notifier.sites.site import Moment, Slug
from notifier.web.api.paths import PersonPath
from notifier.web.endpoint import Call, Endpoint

Line = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Act(BaseModel):
    """Something a person said about exactly this version."""

    model_config = ConfigDict(extra="forbid")

    policy: Slug
    version: Label = Field(description="The version's label.")
    at: Moment | None = Field(None, description="When they said it. Left out: now.")
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
    news = await record_explicit(call.db, path.site, person, version.version_id, at, body.via, call.now)
    return Recorded(policy=version.policy, version=version.label, news=news)


async def object_to(call: Call, path: PersonPath, body: ObjectionAct) -> Recorded:
    """Record that a person objects to a version, or takes that back.

    From an objection on, no use amounts to acceptance. What is already on record stays beside it.
    """
    person, version = await _found(call, path, body)
    said = Statement(body.at or call.now, body.via, body.statement)
    verb = withdraw_objection if body.withdrawn else record_objection
    news = await verb(call.db, path.site, person, version.version_id, said, call.now)
    return Recorded(policy=version.policy, version=version.label, news=news)


async def _found(call: Call, path: PersonPath, act: Act) -> tuple[Person, Version]:
    person = await get_person(call.db, call.service.keys, path.site, path.external_id)
    if person.status == "erased":
        raise Conflict("this person was erased; nothing more is recorded of them")
    return person, await find_version(call.db, path.site, act.policy, act.version)


_ONE = "/v1/sites/{site}/people/{external_id}"

ENDPOINTS = (
    Endpoint("POST", _ONE + "/acceptances", accept_explicitly, "activity", refusals=(Conflict,), once=True),
    Endpoint("POST", _ONE + "/objections", object_to, "activity", refusals=(Conflict,), once=True),
)
