"""Which version each person last knew, for "what changed since". Pure: what the freeze asks of everybody at once.

A person knows the newest earlier version that they were told of or accepted or, where nothing of that is on record, the
one that their registration showed: by the site's word, or the one that was in force then. Whoever came before the first
version knows that one: it is the text that was there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Earlier:
    """A published version before the one to be told, and the campaign that told of it, if one did."""

    version_id: int
    label: str
    effective_at: datetime
    campaign_id: int | None


def question(earlier: Sequence[Earlier]) -> dict[str, Any]:
    """The parameters of what is asked of each person. Ranks count the earlier versions in order, from 1."""
    told = [(one.campaign_id, rank) for rank, one in enumerate(earlier, 1) if one.campaign_id is not None]
    moments, ranks = _in_force([one.effective_at for one in earlier])
    return {
        "earlier": [one.version_id for one in earlier],
        "earlier_labels": [one.label for one in earlier],
        "earlier_campaigns": [campaign_id for campaign_id, _ in told],
        "campaign_ranks": [rank for _, rank in told],
        "in_force_from": moments,
        "in_force": ranks,
    }


def _in_force(effective: Sequence[datetime]) -> tuple[list[datetime], list[int]]:
    """When another version came into force, and which was in force before the first such moment and after each."""
    moments: list[datetime] = []
    ranks = [1] if effective else []
    newest = 0
    for at, rank in sorted((at, rank) for rank, at in enumerate(effective, 1)):
        if rank > newest:
            newest = rank
            moments.append(at)
            ranks.append(rank)
    return moments, ranks
