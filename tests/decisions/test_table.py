"""Tables of people."""

import json
from typing import Any

import pytest

from notifier.errors import Invalid
from notifier.people.table import ndjson_of


def people(text: str) -> list[Any]:
    return [json.loads(line) if line else None for line in ndjson_of(text.splitlines(keepends=True))]


def test_each_line_of_the_file_is_one_line_so_that_numbers_agree() -> None:
    table = 'external_id,email,attributes.note\n1,a@kumo.example,"two\nlines"\n\n2,,x\n'
    assert people(table) == [
        None,
        None,
        {"external_id": "1", "email": "a@kumo.example", "attributes": {"note": "two\nlines"}},
        None,
        {"external_id": "2", "attributes": {"note": "x"}},
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_spreadsheets_separate_as_they_like(separator: str) -> None:
    table = "\ufeffexternal_id,country,roles\n7,JP,buyer\n".replace(",", separator)
    assert people(table)[1] == {"external_id": "7", "country": "JP", "roles": ["buyer"]}


def test_a_cell_holds_several_roles() -> None:
    assert people('external_id,roles\n1,"buyer; seller"\n2,"buyer,seller"\n')[1:] == [
        {"external_id": "1", "roles": ["buyer", "seller"]},
        {"external_id": "2", "roles": ["buyer", "seller"]},
    ]


def test_an_unknown_column_is_named_with_the_one_that_was_meant() -> None:
    with pytest.raises(Invalid) as error:
        people("external_id,e-mail\n1,a@kumo.example\n")
    assert [fault.detail for fault in error.value.faults] == ["there is no field 'e-mail': perhaps email"]


@pytest.mark.parametrize("table", ["", "email\nx\n", "external_id,external_id\n1,2\n"])
def test_a_table_without_its_columns_is_refused(table: str) -> None:
    with pytest.raises(Invalid, match="the first line must name the columns"):
        people(table)


def test_an_open_quote_and_an_endless_cell_end_the_import_with_the_line() -> None:
    for broken in ('external_id\n"1', "external_id\n1" + "x" * 140_000):
        with pytest.raises(Invalid) as error:
            people(broken)
        assert error.value.faults[0].pointer == "line 2"


def test_a_line_with_too_many_cells_is_not_taken_for_a_shorter_one() -> None:
    assert "more cells than columns" in people("external_id\n1,2\n")[1]
