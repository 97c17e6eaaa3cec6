"""A letter bounced after it had counted, or an objection or that somebody left reached us late: decide again about what
was deemed.

Of bounces and closed accounts one lane is one transaction, together with everything else that is decided in it
(:mod:`notifier.acceptance.accept`).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from notifier.acceptance.append import Acceptance, append, evidence_of, next_revision
from notifier.acceptance.decide import Decision, Facts, Outcome, Telling, contested, reconsider
from notifier.acceptance.facts import LONG_AGO, Case, load_cases
from notifier.activity.activity import Use
from notifier.db import Db

PEOPLE = 2000  # decided in one transaction

_TELLING, _USE = TypeAdapter(Telling), TypeAdapter(Use)


@dataclass(frozen=True)
class _Deemed:
    """One deemed revision and what it rests on."""

    person_id: UUID
    version_id: int
    revision: int
    evidence: dict[str, Any]

    @property
    def use(self) -> Use | None:
        """None where the rule takes silence for acceptance: that rests on no use."""
        return None if self.evidence["use"] is None else _USE.validate_python(self.evidence["use"])

    @property
    def telling(self) -> Telling:
        return _TELLING.validate_python(self.evidence["telling"])


async def settle_doubts(tx: Db, lane: int, now: datetime) -> int:
    """Decide again about people of a lane whose tellings bounced. Returns how many bounces there were.

    What no other telling carries becomes void, and the uses that it rested on are in question again: another letter may
    only wait for the end of its bounce window.
    """
    doubts = await tx.many(dict, "acceptance.take_doubts", lane=lane, most=PEOPLE)
    if not doubts:
        return 0
    people = sorted({doubt["person_id"] for doubt in doubts})
    uses, deemed = await _uses_of(tx, lane, people), await _deemed_of(tx, lane, people)
    cases = await load_cases(tx, lane, dict.fromkeys(people, LONG_AGO))
    revised = [
        found
        for person, own in cases.items()
        for case in own
        if (found := revise(case, deemed[person, case.version_id], uses[person], now)) is not None
    ]
    if revised:
        await append(tx, lane, revised, now)
        await _ask_again(tx, lane, revised, deemed, now)
        await tx.run("people.next_epoch", lanes=[lane])
    return len(doubts)


def revise(case: Case, deemed: Sequence[_Deemed], uses: Iterable[Use], now: datetime) -> Acceptance | None:
    """The next revision of what is on record, where that is deemed and rests on a telling that failed."""
    recorded = case.recorded
    if recorded is None or recorded.kind != "deemed":
        return None
    decision = reconsider(case.rule, _known(case, deemed, uses), deemed[-1].telling, now)
    return None if decision is None else _next(case, decision)


async def settle_closings(tx: Db, lane: int, now: datetime) -> int:
    """Contest what was deemed of people of a lane whose accounts were closed. Returns how many they were."""
    rows = await tx.many(dict, "acceptance.take_closings", lane=lane, most=PEOPLE)
    await contest(tx, lane, [row["person_id"] for row in rows], now)
    return len(rows)


async def contest(tx: Db, lane: int, people: Sequence[UUID], now: datetime) -> None:
    """Revise what was deemed of somebody at or after a time at which, as we now hear, they had objected or left."""
    if not people:
        return
    await tx.run("acceptance.hold_lane", lane=lane)
    uses, deemed = await _uses_of(tx, lane, people), await _deemed_of(tx, lane, people)
    revised = [
        _next(case, decision)
        for person, own in (await load_cases(tx, lane, dict.fromkeys(people, LONG_AGO))).items()
        for case in own
        if (was := deemed.get((person, case.version_id))) and (decision := _contested(case, was, uses[person], now))
    ]
    if revised:
        await append(tx, lane, revised, now)
        await tx.run("people.next_epoch", lanes=[lane])


def _contested(case: Case, deemed: Sequence[_Deemed], uses: Iterable[Use], now: datetime) -> Decision | None:
    recorded = case.recorded
    if recorded is None or recorded.kind != "deemed" or recorded.accepted_at is None:
        return None
    return contested(case.rule, _known(case, deemed, uses), recorded.accepted_at, deemed[-1].telling, now)


async def _deemed_of(tx: Db, lane: int, people: Sequence[UUID]) -> dict[tuple[UUID, int], list[_Deemed]]:
    deemed: dict[tuple[UUID, int], list[_Deemed]] = defaultdict(list)
    for one in await tx.many(_Deemed, "acceptance.deemed", lane=lane, people=people):
        deemed[one.person_id, one.version_id].append(one)
    return deemed


def _known(case: Case, deemed: Sequence[_Deemed], uses: Iterable[Use]) -> Facts:
    """What is on record, with the uses that wait and those that revisions rested on."""
    return replace(case.facts, uses=(*uses, *(one.use for one in deemed if one.use is not None)))


def _next(case: Case, decision: Decision) -> Acceptance:
    evidence = evidence_of(case, decision)
    return Acceptance(case.person_id, case.version_id, next_revision(case.recorded), decision, evidence)


async def _uses_of(tx: Db, lane: int, people: Sequence[UUID]) -> Mapping[UUID, list[Use]]:
    uses: dict[UUID, list[Use]] = defaultdict(list)
    for row in await tx.many(dict, "acceptance.uses_of", lane=lane, people=people):
        uses[row.pop("person_id")].append(Use(**row))
    return uses


async def _ask_again(
    tx: Db, lane: int, revised: Iterable[Acceptance], deemed: Mapping[tuple[UUID, int], list[_Deemed]], now: datetime
) -> None:
    """Put back what void acceptances rested on."""
    void = [one for one in revised if one.decision.outcome is Outcome.VOID]
    uses = [
        (one.person_id, was.use) for one in void for was in deemed[one.person_id, one.version_id] if was.use is not None
    ]
    if uses:
        await tx.run(
            "acceptance.ask_again",
            lane=lane,
            now=now,
            people=[person for person, _ in uses],
            days=[use.day for _, use in uses],
            occurred=[use.occurred_at for _, use in uses],
            received=[use.received_at for _, use in uses],
            kinds=[use.kind for _, use in uses],
            paths=[use.url_path for _, use in uses],
            prefixes=[use.ip_prefix for _, use in uses],
            agents=[use.user_agent for _, use in uses],
        )
