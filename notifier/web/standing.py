"""Which version of a policy applies. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from notifier.policies.publish import Version

Standing = Literal["in_force", "upcoming", "past", "version_pending"]


def in_force(versions: Sequence[Version], now: datetime) -> Version | None:
    """The published version that took effect last, or None when none has yet."""
    begun = [(v.effective_at, v.ordinal or 0, v) for v in versions if v.effective_at is not None]
    return max((entry for entry in begun if entry[0] <= now), key=lambda entry: entry[:2], default=(None, 0, None))[2]


def standing_of(version: Version, versions: Sequence[Version], now: datetime) -> Standing:
    """Whether a version applies, will apply, was replaced, or was never published."""
    if version.effective_at is None:
        return "version_pending"
    if version.effective_at > now:
        return "upcoming"
    current = in_force(versions, now)
    return "in_force" if current is not None and current.version_id == version.version_id else "past"
