"""The counts that the demo ends with."""

from typing import Any

import pytest

from notifier.demo.counts import counts_of, what_does_not_add_up

REPORT: dict[str, Any] = {
    "state": "done", "population": 100, "in_scope": 80, "excluded": {"closed": 15, "outside_rule": 5},
    "told": 69, "too_little_evidence": 1, "unreachable": 6, "suppressed": 2, "superseded": 1, "pending": 1,
    "accepted": {"deemed": 30, "explicit": 2, "registration": 3},
    "told_split": {"deemed": 30, "explicit": 2, "objected": 1, "closed": 1, "awaiting_use": 35, "not_deemed": 0},
}  # fmt: skip


def test_the_counts_are_exactly_those_that_the_last_line_promises() -> None:
    assert counts_of("kumo-store", REPORT) == {
        "site": "kumo-store", "population": 100, "in_scope": 80, "excluded": {"closed": 15, "outside_rule": 5},
        "told": 69, "too_little_evidence": 1, "unreachable": 6, "suppressed": 2, "superseded": 1, "pending": 1,
        "accepted": {"deemed": 30, "explicit": 2, "registration": 3},
    }  # fmt: skip


def test_counts_that_add_up_are_left_in_peace() -> None:
    assert list(what_does_not_add_up(counts_of("kumo-store", REPORT), REPORT)) == []


@pytest.mark.parametrize(
    ("changed", "said"), [("population", "population"), ("pending", "in scope"), ("told", "in scope")]
)
def test_a_sum_that_does_not_hold_is_named(changed: str, said: str) -> None:
    report = REPORT | {changed: REPORT[changed] + 1}
    assert any(words.startswith(said) for words in what_does_not_add_up(counts_of("kumo-store", report), report))
