"""Where the cells of a table stand, while its HTML is read from the beginning. Pure."""

import re
from typing import NamedTuple

_SPAN = re.compile(r' (col|row)span="(\d{1,4})"')
_CELLS = frozenset({"td", "th"})


class Cell(NamedTuple):
    """A place in a table: tables are counted from 1 in the whole text, rows and columns from 0. ``head``: a th.

    ``gone``: in a comparison, of the older text, and nothing of it is left.
    """

    table: int
    row: int
    column: int
    head: bool = False
    gone: bool = False


class Grid:
    """Follows tags. A table within a cell is part of that cell."""

    def __init__(self) -> None:
        self.cell: Cell | None = None
        self.tables = self.depth = self.row = self.column = 0
        self.taken: dict[int, int] = {}  # by column: the last row that a cell of a row before reaches into

    def open(self, tag: str, attributes: str) -> None:
        """A tag opens."""
        if tag == "table":
            self.depth += 1
            if self.depth == 1:
                self.tables, self.row, self.taken = self.tables + 1, -1, {}
        elif self.depth == 1 and tag == "tr":
            self.row, self.column = self.row + 1, 0
        elif self.depth == 1 and tag in _CELLS:
            while self.taken.get(self.column, -1) >= self.row:
                self.column += 1
            self.cell = Cell(self.tables, self.row, self.column, tag == "th")
            spans = {way: int(count) for way, count in _SPAN.findall(attributes)}
            if spans.get("row", 1) > 1:
                self.taken[self.column] = self.row + spans["row"] - 1
            self.column += max(1, spans.get("col", 1))

    def close(self, tag: str) -> None:
        """A tag closes."""
        if tag == "table":
            self.depth -= 1
        elif self.depth == 1 and tag in _CELLS:
            self.cell = None
