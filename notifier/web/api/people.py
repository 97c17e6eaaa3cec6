"""People: they come as NDJSON or one by one, they change, they go; and their tokens for the inbox."""

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from notifier.acceptance.baseline import csv_lines, import_baselines
from notifier.acceptance.earlier import Earlier
from notifier.errors import Conflict, Fault
from notifier.keys import PersonToken
from notifier.people.erase import erase_person
from notifier.people.merge import merge_person
from notifier.people.person import ExternalId, PersonInput, read_person
from notifier.people.roster import get_person, import_people, put_person
from notifier.web.api.paths import PersonPath, SitePath
from notifier.web.csv import CSV
from notifier.web.endpoint import NDJSON, Call, Endpoint
from notifier.web.reading import Whole


class PeopleReport(BaseModel):
    """What became of the lines: read = kept + refused, kept = created + changed + unchanged + repeated."""

    model_config = ConfigDict(from_attributes=True)

    read: int
    kept: int
    refused: int
    created: int
    changed: int
    unchanged: int
    repeated: int = Field(description="The same person again soon after; the last line counts.")
    faults: list[Fault] = Field(description="The first 1,000 bad lines: `line 12`, and what is wrong with it.")


def _as_sent(schema: dict[str, Any]) -> None:
    """What may be sent here: the id stands in the address, and what we bring into one form comes in several."""
    fields = schema["properties"]
    del fields["external_id"], schema["required"]
    fields["country"]["pattern"] = "^([A-Za-z]{2})?$"
    for name in ("locale", "time_zone", "country"):
        words = {key: fields[name].pop(key) for key in ("title", "description", "default")}
        fields[name] = {"anyOf": [fields[name], {"type": "null"}], **words}


class PersonBody(PersonInput):
    """What a site says of one person. It replaces what was said before, but for what `registered_at` says."""

    model_config = ConfigDict(json_schema_extra=_as_sent)


class PersonDetail(BaseModel):
    """One person as we know them now. After erasure `external_id` is a pseudonym and little else is left."""

    model_config = ConfigDict(from_attributes=True)

    external_id: str
    status: str = Field(description="active, dormant, suspended, closed or erased.")
    email: str | None
    locale: str
    time_zone: str
    country: str
    roles: list[str]
    channels: list[str]
    attributes: dict[str, Any]
    registered_at: datetime
    registration_version: str | None
    changed_at: datetime
    last_seen_on: date | None
    closed_at: datetime | None


class BaselineReport(PeopleReport):
    """What became of the lines: read = kept + refused, kept = created + changed + unchanged + repeated."""

    changed: int = Field(description="Another word than before about the same person and version: its next revision.")


class TokenWish(BaseModel):
    """How long a person token shall be good."""

    model_config = ConfigDict(extra="forbid")

    valid_seconds: Whole = Field(86400, ge=60, le=30 * 86400)


class Merger(BaseModel):
    """Into which account a person's was merged."""

    model_config = ConfigDict(extra="forbid")

    into: ExternalId = Field(description="The site's own id of the account that stays.")


class MintedToken(BaseModel):
    """A person token. Hand it to the person's own browser and to nobody else."""

    token: str
    expires_at: datetime


async def import_all(call: Call, path: SitePath, lines: AsyncIterator[bytes]) -> PeopleReport:
    """Take people in, one JSON object a line, of any length.

    Whom we know is replaced, the others are added; nobody is removed. Bad lines are reported by number and the good
    ones kept. After a broken connection send the same again: what was taken stays as it is.
    """
    report = await import_people(call.db, call.service.keys, path.site, lines, call.now)
    return PeopleReport.model_validate(report)


async def import_earlier(call: Call, path: SitePath, lines: AsyncIterator[bytes]) -> BaselineReport:
    """Take in what you know of acceptances from before, one JSON object a line (or a table, as `text/csv`).

    Each with its proof: proved, imported or unknown. The same again changes nothing. Bad lines are reported by number
    and the good ones kept. None of these becomes an acceptance on our record.
    """
    if call.request.content_type == CSV:
        lines = csv_lines(lines)
    return BaselineReport.model_validate(await import_baselines(call.db, path.site, lines, call.now))


async def put_one(call: Call, path: PersonPath, raw: bytes) -> PersonDetail:
    """Add or replace one person."""
    given = read_person(raw, path.external_id)
    person, _ = await put_person(call.db, call.service.keys, path.site, given, call.now)
    return PersonDetail.model_validate(person)


async def get_one(call: Call, path: PersonPath) -> PersonDetail:
    """Read one person. One who was erased is found by the site's own id, too."""
    return PersonDetail.model_validate(await get_person(call.db, call.service.keys, path.site, path.external_id))


async def erase_one(call: Call, path: PersonPath) -> None:
    """Erase one person: everything personal goes, what was done stays provable under a pseudonym."""
    await erase_person(call.db, call.service.keys, path.site, path.external_id, call.now)


async def merge_one(call: Call, path: PersonPath, body: Merger) -> PersonDetail:
    """Say that this account was merged into another: it is closed, and nothing more is sent to it.

    What is on record stays with the account that it was recorded of; the timeline of the other shows both. Answers the
    account that stays. The same again changes nothing; a list that still names this account is refused line by line.
    """
    stays = await merge_person(call.db, call.service.keys, path.site, path.external_id, body.into, call.now)
    return PersonDetail.model_validate(stays)


async def mint_token(call: Call, path: PersonPath, body: TokenWish | None) -> MintedToken:
    """Make a token with which this person reads their own messages under `/v1/inbox`."""
    person = await get_person(call.db, call.service.keys, path.site, path.external_id)
    if person.status == "erased":
        raise Conflict("this person was erased and has no messages any more")
    wish = body or TokenWish()
    expires = (call.now + timedelta(seconds=wish.valid_seconds)).replace(microsecond=0)
    token = PersonToken(path.site, person.lane, person.person_id, expires)
    return MintedToken(token=token.seal(call.service.keys), expires_at=expires)


_ONE = "/v1/sites/{site}/people/{external_id}"

ENDPOINTS = (
    Endpoint("POST", "/v1/sites/{site}/people", import_all, "people", line=PersonInput, takes=(NDJSON,)),
    Endpoint("POST", "/v1/sites/{site}/baselines", import_earlier, "people", line=Earlier, takes=(NDJSON, CSV)),
    Endpoint("GET", _ONE, get_one, "people"),
    Endpoint("PUT", _ONE, put_one, "people", body_model=PersonBody, refusals=(Conflict,)),
    Endpoint("DELETE", _ONE, erase_one, "people", status=204),
    Endpoint("POST", _ONE + "/merge", merge_one, "people", refusals=(Conflict,)),
    Endpoint("POST", _ONE + "/tokens", mint_token, "people", refusals=(Conflict,)),
)
