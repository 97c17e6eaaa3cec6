"""Where the contract takes silence for acceptance: record it when somebody's date has passed, without any use.

A campaign under such a rule has a row per lane that says when its people are to be looked at (``silence``). One batch
of one lane is one transaction: the acceptances, and how far the look has come or when the next one is due. A crash
before the commit leaves the batch to be looked at again. What it amounts to is decided where everything is
(:func:`notifier.acceptance.decide.decide`).

When to look again is never too late: a decision names the moment where time alone changes it; who is told later has at
least the notice period from then on; and what else may change it is looked for once a day.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from notifier.acceptance.append import Acceptance, append, evidence_of, next_revision
from notifier.acceptance.decide import Decision, Outcome, Reason, decide
from notifier.acceptance.facts import LONG_AGO, Case, load_cases
from notifier.campaigns.rule import Rule
from notifier.db import Db
from notifier.errors import Conflict

PEOPLE = 2000  # decided in one transaction
# Facts that may change the answer at once when they come: a posting, an objection taken back, an earlier acceptance.
_ANY_DAY = frozenset({Reason.NOT_POSTED, Reason.OBJECTED, Reason.UNKNOWN_BASELINE})
_LONGEST, _A_DAY = timedelta(days=60), timedelta(days=1)


@dataclass(frozen=True)
class _Look:
    campaign_id: int
    lane: int
    after: UUID | None
    again_at: datetime | None


@dataclass(frozen=True)
class _Silent:
    person_id: UUID


async def accept_silence(db: Db, now: datetime) -> int:
    """Look at one batch of people whose dates may have passed. Returns 0 when no lane is due.

    Where somebody else recorded an acceptance of one of them meanwhile, the batch is looked at again.
    """
    try:
        async with db.transaction() as tx:
            look = await tx.first(_Look, "acceptance.take_silence", now=now)
            if look is None:
                return await tx.run("acceptance.begin_silence")
            await _look_at(tx, look, now)
    except Conflict:
        pass  # nothing was kept, and it is still due
    return 1


async def _look_at(tx: Db, look: _Look, now: datetime) -> None:
    where = {"campaign_id": look.campaign_id, "lane": look.lane}
    await tx.run("acceptance.hold_lane", lane=look.lane)  # an objection or a bounce waits, or is seen
    rows = await tx.many(_Silent, "acceptance.silent", **where, after=look.after, most=PEOPLE)
    people = [row.person_id for row in rows]
    cases = await load_cases(tx, look.lane, dict.fromkeys(people, LONG_AGO)) if people else {}
    decided = [
        (case, decide(case.rule, case.facts, now))
        for own in cases.values()
        for case in own
        if case.campaign_id == look.campaign_id
    ]
    await append(tx, look.lane, [_acceptance(case, decision) for case, decision in decided if _counts(decision)], now)
    again = earliest((look_again(case.rule, decision, now) for case, decision in decided), look.again_at)
    if len(people) == PEOPLE:
        await tx.run("acceptance.looked_at_silence", **where, after=people[-1], again_at=again, due_at=now)
    else:
        due_at = earliest([again], now + _LONGEST)
        await tx.run("acceptance.looked_at_silence", **where, after=None, again_at=None, due_at=due_at)


def look_again(rule: Rule, decision: Decision, now: datetime) -> datetime:
    """Before which moment nothing that may still happen makes another answer of this one. Pure."""
    if decision.again_at is not None:
        return decision.again_at
    if decision.reason in _ANY_DAY:
        return now + _A_DAY
    return now + min(max(timedelta(days=rule.notice_days), _A_DAY), _LONGEST)


def earliest(moments: Iterable[datetime | None], other: datetime | None) -> datetime | None:
    """The first of some moments; None where there is none. Pure."""
    return min((at for at in (*moments, other) if at is not None), default=None)


def _counts(decision: Decision) -> bool:
    return decision.outcome is Outcome.DEEMED and decision.reason is Reason.SILENCE


def _acceptance(case: Case, decision: Decision) -> Acceptance:
    evidence = evidence_of(case, decision)
    return Acceptance(case.person_id, case.version_id, next_revision(case.recorded), decision, evidence)
