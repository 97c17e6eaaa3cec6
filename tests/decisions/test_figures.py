"""The identities of a report."""

from datetime import UTC, datetime

import pytest

from notifier.compliance.figures import Counted, gaps

OPENED = datetime(2026, 3, 1, 9, tzinfo=UTC)
PARTS = {
    "reason": {"in_scope": 90, "unreachable": 5, "suppressed": 1, "closed": 3, "outside_rule": 1},
    "status": {
        "told": 70,
        "too_little_evidence": 2,
        "unreachable": 5,
        "suppressed": 1,
        "superseded": 0,
        "pending": 18,
        "excluded": 4,
    },
    "told": {"deemed": 40, "explicit": 5, "objected": 1, "closed": 2, "not_deemed": 4, "awaiting_use": 18},
    "preset": {
        "pop-japan/deemed": 40,
        "pop-japan/explicit": 5,
        "pop-japan/awaiting_use": 16,
        "us-contract/not_deemed": 4,
        "us-contract/objected": 1,
        "us-contract/closed": 2,
        "us-contract/awaiting_use": 2,
    },
    "accepted": {"deemed": 41, "explicit": 3, "registration": 3},
    "grade": {"A": 6, "C": 30, "D": 11},
    "sent": {"told": 60},
}


def test_counts_that_add_up_leave_no_gap() -> None:
    assert list(gaps(100, Counted(PARTS, OPENED))) == []


@pytest.mark.parametrize(
    ("part", "name", "says"),
    [
        ("reason", "in_scope", "population is 100, but in scope + excluded is 101"),
        (
            "status",
            "pending",
            "in scope is 96, but told + too little evidence + unreachable + suppressed + superseded + pending is 97",
        ),
        ("status", "excluded", "excluded is 4, but notices that stand as excluded is 5"),
        ("told", "awaiting_use", "told is 70, but deemed + explicit + not posted + closed + not deemed + explicit"),
        ("preset", "us-contract/closed", "told is 70, but told under each preset is 71"),
        ("grade", "D", "accepted is 47, but grades A + B + C + D + E is 48"),
    ],
)
def test_one_person_too_many_anywhere_is_named(part: str, name: str, says: str) -> None:
    off = {**PARTS, part: {**PARTS[part], name: PARTS[part][name] + 1}}
    assert any(gap.startswith(says) for gap in gaps(100, Counted(off, OPENED)))
