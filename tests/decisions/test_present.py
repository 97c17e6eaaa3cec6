"""What a signed-in person is shown, and why: one line per case."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.acceptance.decide import Objection
from notifier.campaigns.rule import rule_of
from notifier.presenting.present import (
    Show,
    Standing,
    Why,
    counts_from,
    earliest_processing,
    may_be_shown,
    present,
    processing_not_before,
)
from tests.sites import a_site

NOW = datetime(2026, 3, 15, 9, tzinfo=UTC)
DAY = timedelta(days=1)
SOON, PAST = NOW + 10 * DAY, NOW - 10 * DAY
TOLD = Standing("told", SOON, PAST, explicit=False, deems=True, notice_days=30, told_at=NOW - 5 * DAY)
NO = Objection(NOW - DAY, withdrawn=False)
PENDING = replace(TOLD, status="pending", told_at=None)
SHOWN = replace(TOLD, shown_at=NOW - DAY)
ACT = replace(TOLD, explicit=True)

CASES = [
    ("told by mail and never shown", TOLD, "banner", "not_yet_shown"),
    ("shown before", SHOWN, "nothing", "shown"),
    ("the letter is on its way", PENDING, "banner", "not_yet_told"),
    ("not enough evidence yet", replace(PENDING, status="told"), "banner", "not_yet_told"),
    ("no way to reach them", replace(PENDING, status="unreachable"), "page", "not_reached"),
    ("the address is suppressed", replace(PENDING, status="suppressed"), "page", "not_reached"),
    ("accepted by use", replace(TOLD, accepted="deemed", accepted_at=PAST), "nothing", "accepted_by_use"),
    ("accepted by an act", replace(TOLD, accepted="explicit", accepted_at=PAST), "nothing", "accepted_by_act"),
    ("registered with it", replace(TOLD, accepted="registration", accepted_at=PAST), "nothing", "accepted_by_act"),
    ("objected", replace(TOLD, objection=NO), "nothing", "objected"),
    ("objected and unreachable", replace(PENDING, status="unreachable", objection=NO), "nothing", "objected"),
    ("left out", replace(PENDING, status="excluded"), "nothing", "left_out"),
    ("closed", replace(TOLD, closed=True), "nothing", "account_closed"),
    ("a newer version is published", replace(TOLD, newer=True), "nothing", "superseded"),
    ("a newer one took over before they were told", replace(PENDING, status="superseded"), "nothing", "superseded"),
    ("the campaign is held", replace(TOLD, held=True), "nothing", "held"),
    ("an act will be required", ACT, "page", "act_will_be_required"),
    ("and they were shown that", replace(ACT, shown_at=NOW - DAY), "banner", "act_will_be_required"),
    ("an act is required", replace(ACT, effective_at=PAST), "gate", "act_required"),
    ("an act is required of who was shown it", replace(ACT, effective_at=PAST, shown_at=PAST), "gate", "act_required"),
    ("use is not the act", replace(ACT, effective_at=PAST, accepted="deemed"), "gate", "act_required"),
    ("an objection does not open the gate", replace(ACT, effective_at=PAST, objection=NO), "gate", "act_required"),
    ("the act does", replace(ACT, effective_at=PAST, accepted="explicit"), "nothing", "accepted_by_act"),
    ("a gate of a held campaign is open", replace(ACT, effective_at=PAST, held=True), "nothing", "held"),
    ("effective, told, never shown", replace(TOLD, effective_at=PAST), "banner", "not_yet_shown"),
    ("a rule that never deems", replace(TOLD, deems=False), "banner", "not_yet_shown"),
]


@pytest.mark.parametrize(("one", "show", "why"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_shown_and_why(one: Standing, show: str, why: str) -> None:
    answer = present(one, NOW)
    assert (answer.show, answer.why) == (show, why)


def test_every_reason_has_a_case() -> None:
    assert {why for *_, why in CASES} == set(Why)


@pytest.mark.parametrize(
    ("one", "bar"),
    [
        (replace(PENDING, status="unreachable"), None),
        (SHOWN, None),
        (replace(TOLD, objection=NO), None),
        (replace(TOLD, accepted="explicit"), None),
        (replace(PENDING, status="excluded"), "left_out"),
        (replace(TOLD, closed=True), "account_closed"),
        (replace(TOLD, newer=True), "superseded"),
        (replace(TOLD, held=True), "held"),
    ],
)
def test_nobody_is_told_who_was_left_out(one: Standing, bar: str | None) -> None:
    assert may_be_shown(one) == bar


def test_the_own_date_is_never_before_the_effect_nor_before_the_notice_period_is_over() -> None:
    assert counts_from(TOLD, NOW) == NOW + 25 * DAY
    assert counts_from(replace(TOLD, notice_days=3), NOW) == SOON
    assert counts_from(PENDING, NOW) == NOW + 30 * DAY
    assert counts_from(ACT, NOW) is None
    assert counts_from(replace(TOLD, deems=False), NOW) is None
    assert counts_from(replace(PENDING, status="excluded"), NOW) is None


def test_the_own_date_is_the_one_of_the_decision() -> None:
    assert counts_from(replace(TOLD, posted_at=None), NOW) is None, "nothing counts before the posting"
    assert counts_from(replace(TOLD, posted_at=NOW + 40 * DAY), NOW) == NOW + 40 * DAY
    assert counts_from(replace(TOLD, objection=NO), NOW) is None, "use amounts to nothing"
    taken_back = Objection(NOW + 50 * DAY, withdrawn=True)
    assert counts_from(replace(TOLD, objection=taken_back), NOW) == NOW + 50 * DAY


def test_a_new_purpose_waits_for_the_notice_and_for_an_act_where_one_is_wanted() -> None:
    assert processing_not_before(PENDING) is None
    assert processing_not_before(TOLD) == NOW + 25 * DAY
    assert processing_not_before(replace(TOLD, objection=NO)) is None
    assert processing_not_before(ACT) is None
    assert processing_not_before(replace(ACT, accepted="deemed", accepted_at=NOW)) is None
    assert processing_not_before(replace(ACT, accepted="explicit", accepted_at=NOW)) == SOON


OUT = replace(PENDING, status="excluded")


@pytest.mark.parametrize(
    ("one", "since"),
    [
        (replace(PENDING, accepted="explicit", accepted_at=NOW), SOON),
        (replace(PENDING, accepted="explicit", accepted_at=SOON + DAY), SOON + DAY),
        (replace(TOLD, accepted="explicit", accepted_at=SOON + DAY), SOON + DAY),  # their notice period had days to go
        (replace(OUT, accepted="registration", accepted_at=PAST), SOON),
        (replace(OUT, accepted="explicit", accepted_at=SOON + DAY), SOON + DAY),
        (replace(OUT, informed_at=PAST), SOON),
        (replace(OUT, informed_at=SOON + DAY), SOON + DAY),
        (replace(OUT, informed_at=SOON + DAY, explicit=True), None),
        (replace(OUT, informed_at=SOON + DAY, new_purpose="after_act"), None),
        (replace(OUT, informed_at=SOON + DAY, objection=NO), None),
        (replace(OUT, informed_at=SOON + DAY, closed=True), None),
        (OUT, None),
        (replace(TOLD, accepted="explicit", accepted_at=NOW, objection=NO), None),
        (replace(TOLD, posted_at=None), None),
    ],
)
def test_who_knows_of_a_new_purpose_without_a_telling_has_a_date(one: Standing, since: datetime | None) -> None:
    assert processing_not_before(one) == since


standings = st.builds(
    Standing,
    status=st.sampled_from(["told", "pending", "unreachable", "suppressed", "superseded", "excluded"]),
    effective_at=st.sampled_from([PAST, NOW, SOON]),
    posted_at=st.none() | st.just(PAST),
    explicit=st.booleans(),
    deems=st.booleans(),
    notice_days=st.integers(0, 60),
    held=st.booleans(),
    newer=st.booleans(),
    closed=st.booleans(),
    told_at=st.none() | st.just(PAST),
    shown_at=st.none() | st.just(PAST),
    accepted=st.sampled_from([None, "deemed", "explicit", "registration"]),
    accepted_at=st.just(PAST),
    objection=st.none() | st.builds(Objection, st.just(PAST), st.booleans()),
)


@given(standings)
def test_whatever_is_shown_may_be_recorded_as_shown(one: Standing) -> None:
    if present(one, NOW).show is not Show.NOTHING:
        assert may_be_shown(one) is None


@given(standings)
def test_a_person_who_was_left_out_or_is_gone_is_shown_nothing_and_told_nothing(one: Standing) -> None:
    if one.closed or one.status == "excluded":
        assert present(one, NOW).show is Show.NOTHING
        assert may_be_shown(one) is not None


@given(standings)
def test_only_a_version_that_wants_an_act_makes_a_gate_and_never_before_it_takes_effect(one: Standing) -> None:
    if present(one, NOW).show is Show.GATE:
        assert one.explicit
        assert one.effective_at <= NOW


def test_what_a_new_purpose_waits_for_is_the_rules_choice() -> None:
    told_at = TOLD.told_at
    assert told_at is not None
    at_effect = replace(TOLD, new_purpose="at_effect")
    assert processing_not_before(at_effect) == SOON
    assert processing_not_before(replace(at_effect, told_at=SOON + DAY)) == SOON + DAY, "nobody before they are told"
    after_act = replace(TOLD, new_purpose="after_act")
    assert processing_not_before(after_act) is None
    assert processing_not_before(replace(after_act, accepted="deemed", accepted_at=NOW)) is None
    assert processing_not_before(replace(after_act, accepted="explicit", accepted_at=SOON + DAY)) == SOON + DAY


def test_the_earliest_processing_of_a_version_is_nobodys_before_it_is_told() -> None:
    rule = rule_of(a_site().rule, "material", frozenset())
    assert earliest_processing(rule, SOON, None) is None
    assert earliest_processing(rule, SOON, NOW) == NOW + 30 * DAY
    assert earliest_processing(rule.model_copy(update={"new_purpose": "at_effect"}), SOON, NOW) == SOON
    assert earliest_processing(rule.model_copy(update={"new_purpose": "after_act"}), SOON, NOW) is None
    assert earliest_processing(rule.model_copy(update={"explicit": True}), SOON, NOW) is None
