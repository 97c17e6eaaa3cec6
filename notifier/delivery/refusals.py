"""When a relay is left alone because receivers refuse what comes by it, whoever it is for. Pure.

One person's own block is no reason: enough letters must have been refused, and enough of all that it answered.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

# Letters of as many people, and this share of all that the relay answered since the first of them, within the time.
FEWEST, SHARE, WITHIN = 5, 0.1, timedelta(minutes=10)
# How long it is left alone: the first time, the next times; who was left in peace for the last begins anew.
PAUSES, FORGOTTEN = (timedelta(hours=1), timedelta(hours=2), timedelta(hours=4)), timedelta(days=1)


@dataclass(frozen=True)
class Refusals:
    """A row of ``relay_refusal``: of ``answered`` letters since ``since`` so many were ``refused`` as ``policy``.

    ``paused_at`` and ``paused_until``: the last pause. ``pauses``: how many in a row. ``reason``: the latest reply.
    """

    relay: str
    since: datetime
    refused: int
    answered: int
    paused_at: datetime | None = None
    paused_until: datetime | None = None
    pauses: int = 0
    reason: str = ""

    def paused(self, now: datetime) -> bool:
        """Whether nothing goes by it."""
        return self.paused_until is not None and now < self.paused_until

    def counting(self, now: datetime) -> bool:
        """Whether what it answers now belongs to the same count."""
        return self.refused > 0 and now < self.since + WITHIN


def counted(before: Refusals, refused: int, answered: int, reason: str, now: datetime) -> Refusals:
    """With the answers of one more batch; paused, when that is enough. What was under way at a pause counts not."""
    if before.paused(now):
        return before
    if not before.counting(now):
        before = replace(before, since=now, refused=0, answered=0)
    found = replace(
        before,
        refused=before.refused + refused,
        answered=before.answered + answered,
        reason=reason or before.reason,
    )
    enough = found.refused >= FEWEST and found.refused >= SHARE * found.answered
    return _paused(found, now) if enough else found


def _paused(found: Refusals, now: datetime) -> Refusals:
    lately = found.paused_until is not None and now < found.paused_until + FORGOTTEN
    pauses = found.pauses + 1 if lately else 1
    until = now + PAUSES[min(pauses, len(PAUSES)) - 1]
    return replace(found, refused=0, answered=0, paused_at=now, paused_until=until, pauses=pauses)
