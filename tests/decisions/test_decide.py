"""The order of the decision, as a table of cases, and what holds for all of them."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.acceptance.decide import Act, Facts, Objection, Outcome, Reason, Telling, contested, decide, reconsider
from notifier.activity.activity import Use
from notifier.campaigns.rule import NEVER_USE, Rule
from notifier.sites.site import Audience

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
POSTED = datetime(2026, 3, 1, 9, tzinfo=UTC)
EFFECT = POSTED + 30 * DAY
TOLD = POSTED + 1 * HOUR
DATE = TOLD + 30 * DAY  # the person's own: later than the effect, as the letter left an hour after the posting
LATER = DATE + 10 * DAY

RULE = Rule(
    preset="pop-japan", literal="", channels=("email",), telling="all", notice_days=30, bounce_window_hours=72,
    evidence="relay", evidence_hours=72,
    deems=True, activity_kinds=None, audience=Audience(), explicit=False,
)  # fmt: skip


def email(at: datetime = TOLD, **more: Any) -> Telling:
    return Telling("email", 1, at, placed=False, **more)


def inbox(at: datetime = TOLD, **more: Any) -> Telling:
    return Telling("inbox", 0, at, placed=True, **more)


def use(at: datetime, kind: str = "login") -> Use:
    return Use(at, at, kind)


FACTS = Facts(posted_at=POSTED, effective_at=EFFECT, status="told", tellings=(email(),), uses=(use(DATE + DAY),))


@dataclass(frozen=True)
class Case:
    says: str
    facts: Facts
    outcome: Outcome
    reason: Reason
    grade: str | None = None
    since: datetime | None = None
    again_at: datetime | None = None
    rule: Rule = RULE
    now: datetime = LATER


def facts(**changes: Any) -> Facts:
    return replace(FACTS, **changes)


NONE, DEEMED = Outcome.NONE, Outcome.DEEMED
AT_ONCE = RULE.model_copy(update={"notice_days": 0})
NO_WINDOW = RULE.model_copy(update={"bounce_window_hours": 0, "notice_days": 0})
BY_RECIPIENT = RULE.model_copy(update={"evidence": "recipient"})
IF_SHOWN = RULE.model_copy(update={"evidence": "shown"})
IMPORTED = RULE.model_copy(update={"baseline_at_least": "imported"})
PROVED = RULE.model_copy(update={"baseline_at_least": "proved"})
SILENT = RULE.model_copy(update={"deemed_by": "silence"})
C_OR_BETTER = RULE.model_copy(update={"grade_at_least": "C"})
B_OR_BETTER = RULE.model_copy(update={"grade_at_least": "B"})
AN_ACT = RULE.model_copy(update={"explicit": True})
ACT = Act(POSTED + DAY, "explicit")

CASES = [
    Case("an explicit act is acceptance of grade A", facts(act=ACT),
         Outcome.EXPLICIT, Reason.EXPLICIT_ACT, "A", ACT.at),
    Case("an explicit act counts although nobody was told", facts(act=ACT, tellings=(), uses=()),
         Outcome.EXPLICIT, Reason.EXPLICIT_ACT, "A", ACT.at),
    Case("an explicit act after an objection is allowed", facts(act=ACT, objection=Objection(POSTED, False)),
         Outcome.EXPLICIT, Reason.EXPLICIT_ACT, "A", ACT.at),
    Case("an explicit act satisfies a version that wants one", facts(act=ACT),
         Outcome.EXPLICIT, Reason.EXPLICIT_ACT, "A", ACT.at, rule=RULE.model_copy(update={"explicit": True})),
    Case("registering with the version on show is acceptance", facts(act=replace(ACT, kind="registration")),
         Outcome.REGISTRATION, Reason.REGISTERED_WITH_IT, "A", ACT.at),
    Case("a version that is not posted is accepted by nobody", facts(posted_at=None), NONE, Reason.NOT_POSTED),
    Case("a version posted later is asked about then", facts(posted_at=LATER + DAY),
         NONE, Reason.NOT_POSTED, again_at=LATER + DAY),
    Case("a closed account accepts nothing", facts(closed_at=DATE), NONE, Reason.ACCOUNT_CLOSED),
    Case("a preset may never deem", FACTS, NONE, Reason.NEVER_DEEMED, rule=RULE.model_copy(update={"deems": False})),
    Case("a version may want an act", FACTS, NONE, Reason.ACT_REQUIRED,
         rule=RULE.model_copy(update={"explicit": True})),
    Case("an objection blocks deeming", facts(objection=Objection(DATE, False)), NONE, Reason.OBJECTED),
    Case("an objection at the very moment of the use blocks it", facts(objection=Objection(DATE + DAY, False)),
         NONE, Reason.OBJECTED),
    Case("an objection after the use is heard, and what the use came to before it stands, whichever reached us first",
         facts(objection=Objection(DATE + 2 * DAY, False)), DEEMED, Reason.USED, "D", DATE + DAY),
    Case("a use before the objection may have to wait for a bounce still",
         facts(effective_at=POSTED, objection=Objection(TOLD + 2 * HOUR, False), uses=(use(TOLD + HOUR),)),
         NONE, Reason.BOUNCE_WINDOW, again_at=TOLD + 72 * HOUR, rule=AT_ONCE, now=TOLD + 3 * HOUR),
    Case("an objection before the person's own date leaves no use that came before it",
         facts(objection=Objection(TOLD + DAY, False), uses=(use(TOLD + HOUR), use(DATE + DAY))),
         NONE, Reason.OBJECTED),
    Case("use before an objection was taken back does not count", facts(objection=Objection(DATE + 2 * DAY, True)),
         NONE, Reason.NO_USE_YET),
    Case("what came before the first objection stands, though it was taken back and said again",
         facts(objection=Objection(DATE + 5 * DAY, True, DATE + 2 * DAY)), DEEMED, Reason.USED, "D", DATE + DAY),
    Case("use between the objection and its being taken back does not count",
         facts(objection=Objection(DATE + 5 * DAY, True, DATE)), NONE, Reason.NO_USE_YET),
    Case("use after an objection was taken back counts",
         facts(objection=Objection(DATE + 2 * DAY, True), uses=(use(DATE + DAY), use(DATE + 3 * DAY))),
         DEEMED, Reason.USED, "D", DATE + 3 * DAY),
    Case("somebody left out was told nothing", facts(status="excluded", tellings=()), NONE, Reason.LEFT_OUT),
    Case("nothing reached an unreachable person", facts(status="unreachable", tellings=()), NONE, Reason.UNREACHABLE),
    Case("a suppressed address was not written to", facts(status="suppressed", tellings=()), NONE, Reason.SUPPRESSED),
    Case("a newer version overtook the letter", facts(status="superseded", tellings=()), NONE, Reason.SUPERSEDED),
    Case("somebody not yet told has accepted nothing", facts(status="pending", tellings=()), NONE, Reason.NOT_YET_TOLD),
    Case("a bounce leaves nothing told, so use counts for nothing", facts(status="pending", tellings=()),
         NONE, Reason.NOT_YET_TOLD),
    Case("use before the version's effect does not count", facts(uses=(use(EFFECT - HOUR),), tellings=(email(POSTED),)),
         NONE, Reason.NO_USE_YET),
    Case("use within the person's own notice period does not count", facts(uses=(use(DATE - timedelta(seconds=1)),)),
         NONE, Reason.NO_USE_YET),
    Case("use at the very instant of the person's date counts", facts(uses=(use(DATE),)),
         DEEMED, Reason.USED, "D", DATE),
    Case("a late letter moves the person's date", facts(tellings=(email(TOLD + 9 * DAY),), uses=(use(DATE + DAY),)),
         NONE, Reason.NO_USE_YET, now=LATER),
    Case("before the date one asks again on the date", facts(uses=()),
         NONE, Reason.NO_USE_YET, again_at=DATE, now=DATE - DAY),
    Case("after the date only a use can change the answer", facts(uses=()), NONE, Reason.NO_USE_YET),
    Case("looking at the policy is no use", facts(uses=(use(DATE + DAY, "policy_viewed"),)), NONE, Reason.NO_USE_YET),
    Case("logging out is no use", facts(uses=(use(DATE + DAY, "logout"),)), NONE, Reason.NO_USE_YET),
    Case("a kind that is not on the rule's list is no use", FACTS, NONE, Reason.NO_USE_YET,
         rule=RULE.model_copy(update={"activity_kinds": ("purchase",)})),
    Case("a kind on the rule's list is use", facts(uses=(use(DATE + DAY, "purchase"),)),
         DEEMED, Reason.USED, "D", DATE + DAY, rule=RULE.model_copy(update={"activity_kinds": ("purchase",)})),
    Case("use in the future is no use yet", facts(uses=(use(LATER + HOUR),)), NONE, Reason.NO_USE_YET),
    Case("the first qualifying use is the one that counts", facts(uses=(use(DATE + 3 * DAY), use(DATE + DAY))),
         DEEMED, Reason.USED, "D", DATE + DAY),
    Case("with only our relay's word the bounce window is waited out",
         facts(effective_at=POSTED, uses=(use(TOLD + HOUR),)),
         NONE, Reason.BOUNCE_WINDOW, again_at=TOLD + 72 * HOUR, rule=AT_ONCE, now=TOLD + 2 * HOUR),
    Case("after the bounce window our relay's word is enough, at grade D",
         facts(effective_at=POSTED, uses=(use(TOLD + HOUR),)),
         DEEMED, Reason.USED, "D", TOLD + HOUR, rule=AT_ONCE, now=TOLD + 72 * HOUR),
    Case("the recipient's own server need not be waited for, at grade C",
         facts(effective_at=POSTED, uses=(use(TOLD + HOUR),), tellings=(email(recipient_at=TOLD),)),
         DEEMED, Reason.USED, "C", TOLD + HOUR, rule=AT_ONCE, now=TOLD + 2 * HOUR),
    Case("a private message need not be waited for, at grade D",
         facts(effective_at=POSTED, uses=(use(TOLD + HOUR),), tellings=(inbox(),)),
         DEEMED, Reason.USED, "D", TOLD + HOUR, rule=AT_ONCE, now=TOLD + 2 * HOUR),
    Case("a message shown before the use makes grade B",
         facts(effective_at=POSTED, uses=(use(TOLD + HOUR),), tellings=(inbox(shown_at=TOLD + HOUR / 2),)),
         DEEMED, Reason.USED, "B", TOLD + HOUR, rule=AT_ONCE, now=TOLD + 2 * HOUR),
    Case("a message shown only after the use proves no more than its placing",
         facts(effective_at=POSTED, uses=(use(TOLD + HOUR),), tellings=(inbox(shown_at=TOLD + 2 * HOUR),)),
         DEEMED, Reason.USED, "D", TOLD + HOUR, rule=AT_ONCE, now=TOLD + 3 * HOUR),
    Case("a second channel that cannot bounce counts while the first still may",
         facts(effective_at=POSTED, uses=(use(TOLD + 2 * HOUR),), tellings=(email(), inbox(TOLD + HOUR))),
         DEEMED, Reason.USED, "D", TOLD + 2 * HOUR, rule=AT_ONCE, now=TOLD + 3 * HOUR),
    Case("use before the surer channel waits for the window of the first",
         facts(effective_at=POSTED, uses=(use(TOLD + HOUR),), tellings=(email(), inbox(TOLD + 2 * HOUR))),
         NONE, Reason.BOUNCE_WINDOW, again_at=TOLD + 72 * HOUR, rule=AT_ONCE, now=TOLD + 3 * HOUR),
    Case("our relay's word tells nobody where the rule wants the recipient's server",
         FACTS, NONE, Reason.TOO_LITTLE_EVIDENCE, rule=BY_RECIPIENT),
    Case("where the rule wants the recipient's server, the person's date counts from its word",
         facts(tellings=(email(recipient_at=TOLD + 2 * DAY),), uses=(use(DATE + DAY), use(DATE + 2 * DAY))),
         DEEMED, Reason.USED, "C", DATE + 2 * DAY, rule=BY_RECIPIENT),
    Case("a private message that is there is as good as a letter on the recipient's server",
         facts(tellings=(email(), inbox(TOLD + 3 * DAY)), uses=(use(DATE + DAY), use(DATE + 3 * DAY))),
         DEEMED, Reason.USED, "D", DATE + 3 * DAY, rule=BY_RECIPIENT),
    Case("a message that lies there unread tells nobody where the rule wants it shown",
         facts(tellings=(email(recipient_at=TOLD), inbox())), NONE, Reason.TOO_LITTLE_EVIDENCE, rule=IF_SHOWN),
    Case("where the rule wants it shown, the person's date counts from when it was",
         facts(tellings=(inbox(shown_at=TOLD + 4 * DAY),), uses=(use(DATE + 3 * DAY), use(DATE + 5 * DAY))),
         DEEMED, Reason.USED, "B", DATE + 5 * DAY, rule=IF_SHOWN),
    Case("where the rule wants it shown, the date is asked about as soon as there is one",
         facts(tellings=(inbox(shown_at=TOLD + 4 * DAY),), uses=()),
         NONE, Reason.NO_USE_YET, again_at=DATE + 4 * DAY, rule=IF_SHOWN, now=DATE),
    Case("without notice period and window the first use after the letter counts",
         facts(effective_at=POSTED, uses=(use(TOLD),)), DEEMED, Reason.USED, "D", TOLD, rule=NO_WINDOW),
    Case("an unknown earlier acceptance is no matter unless the rule asks", facts(baseline="unknown"),
         DEEMED, Reason.USED, "D", DATE + DAY),
    Case("where an earlier acceptance must be known, an unknown one bars", facts(baseline="unknown"),
         NONE, Reason.UNKNOWN_BASELINE, rule=IMPORTED),
    Case("an imported one satisfies a rule that takes the site's word", facts(baseline="imported"),
         DEEMED, Reason.USED, "D", DATE + DAY, rule=IMPORTED),
    Case("a proved one satisfies it too", facts(baseline="proved"),
         DEEMED, Reason.USED, "D", DATE + DAY, rule=IMPORTED),
    Case("an imported one does not satisfy a rule that wants proof", facts(baseline="imported"),
         NONE, Reason.UNKNOWN_BASELINE, rule=PROVED),
    Case("a proved one satisfies a rule that wants proof", facts(baseline="proved"),
         DEEMED, Reason.USED, "D", DATE + DAY, rule=PROVED),
    Case("an act settles everything, also an unknown baseline", facts(act=ACT),
         Outcome.EXPLICIT, Reason.EXPLICIT_ACT, "A", ACT.at, rule=PROVED),
    Case("an objection is named before an unknown baseline", facts(objection=Objection(DATE, False)),
         NONE, Reason.OBJECTED, rule=PROVED),
    Case("an unknown baseline is named before that nobody told them", facts(status="pending", tellings=()),
         NONE, Reason.UNKNOWN_BASELINE, rule=PROVED),
    Case("a use of a lesser grade than the rule wants amounts to nothing", FACTS,
         NONE, Reason.GRADE_TOO_LOW, rule=C_OR_BETTER),
    Case("a use of the grade that the rule wants is acceptance", facts(tellings=(email(recipient_at=TOLD),)),
         DEEMED, Reason.USED, "C", DATE + DAY, rule=C_OR_BETTER),
    Case("a use of a better grade is acceptance", facts(tellings=(inbox(shown_at=TOLD + DAY),)),
         DEEMED, Reason.USED, "B", DATE + DAY, rule=C_OR_BETTER),
    Case("the first use of a sufficient grade counts, not the first use",
         facts(tellings=(inbox(shown_at=DATE + 2 * DAY),), uses=(use(DATE + DAY), use(DATE + 3 * DAY))),
         DEEMED, Reason.USED, "B", DATE + 3 * DAY, rule=B_OR_BETTER),
    Case("a second telling of a better grade carries what the first cannot",
         facts(tellings=(email(), replace(email(TOLD + DAY, recipient_at=TOLD + DAY), attempt=2)),
               uses=(use(DATE + 2 * DAY),)),
         DEEMED, Reason.USED, "C", DATE + 2 * DAY, rule=C_OR_BETTER),
    Case("while the letter may still bounce, that is the answer, whatever the grade",
         facts(effective_at=POSTED, uses=(use(TOLD + HOUR),)), NONE, Reason.BOUNCE_WINDOW,
         again_at=TOLD + 72 * HOUR, now=TOLD + 2 * HOUR,
         rule=AT_ONCE.model_copy(update={"grade_at_least": "C"})),
    Case("no use is named before a grade", facts(uses=()), NONE, Reason.NO_USE_YET, rule=C_OR_BETTER),
    Case("a use before the account was closed is acceptance, whichever reached us first",
         facts(closed_at=DATE + 2 * DAY), DEEMED, Reason.USED, "D", DATE + DAY),
    Case("a version not posted is named before a closed account", facts(posted_at=None, closed_at=DATE),
         NONE, Reason.NOT_POSTED),
    Case("a closed account is named before a rule that never deems", facts(closed_at=DATE),
         NONE, Reason.ACCOUNT_CLOSED, rule=RULE.model_copy(update={"deems": False})),
    Case("a rule that never deems is named before a version that wants an act", FACTS,
         NONE, Reason.NEVER_DEEMED, rule=AN_ACT.model_copy(update={"deems": False})),
    Case("a version that wants an act is named before an objection", facts(objection=Objection(DATE, False)),
         NONE, Reason.ACT_REQUIRED, rule=AN_ACT),
    Case("somebody who closed their account and had accepted by an act keeps that", facts(act=ACT, closed_at=DATE),
         Outcome.EXPLICIT, Reason.EXPLICIT_ACT, "A", ACT.at),
    Case("a reminder does not move the date of who was told before",
         facts(tellings=(email(), replace(email(EFFECT - 3 * DAY), attempt=2))), DEEMED, Reason.USED, "D", DATE + DAY),
    Case("a reminder is the telling of somebody whose first letter failed: their date counts from it",
         facts(tellings=(replace(email(EFFECT - 3 * DAY), attempt=2),), uses=(use(DATE + DAY),)),
         NONE, Reason.NO_USE_YET, again_at=EFFECT + 27 * DAY),
    Case("a letter after an unread message does not move the date that the message started",
         facts(tellings=(inbox(), email(TOLD + 3 * DAY))), DEEMED, Reason.USED, "D", DATE + DAY),
    Case("shown at a login after all else failed, the date counts from there",
         facts(tellings=(Telling("in_app", 1, TOLD + 9 * DAY, placed=False, shown_at=TOLD + 9 * DAY),),
               uses=(use(DATE + 9 * DAY),)),
         DEEMED, Reason.USED, "B", DATE + 9 * DAY),
    Case("a complaint proves that the letter arrived", facts(tellings=(email(recipient_at=TOLD + DAY),)),
         DEEMED, Reason.USED, "C", DATE + DAY),
    Case("an objection that was taken back before the date moves nothing", facts(objection=Objection(TOLD, True)),
         DEEMED, Reason.USED, "D", DATE + DAY),
    Case("silence counts for nothing before the person's own date", facts(uses=(use(TOLD + DAY),)),
         NONE, Reason.NOTICE_PERIOD, again_at=DATE, rule=SILENT, now=DATE - HOUR),
    Case("where the contract takes silence for acceptance, it is there on that date, without a use", facts(uses=()),
         DEEMED, Reason.SILENCE, "D", DATE, rule=SILENT),
]  # fmt: skip


def test_decide_has_a_table_of_at_least_sixty_cases_each_with_a_name_of_its_own() -> None:
    assert len({case.says for case in CASES}) == len(CASES) >= 60


def test_decide_has_a_case_for_every_reason() -> None:
    assert {case.reason for case in CASES} | {Reason.TELLING_FAILED} == set(Reason)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "decide: " + case.says)
def test_the_table_of_cases(case: Case) -> None:
    decision = decide(case.rule, case.facts, case.now)
    assert (decision.outcome, decision.reason) == (case.outcome, case.reason)
    assert (decision.grade, decision.since, decision.again_at) == (case.grade, case.since, case.again_at)


@pytest.mark.parametrize("kind", sorted(NEVER_USE))
def test_decide_never_takes_an_excluded_kind_for_use_even_if_the_rule_lists_it(kind: str) -> None:
    rule = RULE.model_copy(update={"activity_kinds": (kind,)})
    assert decide(rule, facts(uses=(use(DATE + DAY, kind),)), LATER).reason is Reason.NO_USE_YET


def test_decide_names_the_use_the_telling_and_the_date_it_rests_on() -> None:
    decision = decide(RULE, FACTS, LATER)
    assert (decision.use, decision.telling, decision.counts_from) == (FACTS.uses[0], FACTS.tellings[0], DATE)


def test_decide_keeps_only_the_uses_that_time_alone_may_make_count() -> None:
    early, late = use(TOLD - HOUR), use(TOLD + HOUR)
    waiting = decide(AT_ONCE, facts(effective_at=POSTED, uses=(early, late)), TOLD + 2 * HOUR)
    assert waiting.reason is Reason.BOUNCE_WINDOW
    assert (waiting.may_still_count(early), waiting.may_still_count(late)) == (False, True)
    assert not decide(RULE, FACTS, LATER).may_still_count(FACTS.uses[0])


hours = st.integers(0, 24 * 60).map(lambda n: POSTED + n * HOUR)
maybe = st.none() | hours
# ``at`` is the earliest word of a telling, so no proof of it is older.
tellings = st.builds(
    Telling, st.sampled_from(["email", "inbox"]), st.integers(1, 3), hours, st.booleans(), maybe, maybe
).map(lambda t: replace(t, at=min(at for at in (t.at, t.recipient_at, t.shown_at) if at is not None)))
uses = st.builds(use, hours, st.sampled_from(["login", "purchase", "policy_viewed"]))
ORDERS: dict[str, list[Any]] = {  # of each choice, from the laxest to the strictest
    "evidence": ["relay", "recipient", "shown"],
    "baseline_at_least": ["unknown", "imported", "proved"],
    "grade_at_least": ["E", "D", "C", "B"],
    "activity_kinds": [None, ("login", "purchase"), ("purchase",)],
    "deems": [True, True, False],
    "explicit": [False, False, True],
}
choices = st.fixed_dictionaries(
    {"notice_days": st.integers(0, 20), "bounce_window_hours": st.integers(0, 96)}
    | {name: st.sampled_from(range(len(order))) for name, order in ORDERS.items()}
)


def chosen(choice: dict[str, int]) -> Rule:
    return RULE.model_copy(update={name: ORDERS[name][n] if name in ORDERS else n for name, n in choice.items()})


deeming = choices.map(lambda choice: chosen(choice | {"deems": 0, "explicit": 0}))
rules = deeming.map(lambda rule: rule.model_copy(update={"baseline_at_least": "unknown"}))
many_facts = st.builds(
    Facts,
    posted_at=st.just(POSTED),
    effective_at=hours,
    status=st.sampled_from(["told", "pending", "unreachable"]),
    tellings=st.lists(tellings, max_size=4).map(tuple),
    uses=st.lists(uses, max_size=6).map(tuple),
    objection=st.none() | st.builds(Objection, hours, st.booleans()),
    closed_at=st.none(),
    baseline=st.sampled_from(["unknown", "imported", "proved"]),
)


@given(rules, many_facts, hours, st.integers(1, 500))
def test_decide_an_earlier_notice_never_makes_acceptance_later(
    rule: Rule, given_: Facts, now: datetime, by: int
) -> None:
    before = decide(rule, given_, now)
    moved = tuple(replace(t, at=t.at - by * HOUR) for t in given_.tellings)
    after = decide(rule, replace(given_, tellings=moved), now)
    added = decide(rule, replace(given_, tellings=(*given_.tellings, email(POSTED - by * HOUR))), now)
    if before.since is not None:
        assert after.since is not None
        assert after.since <= before.since
        assert added.since is not None
        assert added.since <= before.since


@given(rules, many_facts, hours, hours)
def test_decide_an_objection_is_never_lost(rule: Rule, given_: Facts, at: datetime, now: datetime) -> None:
    decision = decide(rule, replace(given_, objection=Objection(at, withdrawn=False), act=None), now)
    if decision.outcome is not Outcome.NONE or decision.reason is Reason.BOUNCE_WINDOW:  # then by a use before it alone
        assert decision.counts_from is not None
        assert decision.counts_from < at
        assert decision.use is None or decision.use.occurred_at < at
    else:
        assert decision.reason is Reason.OBJECTED


@given(rules, many_facts, hours, st.randoms())
def test_decide_does_not_care_in_which_order_facts_are_given(
    rule: Rule, given_: Facts, now: datetime, random: Any
) -> None:
    mixed_uses, mixed_tellings = list(given_.uses), list(given_.tellings)
    random.shuffle(mixed_uses)
    random.shuffle(mixed_tellings)
    mixed = replace(given_, uses=tuple(mixed_uses), tellings=tuple(mixed_tellings))
    one, other = decide(rule, given_, now), decide(rule, mixed, now)
    assert (one.outcome, one.since, one.counts_from, one.grade, one.again_at) == (
        other.outcome, other.since, other.counts_from, other.grade, other.again_at,
    )  # fmt: skip


@given(choices, choices, many_facts, hours)
def test_decide_a_stricter_rule_never_yields_a_weaker_answer(
    one: dict[str, int], other: dict[str, int], given_: Facts, now: datetime
) -> None:
    lax, strict = ({name: pick(one[name], other[name]) for name in one} for pick in (min, max))
    weaker, stronger = decide(chosen(lax), given_, now), decide(chosen(strict), given_, now)
    if stronger.outcome is Outcome.DEEMED:
        assert weaker.outcome is Outcome.DEEMED
        assert weaker.since is not None
        assert stronger.since is not None
        assert weaker.since <= stronger.since
        assert stronger.grade is not None
        assert stronger.grade <= chosen(strict).grade_at_least
        if lax["evidence"] == strict["evidence"]:  # else another telling may be the first that suffices
            assert weaker.grade is not None
            assert stronger.grade <= weaker.grade, "A is the best"


@given(choices, many_facts, hours, st.sampled_from(["imported", "proved"]))
def test_decide_knowing_more_of_an_earlier_acceptance_takes_nothing_away(
    choice: dict[str, int], given_: Facts, now: datetime, known: Any
) -> None:
    unknown = decide(chosen(choice), replace(given_, baseline="unknown"), now)
    if unknown.outcome is Outcome.DEEMED:
        assert decide(chosen(choice), replace(given_, baseline=known), now) == unknown


@given(rules, many_facts, hours)
def test_decide_never_deems_before_effect_and_notice_period(rule: Rule, given_: Facts, now: datetime) -> None:
    decision = decide(rule, given_, now)
    if decision.outcome is Outcome.DEEMED:
        assert decision.since is not None
        assert decision.telling is not None
        assert decision.since >= max(given_.effective_at, decision.telling.at + rule.notice_days * DAY)


@given(rules, many_facts, hours)
def test_decide_asking_again_at_the_time_it_names_changes_the_answer(rule: Rule, given_: Facts, now: datetime) -> None:
    first = decide(rule, given_, now)
    if first.again_at is not None:
        assert first.again_at > now
        assert decide(rule, given_, first.again_at) != first


@given(rules, many_facts, hours)
def test_decide_forgetting_what_may_no_longer_count_changes_no_later_answer(
    rule: Rule, given_: Facts, now: datetime
) -> None:
    first = decide(rule, given_, now)
    if first.outcome is Outcome.NONE:
        kept = tuple(u for u in given_.uses if first.may_still_count(u) or u.occurred_at > now)
        later = now + 200 * DAY
        assert decide(rule, replace(given_, uses=kept), later).since == decide(rule, given_, later).since


@dataclass(frozen=True)
class Doubt:
    """A letter that was told at TOLD, and on which a use was deemed, bounced. ``facts`` are those after the bounce."""

    says: str
    facts: Facts
    outcome: Outcome | None  # None: it stands as it is
    reason: Reason | None = None
    since: datetime | None = None
    rule: Rule = RULE
    now: datetime = LATER


VOID = Outcome.VOID
DOUBTS = [
    Doubt("another letter bounced: what rests on this one stands", facts(tellings=(email(),)), None),
    Doubt("nothing else told the person: void", facts(status="unreachable", tellings=()), VOID, Reason.TELLING_FAILED),
    Doubt("the next channel is still to come: void", facts(status="pending", tellings=()),
          VOID, Reason.TELLING_FAILED),
    Doubt("a private message before the use carries it, with its own date",
          facts(tellings=(inbox(TOLD - HOUR),)), Outcome.DEEMED, Reason.USED, DATE + DAY),
    Doubt("a private message too late for the first use carries it from the next one that is known",
          facts(tellings=(inbox(TOLD + 2 * DAY),), uses=(use(DATE + DAY), use(DATE + 3 * DAY))),
          Outcome.DEEMED, Reason.USED, DATE + 3 * DAY),
    Doubt("a private message too late for every use that is known carries nothing",
          facts(tellings=(inbox(TOLD + 2 * DAY),)), VOID, Reason.TELLING_FAILED),
    Doubt("a second letter that may still bounce carries nothing yet",
          facts(effective_at=POSTED, tellings=(replace(email(TOLD), attempt=2),), uses=(use(TOLD + HOUR),)),
          VOID, Reason.TELLING_FAILED, rule=AT_ONCE, now=TOLD + 2 * HOUR),
    Doubt("after its window the second letter carries it",
          facts(effective_at=POSTED, tellings=(replace(email(TOLD), attempt=2),), uses=(use(TOLD + HOUR),)),
          Outcome.DEEMED, Reason.USED, TOLD + HOUR, rule=AT_ONCE, now=TOLD + 72 * HOUR),
    Doubt("another telling with too little evidence carries nothing",
          facts(tellings=(replace(email(), attempt=2),)), VOID, Reason.TELLING_FAILED, rule=BY_RECIPIENT),
    Doubt("who objected before the use is deemed nothing by another telling",
          facts(tellings=(inbox(),), objection=Objection(DATE, False)), VOID, Reason.TELLING_FAILED),
    Doubt("who objected after the use is deemed what it came to under another telling",
          facts(tellings=(inbox(TOLD - HOUR),), objection=Objection(DATE + 2 * DAY, False)),
          Outcome.DEEMED, Reason.USED, DATE + DAY),
    Doubt("nor is who had closed their account before it",
          facts(tellings=(inbox(),), closed_at=DATE), VOID, Reason.TELLING_FAILED),
]  # fmt: skip


@pytest.mark.parametrize("doubt", DOUBTS, ids=lambda doubt: "reconsider: " + doubt.says)
def test_the_table_of_bounces_after_an_acceptance(doubt: Doubt) -> None:
    decision = reconsider(doubt.rule, doubt.facts, email(), doubt.now)
    if doubt.outcome is None:
        assert decision is None
    else:
        assert decision is not None
        assert (decision.outcome, decision.reason, decision.since) == (doubt.outcome, doubt.reason, doubt.since)


def contest(deemed_at: datetime = DATE + DAY, **changed: Any) -> tuple[Outcome, Reason, datetime | None] | None:
    decision = contested(RULE, facts(**changed), deemed_at, email(), LATER)
    return None if decision is None else (decision.outcome, decision.reason, decision.since)


OBJECTED, LEFT = (Outcome.VOID, Reason.OBJECTED, None), (Outcome.VOID, Reason.ACCOUNT_CLOSED, None)


def test_a_deemed_acceptance_is_contested_by_an_objection_that_came_before_it_and_by_no_later_one() -> None:
    assert contest(objection=Objection(DATE, False)) == OBJECTED
    assert contest(objection=Objection(DATE, False), closed_at=DATE + 3 * DAY) == OBJECTED
    assert contest(objection=Objection(DATE + 2 * DAY, False)) is None
    void = contested(RULE, facts(objection=Objection(DATE, False)), DATE + DAY, email(), LATER)
    assert void is not None
    assert void.telling == email()


def test_it_is_contested_by_leaving_before_it_and_not_after_it() -> None:
    assert contest(closed_at=DATE) == contest(closed_at=DATE + DAY) == LEFT
    assert contest(closed_at=DATE + 2 * DAY) is None


def test_it_is_contested_by_an_objection_that_stood_then_although_it_was_taken_back() -> None:
    back = Objection(DATE + 2 * DAY, True, DATE)
    assert contest(objection=back) == OBJECTED
    assert contest(DATE + 2 * DAY, objection=back) is None
    later = facts(uses=(use(DATE + DAY), use(DATE + 3 * DAY))).uses
    assert contest(objection=back, uses=later) == (DEEMED, Reason.USED, DATE + 3 * DAY)
    assert contest(objection=Objection(DATE + 2 * DAY, True, DATE + 2 * DAY - HOUR)) is None


def test_what_else_failed_since_is_none_of_its_business() -> None:
    assert contest(tellings=(), closed_at=DATE + 2 * DAY) is None


def test_a_use_between_taking_an_objection_back_and_leaving_counts() -> None:
    gone = facts(objection=Objection(DATE + DAY, True, DATE), closed_at=DATE + 9 * DAY, uses=(use(DATE + 2 * DAY),))
    decision = decide(RULE, gone, LATER)
    assert (decision.outcome, decision.since) == (DEEMED, DATE + 2 * DAY)
    assert decide(RULE, replace(gone, closed_at=DATE + 2 * DAY), LATER).reason is Reason.ACCOUNT_CLOSED


def test_a_void_revision_names_the_telling_that_failed_and_has_no_grade() -> None:
    decision = reconsider(RULE, facts(tellings=()), email(), LATER)
    assert decision is not None
    assert (decision.telling, decision.grade, decision.counts_from) == (email(), None, None)
