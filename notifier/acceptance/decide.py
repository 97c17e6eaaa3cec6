"""What the record amounts to for one person and one version. Pure; the same for a batch and for one person.

The order of the decision is the order of the functions here, and is explained in docs/acceptance.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from notifier.activity.activity import Use, is_use
from notifier.campaigns.rule import DURABLE, Rule
from notifier.sites.preset import Baseline, Evidence

Grade = Literal["A", "B", "C", "D", "E"]


class Outcome(StrEnum):
    """What the record amounts to: nothing, a kind of acceptance, or that what was deemed holds no longer."""

    NONE = "none"
    DEEMED = "deemed"
    EXPLICIT = "explicit"
    REGISTRATION = "registration"
    VOID = "void"


class Reason(StrEnum):
    """Why a decision came out as it did."""

    EXPLICIT_ACT = "explicit_act"
    REGISTERED_WITH_IT = "registered_with_it"
    NOT_POSTED = "not_posted"
    ACCOUNT_CLOSED = "account_closed"
    NEVER_DEEMED = "never_deemed"
    ACT_REQUIRED = "act_required"
    OBJECTED = "objected"
    UNKNOWN_BASELINE = "unknown_baseline"
    LEFT_OUT = "left_out"
    UNREACHABLE = "unreachable"
    SUPPRESSED = "suppressed"
    SUPERSEDED = "superseded"
    NOT_YET_TOLD = "not_yet_told"
    TOO_LITTLE_EVIDENCE = "too_little_evidence"
    BOUNCE_WINDOW = "bounce_window"
    NOTICE_PERIOD = "notice_period"
    NO_USE_YET = "no_use_yet"
    GRADE_TOO_LOW = "grade_too_low"
    USED = "used"
    SILENCE = "silence"
    TELLING_FAILED = "telling_failed"


# How much is known of an earlier acceptance, from nothing to the most.
BASELINES: tuple[Baseline, ...] = ("unknown", "imported", "proved")

# The status of a notice (view ``standing``) that told nobody, and what that means here.
_NOT_TOLD = {
    "excluded": Reason.LEFT_OUT,
    "unreachable": Reason.UNREACHABLE,
    "suppressed": Reason.SUPPRESSED,
    "superseded": Reason.SUPERSEDED,
}


# Nothing but time stands between this and an acceptance.
_MAY_COME = frozenset({Reason.BOUNCE_WINDOW})


@dataclass(frozen=True, slots=True)
class Act:
    """Something the person did on the exact version: accepted it, or registered while it was shown."""

    at: datetime
    kind: Literal["explicit", "registration"]


@dataclass(frozen=True, slots=True)
class Objection:
    """The latest word of an objection. Once ``withdrawn``, use counts from ``at``, when it was taken back.

    ``first_at``: when the person first said no; None: that was ``at`` (of one that was taken back: nobody knows).
    """

    at: datetime
    withdrawn: bool
    first_at: datetime | None = None

    @property
    def since(self) -> datetime | None:
        """The first moment that it takes from use."""
        return self.first_at if self.withdrawn else self.first_at or self.at

    def bars(self, at: datetime) -> bool:
        """Whether it stood at a moment."""
        since = self.since
        return since is not None and since <= at and not (self.withdrawn and at >= self.at)


@dataclass(frozen=True, slots=True)
class Telling:
    """One attempt that reached the person and has not failed since. ``placed`` with us, it cannot bounce."""

    channel: str
    attempt: int
    at: datetime
    placed: bool
    recipient_at: datetime | None = None
    shown_at: datetime | None = None

    def told_at(self, evidence: Evidence, *, durable: bool = False) -> datetime | None:
        """When there first was evidence that suffices; None while there is none. What lies with us has arrived.

        ``durable``: only what people can keep tells them.
        """
        if durable and self.channel not in DURABLE:
            return None
        if evidence == "relay" or (evidence == "recipient" and self.placed):
            return self.at
        proofs = [self.shown_at] if evidence == "shown" else [self.recipient_at, self.shown_at]
        proof = min((at for at in proofs if at is not None), default=None)
        return None if proof is None else max(proof, self.at)  # a report may date from before what it reports

    def stands(self, window: timedelta, now: datetime) -> bool:
        """Whether a bounce need no longer be waited for."""
        confirmed = self.placed or self.recipient_at is not None or self.shown_at is not None
        return confirmed or now >= self.at + window


@dataclass(frozen=True)
class Facts:
    """Everything on record that bears on one person and one version. The order of tellings and uses means nothing.

    ``baseline``: what is known of this person's having accepted an earlier version of the policy.
    ``literally_used_at``: their first use after the posting, where the policy's own words ask for no more.
    """

    posted_at: datetime | None
    effective_at: datetime
    status: str = "pending"  # of the notice, as the view ``standing`` derives it
    tellings: tuple[Telling, ...] = ()
    uses: tuple[Use, ...] = ()
    act: Act | None = None
    objection: Objection | None = None
    closed_at: datetime | None = None
    baseline: Baseline = "unknown"
    literally_used_at: datetime | None = None


@dataclass(frozen=True)
class Decision:
    """What the facts amount to now. ``again_at``: when asking again may give another answer without a new fact."""

    outcome: Outcome
    reason: Reason
    since: datetime | None = None
    grade: Grade | None = None
    counts_from: datetime | None = None
    again_at: datetime | None = None
    use: Use | None = None
    telling: Telling | None = None
    literally_since: datetime | None = None  # by the policy's own words, kept beside what we hold ourselves to

    def may_still_count(self, use: Use) -> bool:
        """Whether a use must be kept because the answer may change by time alone."""
        return self.again_at is not None and self.counts_from is not None and use.occurred_at >= self.counts_from


def decide(rule: Rule, facts: Facts, now: datetime) -> Decision:
    """What the record amounts to at ``now``."""
    if facts.act is not None:
        return decide_act(facts.act)
    return _before_the_end(rule, facts, now) or _decide(rule, facts, now)


def contested(rule: Rule, facts: Facts, deemed_at: datetime, rested_on: Telling, now: datetime) -> Decision | None:
    """What is left of a deemed acceptance when we hear that the person had objected or left; None: it came before that.

    Another use may carry it, before they said so or after they took it back; else it is void. Also of somebody who left
    since: what they said while they were there is heard.
    """
    objection, closed_at = facts.objection, facts.closed_at
    if objection is not None and objection.bars(deemed_at):
        reason = Reason.OBJECTED
    elif closed_at is not None and closed_at <= deemed_at:
        reason = Reason.ACCOUNT_CLOSED
    else:
        return None
    decision = decide(rule, facts, now)
    return decision if decision.outcome is Outcome.DEEMED else Decision(Outcome.VOID, reason, telling=rested_on)


def _before_the_end(rule: Rule, facts: Facts, now: datetime) -> Decision | None:
    """What use (or silence) amounts to that came before the person said no or left, if it does or may yet.

    Judged by when things happened, whatever reached us first.
    """
    objection, closed_at = facts.objection, facts.closed_at
    said_no = None if objection is None else objection.since
    end = min((at for at in (closed_at, said_no) if at is not None), default=None)
    found = None if end is None else _before(end, rule, replace(facts, objection=None), now)
    if found is None and closed_at is not None and objection is not None and objection.withdrawn:
        return _before(closed_at, rule, facts, now)  # between taking it back and leaving
    return found


def _before(end: datetime, rule: Rule, facts: Facts, now: datetime) -> Decision | None:
    uses = tuple(use for use in facts.uses if use.occurred_at < end)
    decision = _decide(rule, replace(facts, closed_at=None, uses=uses), now)
    in_time = decision.counts_from is not None and decision.counts_from < end
    return decision if in_time and (decision.outcome is Outcome.DEEMED or decision.reason in _MAY_COME) else None


def _decide(rule: Rule, facts: Facts, now: datetime) -> Decision:
    bar = _bar(rule, facts, now)
    if bar is not None:
        return bar
    if not facts.tellings:
        return Decision(Outcome.NONE, _NOT_TOLD.get(facts.status, Reason.NOT_YET_TOLD))
    decision = _judge_silence(rule, facts, now) if rule.deemed_by == "silence" else _judge_use(rule, facts, now)
    literally = literally_since(rule, facts, now)
    if literally is None:
        return decision
    d = decision  # field by field takes a fifth of the time that dataclasses.replace does
    return Decision(
        d.outcome, d.reason, d.since, d.grade, d.counts_from, d.again_at, d.use, d.telling, literally_since=literally
    )


def reconsider(rule: Rule, facts: Facts, rested_on: Telling, now: datetime) -> Decision | None:
    """What is left of a deemed acceptance when a telling bounced; None: it rests on another one, and stands.

    Another telling may carry it, with its own dates; else it is void. ``facts.uses`` are those that are still known.
    """
    key = rested_on.channel, rested_on.attempt
    if any((telling.channel, telling.attempt) == key for telling in facts.tellings):
        return None
    decision = decide(rule, facts, now)
    if decision.outcome is Outcome.DEEMED:
        return decision
    return Decision(Outcome.VOID, Reason.TELLING_FAILED, telling=rested_on)


def decide_act(act: Act) -> Decision:
    """An act on the exact version settles everything."""
    if act.kind == "registration":
        return Decision(Outcome.REGISTRATION, Reason.REGISTERED_WITH_IT, act.at, "A")
    return Decision(Outcome.EXPLICIT, Reason.EXPLICIT_ACT, act.at, "A")


def _bar(rule: Rule, facts: Facts, now: datetime) -> Decision | None:
    """What keeps use from amounting to anything, if something does."""
    if facts.posted_at is None or facts.posted_at > now:
        return Decision(Outcome.NONE, Reason.NOT_POSTED, again_at=facts.posted_at)
    if facts.closed_at is not None:
        return Decision(Outcome.NONE, Reason.ACCOUNT_CLOSED)
    if not rule.deems:
        return Decision(Outcome.NONE, Reason.NEVER_DEEMED)
    if rule.explicit:
        return Decision(Outcome.NONE, Reason.ACT_REQUIRED)
    if facts.objection is not None and not facts.objection.withdrawn:
        return Decision(Outcome.NONE, Reason.OBJECTED)
    if BASELINES.index(facts.baseline) < BASELINES.index(rule.baseline_at_least):
        return Decision(Outcome.NONE, Reason.UNKNOWN_BASELINE)
    return None


def _judge_use(rule: Rule, facts: Facts, now: datetime) -> Decision:
    """The first qualifying use after the earliest telling that stands; the others wait out their bounce window.

    A use whose grade is less than the rule wants is passed over: a later one, or one after another telling, may do.
    """
    window = timedelta(hours=rule.bounce_window_hours)
    uses = sorted(_qualifying(rule, facts, now), key=lambda use: use.occurred_at)
    waiting = too_low = None
    for counts_from, telling in _sufficient(rule, facts):
        after = [use for use in uses if use.occurred_at >= counts_from]
        if not after:
            again_at = counts_from if counts_from > now else None
            return waiting or too_low or Decision(Outcome.NONE, Reason.NO_USE_YET, None, None, counts_from, again_at)
        if not telling.stands(window, now):
            ends = telling.at + window
            waiting = waiting or Decision(Outcome.NONE, Reason.BOUNCE_WINDOW, None, None, counts_from, ends)
            continue
        for use in after:
            grade = _grade(facts, telling, use.occurred_at)
            if grade <= rule.grade_at_least:  # A is the best
                return Decision(Outcome.DEEMED, Reason.USED, use.occurred_at, grade, counts_from, None, use, telling)
        too_low = too_low or Decision(Outcome.NONE, Reason.GRADE_TOO_LOW, None, None, counts_from, use=after[0])
    return waiting or too_low or Decision(Outcome.NONE, Reason.TOO_LITTLE_EVIDENCE)


def passed_over(decision: Decision, facts: Facts) -> Use | None:
    """The first use that came late enough and is passed over all the same, for the record; None: there is none."""
    if decision.reason is Reason.GRADE_TOO_LOW:
        return decision.use
    if decision.reason not in (Reason.OBJECTED, Reason.UNKNOWN_BASELINE):
        return None
    since = max(facts.effective_at, facts.objection.at if facts.objection else facts.effective_at)
    uses = (use for use in facts.uses if use.occurred_at >= since)
    return min(uses, key=lambda use: use.occurred_at, default=None)


def _judge_silence(rule: Rule, facts: Facts, now: datetime) -> Decision:
    """The person's own date passed without an objection, after the earliest telling that stands."""
    window = timedelta(hours=rule.bounce_window_hours)
    waiting = too_low = None
    for counts_from, telling in _sufficient(rule, facts):
        if counts_from > now:
            return waiting or Decision(Outcome.NONE, Reason.NOTICE_PERIOD, None, None, counts_from, counts_from)
        if not telling.stands(window, now):
            ends = telling.at + window
            waiting = waiting or Decision(Outcome.NONE, Reason.BOUNCE_WINDOW, None, None, counts_from, ends)
        elif (grade := _grade(facts, telling, counts_from)) <= rule.grade_at_least:
            return Decision(Outcome.DEEMED, Reason.SILENCE, counts_from, grade, counts_from, None, None, telling)
        else:
            too_low = too_low or Decision(Outcome.NONE, Reason.GRADE_TOO_LOW, None, None, counts_from)
    return waiting or too_low or Decision(Outcome.NONE, Reason.TOO_LITTLE_EVIDENCE)


