"""What several presets come to together, and what each value of a rule means for the decision."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.acceptance.decide import Facts, Objection, Outcome, Reason, decide
from notifier.campaigns.plan import Kind, plan_for
from notifier.campaigns.rule import Overlay, Rule, Rules, rule_of, rules_of, strictest
from notifier.campaigns.strictest import STRICTNESS
from notifier.sites.choice import EVIDENCE, GRADES, NEW_PURPOSES, RuleSettings
from notifier.sites.presets import PRESETS
from tests.decisions.test_decide import (
    DATE,
    DAY,
    EFFECT,
    FACTS,
    HOUR,
    LATER,
    POSTED,
    RULE,
    TOLD,
    Case,
    email,
    facts,
    hours,
    inbox,
    many_facts,
    use,
)

DURABLE = RULE.model_copy(update={"durable": True})
SILENCE = RULE.model_copy(update={"deemed_by": "silence"})
NONE, DEEMED = Outcome.NONE, Outcome.DEEMED
CASES = [
    Case("a private message tells nobody where it must be durable", facts(tellings=(inbox(),)),
         NONE, Reason.TOO_LITTLE_EVIDENCE, rule=DURABLE),
    Case("what was shown at a login is not durable either", facts(tellings=(inbox(shown_at=TOLD),)),
         NONE, Reason.TOO_LITTLE_EVIDENCE, rule=DURABLE),
    Case("a letter is durable", FACTS, DEEMED, Reason.USED, "D", DATE + DAY, rule=DURABLE),
    Case("beside a letter a message is as good as nothing", facts(tellings=(inbox(), email(TOLD + 2 * DAY)),
         uses=(use(DATE + DAY), use(DATE + 3 * DAY))), DEEMED, Reason.USED, "D", DATE + 3 * DAY, rule=DURABLE),
    Case("who objects is not silent", facts(objection=Objection(TOLD, withdrawn=False)),
         NONE, Reason.OBJECTED, rule=SILENCE),
    Case("silence before there was a telling is none", facts(tellings=(), status="unreachable"),
         NONE, Reason.UNREACHABLE, rule=SILENCE),
    Case("silence waits for the end of the bounce window", facts(effective_at=POSTED),
         NONE, Reason.BOUNCE_WINDOW, again_at=TOLD + 72 * HOUR, now=TOLD + 2 * HOUR,
         rule=SILENCE.model_copy(update={"notice_days": 0})),
    Case("silence after a letter too weak is none", FACTS, NONE, Reason.GRADE_TOO_LOW,
         rule=SILENCE.model_copy(update={"grade_at_least": "C"})),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: "decide: " + case.says)
def test_what_a_rules_values_mean(case: Case) -> None:
    decision = decide(case.rule, case.facts, case.now)
    assert (decision.outcome, decision.reason) == (case.outcome, case.reason)
    assert (decision.grade, decision.since, decision.again_at) == (case.grade, case.since, case.again_at)


def test_decide_keeps_the_policys_own_words_beside_what_we_hold_ourselves_to() -> None:
    literal = RULE.model_copy(update={"literal_trigger": "use_after_posting"})
    early, late = use(POSTED + DAY), use(DATE + DAY)
    both = decide(literal, facts(uses=(late, early)), LATER)
    assert (both.since, both.literally_since) == (late.occurred_at, early.occurred_at)
    waiting = decide(literal, facts(uses=(early,)), DATE - DAY)
    assert (waiting.outcome, waiting.literally_since) == (NONE, early.occurred_at)
    assert decide(literal, facts(uses=(use(POSTED - HOUR),)), LATER).literally_since is None
    assert decide(RULE, FACTS, LATER).literally_since is None
    forgotten = decide(literal, facts(uses=(late,), literally_used_at=early.occurred_at), LATER)
    assert (forgotten.since, forgotten.literally_since) == (late.occurred_at, early.occurred_at)


some_rules = st.builds(
    lambda **values: RULE.model_copy(update=values),
    preset=st.sampled_from(sorted(PRESETS)),
    channels=st.lists(st.sampled_from(["email", "inbox", "webhook"]), min_size=1, max_size=3, unique=True).map(tuple),
    telling=st.sampled_from(["any", "all"]),
    notice_days=st.integers(0, 20),
    durable=st.booleans(),
    bounce_window_hours=st.integers(0, 96),
    evidence=st.sampled_from(EVIDENCE),
    evidence_hours=st.integers(1, 96),
    deems=st.sampled_from([True, True, True, False]),
    deemed_by=st.sampled_from(["silence", "use"]),
    grade_at_least=st.sampled_from(GRADES),
    remind_days_before=st.lists(st.integers(1, 30), max_size=3, unique=True).map(lambda d: tuple(sorted(d)[::-1])),
    nudge_unread_days=st.none() | st.integers(1, 9),
    new_purpose=st.sampled_from(NEW_PURPOSES),
    activity_kinds=st.none() | st.sampled_from([("login",), ("login", "purchase"), ("purchase",)]),
    explicit=st.sampled_from([False, False, False, True]),
)


@given(st.lists(some_rules, min_size=1, max_size=3), some_rules, many_facts, hours)
def test_decide_a_preset_more_never_yields_a_weaker_answer(
    rules: list[Rule], more: Rule, given_: Facts, now: Any
) -> None:
    without, with_it = decide(strictest(*rules), given_, now), decide(strictest(*rules, more), given_, now)
    if with_it.outcome is DEEMED:
        assert without.outcome is DEEMED
        assert without.since is not None
        assert with_it.since is not None
        assert without.since <= with_it.since


@given(some_rules, some_rules, some_rules)
def test_the_strictest_of_several_is_no_weaker_than_any_in_any_value(one: Rule, two: Rule, three: Rule) -> None:
    together = strictest(one, two, three)
    for field, order in STRICTNESS.items():
        values = [order(getattr(rule, field)) for rule in (one, two, three)]
        assert order(getattr(together, field)) == max(values)
        assert getattr(strictest(three, one, two), field) == getattr(together, field)
    assert set(together.channels) == {*one.channels, *two.channels, *three.channels}
    assert set(together.remind_days_before) == {d for r in (one, two, three) for d in r.remind_days_before}
    assert strictest(together, one, two, three) == together


@given(st.integers(0, 3), st.lists(some_rules, min_size=2, max_size=2))
def test_people_are_under_the_overlays_that_apply_to_them(mask: int, given_: list[Rule]) -> None:
    rules = Rules(base=RULE, overlays=tuple(Overlay(applies_to={"country": "DE"}, rule=rule) for rule in given_))
    assert rules.of(0) == RULE
    assert rules.of(mask) == strictest(RULE, *(rule for n, rule in enumerate(given_) if mask >> n & 1))


def chosen(preset: str, **more: Any) -> RuleSettings:
    return RuleSettings.model_validate({"preset": preset, **more})


def test_every_value_says_which_preset_it_came_from() -> None:
    settings = chosen("pop-japan", also=[{"preset": "de-consumer-terms"}, {"preset": "us-contract", "notice_days": 45}])
    rules = rules_of(settings, "material", (), is_terms=True)
    assert [one.applies_to for one in rules.overlays] == [{"country": "DE"}, {"country": "US"}]
    assert set(rules.base.origins.values()) == {"pop-japan"}
    both = rules.of(3)
    assert (both.notice_days, both.origins["notice_days"], both.own["notice_days"]) == (45, "us-contract", "")
    assert (both.deems, both.origins["deems"]) == (False, "de-consumer-terms")
    assert (both.grade_at_least, both.origins["grade_at_least"]) == ("C", "us-contract")
    assert (both.telling, both.origins["telling"]) == ("all", "pop-japan")
    assert both.origins["channels"] == "pop-japan + de-consumer-terms"
    assert both.presets == ("pop-japan", "de-consumer-terms", "us-contract")


def test_a_reason_for_less_is_kept_with_the_value_and_goes_with_it() -> None:
    settings = chosen("pop-japan", notice_days=7, reason="our lawyers said so", also=[{"preset": "us-contract"}])
    rules = rules_of(settings, "material", (), is_terms=True)
    assert rules.base.own == {"notice_days": "our lawyers said so"}
    assert (rules.of(1).notice_days, rules.of(1).own) == (30, {})


@pytest.mark.parametrize(
    ("preset", "choice", "is_terms", "deems"),
    [
        ("pop-japan", {}, True, True),
        ("pop-japan", {}, False, False),
        ("pop-japan", {"deemed_acceptance": False}, True, False),
        ("pop-japan", {"deemed_acceptance": True}, False, False),
        ("us-contract", {}, True, True),
        ("us-contract", {}, False, False),
        ("jp-548-4-terms", {}, True, True),
        ("eu-consumer-terms", {}, True, False),
        ("eu-consumer-terms", {"deemed_acceptance": True, "reason": "counsel opted in"}, True, True),
        ("eu-consumer-terms", {"deemed_acceptance": True, "reason": "counsel opted in"}, False, False),
        ("eu-dsa-terms", {}, True, False),
        ("eu-psd2-framework", {}, True, False),
        ("eu-psd2-framework", {"deemed_acceptance": True, "reason": "stated in the contract"}, True, True),
        *((name, {}, True, False) for name in PRESETS if PRESETS[name].deems == "never"),
    ],
)
def test_of_what_use_may_amount_to_acceptance(preset: str, choice: dict[str, Any], is_terms: bool, deems: bool) -> None:
    assert rule_of(chosen(preset, **choice), "material", (), is_terms=is_terms).deems is deems


@pytest.mark.parametrize(
    ("preset", "flags", "explicit", "days"),
    [
        ("imacocokara", ["beneficial"], False, 0),
        ("imacocokara", ["new_recipient"], False, 14),
        ("imacocokara", ["arbitration"], True, 14),
        ("us-contract", ["adverse_retroactive_use"], True, 30),
        ("jp-appi-notice", ["unrelated_purpose"], True, 14),
        ("jp-appi-notice", ["new_purpose"], False, 14),
        ("eu-gdpr-notice", ["unrelated_purpose"], False, 30),
    ],
)
def test_what_is_special_about_a_version_changes_the_rule(
    preset: str, flags: list[str], explicit: bool, days: int
) -> None:
    rule = rule_of(chosen(preset), "material", flags, is_terms=True)
    assert (rule.explicit, rule.notice_days) == (explicit, days)


def test_a_presets_own_overlays_come_with_it() -> None:
    rules = rules_of(chosen("imacocokara"), "material", ["beneficial"], is_terms=True)
    assert rules.base.presets == ("imacocokara", "jp-548-4-terms")
    assert [one.rule.preset for one in rules.overlays] == ["eu-p2b-terms"]
    assert (rules.base.notice_days, rules.of(1).notice_days, rules.of(1).durable) == (0, 15, True)
    nested = rules_of(
        chosen("us-contract", also=[{"preset": "imacocokara", "applies_to": {"country": "JP"}}]),
        "material", (), is_terms=True,
    )  # fmt: skip
    assert [one.applies_to for one in nested.overlays] == [
        {"country": "JP"},
        {"country": "JP"},
        {"all": [{"country": "JP"}, {"country": "EEA", "role": ["seller", "business"]}]},
    ]


def test_what_must_be_durable_goes_first_whatever_people_prefer() -> None:
    rule = RULE.model_copy(update={"channels": ("inbox", "webhook", "email"), "telling": "any", "durable": True})
    assert plan_for(Kind("en", ("inbox",), True), rule, ["en"], ["en"]).channels == ("email",)
    assert plan_for(Kind("en", ("inbox",), False), rule, ["en"], ["en"]).channels == ("inbox",)


def test_decide_under_never_says_so_also_where_an_act_is_wanted() -> None:
    never = RULE.model_copy(update={"deems": False, "explicit": True})
    assert decide(never, facts(effective_at=EFFECT), LATER).reason is Reason.NEVER_DEEMED
