"""How an audience is cut into the stages of a canary. Pure."""

import math
from collections.abc import Sequence

from notifier.sites.site import share_of


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
