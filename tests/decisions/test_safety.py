"""What stands between publishing and sending."""

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
    assert objection_to_approval(TWO, [], "kei") is None
    assert objection_to_approval(TWO, ["noor"], "kei") is None
    objection = objection_to_approval(TWO, ["kei"], "kei")
    assert objection is not None
    assert "1 of 2" in objection
    assert "somebody else must approve" in objection
