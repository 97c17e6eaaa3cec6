"""The contract of a mail service whose events reach us by webhook, and what all of their readers share."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from notifier.channels.channel import Feedback, FeedbackKind
from notifier.errors import Malformed, Unauthenticated
from notifier.letters.verp import find

# Clocks of two machines differ by so much at most.
SKEW = timedelta(minutes=5)
_KEPT = 500


class Provider(Protocol):
    """A mail service. It posts its events to ``/hooks/email/{name}``."""

    @property
    def name(self) -> str:
        """As it stands in the address."""

    async def hear(self, headers: Mapping[str, str], body: bytes, now: datetime) -> list[Feedback]:
        """Read a request of the service. ``[]`` when it is genuine and of no interest. ``now`` is the real time.

        Raises Unauthenticated when it is forged or too old, Malformed when it is unreadable, Unavailable when it could
        not be verified now.
        """


class Payload(BaseModel):
    """Fields of an event that we read. Services add fields without notice, and null says no more than nothing."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, given: Any) -> Any:
        return {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else given


Shape = TypeVar("Shape", bound=Payload)


def read_json(body: bytes) -> Any:
    """A JSON body. Raises Malformed."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed("the body is not JSON") from error


def read_event(shape: type[Shape], event: Any) -> Shape | None:
    """One event, or None for one that has nothing of the form we know: it may be of a new kind."""
    try:
        return shape.model_validate(event)
    except ValidationError:
        return None


def check_age(at: datetime, now: datetime, oldest: timedelta) -> None:
    """Raise Unauthenticated for what was signed longer ago than a service tries again, or in time to come."""
    if not now - oldest - SKEW <= at <= now + SKEW:
        raise Unauthenticated("this was signed too long ago, or by a clock that is wrong")


def news(reference: str, key: bytes, kind: FeedbackKind, class_: str | None, reply: str, via: str) -> list[Feedback]:
    """The feedback about the letter whose return path the service echoes; ``[]`` when it is none of ours."""
    attempt = find(reference, key)
    if attempt is None:
        return []
    return [
        Feedback(
            attempt.campaign_id, attempt.lane, attempt.person_id, "email", attempt.attempt,
            kind, class_, _line(reply), _line(via), None,
        )
    ]  # fmt: skip


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))[:_KEPT]
