"""Who need not be asked about again, and when that is over."""

from datetime import UTC, datetime, timedelta

import pytest

from notifier.activity.memory import CAREFUL, Ground, Memory

THEN = datetime(2026, 3, 1, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
EFFECTIVE = THEN - 24 * HOUR
GROUND = Ground(None, None, (1,), (EFFECTIVE,), {})


def covers(at: datetime, ground: Ground = GROUND, before: Ground = GROUND) -> bool:
    """Whether a use at ``at`` is answered from memory, settled at THEN."""
    memory = Memory()
    memory.settle("kumo", "ann", 5, THEN, THEN.date(), before)
    known = memory.recall("kumo", ["ann"])[0]
    assert known is not None
    return known.covers(at, ground)


def test_a_later_use_of_the_same_day_need_not_be_asked_about() -> None:
    assert covers(THEN)
    assert covers(THEN + HOUR)


def test_an_earlier_use_is_asked_about_as_it_may_correct_the_record() -> None:
    assert not covers(THEN - timedelta(microseconds=1))


def test_the_first_use_of_another_day_is_asked_about_as_the_day_is_kept() -> None:
    assert not covers(THEN + 24 * HOUR)


@pytest.mark.parametrize(
    "changed",
    [
        Ground(None, None, (1, 2), (EFFECTIVE, EFFECTIVE), {}),
        Ground(None, None, (2,), (EFFECTIVE,), {}),
        Ground(None, None, (), (), {}),
        Ground(None, None, (1,), (EFFECTIVE,), {5: 1}),
        Ground(None, None, (1,), (THEN + HOUR / 2,), {}),
    ],
    ids=["another campaign opened", "other campaigns", "none is open", "something was taken back", "it takes effect"],
)
def test_a_person_is_asked_about_again_when_something_changed(changed: Ground) -> None:
    assert not covers(THEN + HOUR, changed)


def test_what_was_taken_back_in_another_lane_or_before_changes_nothing() -> None:
    assert covers(THEN + HOUR, Ground(None, None, (1,), (EFFECTIVE,), {6: 4}))
    assert covers(
        THEN + HOUR, Ground(None, None, (1,), (EFFECTIVE,), {5: 2}), Ground(None, None, (1,), (EFFECTIVE,), {5: 2})
    )


def test_no_more_than_so_many_are_remembered_and_those_asked_about_stay() -> None:
    memory = Memory(100)
    for number in range(10_000):
        memory.settle("kumo", f"p{number}", 1, THEN, THEN.date(), GROUND)
        assert memory.recall("kumo", ["p0"])[0] is not None
        assert len(memory) <= 100
    assert memory.recall("kumo", ["p5"])[0] is None
    assert memory.recall("other", ["p0"])[0] is None


def test_after_a_day_that_was_on_record_the_next_batches_expect_one() -> None:
    memory = Memory()
    assert not memory.expects_known_days("kumo")
    memory.met_known_day("kumo")
    assert not memory.expects_known_days("twin")
    assert [memory.expects_known_days("kumo") for _ in range(CAREFUL)] == [True] * (CAREFUL - 1) + [False]
    assert not memory.expects_known_days("kumo")
