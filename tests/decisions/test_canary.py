"""How an audience is cut into the stages of a canary."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from notifier.campaigns.canary import ends, holds_to_come
from notifier.sites.site import Canary


@pytest.mark.parametrize(
    ("stages", "sent", "read", "expected"),
    [
        ([100, "1%"], 1_000_000, 0, [100, 10_000]),
        ([100, "1%"], 5_000, 0, [100]),  # 1 % are fewer than were told before
        ([100, "1%"], 100, 0, []),  # the first stage is everybody
        ([100, "1%"], 100, 3, [100]),  # but those who read wait for the last
        ([100, "1%"], 0, 7, []),  # nothing is sent: there is nobody to try it on
        (["0.1%"], 1_001, 0, [2]),  # rounded up: a stage is somebody
        ([10, 10, 5], 50, 0, [10]),
        ([1, "100%"], 9, 0, [1]),
    ],
)
def test_stages_that_would_add_nobody_are_left_out(
    stages: list[int | str], sent: int, read: int, expected: list[int]
) -> None:
    assert ends(stages, sent, read) == expected


_STAGES = st.lists(
    st.one_of(st.integers(1, 2000), st.decimals("0.01", "100", places=2).map(lambda d: f"{d}%")), min_size=1, max_size=5
)


@given(_STAGES, st.integers(0, 10_000), st.integers(0, 10))
def test_every_stage_adds_somebody_and_the_last_one_too(stages: list[int | str], sent: int, read: int) -> None:
    found = ends(stages, sent, read)
    assert found == sorted(set(found))
    assert all(0 < end <= sent for end in found)
    if found:
        assert found[-1] < sent or read


def test_a_stage_is_a_number_of_people_or_a_percentage() -> None:
    assert Canary.model_validate({"stages": [100, "1%"]}).stages == [100, "1%"]
    for wrong in ([], [0], ["0%"], ["101%"], ["some"], ["1e1%"], ["٣%"], ["%"]):
        with pytest.raises(ValidationError):
            Canary.model_validate({"stages": wrong})


@pytest.mark.parametrize(
    ("go_on", "stage", "held_for", "minutes"),
    [
        ("by_itself", 1, None, 120),
        ("by_itself", 1, 15, 105),
        ("by_itself", 2, None, 60),
        ("by_itself", 2, 75, 0),
        ("by_itself", 3, None, 0),
        ("by_hand", 1, 15, 0),  # somebody may say so at once
    ],
)
def test_how_long_is_waited_until_everybody_has_their_turn(
    go_on: str, stage: int, held_for: int | None, minutes: int
) -> None:
    now = datetime(2026, 3, 1, 9, tzinfo=UTC)
    canary = Canary.model_validate({"stages": [100, "1%"], "hold": 60, "go_on": go_on})
    held_at = None if held_for is None else now - timedelta(minutes=held_for)
    assert holds_to_come(canary, stage, 3, held_at, now) == timedelta(minutes=minutes)
    assert holds_to_come(None, 1, 1, None, now) == timedelta()
