"""A module that says it is pure is held to it: import-linter's contract lists exactly those."""

import ast
import re
import tomllib
from pathlib import Path

import notifier

PACKAGE = Path(notifier.__file__).parent


def test_every_module_that_says_it_is_pure_stands_in_the_contract() -> None:
    pure = {
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
        for file in PACKAGE.rglob("*.py")
        if re.search(r"\bPure\b", ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "")
    }
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text("utf-8"))
    contracts = {c["id"]: c for c in project["tool"]["importlinter"]["contracts"]}
    assert set(contracts["decisions"]["source_modules"]) == pure
