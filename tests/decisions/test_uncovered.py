"""What is missing until everybody is told."""

import pytest

from notifier.compliance.uncovered import Gap, Look, gaps_of


@pytest.mark.parametrize(
    ("look", "missing"),
    [
        (Look(None, near=False), {"no_campaign": 0}),
        (Look("cancelled", near=False), {"no_campaign": 0}),
        (Look("planned", near=False), {}),
        (Look("planned", near=True), {"not_begun": 0}),
        (Look("approved", near=True), {"not_begun": 0}),
        (Look("sending", near=False), {}),
        (Look("sending", near=False, without_notice=2), {"no_notice": 2}),
        (Look("done", near=True, not_told={"pending": 3}), {"untold": 3}),
        (Look("done", near=True, not_told={"unreachable": 3, "suppressed": 1}), {"unreachable": 4}),
        (Look("done", near=True, not_told={"too_little_evidence": 2}), {"too_little_evidence": 2}),
        (Look("paused", near=True, without_notice=1, not_told={"pending": 1}), {"no_notice": 1, "untold": 1}),
    ],
)
def test_what_is_missing(look: Look, missing: dict[Gap, int]) -> None:
    assert gaps_of(look) == missing
