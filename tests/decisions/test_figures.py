"""The identities of a report and its forecast."""

from datetime import UTC, datetime, timedelta

import pytest

from notifier.compliance.figures import Counted, forecast, gaps

OPENED = datetime(2026, 3, 1, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
PARTS = {
    "reason": {"in_scope": 90, "unreachable": 5, "suppressed": 1, "closed": 3, "outside_rule": 1},
    "status": {"told": 70, "unreachable": 7, "suppressed": 1, "superseded": 0, "pending": 18, "excluded": 4},
    "told": {"deemed": 40, "explicit": 5, "objected": 1, "closed": 2, "awaiting_use": 22},
    "sent": {"told": 60},
}


def test_counts_that_add_up_leave_no_gap() -> None:
    assert list(gaps(100, Counted(PARTS, OPENED))) == []


@pytest.mark.parametrize(
    ("part", "name", "says"),
    [
        ("reason", "in_scope", "population is 100, but in scope + excluded is 101"),
        ("status", "pending", "in scope is 96, but told + unreachable + suppressed + superseded + pending is 97"),
        ("status", "excluded", "excluded is 4, but notices that stand as excluded is 5"),
        ("told", "awaiting_use", "told is 70, but deemed + explicit + objected + closed + awaiting use"),
    ],
)
def test_one_person_too_many_anywhere_is_named(part: str, name: str, says: str) -> None:
    off = {**PARTS, part: {**PARTS[part], name: PARTS[part][name] + 1}}
    assert any(gap.startswith(says) for gap in gaps(100, Counted(off, OPENED)))


def test_the_forecast_goes_on_at_the_pace_so_far() -> None:
    now = OPENED + 2 * HOUR
    seen = forecast(Counted(PARTS, now), OPENED, OPENED + 30 * DAY, 30, now)
    assert seen is not None
    assert (seen.per_hour, seen.last_told_at) == (30.0, now + 18 / 30 * HOUR)
    assert seen.notice_ends_at == seen.last_told_at + 30 * DAY
    assert seen.late


def test_when_nobody_is_pending_the_forecast_is_what_happened() -> None:
    done = {**PARTS, "status": {**PARTS["status"], "pending": 0}}
    seen = forecast(Counted(done, OPENED + HOUR), OPENED, OPENED + 60 * DAY, 30, OPENED + 9 * DAY)
    assert seen is not None
    assert (seen.last_told_at, seen.late) == (OPENED + HOUR, False)


def test_there_is_no_forecast_before_a_letter_arrived_anywhere() -> None:
    assert forecast(Counted(PARTS, None), OPENED, OPENED, 30, OPENED) is None
    only_placed = {**PARTS, "sent": {"told": 0}}
    assert forecast(Counted(only_placed, OPENED), OPENED, OPENED, 30, OPENED + HOUR) is None
