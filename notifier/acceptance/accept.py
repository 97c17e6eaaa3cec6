"""Turn facts into acceptances: from use that is due, registrations, explicit acts, bounces and closed accounts.

One lane is one transaction: the acceptances, and what becomes of the rows they came from, are one commit. A crash
before it leaves everything as it was, and the next worker finds the same rows.
"""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from notifier.acceptance.append import Acceptance, append, evidence_of, next_revision
from notifier.acceptance.decide import Act, Decision, Outcome, Reason, decide, decide_act, literally_since, passed_over
from notifier.acceptance.doubts import PEOPLE, settle_closings, settle_doubts
from notifier.acceptance.facts import Case, Recorded, Somebody, Terms, load_cases, recorded_of
from notifier.activity.activity import SKEW, Use
from notifier.db import Db
from notifier.errors import Conflict, Fault, Invalid, NotFound

LANES = 64  # decided in one turn of the duty
_COLUMNS = (
    "lane", "person_id", "day", "occurred_at", "received_at", "kind", "url_path", "ip_prefix", "user_agent", "due_at",
)  # fmt: skip
TRIES = 5  # to append behind a revision that somebody else appends meanwhile


@dataclass(frozen=True)
class _Due:
    lane: int
    registrations: bool
    doubts: bool
    uses: bool
    closings: bool


class _PersonsUse(NamedTuple):
    person_id: UUID
    occurred_at: datetime
    received_at: datetime
    kind: str
    url_path: str
    ip_prefix: str
    user_agent: str


@dataclass(frozen=True)
class _Judged:
    """What one person's uses come to: what to append, and per use when to ask again (None: never).

    ``passed_over``: of each version the first that did not count, with the reason. ``noted``: when a policy's own words
    were met by uses that are not kept.
    """

    acceptances: list[Acceptance]
    again: list[tuple[Use, datetime | None]]
    passed_over: list[tuple[Case, Reason, Use]]
    noted: list[tuple[Case, datetime]]


async def accept(db: Db, now: datetime) -> int:
    """Decide what is due in some lanes. Returns how many of these were dealt with, if any.

    Where somebody else recorded an acceptance of the same person meanwhile, the lane is left for the next turn.
    """
    done = 0
    terms: Terms = {}
    for due in await db.many(_Due, "acceptance.due_lanes", now=now, most=LANES):
        try:
            async with db.transaction() as tx:
                await tx.run("acceptance.hold_lane", lane=due.lane)
                dealt_with = await _accept_registrations(tx, due.lane, now) if due.registrations else 0
                dealt_with += await settle_doubts(tx, due.lane, now) if due.doubts else 0
                dealt_with += await settle_closings(tx, due.lane, now) if due.closings else 0
                # A doubt puts uses back, which are decided at once.
                dealt_with += await _accept_uses(tx, due.lane, now, terms) if due.uses or due.doubts else 0
            done += dealt_with
        except Conflict:
            done += 1
    return done


async def _accept_uses(tx: Db, lane: int, now: datetime, terms: Terms) -> int:
    rows = await tx.many(_PersonsUse, "acceptance.take_uses", lane=lane, now=now, most=PEOPLE)
    uses: dict[UUID, list[Use]] = defaultdict(list)
    for row in rows:
        uses[row.person_id].append(Use(*row[1:]))
    earliest = {person: own[0].occurred_at for person, own in uses.items()}
    cases = await load_cases(tx, lane, earliest, uses, terms) if uses else {}
    judged = {person: judge(own, cases.get(person, []), now) for person, own in uses.items()}
    await append(tx, lane, [a for j in judged.values() for a in j.acceptances], now)
    await _pass_over(tx, lane, [one for j in judged.values() for one in j.passed_over], now)
    await _note(tx, lane, [one for j in judged.values() for one in j.noted])
    again = ((person, use, due) for person, j in judged.items() for use, due in j.again)
    await _keep(tx, lane, [(person, use, due) for person, use, due in again if due is not None])
    return len(rows)


def judge(uses: Sequence[Use], cases: Sequence[Case], now: datetime) -> _Judged:
    """What one person's uses, which the cases hold, amount to for every version that waits for them. An earlier use
    corrects a later one."""
    decided = [(case, decide(case.rule, case.facts, now)) for case in cases]
    acceptances = [
        Acceptance(case.person_id, case.version_id, next_revision(case.recorded), decision, evidence_of(case, decision))
        for case, decision in decided
        if decision.outcome is Outcome.DEEMED and _is_news(case.recorded, decision)
    ]
    again = [(use, min(_asked_again(use, [d for _, d in decided]), default=None)) for use in uses]
    lost = [(case, d.reason, use) for case, d in decided if (use := passed_over(d, case.facts)) is not None]
    noted = [
        (case, at)
        for case, d in decided
        if case.rule.literal_trigger is not None
        and d.outcome is not Outcome.DEEMED
        and (at := literally_since(case.rule, case.facts, now)) is not None
        and at != case.facts.literally_used_at
    ]
    return _Judged(acceptances, again, lost, noted)


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


async def _note(tx: Db, lane: int, uses: Sequence[tuple[Case, datetime]]) -> None:
    if uses:
        await tx.run(
            "acceptance.note_literal_use",
            lane=lane,
            people=[case.person_id for case, _ in uses],
            versions=[case.version_id for case, _ in uses],
            times=[at for _, at in uses],
        )


async def _keep(tx: Db, lane: int, uses: Sequence[tuple[UUID, Use, datetime]]) -> None:
    """Put uses back, with when to ask about them again. Nobody else can have put them there: they wait for us."""
    if uses:
        rows = [
            (lane, person, u.day, u.occurred_at, u.received_at, u.kind, u.url_path, u.ip_prefix, u.user_agent, due)
            for person, u, due in uses
        ]
        await tx.copy("activity", _COLUMNS, rows)


async def _accept_registrations(tx: Db, lane: int, now: datetime) -> int:
    rows = await tx.many(dict, "acceptance.take_registrations", lane=lane, most=PEOPLE)
    acceptances = []
    for row in rows:
        recorded = recorded_of(row["kind"], row["accepted_at"], row["revision"])
        if recorded is None or recorded.kind in ("deemed", "void"):
            acceptances.append(_of_act(row["person_id"], row["version_id"], recorded, Act(row["at"], "registration")))
    await append(tx, lane, acceptances, now)
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
        with suppress(Conflict):
            async with db.transaction() as tx:  # a savepoint, where one is open
                await append(tx, person.lane, [acceptance], now)
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
