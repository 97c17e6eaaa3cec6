"""One clock for the whole service. Tests and the demo can move it; production cannot.

Every decision takes the time as a parameter, and every query takes ``:now``: nothing else asks what time it is.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass
class Clock:
    """The time in UTC, plus an offset that only :class:`MovableClock` ever changes."""

    offset: timedelta = timedelta()

    def now(self) -> datetime:
        """The current instant, in UTC."""
        return datetime.now(UTC) + self.offset

    def real(self) -> datetime:
        """The time that nobody moves: for leases and signatures, which must not expire because a demo skips a month."""
        return datetime.now(UTC)

    @property
    def movable(self) -> bool:
        """Whether :meth:`move` works."""
        return False


@dataclass
class MovableClock(Clock):
    """A clock that can be set forward, for the demo and for tests. Its offset is kept in the database."""

    @property
    def movable(self) -> bool:
        """Always true."""
        return True

    def move(self, by: timedelta) -> datetime:
        """Set the clock forward. Returns the new time. Raises ValueError when asked to go back."""
        if by < timedelta():
            raise ValueError("the clock only moves forward: records already carry later times")
        self.offset += by
        return self.now()

    def reach(self, offset: timedelta) -> None:
        """Set the clock forward to where another process set it. An offset from before that changes nothing."""
        self.offset = max(self.offset, offset)
