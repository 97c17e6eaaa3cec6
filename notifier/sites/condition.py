"""Conditions about people, as site.yaml writes them. Pure. What they are in SQL: ``campaigns/audience.py``.

``all``, ``any`` and ``not`` combine; everything else is a field with what it is compared to::

    all:
      - country: EEA                      # one, a list, or a group
      - role: [seller, business]
      - registered_at: {before: 2026-01-01}
      - not: {attributes.tier: free}
      - attributes.orders: {at_least: 5}
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TypeAlias

from notifier.sites.locales import known_locale

Place: TypeAlias = tuple[str | int, ...]
Scalar: TypeAlias = str | int | float | bool

EU = (
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV",
    "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
)  # fmt: skip
GROUPS: Mapping[str, tuple[str, ...]] = {"EU": EU, "EEA": (*EU, "IS", "LI", "NO")}

_WORDS = ("country", "locale", "role")
_MOMENTS = ("registered_at", "last_seen_on")
_ATTRIBUTE = "attributes."
FIELDS = (*_WORDS, *_MOMENTS, f"{_ATTRIBUTE}…")
_ONE_OF = ("is", "in", "is_not", "not_in")
_NUMBERS = ("at_least", "at_most", "more_than", "less_than")
_TIMES = ("before", "since")
_DEEPEST, _MOST_TESTS, _MOST_VALUES, _LONGEST = 8, 100, 500, 200


class Unclear(ValueError):
    """A condition that cannot be read. ``at``: the way to the place, from the condition's own top."""

    def __init__(self, at: Place, message: str) -> None:
        super().__init__(message)
        self.at = at


@dataclass(frozen=True)
class Test:
    """One comparison. ``values`` of ``is`` and ``in`` are all that fit; of the others there is one."""

    __test__ = False  # no test of pytest's

    field: str
    operator: str
    values: tuple[Scalar | datetime, ...]


@dataclass(frozen=True)
class Not:
    """What must not hold."""

    one: "Condition"


@dataclass(frozen=True)
class Every:
    """What must hold together."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True)
class Either:
    """Of which one must hold."""

    parts: tuple["Condition", ...]


Condition: TypeAlias = Test | Not | Every | Either


def read_condition(given: object) -> Condition:
    """The condition that a plain value of YAML or JSON describes. Raises Unclear with the place."""
    condition = _read(given, (), 0)
    if sum(1 for _ in _tests(condition)) > _MOST_TESTS:
        raise Unclear((), f"compares more than {_MOST_TESTS} times; make it simpler")
    return condition


def _read(given: object, at: Place, depth: int) -> Condition:
    if depth > _DEEPEST:
        raise Unclear(at, f"nested more than {_DEEPEST} deep; make it simpler")
    if not isinstance(given, Mapping) or not given:
        raise Unclear(at, "must hold a comparison like `country: DE`, or one of all, any and not")
    parts = tuple(_part(str(key), value, (*at, str(key)), depth) for key, value in given.items())
    return parts[0] if len(parts) == 1 else Every(parts)


def _part(key: str, value: object, at: Place, depth: int) -> Condition:
    if key == "not":
        return Not(_read(value, at, depth + 1))
    if key in ("all", "any"):
        if not isinstance(value, list) or not value:
            raise Unclear(at, "must be a list of comparisons, each with a - before it")
        parts = tuple(_read(one, (*at, n), depth + 1) for n, one in enumerate(value))
        return Every(parts) if key == "all" else Either(parts)
    if key not in FIELDS[:-1] and not _is_attribute(key):
        raise Unclear(at, f"there is no such field; known are {', '.join(FIELDS)}, and all, any and not")
    return _comparison(key, value, at)


def _is_attribute(key: str) -> bool:
    return key.startswith(_ATTRIBUTE) and 0 < len(key) - len(_ATTRIBUTE) <= _LONGEST and "\0" not in key


def _comparison(field: str, value: object, at: Place) -> Condition:
    known = _operators(field)
    if not isinstance(value, Mapping):
        if field in _MOMENTS:
            raise Unclear(at, "say before or since when, like {before: 2026-01-01}")
        return Test(field, "in", _values(field, value if isinstance(value, list) else [value], at))
    tests = tuple(_operation(field, str(operator), one, (*at, str(operator)), known) for operator, one in value.items())
    if not tests:
        raise Unclear(at, f"compares to nothing; use one of {', '.join(known)}")
    return tests[0] if len(tests) == 1 else Every(tests)


def _operators(field: str) -> tuple[str, ...]:
    if field in _MOMENTS:
        return _TIMES
    return _ONE_OF if field in _WORDS else (*_ONE_OF, *_NUMBERS)


def _operation(field: str, operator: str, value: object, at: Place, known: tuple[str, ...]) -> Condition:
    if operator not in known:
        raise Unclear(at, f"{field} cannot be compared so; use one of {', '.join(known)}")
    if operator in _TIMES:
        return Test(field, operator, (_moment(value, at),))
    if operator in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unclear(at, f"{value!r} is no number")
        return Test(field, operator, (value,))
    if isinstance(value, list) is not operator.endswith("in"):
        raise Unclear(at, "in and not_in take a list, is and is_not take one value")
    test = Test(field, "in", _values(field, value if isinstance(value, list) else [value], at))
    return Not(test) if operator in ("is_not", "not_in") else test


def _values(field: str, given: list[object], at: Place) -> tuple[Scalar, ...]:
    if not 0 < len(given) <= _MOST_VALUES:
        raise Unclear(at, f"needs 1 to {_MOST_VALUES} values to compare to")
    return tuple(
        value for n, one in enumerate(given) for value in _value(field, one, (*at, n) if len(given) > 1 else at)
    )


def _value(field: str, one: object, at: Place) -> tuple[Scalar, ...]:
    if not isinstance(one, str | int | float | bool) or (isinstance(one, str) and (len(one) > _LONGEST or "\0" in one)):
        raise Unclear(at, f"must be a word of at most {_LONGEST} characters, a number, true or false")
    if field not in _WORDS:
        return (one,)
    if not isinstance(one, str):
        raise Unclear(at, "must be text; put it in quotes")
    match field:
        case "country":
            return _countries(one, at)
        case "locale":
            return (_locale(one, at),)
    return (one,)


def _locale(one: str, at: Place) -> str:
    try:
        return known_locale(one)
    except ValueError as error:
        raise Unclear(at, f"{one!r} is {error}, or '' for nobody knows") from error


def _countries(one: str, at: Place) -> tuple[str, ...]:
    if one in GROUPS:
        return GROUPS[one]
    if one and not (len(one) == 2 and one.isascii() and one.isalpha() and one.isupper()):
        raise Unclear(at, f"{one!r} is no country: two capital letters like JP, EU, EEA, or '' for nobody knows")
    return (one,)


def _moment(value: object, at: Place) -> datetime:
    try:
        if isinstance(value, str):
            if len(value) <= len("2026-01-01"):
                return datetime.combine(date.fromisoformat(value), time(), UTC)
            if (found := datetime.fromisoformat(value)).tzinfo is not None:
                return found
    except ValueError:
        pass
    raise Unclear(at, f"{value!r} is no day like 2026-01-01, nor a time with a zone like 2026-01-01T09:00:00+09:00")


def _tests(condition: Condition) -> Iterator[Test]:
    match condition:
        case Test():
            yield condition
        case Not(one):
            yield from _tests(one)
        case Every(parts) | Either(parts):
            for part in parts:
                yield from _tests(part)
