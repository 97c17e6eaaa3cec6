"""Conditions about people as SQL. Pure. The one place where SQL is put together, of the words below and of numbers.

Every value that somebody wrote stands in one JSON array, which is a parameter (``f.given``); the SQL says only which of
them it means. A query that takes such an expression asks of the people ``p`` of one site, whatever the condition says.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from notifier.campaigns.rule import Rules
from notifier.queries import Expression
from notifier.sites.condition import Condition, Either, Every, Not, Test, read_condition

_NUMBER = {"at_least": ">=", "at_most": "<=", "more_than": ">", "less_than": "<"}
_TIME = {"before": "<", "since": ">="}


class Compiler:
    """Collects the values of some conditions while they become SQL."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def compile(self, condition: Condition) -> str:
        """A boolean expression about ``p``, never NULL."""
        match condition:
            case Not(one):
                return f"(NOT {self.compile(one)})"
            case Every(parts):
                return f"({' AND '.join(self.compile(part) for part in parts)})"
            case Either(parts):
                return f"({' OR '.join(self.compile(part) for part in parts)})"
            case Test():
                return f"(({self._test(condition)}) IS TRUE)"

    def _test(self, test: Test) -> str:
        match test.field:
            case "country":
                return f"{self._json(test.values)} ? p.country"
            case "locale":
                language, script = "split_part(p.locale, '-', 1)", "split_part(p.locale, '-', 2)"  # or the region
                return f"{self._json(test.values)} ?| ARRAY[p.locale, {language}, {language} || '-' || {script}]"
            case "role":
                return f"{self._json(test.values)} ?| p.roles"
            case "registered_at":
                return f"p.registered_at {_TIME[test.operator]} {self._moment(test)}"
            case "last_seen_on":  # a day of UTC: all of it lies before the next
                return f"p.last_seen_on::timestamp AT TIME ZONE 'UTC' {_TIME[test.operator]} {self._moment(test)}"
            case _:
                return self._attribute(test)

    def _attribute(self, test: Test) -> str:
        value = f"p.attributes -> {self._text(test.field.partition('.')[2])}"
        if test.operator == "in":
            return f"{self._json(test.values)} @> ({value})"
        number = f"CASE WHEN jsonb_typeof({value}) = 'number' THEN ({value})::numeric END"
        return f"{number} {_NUMBER[test.operator]} {self._json(test.values[0])}::numeric"

    def _moment(self, test: Test) -> str:
        moment = test.values[0]
        assert isinstance(moment, datetime), "condition.py reads no other"
        return f"{self._text(moment.isoformat())}::timestamptz"

    def _json(self, value: object) -> str:
        return f"(f.given -> {self._keep(value)})"

    def _text(self, value: str) -> str:
        return f"(f.given ->> {self._keep(value)})"

    def _keep(self, value: object) -> int:
        self.values.append(list(value) if isinstance(value, tuple) else value)
        return len(self.values) - 1


def asked_of(rules: Rules) -> dict[str, Any]:
    """What queries about the audience take of a campaign's rules: two expressions, and the values that they mean.

    ``overlays``: the bit mask of what applies to a person as well. ``matches``: whether they fit the audience.
    """
    compiler = Compiler()
    audience = rules.base.audience.condition
    matches = "true" if audience is None else compiler.compile(audience)
    mask = _mask([compiler.compile(read_condition(one.applies_to)) for one in rules.overlays])
    return {"overlays": Expression(mask), "matches": Expression(matches), "given": compiler.values}


def _mask(conditions: Sequence[str]) -> str:
    return "(" + (" | ".join(f"({c}::integer << {n})" for n, c in enumerate(conditions)) or "0") + ")"
