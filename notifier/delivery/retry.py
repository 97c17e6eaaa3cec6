"""When to try again, and when to stop. Pure. See docs/delivery.md for what each class means."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.sites.site import Unknown

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

# After this long since the first try nothing is tried again (RFC 5321, 4.5.4.1: at least 4 to 5 days).
GIVE_UP_AFTER = timedelta(days=5)

_GENERAL = (MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR)
_BY_CLASS: Mapping[str, tuple[timedelta, ...]] = {
    "greylisted": (5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 40 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR),
    "mailbox_full": (DAY,),
    "throttled": (15 * MINUTE,),
    # Not the person's fault: the relay or the route has to be mended first.
    "session": (15 * MINUTE,),
    "policy": (HOUR,),
    # Standard Webhooks: at once, then after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h, and no more.
    "endpoint": (timedelta(seconds=5), 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 10 * HOUR),
}
# Their last wait is not repeated: after it the next channel has its turn.
_ENDING = frozenset({"endpoint"})
# These say nothing about the person, so they do not wear out the schedule.
UNCOUNTED = frozenset({"throttled", "session", "policy", "unknown"})


@dataclass(frozen=True)
class Again:
    """Try once more at ``due_at``; ``failures`` is how many tries have counted so far. None: when somebody says so."""

    due_at: datetime | None
    failures: int


def after_unknown(site: Unknown, usual: float) -> float | None:
    """Seconds before a letter of unknown fate is sent again, as its site decides; None: when somebody says so."""
    if site.then == "hold":
        return None
    return usual if site.then == "resend" else max(usual, site.verify_hours * 3600.0)


def again(
    class_: str | None,
    failures: int,
    asked: float | None,
    jitter: float,
    now: datetime,
    since: datetime,
    unknown_after: float | None,
) -> Again | None:
    """The next try after a passing failure, or None when it is time to give up.

    ``asked``: seconds that the server asked us to wait, honoured when longer than the schedule. ``jitter``: 0..1, adds
    up to a tenth. ``since``: the first try by this channel. ``unknown_after``: as :func:`after_unknown` says.
    """
    if class_ == "held":  # by us, and nothing was tried: it waits as long as it must
        return Again(now + timedelta(seconds=asked or 0), failures)
    if class_ == "unknown":
        if unknown_after is None:
            return Again(None, failures)
        due = now + timedelta(seconds=unknown_after)
        return Again(due, failures) if due < since + GIVE_UP_AFTER else None
    schedule = _BY_CLASS.get(class_ or "", _GENERAL)
    if class_ in _ENDING:
        if failures >= len(schedule):
            return None
        jitter = 0.0  # a batch stays together, and so keeps its id
    wait = schedule[min(failures, len(schedule) - 1)]
    wait = max(wait * (1 + jitter / 10), timedelta(seconds=asked or 0))
    if now + wait >= since + GIVE_UP_AFTER:
        return None
    return Again(now + wait, failures if class_ in UNCOUNTED else failures + 1)
