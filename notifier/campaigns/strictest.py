"""Which of two values asks for more, field by field, and what two rules come to together. Pure.

For every field the values are in an order, from the weakest to the strictest, and merging takes the stricter. Where
neither contains the other (channels, reminders) it takes both. So one more rule never makes an answer weaker: what
amounts to acceptance under the merged rule does so under each of the two, and no later.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from notifier.sites.choice import BASELINES, EVIDENCE, GRADES, NEW_PURPOSES

if TYPE_CHECKING:
    from notifier.campaigns.rule import Rule

# Each value as a number: the higher, the stricter.
STRICTNESS: Mapping[str, Callable[[Any], float]] = {
    "telling": ["any", "all"].index,
    "notice_days": int,
    "durable": int,
    "bounce_window_hours": int,
    "evidence": EVIDENCE.index,
    "evidence_hours": lambda hours: -hours,  # the next channel has its turn sooner
    "deems": lambda deems: not deems,
    "by_notice": lambda by_notice: not by_notice,
    "deemed_by": ["silence", "use"].index,
    "grade_at_least": GRADES.index,
    "baseline_at_least": BASELINES.index,
    "nudge_unread_days": lambda days: float("-inf") if days is None else -days,
    "new_purpose": NEW_PURPOSES.index,
    "explicit": int,
}


def merged(one: "Rule", other: "Rule") -> dict[str, Any]:
    """The values in which the two together differ from ``one``, with where they come from."""
    won = {f for f, order in STRICTNESS.items() if order(getattr(other, f)) > order(getattr(one, f))}
    values: dict[str, Any] = {field: getattr(other, field) for field in won}
    for field in ("channels", "remind_days_before"):
        both = tuple(dict.fromkeys((*getattr(one, field), *getattr(other, field))))
        if both != getattr(one, field):
            values[field] = both if field == "channels" else tuple(sorted(both, reverse=True))
    return values | {
        "activity_kinds": _fewer(one.activity_kinds, other.activity_kinds),
        "presets": tuple(dict.fromkeys((*one.presets, *other.presets))),
        "origins": one.origins | {field: _named(one, other, field, field in won) for field in values},
        "own": {f: why for f, why in one.own.items() if f not in won}
        | {f: other.own[f] for f in won if f in other.own},
    }


def _named(one: "Rule", other: "Rule", field: str, won: bool) -> str:
    theirs = other.origins.get(field, other.preset)
    return theirs if won else f"{one.origins.get(field, one.preset)} + {theirs}"


def _fewer(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple(kind for kind in one if kind in other)
