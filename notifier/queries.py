"""The named queries of sql/queries/*.sql, read once.

A query stands in the file of its stage, under a header, with a sentence that says what it does::

    -- name: slice_notices
    -- lanes: all
    -- Notices of a slice after its cursor, in key order.
    SELECT … WHERE lane >= :from_lane

``:name`` is a parameter. ``{name: 0}`` is a place for an :class:`Expression`, with what stands there otherwise.
``@fragment`` on a line of its own is replaced by the fragment of that name of the same file (``-- fragment: reached``):
the one way in which two queries share a rule.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from notifier.resources import resource

# Skipped as they are: casts, string literals, quoted names and comments. Only the last group is a parameter.
_PLACE = re.compile(r"\{([a-z_]+): ([a-z0-9_]+)\}")
_TOKEN = re.compile(r"::|'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|:([a-z_][a-z0-9_]*)")
_HEADER = re.compile(r"^-- (name|fragment): ([a-z_0-9]+)\n", re.MULTILINE)
_LANES = re.compile(r"^-- lanes: (one|all|none)$", re.MULTILINE)


@dataclass(frozen=True)
class Expression:
    """A piece of SQL for a place in a query. Only ``campaigns/audience.py`` makes them, of its own words and numbers:
    whatever anybody wrote is a parameter."""

    sql: str


@dataclass(frozen=True)
class Query:
    """One named query: its text with ``$1`` … and the parameters' names in that order.

    ``template`` is the text with its ``places`` open, ``sql`` has in each what stands there otherwise.
    """

    name: str
    lanes: str
    sql: str
    parameters: tuple[str, ...]
    template: str
    places: frozenset[str]

    def bound(self, given: Mapping[str, object]) -> tuple[str, list[object]]:
        """The text with its places filled, and the values in order. Raises TypeError as :meth:`arguments`."""
        filled = {name: value.sql for name, value in given.items() if isinstance(value, Expression)}
        values = {name: value for name, value in given.items() if name not in filled}
        if not filled.keys() <= self.places:
            raise TypeError(f"{self.name} has places for {sorted(self.places)}, was given {sorted(filled)}")
        sql = _PLACE.sub(lambda m: filled.get(m[1], m[2]), self.template) if filled else self.sql
        return sql, self.arguments(values)

    def arguments(self, given: Mapping[str, object]) -> list[object]:
        """The values in order. Raises TypeError unless exactly the query's parameters are given."""
        if len(given) != len(self.parameters) or not given.keys() <= set(self.parameters):
            raise TypeError(f"{self.name} takes {sorted(self.parameters)}, was given {sorted(given)}")
        return [given[name] for name in self.parameters]


def parse(stage: str, text: str) -> Iterator[Query]:
    """The queries of one file. Raises ValueError for a query without a ``-- lanes:`` line."""
    pieces = _HEADER.split(text)[1:]
    blocks = list(zip(pieces[0::3], pieces[1::3], pieces[2::3], strict=True))
    fragments = {name: body.strip() for kind, name, body in blocks if kind == "fragment"}
    for kind, name, body in blocks:
        if kind == "name":
            yield _compile(f"{stage}.{name}", _include(body, fragments))


def _include(body: str, fragments: Mapping[str, str]) -> str:
    while (expanded := re.sub(r"^\s*@([a-z_]+)$", lambda m: fragments[m[1]], body, flags=re.MULTILINE)) != body:
        body = expanded
    return body


def _compile(name: str, body: str) -> Query:
    lanes = _LANES.search(body)
    if lanes is None:
        raise ValueError(f"{name} does not say which lanes it touches (-- lanes: one | all | none)")
    order: list[str] = []

    def number(match: re.Match[str]) -> str:
        parameter = match[1]
        if parameter is None:
            return match[0]
        if parameter not in order:
            order.append(parameter)
        return f"${order.index(parameter) + 1}"

    template = _TOKEN.sub(number, body).strip()
    places = frozenset(match[1] for match in _PLACE.finditer(template))
    return Query(name, lanes[1], _PLACE.sub(r"\2", template), tuple(order), template, places)


@cache
def all_queries(folder: Path | None = None) -> Mapping[str, Query]:
    """Every query by ``stage.name``."""
    files = sorted((folder or resource("sql") / "queries").glob("*.sql"))
    return {query.name: query for file in files for query in parse(file.stem, file.read_text("utf-8"))}
