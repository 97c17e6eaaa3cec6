"""One person of a site, as the site tells us about them. Pure.

Every field is checked and brought into one form here, once: what lies in the database needs no second look.
"""

import re
from typing import Annotated, Any, Literal

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)

from notifier.errors import Fault, Invalid, Malformed, faults_of
from notifier.sites.locales import known_locale
from notifier.sites.site import ChannelName, Moment, known_time_zone, mailbox

# An address that needs no second look: what most are, at a twentieth of email-validator's cost.
_PLAIN_ADDRESS = re.compile(
    r"[A-Za-z0-9_+'-]+(?:\.[A-Za-z0-9_+'-]+)*@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)
_COUNTRY = re.compile(r"[A-Za-z]{2}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LONGEST_VALUE = 500
_BIGGEST_NUMBER = 2**53  # what JSON carries everywhere (RFC 8259, 6)


def _address(value: str) -> str | None:
    value = value.strip()
    if not value:
        return None
    local, at, domain = value.rpartition("@")
    if len(value) <= 254 and len(local) <= 64 and _PLAIN_ADDRESS.fullmatch(value):
        return f"{local}{at}{domain.lower()}"
    try:
        return mailbox(value)
    except ValueError as error:
        raise ValueError(f"not an email address: {error}") from error


def _zone(value: str) -> str:
    return value and known_time_zone(value)


def _country(value: str) -> str:
    if value and not _COUNTRY.fullmatch(value):
        raise ValueError("not a country; write its two letters, like JP")
    return value.upper()


def _none_to_empty(value: Any) -> Any:
    return "" if value is None else value


def date_too(value: Any) -> Any:
    """A date means its first moment in UTC; a number could mean anything."""
    if isinstance(value, int | float):
        raise ValueError("write a date and time like 2024-05-01T09:00:00Z")
    return f"{value}T00:00:00Z" if isinstance(value, str) and _DATE.fullmatch(value) else value


def _visible(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("contains a control character; remove it")
    return value


def _external_id(value: str) -> str:
    if value != value.strip():
        raise ValueError("begins or ends with a space; remove it")
    if value.startswith("erased:"):
        raise ValueError("erased: begins the pseudonyms of erased people; use the person's own id")
    return _visible(value)


def _value(value: Any) -> Any:
    if not isinstance(value, str | int | float | None):
        raise ValueError("give a string, a number, true, false or null")
    if isinstance(value, str) and (len(value) > _LONGEST_VALUE or "\0" in value):
        raise ValueError(f"a string has at most {_LONGEST_VALUE} characters, and no NUL")
    if isinstance(value, int | float) and not abs(value) <= _BIGGEST_NUMBER:
        raise ValueError("a number lies within ±2^53; give a bigger one as a string")
    return value


ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_external_id)]
Email = Annotated[str, StringConstraints(max_length=320), AfterValidator(_address)] | None
PersonLocale = Annotated[
    str, BeforeValidator(_none_to_empty), StringConstraints(max_length=50), AfterValidator(known_locale)
]
Zone = Annotated[str, BeforeValidator(_none_to_empty), AfterValidator(_zone)]
Country = Annotated[str, BeforeValidator(_none_to_empty), AfterValidator(_country)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_visible)]
Value = Annotated[Any, AfterValidator(_value), WithJsonSchema({"type": ["string", "number", "boolean", "null"]})]


class PersonInput(BaseModel):
    """What a site says of one person. It replaces what was said before, but for what ``registered_at`` says."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    external_id: ExternalId = Field(description="The site's own id of the person.")
    email: Email = Field(None, description="Where letters go. Empty: letters by email cannot reach this person.")
    locale: PersonLocale = Field("", description="Language and region, like ja, en-GB or zh_Hant_TW.")
    time_zone: Zone = Field("", description="Of the IANA database. Empty: the site's own.")
    country: Country = Field("", description="Two letters (ISO 3166-1).")
    roles: list[Word] = Field([], max_length=50, description="What the person is on the site: buyer, seller, …")
    channels: list[ChannelName] = Field([], max_length=20, description="The person's own order of preference.")
    attributes: dict[Word, Value] = Field({}, max_length=50, description="Whatever else a rule asks for. No secrets.")
    registered_at: Annotated[Moment | None, BeforeValidator(date_too)] = Field(
        None,
        strict=False,
        description="When the account was made. Left out: as said before, or now for somebody new.",
    )
    registration_version: Word | None = Field(
        None, description="Label of the version that the registration showed. Left out: as said before."
    )
    status: Literal["active", "dormant", "suspended", "closed"] = Field("active", description="Of the account.")
    closed_at: Annotated[Moment | None, BeforeValidator(date_too)] = Field(
        None,
        strict=False,
        description="When a closed account was closed. Left out: as said before, or now. The earliest said stands.",
    )


def read_person(body: bytes, external_id: str) -> PersonInput:
    """A person from the JSON of a request that names them elsewhere. Raises Malformed, Invalid."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON in UTF-8: {error}") from error
    if not isinstance(given, dict):
        raise Invalid("nothing was changed", [Fault("", "the body must be a JSON object")])
    if given.setdefault("external_id", external_id) != external_id:
        raise Invalid("nothing was changed", [Fault("/external_id", "is not the one of the address; leave it out")])
    try:
        return PersonInput.model_validate_json(orjson.dumps(given))
    except orjson.JSONEncodeError:
        raise Malformed("the body is nested too deep") from None
    except ValidationError as error:
        raise Invalid("nothing was changed: some fields need mending", faults_of(error)) from error
