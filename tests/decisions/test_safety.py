"""What stands between publishing and sending."""

import pytest
from pydantic import ValidationError

from notifier.campaigns.safety import Safety, missing, objection_to_approval
from notifier.sites.site import Approval

TWO = Safety(approval=Approval(people=2))


def test_one_person_is_enough_unless_the_site_says_otherwise() -> None:
    assert (missing(Safety(), []), missing(Safety(), ["kei"])) == (1, 0)
    assert missing(Safety(approval=Approval(people=0)), []) == 0


def test_two_people_are_two_names() -> None:
    assert [missing(TWO, by) for by in ([], ["kei"], ["kei", "kei"], ["kei", "noor"], ["a", "b", "c"])] == [
        2,
        1,
        1,
        0,
        0,
    ]


def test_whoever_approved_already_is_told_that_somebody_else_must() -> None:
    assert objection_to_approval(TWO, [], "kei", tested=False) is None
    assert objection_to_approval(TWO, ["noor"], "kei", tested=False) is None
    objection = objection_to_approval(TWO, ["kei"], "kei", tested=True)
    assert objection is not None
    assert "1 of 2" in objection
    assert "somebody else must approve" in objection


def test_where_a_test_letter_is_asked_for_nobody_approves_before_it() -> None:
    careful = Safety(approval=Approval(people=1, test_send=True))
    assert "test letter first" in (objection_to_approval(careful, [], "kei", tested=False) or "")
    assert objection_to_approval(careful, [], "kei", tested=True) is None
    with pytest.raises(ValidationError, match="needs somebody who reads"):
        Approval(people=0, test_send=True)
