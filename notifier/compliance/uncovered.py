"""What is missing until everybody is told of a version. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Gap = Literal["no_campaign", "not_begun", "no_notice", "untold", "too_little_evidence", "unreachable"]
GAPS: tuple[Gap, ...] = get_args(Gap)


@dataclass(frozen=True)
class Look:
    """What there is of one version: its campaign's state (None: it has none), and people by what they lack.

    ``near``: so close to the effective date that everybody should be told. ``not_told``: by how their notice stands.
    """

    state: str | None
    near: bool
    without_notice: int = 0
    not_told: Mapping[str, int] = field(default_factory=dict)


def gaps_of(look: Look) -> dict[Gap, int]:
    """What is missing, with how many people it concerns (0: everybody). ``{}``: nothing.

    >>> gaps_of(Look("sending", near=True, not_told={"pending": 3}))
    {'untold': 3}
    """
    if look.state in (None, "cancelled", "superseded"):
        return {"no_campaign": 0}
    if look.state in ("planned", "approved"):
        return {"not_begun": 0} if look.near else {}
    missing = {
        "no_notice": look.without_notice,
        "untold": look.not_told.get("pending", 0),
        "too_little_evidence": look.not_told.get("too_little_evidence", 0),
        "unreachable": look.not_told.get("unreachable", 0) + look.not_told.get("suppressed", 0),
    }
    return {kind: missing[kind] for kind in GAPS if missing.get(kind)}