def literally_since(rule: Rule, facts: Facts, now: datetime) -> datetime | None:
    """When the policy's own words were met: the first use after the posting that was reported."""
    if rule.literal_trigger is None or facts.posted_at is None:
        return None
    used = (use.occurred_at for use in _qualifying(rule, facts, now))
    known = used if facts.literally_used_at is None else (facts.literally_used_at, *used)
    posted_at = facts.posted_at
    return min((at for at in known if at >= posted_at), default=None)


def own_date(
    notice_days: int,
    effective_at: datetime,
    posted_at: datetime | None,
    told_at: datetime,
    objection: Objection | None = None,
) -> datetime | None:
    """The person's own date: posting, effect, the notice period and a withdrawn objection all lie behind it.

    None: there is none, as the version is not posted or an objection stands.
    """
    if posted_at is None or (objection is not None and not objection.withdrawn):
        return None
    after_notice = max(effective_at, told_at + timedelta(days=notice_days), posted_at)
    return after_notice if objection is None else max(after_notice, objection.at)


def _sufficient(rule: Rule, facts: Facts) -> Iterator[tuple[datetime, Telling]]:
    """The tellings that there is enough evidence of, each with the person's own date by it: the earliest first."""
    found = [(at, t) for t in facts.tellings if (at := t.told_at(rule.evidence, durable=rule.durable)) is not None]
    for told_at, telling in sorted(found, key=lambda one: (one[0], one[1].channel, one[1].attempt)):
        date = own_date(rule.notice_days, facts.effective_at, facts.posted_at, told_at, facts.objection)
        if date is not None:
            yield date, telling


def _qualifying(rule: Rule, facts: Facts, now: datetime) -> Iterator[Use]:
    return (use for use in facts.uses if is_use(use.kind, rule.activity_kinds) and use.occurred_at <= now)


def _grade(facts: Facts, telling: Telling, at: datetime) -> Grade:
    """How good the proof is that the person could know: docs/acceptance.md, "Grades"."""
    if any(t.shown_at is not None and t.shown_at <= at for t in facts.tellings):
        return "B"
    return "C" if telling.recipient_at is not None else "D"
