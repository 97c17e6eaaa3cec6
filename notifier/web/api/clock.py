"""The service's clock. Tests and the demo set it forward; in production neither address exists."""

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

from notifier.clock import MovableClock
from notifier.compose import move_clock
from notifier.errors import Conflict, NotFound
from notifier.web.endpoint import Call, Endpoint
from notifier.web.reading import Whole

# Far enough for any test, near enough for every date that is reckoned from it.
FARTHEST = timedelta(days=100 * 365)


class Advance(BaseModel):
    """How far to set the clock forward."""

    model_config = ConfigDict(extra="forbid")

    advance_seconds: Whole = Field(ge=0, le=10 * 365 * 86400)


class ClockReading(BaseModel):
    """What time the service takes it to be."""

    now: datetime
    offset_seconds: int = Field(description="How far it was set forward.")


async def read_clock(call: Call) -> ClockReading:
    """Read the clock of a demo or a test.

    404 in production, whose clock cannot be moved.
    """
    return _reading(_movable(call))


async def advance_clock(call: Call, body: Advance) -> ClockReading:
    """Set the clock of a demo or a test forward.

    404 in production, whose clock cannot be moved. It never goes back: records already carry later times.
    """
    clock = _movable(call)
    if clock.offset + timedelta(seconds=body.advance_seconds) > FARTHEST:
        raise Conflict("the clock does not go beyond a hundred years from now; nothing was moved")
    await move_clock(call.db, clock, timedelta(seconds=body.advance_seconds))
    return _reading(clock)


def _movable(call: Call) -> MovableClock:
    if not isinstance(call.service.clock, MovableClock):
        raise NotFound("the clock of a production service cannot be moved")
    return call.service.clock


def _reading(clock: MovableClock) -> ClockReading:
    return ClockReading(now=clock.now(), offset_seconds=int(clock.offset.total_seconds()))


ENDPOINTS = (
    Endpoint("GET", "/v1/clock", read_clock, "admin", refusals=(NotFound,)),
    Endpoint("POST", "/v1/clock", advance_clock, "admin", refusals=(NotFound, Conflict)),
)
