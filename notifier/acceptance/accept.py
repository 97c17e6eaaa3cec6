"""Turn facts into acceptances: from use that is due, from registrations, from explicit acts, and from bounces.

One lane is one transaction: the acceptances, and what becomes of the rows they came from, are one commit. A crash
before it leaves everything as it was, and the next worker finds the same rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

from notifier.acceptance.append import Acceptance, append, append_all, evidence_of, next_revision
from notifier.acceptance.decide import Act, Decision, Outcome, Reason, decide, decide_act, passed_over
from notifier.acceptance.doubts import PEOPLE, settle_doubts
from notifier.acceptance.facts import Case, Recorded, Somebody, load_cases, recorded_of
from notifier.activity.activity import SKEW, Use
from notifier.db import Db
from notifier.errors import Conflict, Fault, Invalid, NotFound

LANES = 64  # decided in one turn of the duty
TRIES = 5  # to append behind a revision that somebody else appends meanwhile


@dataclass(frozen=True)
class _Due:
    lane: int


class _PersonsUse:
    def __init__(self, person_id: UUID, **use: Any) -> None:
        self.person_id = person_id
        self.use = Use(**use)


@dataclass(frozen=True)
class _Judged:
    """What one person's uses come to: what to append, and per use when to ask again (None: never).

    ``passed_over``: of each version the first that did not count, with the reason.
    """

    acceptances: list[Acceptance]
    again: list[tuple[Use, datetime | None]]
    passed_over: list[tuple[Case, Reason, Use]]


async def accept(db: Db, now: datetime) -> int:
    """Decide what is due in some lanes. Returns how many uses, registrations and bounces were dealt with, if any.

    Where somebody else recorded an acceptance of the same person meanwhile, the lane is left for the next turn.
    """
    done = 0
    for due in await db.many(_Due, "acceptance.due_lanes", now=now, most=LANES):
        try:
            async with db.transaction() as tx:
                dealt_with = await _accept_registrations(tx, due.lane, now)
                dealt_with += await settle_doubts(tx, due.lane, now)
                dealt_with += await _accept_uses(tx, due.lane, now)
            done += dealt_with
        except Conflict:
            done += 1
    return done


async def _accept_uses(tx: Db, lane: int, now: datetime) -> int:
    rows = await tx.many(_PersonsUse, "acceptance.take_uses", lane=lane, now=now, most=PEOPLE)
    uses = {person: [row.use for row in own] for person, own in groupby(rows, key=attrgetter("person_id"))}
    earliest = {person: min(use.occurred_at for use in own) for person, own in uses.items()}
    cases = await load_cases(tx, lane, earliest) if uses else {}
    judged = {person: judge(own, cases.get(person, []), now) for person, own in uses.items()}
    await append_all(tx, lane, [a for j in judged.values() for a in j.acceptances], now)
    await _pass_over(tx, lane, [one for j in judged.values() for one in j.passed_over], now)
    await _put_aside(tx, lane, [(person, use, due) for person, j in judged.items() for use, due in j.again])
    return len(rows)


def judge(uses: Sequence[Use], cases: Sequence[Case], now: datetime) -> _Judged:
    """What one person's uses amount to for every version that waits for them. An earlier use corrects a later one."""
    known = [replace(case, facts=replace(case.facts, uses=tuple(uses))) for case in cases]
    decided = [(case, decide(case.rule, case.facts, now)) for case in known]
    acceptances = [
        Acceptance(case.person_id, case.version_id, next_revision(case.recorded), decision, evidence_of(case, decision))
        for case, decision in decided
        if decision.outcome is Outcome.DEEMED and _is_news(case.recorded, decision)
    ]
    again = [(use, min(_asked_again(use, [d for _, d in decided]), default=None)) for use in uses]
    lost = [(case, d.reason, use) for case, d in decided if (use := passed_over(d, case.facts)) is not None]
    return _Judged(acceptances, again, lost)


