"""How the terminal words what went wrong."""

import pytest

from notifier.cli.running import complain
from notifier.errors import NotFound


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ("there is no campaign 7", "✗ There is no campaign 7."),
        ("site.yaml describes no site yet", "✗ site.yaml describes no site yet."),
        ("kumo-store has no such person", "✗ kumo-store has no such person."),
        ("stopped, as asked.", "✗ Stopped, as asked."),
    ],
)
def test_a_sentence_begins_with_a_capital_unless_it_begins_with_a_name(
    detail: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    complain(NotFound(detail))
    assert capsys.readouterr().err.rstrip("\n") == shown
