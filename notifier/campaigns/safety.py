"""What stands between publishing and sending, frozen with each campaign. Pure.

An approval holds for what was shown: versions are immutable, and the rule is frozen with the campaign. What letters
take from the site as it is now (names, senders, titles) is guarded otherwise: applying another site.yaml voids the
approvals that were given before it, see ``approved_by`` in campaigns.sql. Who is told is worked out when the last one
approves.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from notifier.sites.site import Approval, Canary


class Safety(BaseModel):
    """How one campaign is held back until somebody answers for it."""

    model_config = ConfigDict(frozen=True)

    approval: Approval = Approval()
    canary: Canary | None = None


def missing(safety: Safety, approved_by: Sequence[str]) -> int:
    """How many more people must approve."""
    return max(0, safety.approval.people - len(set(approved_by)))


def objection_to_approval(safety: Safety, approved_by: Sequence[str], actor: str, *, tested: bool) -> str | None:
    """Why this actor cannot approve now, and what to do; None when they can.

    ``tested``: a test letter was sent, or the campaign has no letters.
    """
    if safety.approval.test_send and not tested:
        return "send a test letter first and read it (notifier campaigns test); this site approves nothing unseen"
    if actor in approved_by:
        return (
            f"{actor} approved this campaign already: {len(set(approved_by))} of {safety.approval.people}; "
            "somebody else must approve, with a token of another name"
        )
    return None
