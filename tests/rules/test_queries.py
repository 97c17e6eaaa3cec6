"""The rules about SQL, checked: every query is valid, used, and called with exactly its parameters."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import notifier
from notifier.db import Db
from notifier.queries import all_queries, parse

VERBS = {"many", "first", "value", "run", "stream", "create"}
PACKAGE = Path(notifier.__file__).parent


@dataclass(frozen=True)
class Call:
    """One call of a named query in the code."""

    place: str
    name: str
    parameters: frozenset[str]
    complete: bool


def _calls() -> Iterator[Call]:
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in VERBS:
                for argument in node.args:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and "." in argument.value:
                        given = frozenset(k.arg for k in node.keywords if k.arg)
                        complete = all(k.arg for k in node.keywords)
                        place = f"{file.relative_to(PACKAGE)}:{node.lineno}"
                        yield Call(place, argument.value, given, complete)


def _mentions() -> set[str]:
    return {
        node.value
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


async def test_every_query_is_valid_on_the_migrated_schema(db: Db) -> None:
    async with db.connection() as connection:
        for query in all_queries().values():
            await connection.prepare(query.sql)


def test_every_call_names_a_real_query_with_exactly_its_parameters() -> None:
    calls = list(_calls())
    wrong = [
        f"{call.place}: {call.name} is given {sorted(call.parameters)}"
        for call in calls
        if call.name not in all_queries()
        or (call.complete and call.parameters != set(all_queries()[call.name].parameters))
        or not call.parameters <= {*all_queries()[call.name].parameters, *all_queries()[call.name].places}
    ]
    assert len(calls) > 30
    assert wrong == []


def test_no_query_is_unused() -> None:
    assert sorted(set(all_queries()) - _mentions()) == []


def test_a_query_of_one_lane_says_which() -> None:
    one = [q for q in all_queries().values() if q.lanes == "one"]
    assert [q.name for q in one if not {"lane", "lanes"} & set(q.parameters)] == []


def test_no_query_asks_the_database_for_the_time() -> None:
    asking = [q.name for q in all_queries().values() if "now()" in q.sql.lower() or "current_" in q.sql.lower()]
    assert asking == []


def test_parameters_are_not_confused_with_casts_strings_or_comments() -> None:
    text = "-- name: a\n-- lanes: none\n-- Says :this.\nSELECT :b::text, ':c', \":d\", x::int, :b, :e"
    (query,) = parse("stage", text)
    assert query.sql.endswith("SELECT $1::text, ':c', \":d\", x::int, $1, $2")
    assert query.parameters == ("b", "e")
