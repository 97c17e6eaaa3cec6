"""How many letters a batch has: as many as leave in about a second."""

import pytest

from notifier.delivery.hand import FIRST_BATCH, next_size


@pytest.mark.parametrize(
    ("size", "seconds", "most", "then"),
    [
        (250, 0.1, 1000, 500),  # a quick relay
        (500, 0.49, 1000, 1000),
        (1000, 0.1, 1000, 1000),  # no more than the operator allows
        (800, 0.1, 1000, 1000),
        (500, 0.5, 1000, 500),  # about a second
        (500, 2.0, 1000, 500),
        (1000, 2.1, 1000, 500),  # a slow relay
        (300, 60.0, 1000, FIRST_BATCH),
        (FIRST_BATCH, 60.0, 1000, FIRST_BATCH),
        (10, 60.0, 10, 10),  # the operator allows fewer than a batch has at first
        (10, 0.01, 10, 10),
    ],
)
def test_the_next_batch_is_as_large_as_the_relay_is_quick(size: int, seconds: float, most: int, then: int) -> None:
    assert next_size(size, seconds, most) == then
