"""The named queries of sql/queries/*.sql, read once.

A query stands in the file of its stage, under a header, with a sentence that says what it does::

    -- name: slice_notices
    -- lanes: all
    -- Notices of a slice after its cursor, in key order.
    SELECT … WHERE lane >= :from_lane

``:name`` is a parameter. ``@fragment`` on a line of its own is replaced by the fragment of that name of the same file
(``-- fragment: audience``): the one way in which two queries share a rule.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from notifier.resources import resource

# Skipped as they are: casts, string literals, quoted names and comments. Only the last group is a parameter.
_TOKEN = re.compile(r"::|'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|:([a-z_][a-z0-9_]*)")
_HEADER = re.compile(r"^-- (name|fragment): ([a-z_0-9]+)\n", re.MULTILINE)
_LANES = re.compile(r"^-- lanes: (one|all|none)$", re.MULTILINE)


@dataclass(frozen=True)
class Query:
    """One named query: its text with ``$1`` … and the parameters' names in that order."""

    name: str
    lanes: str
    sql: str
    parameters: tuple[str, ...]

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

    return Query(name, lanes[1], _TOKEN.sub(number, body).strip(), tuple(order))


@cache
def all_queries(folder: Path | None = None) -> Mapping[str, Query]:
    """Every query by ``stage.name``."""
    files = sorted((folder or resource("sql") / "queries").glob("*.sql"))
    return {query.name: query for file in files for query in parse(file.stem, file.read_text("utf-8"))}
