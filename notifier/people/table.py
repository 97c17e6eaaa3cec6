"""A table of people (CSV, as spreadsheets write it) as the NDJSON that an import takes. Pure."""

import csv
import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from notifier.errors import Fault, Invalid
from notifier.people.person import PersonInput

_ATTRIBUTE = "attributes."
_LISTS = frozenset({"roles", "channels"})
_COLUMNS = [name for name in PersonInput.model_fields if name != "attributes"]


def ndjson_of(text: Iterable[str]) -> Iterator[bytes]:
    """Lines of JSON from the lines of a table, one for each line of the file so that numbers agree (some are empty).

    The first line names the columns: fields of a person, or ``attributes.<name>``. Commas, semicolons and tabs all
    separate; a semicolon or a comma separates roles and channels within a cell. Empty cells are left out.
    Raises Invalid for an unknown column, and for text that is no table.
    """
    lines = iter(text)
    head = next(lines, "").removeprefix("\ufeff")
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(_with(head, lines), delimiter=delimiter, strict=True)
    try:
        columns = _columns(next(reader, []))
        yield b""
        for before, cells in _numbered(reader):
            yield from [b""] * (reader.line_num - before - 1)
            yield orjson.dumps(_person(columns, cells)) if any(cells) else b""
    except csv.Error as error:
        raise Invalid("the table cannot be read on", [Fault(f"line {reader.line_num}", str(error))]) from error


def _with(head: str, lines: Iterator[str]) -> Iterator[str]:
    yield head
    yield from lines


def _numbered(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Each record with the number of the line before its first one (a quoted cell may hold line breaks)."""
    before = reader.line_num
    for cells in reader:
        yield before, cells
        before = reader.line_num


def _columns(head: Sequence[str]) -> list[str]:
    columns = [name.strip() for name in head]
    faults = []
    for name in columns:
        if name not in _COLUMNS and not (name.startswith(_ATTRIBUTE) and name != _ATTRIBUTE):
            near = difflib.get_close_matches(name, _COLUMNS, 1)
            hint = f"perhaps {near[0]}" if near else f"known are {', '.join(_COLUMNS)}, attributes.<name>"
            faults.append(Fault("line 1", f"there is no field {name!r}: {hint}"))
        elif columns.count(name) > 1:
            faults.append(Fault("line 1", f"the column {name!r} stands there more than once"))
    if "external_id" not in columns:
        faults.append(Fault("line 1", "a column external_id is needed"))
    if faults:
        raise Invalid("nothing was imported: the first line must name the columns", faults)
    return columns


def _person(columns: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
    person: dict[str, Any] = {}
    attributes: dict[str, str] = {}
    for name, cell in zip(columns, cells, strict=False):
        if not cell:
            continue
        if name.startswith(_ATTRIBUTE):
            attributes[name.removeprefix(_ATTRIBUTE)] = cell
        elif name in _LISTS:
            person[name] = [word.strip() for word in cell.replace(",", ";").split(";") if word.strip()]
        else:
            person[name] = cell
    if len(cells) > len(columns):
        person["more cells than columns"] = cells[len(columns) :]  # refused by its name, with the line's number
    return {**person, "attributes": attributes} if attributes else person
