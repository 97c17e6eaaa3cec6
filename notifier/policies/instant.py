"""An instant that is given as a time on the site's clocks. Pure.

Clocks are set forward and back: a time on them may not exist (a gap), or exist twice (a fold). Neither is guessed: the
answer says which instants there are.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from notifier.errors import Fault, Invalid

_FIRST_YEAR, _LAST_YEAR = 1970, 2999


def instant_of(given: str, zone_name: str, pointer: str = "/publish_at") -> datetime:
    """The instant in UTC of ``2026-07-01T09:00`` on the clocks of a zone, or of an RFC 3339 time with its own offset.

    Raises Invalid for what is no time, for a time that the zone's clocks skip, and for one that they show twice.
    """
    try:
        at = datetime.fromisoformat(given.strip())
    except ValueError:
        raise _invalid(pointer, "not a date and time; write it like 2026-07-01T09:00") from None
    if not _FIRST_YEAR <= at.year < _LAST_YEAR:
        raise _invalid(pointer, f"lies outside the years {_FIRST_YEAR} to {_LAST_YEAR}")
    if at.tzinfo is not None:
        return at.astimezone(UTC)
    zone = ZoneInfo(zone_name)
    earlier, later = (at.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if earlier == later:
        return earlier
    if earlier.astimezone(zone).replace(tzinfo=None) != at:
        raise _invalid(pointer, _skipped(at, zone_name, earlier - later))
    first, second = (one.astimezone(zone).isoformat(timespec="minutes") for one in (earlier, later))
    raise _invalid(pointer, f"comes twice in {zone_name}, where clocks are set back: write {first} or {second}")


def _skipped(at: datetime, zone_name: str, by: timedelta) -> str:
    minutes = abs(by) // timedelta(minutes=1)
    return (
        f"does not exist in {zone_name}, where clocks are set forward by {minutes} minutes: "
        f"write {(at + abs(by)).isoformat(timespec='minutes')} or another time"
    )


def _invalid(pointer: str, detail: str) -> Invalid:
    return Invalid("this is not one instant", [Fault(pointer, detail)])
