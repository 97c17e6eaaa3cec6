"""The clauses of a changed section as they are shown: rows as rows, and long stretches that stayed folded. Pure."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from notifier.policies.diff import ClauseChange

# Unchanged clauses (rows, in a table) that are shown around a change; so many more are folded away.
_CONTEXT = 1
_WORTH_FOLDING = 3


class Slot(NamedTuple):
    """What stands in one cell of a row, and how many empty ones are before it."""

    empty: int
    clauses: tuple[ClauseChange, ...]


class Row(NamedTuple):
    """One row of a table. ``head``: its cells are headings."""

    head: bool
    slots: tuple[Slot, ...]


class Block(NamedTuple):
    """One clause, or rows of one table."""

    clause: ClauseChange | None
    rows: tuple[Row, ...] = ()


class Fold(NamedTuple):
    """Blocks of a section in a row. ``folded``: nothing changed in these ``clauses``, and they are many."""

    folded: bool
    clauses: int
    blocks: tuple[Block, ...]


_REPLACED = {"removed", "added"}

_Unit = tuple[ClauseChange, ...]


def folds(clauses: Sequence[ClauseChange]) -> Iterator[Fold]:
    """The clauses of a section, long stretches that stayed folded but for one on each side."""
    units = list(_units(clauses))
    heads: dict[int, _Unit] = {}
    for unit in units:
        if (cell := unit[0].cell) and _is_head(unit):
            heads.setdefault(cell.table, unit)
    for folded, together in groupby(zip(_folded(units), units, strict=True), lambda pair: pair[0]):
        run = [unit for _, unit in together]
        yield Fold(folded, sum(map(len, run)), tuple(_blocks(run, heads)))


def _units(clauses: Sequence[ClauseChange]) -> Iterator[_Unit]:
    """Clauses, those of one row of a table together."""
    for place, together in groupby(enumerate(clauses), lambda pair: _row(*pair)):
        del place
        yield tuple(clause for _, clause in together)


def _row(position: int, clause: ClauseChange) -> tuple[int, int] | int:
    return clause.cell[:2] if clause.cell else position


def _is_head(unit: _Unit) -> bool:
    return all(clause.cell is not None and clause.cell.head for clause in unit)


def _folded(units: Sequence[_Unit]) -> list[bool]:
    """Which of them are folded away."""
    stay = [all(clause.change in ("same", "aside") and not clause.moved for clause in unit) for unit in units]
    folded = [False] * len(units)
    start = 0
    for stays, together in groupby(stay):
        end = start + len(list(together))
        first = start + (_CONTEXT if start else 0)
        last = end - (_CONTEXT if end < len(units) else 0)
        if stays and last - first >= _WORTH_FOLDING:
            folded[first:last] = [True] * (last - first)
        start = end
    return folded


def _blocks(units: Sequence[_Unit], heads: dict[int, _Unit]) -> Iterator[Block]:
    """Rows that follow each other are one table, under its head also where that is folded away."""
    for table, together in groupby(units, lambda unit: unit[0].cell and unit[0].cell.table):
        run = list(together)
        if table is None:
            yield from (Block(clause) for (clause,) in run)
            continue
        if table in heads and heads[table] not in run:
            run.insert(0, heads[table])
        yield Block(None, tuple(Row(_is_head(unit), tuple(_slots(unit))) for unit in run))


def _slots(unit: _Unit) -> Iterator[Slot]:
    """The cells of a row. One that went shares its place with one that came; without one it has a place of its own."""
    groups = [(place, list(together)) for place, together in groupby(unit, _place)]
    column = 0
    while groups:
        (at, _), clauses = groups.pop(0)
        if groups and groups[0][0][0] == at and {clause.change for clause in clauses + groups[0][1]} == _REPLACED:
            clauses = sorted(clauses + groups.pop(0)[1], key=lambda clause: clause.change, reverse=True)
        empty = max(0, at - column)
        yield Slot(empty, tuple(clauses))
        column += empty + 1


def _place(clause: ClauseChange) -> tuple[int, bool]:
    return (clause.cell.column, clause.cell.gone) if clause.cell else (0, False)
