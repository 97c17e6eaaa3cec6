"""A rule as answers and pages say it: each value, and where it came from. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from notifier.campaigns.rule import Rule, Rules


@dataclass(frozen=True)
class RuleValue:
    """One value of a rule, which preset it came from, and why the site chose less than that asks for, if it did."""

    value: str
    asked: Any
    from_preset: str
    reason: str


@dataclass(frozen=True)
class Ruling:
    """What some people are under: the presets that apply, and the strictest of each value.

    ``applies_to``: whom the last of the presets is for; None: everybody.
    """

    presets: tuple[str, ...]
    literal: str
    applies_to: Mapping[str, Any] | None
    values: tuple[RuleValue, ...]


def ruling(rule: Rule, applies_to: Mapping[str, Any] | None = None) -> Ruling:
    """One rule, said value by value."""
    values = tuple(
        RuleValue(name, getattr(rule, name), preset, rule.own.get(name, "")) for name, preset in rule.origins.items()
    )
    return Ruling(rule.presets or (rule.preset,), rule.literal, applies_to, values)


def rulings(rules: Rules) -> list[Ruling]:
    """Everybody's rule, then what it comes to for those to whom one overlay applies as well."""
    more = [ruling(rules.of(1 << n), one.applies_to) for n, one in enumerate(rules.overlays)]
    return [ruling(rules.base), *more]