def _asked_again(use: Use, decisions: Sequence[Decision]) -> list[datetime]:
    return [d.again_at for d in decisions if d.again_at is not None and d.may_still_count(use)]


def _is_news(recorded: Recorded | None, decision: Decision) -> bool:
    assert decision.since is not None
    return recorded is None or recorded.accepted_at is None or decision.since < recorded.accepted_at


async def _pass_over(tx: Db, lane: int, uses: Sequence[tuple[Case, Reason, Use]], now: datetime) -> None:
    if uses:
        await tx.run(
            "acceptance.pass_over",
            lane=lane,
            now=now,
            people=[case.person_id for case, _, _ in uses],
            versions=[case.version_id for case, _, _ in uses],
            reasons=[reason.value for _, reason, _ in uses],
            occurred=[use.occurred_at for _, _, use in uses],
            kinds=[use.kind for _, _, use in uses],
        )


async def _put_aside(tx: Db, lane: int, uses: Sequence[tuple[UUID, Use, datetime | None]]) -> None:
    over = [(person, use) for person, use, due in uses if due is None]
    later = [(person, use, due) for person, use, due in uses if due is not None]
    if over:
        people, days = [p for p, _ in over], [u.day for _, u in over]
        await tx.run("acceptance.forget_uses", lane=lane, people=people, days=days)
    if later:
        people, days, due = [p for p, _, _ in later], [u.day for _, u, _ in later], [d for _, _, d in later]
        await tx.run("acceptance.defer_uses", lane=lane, people=people, days=days, due=due)


async def _accept_registrations(tx: Db, lane: int, now: datetime) -> int:
    rows = await tx.many(dict, "acceptance.take_registrations", lane=lane, most=PEOPLE)
    acceptances = []
    for row in rows:
        recorded = recorded_of(row)
        if recorded is None or recorded.kind in ("deemed", "void"):
            acceptances.append(_of_act(row["person_id"], row["version_id"], recorded, Act(row["at"], "registration")))
    await append_all(tx, lane, acceptances, now)
    return len(rows)


def _of_act(person_id: UUID, version_id: int, recorded: Recorded | None, act: Act, **evidence: str) -> Acceptance:
    decision = decide_act(act)
    return Acceptance(person_id, version_id, next_revision(recorded), decision, {"reason": decision.reason, **evidence})


async def record_explicit(
    db: Db, site: str, person: Somebody, version_id: int, at: datetime, via: str, now: datetime, **shown: str
) -> bool:
    """Record that a person accepted exactly this version by an act. False: that one or an earlier one was.

    ``via`` says how, in the site's words; ``shown``, for the evidence, exactly what the person had before them. What
    was deemed before stays; this is the next revision. Raises NotFound for a version that the site has not published,
    Invalid for an act before the publication or in the future.
    """
    await check_moment(db, site, version_id, at, now)
    for _ in range(TRIES):
        recorded = await db.first(
            Recorded, "acceptance.recorded", lane=person.lane, person_id=person.person_id, version_id=version_id
        )
        act = Act(min(at, now), "explicit")
        if recorded is not None and recorded.kind == "explicit" and (recorded.accepted_at or act.at) <= act.at:
            return False
        acceptance = _of_act(person.person_id, version_id, recorded, act, via=via, **shown)
        if await append(db, person.lane, [acceptance], now):
            return True
    raise Conflict("acceptances of this person and version are being recorded right now; nothing was kept, try again")


async def check_moment(db: Db, site: str, version_id: int, at: datetime, now: datetime) -> None:
    """Raise NotFound or Invalid unless a person could have acted on this version of the site at ``at``."""
    published_at: datetime | None = await db.value("acceptance.published_at", site=site, version_id=version_id)
    if published_at is None:
        raise NotFound(f"{site} has not published such a version")
    if at > now + SKEW:
        raise Invalid("nothing was recorded", [Fault("/at", "lies in the future; send the time of the act in UTC")])
    if at < published_at:
        raise Invalid("nothing was recorded", [Fault("/at", f"lies before the publication at {published_at:%F %T %Z}")])
