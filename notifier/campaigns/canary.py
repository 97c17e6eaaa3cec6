"""How an audience is cut into the stages of a canary. Pure."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from notifier.sites.site import Canary, share_of


def holds_to_come(canary: Canary | None, stage: int, stages: int, held_at: datetime | None, now: datetime) -> timedelta:
    """How long is waited altogether until everybody has their turn; what goes on by hand is thought to do so at once.

    ``stage`` of ``stages`` is being sent, or held since ``held_at``.
    """
    if canary is None or canary.go_on == "by_hand":
        return timedelta()
    hold = timedelta(minutes=canary.hold)
    passed = timedelta() if held_at is None else min(now - held_at, hold)
    return max(timedelta(), hold * (stages - stage) - passed)


def ends(stages: Sequence[int | str], sent: int, read: int) -> list[int]:
    """After how many people each stage but the last ends. ``[]``: there is one stage, and it is everybody.

    ``sent``: how many people something is sent to; these are counted. ``read``: how many have a private message that
    is there for them to read; all of these wait for the last stage. A stage that would add nobody is left out.
    """
    found: list[int] = []
    for stage in stages:
        end = stage if isinstance(stage, int) else math.ceil(sent * share_of(stage))
        end = min(end, sent)
        if end > (found[-1] if found else 0):
            found.append(end)
    if found and found[-1] == sent and not read:
        found.pop()
    return found
