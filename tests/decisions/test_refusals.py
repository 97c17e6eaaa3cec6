"""When a relay is left alone because receivers refuse what comes by it."""

from datetime import UTC, datetime, timedelta

import pytest

from notifier.delivery.refusals import FEWEST, FORGOTTEN, PAUSES, WITHIN, Refusals, counted

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
NEW = Refusals("relay:25", NOW, 0, 0)


@pytest.mark.parametrize(
    ("refused", "answered", "paused"),
    [
        (1, 1, False),  # one person's own block, however few letters there were
        (FEWEST - 1, FEWEST - 1, False),
        (FEWEST, FEWEST, True),
        (FEWEST, 10 * FEWEST, True),
        (FEWEST, 10 * FEWEST + 1, False),  # five of many block us: that is their own choice
        (30, 250, True),
    ],
)
def test_enough_people_and_enough_of_all_that_was_answered(refused: int, answered: int, paused: bool) -> None:
    assert counted(NEW, refused, answered, "550 5.7.1 no", NOW).paused(NOW) is paused


def test_batches_of_one_time_count_together_and_what_was_long_ago_does_not() -> None:
    first = counted(NEW, 3, 20, "550 5.7.1 no", NOW)
    assert counted(first, 2, 25, "", NOW + WITHIN / 2).paused(NOW + WITHIN / 2)
    assert not counted(first, 2, 2, "", NOW + WITHIN).paused(NOW + WITHIN)
    assert counted(first, 0, 30, "", NOW + WITHIN / 2).reason == "550 5.7.1 no"


def test_what_was_under_way_at_a_pause_changes_nothing() -> None:
    paused = counted(NEW, 9, 9, "550 5.7.1 no", NOW)
    assert counted(paused, 200, 200, "550 5.7.1 no", NOW + timedelta(seconds=3)) == paused


def test_pauses_in_a_row_grow_and_are_forgotten_after_a_day_of_peace() -> None:
    now, found = NOW, NEW
    for pause in (*PAUSES, PAUSES[-1]):
        found = counted(found, 9, 9, "550 5.7.1 no", now)
        assert found.paused_until == now + pause
        now += pause
        assert not found.paused(now)
    now += FORGOTTEN
    assert counted(found, 9, 9, "550 5.7.1 no", now).paused_until == now + PAUSES[0]
