"""What can go wrong, said so that the caller knows what to do. Each family is an RFC 9457 problem."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError


@dataclass(frozen=True)
class Fault:
    """One thing wrong with an input: where (an RFC 6901 pointer, or ``line 12``) and what to do about it."""

    pointer: str
    detail: str


def faults_of(error: ValidationError) -> list[Fault]:
    """What pydantic found, as faults. The values themselves are left out: they may be about a person."""
    found = error.errors(include_url=False, include_input=False)
    return [Fault(pointer_of(one["loc"]), one["msg"].removeprefix("Value error, ")) for one in found]


def pointer_of(location: Sequence[str | int]) -> str:
    """Where in a document, as an RFC 6901 pointer. pydantic marks what is wrong with a key itself as ``[key]``."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in location if step != "[key]")
    return "".join(f"/{step}" for step in steps)


class NotifierError(Exception):
    """A problem that the caller can act on. ``kind`` ends the problem's type URI; ``status`` is its HTTP status."""

    status = 500
    kind = "internal"
    title = "Something went wrong on our side"

    def __init__(self, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults)


class Malformed(NotifierError):
    """The request cannot be read at all: not JSON, not UTF-8, a missing header."""

    status, kind, title = 400, "malformed", "The request cannot be read"


class Unauthenticated(NotifierError):
    """No valid token or signature came with the request."""

    status, kind, title = 401, "unauthenticated", "Who is asking could not be established"


class Forbidden(NotifierError):
    """The caller is known and may not do this."""

    status, kind, title = 403, "forbidden", "This token may not do that"


class NotFound(NotifierError):
    """There is no such thing, or the caller may not know of it."""

    status, kind, title = 404, "not-found", "There is no such thing"


class Conflict(NotifierError):
    """The request contradicts what is already recorded."""

    status, kind, title = 409, "conflict", "This contradicts what is recorded"


class TooLarge(NotifierError):
    """The request is over a documented limit."""

    status, kind, title = 413, "too-large", "The request is over the limit"


class Invalid(NotifierError):
    """The request can be read but says something we cannot do. ``faults`` name each field."""

    status, kind, title = 422, "invalid", "Some fields need mending"


class Unavailable(NotifierError):
    """We cannot do this now; the same request may work later."""

    status, kind, title = 503, "unavailable", "Not possible right now"


class Undeliverable(Exception):
    """This letter cannot be written, however often it is tried."""
