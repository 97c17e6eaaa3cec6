"""What makes a text too costly to show: anybody may ask for it, and some marks cost the square of their number. Pure.

The limits are ten times and more what real policies have, and each is shown within a second or two.
"""

import re
from collections import Counter
from typing import Literal, NamedTuple

_MOST_TAGS = 10_000
_MOST_NESTED = 100
_MOST_BRACKETS = 2000
# A row of a Markdown table that ends early is filled up: "|" becomes as many cells as the first row has.
_MOST_CELLS = 100_000

_TAG = re.compile("<(/?)([A-Za-z][A-Za-z0-9]*)([^<>]*)")
_BLANK_LINE = re.compile(r"\n[ \t\r>]*\n")
# What stands between the head of a table and its rows, in a list or a quote too.
_DELIMITERS = re.compile(r"^[ \t\r>*+\d.)|:-]+$", re.MULTILINE)
# These need no closing tag, or have none.
_CLOSED_BY_OTHERS = frozenset({
    "p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "caption", "colgroup", "option", "rt", "rp",
    "br", "hr", "img", "input", "meta", "link", "col", "area", "base", "embed", "source", "track", "wbr",
    "html", "head", "body",
})  # fmt: skip
# A parser opens these again in every paragraph until they are closed, and knows no "/>" of them.
_REOPENED = frozenset({"a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"})


class Excess(NamedTuple):
    """What there is more of than ``most``."""

    what: Literal["tags", "nested", "brackets", "cells"]
    most: int


def excess(words: str) -> Excess | None:
    """What a text, Markdown or HTML, has too much of."""
    tags = _TAG.findall(words)
    if sum(not stroke for stroke, _, _ in tags) > _MOST_TAGS:
        return Excess("tags", _MOST_TAGS)
    if _depth(tags) > _MOST_NESTED:
        return Excess("nested", _MOST_NESTED)
    blocks = _BLANK_LINE.split(words)
    if max(block.count("[") for block in blocks) > _MOST_BRACKETS:
        return Excess("brackets", _MOST_BRACKETS)
    return Excess("cells", _MOST_CELLS) if sum(map(_cells, blocks)) > _MOST_CELLS else None


def _depth(tags: list[tuple[str, str, str]]) -> int:
    """How many elements are open at once at the most."""
    names: Counter[str] = Counter()
    depth = deepest = 0
    for stroke, name, rest in tags:
        tag = name.lower()
        if tag in _CLOSED_BY_OTHERS or (rest.endswith("/") and tag not in _REOPENED):
            continue
        step = (-1 if names[tag] else 0) if stroke else 1
        names[tag] += step
        depth += step
        deepest = max(deepest, depth)
    return deepest


def _cells(block: str) -> int:
    """Of the tables of Markdown in one block: the columns of the widest times the lines."""
    if "|" not in block:
        return 0
    columns = max((row.count("|") + 1 for row in _DELIMITERS.findall(block) if "|" in row and "-" in row), default=0)
    return columns * block.count("\n")
