"""What the documents tell people to type is understood as it stands."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from notifier.cli.app import app, execute

ROOT = Path(__file__).parents[2]


def typed() -> Iterator[tuple[str, str]]:
    """Every ``notifier …`` of the shell examples, with the document that it stands in."""
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for example in re.findall(r"```sh\n(.*?)```", document.read_text("utf-8"), re.DOTALL):
            for line in example.replace("\\\n", " ").splitlines():
                if line.startswith("notifier "):
                    yield document.relative_to(ROOT).as_posix(), line


@pytest.mark.parametrize(("document", "line"), list(typed()))
def test_what_is_to_be_typed_is_understood(document: str, line: str) -> None:
    words = shlex.split(re.split(r" [&<>|]", line)[0], comments=True)
    app.parse_args(words[1:], exit_on_error=False, print_error=False)


def test_the_list_of_all_commands_says_what_each_does(capsys: pytest.CaptureFixture[str]) -> None:
    execute(["--help"])
    lines = [line.strip("│ ") for line in capsys.readouterr().out.splitlines()]
    said = {name: words for name, _, words in (line.partition(" ") for line in lines) if words.strip()}
    assert {name for name in app if not name.startswith("-")} <= said.keys()
