"""Append what was decided: acceptances are only ever added to, and a correction is the next revision."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from notifier.acceptance.decide import Decision
from notifier.acceptance.facts import Case, Recorded
from notifier.db import Db
from notifier.errors import Conflict

_COLUMNS = (
    "lane", "person_id", "version_id", "revision", "kind", "grade", "accepted_at", "counts_from", "evidence",
    "recorded_at",
)  # fmt: skip


@dataclass(frozen=True)
class Acceptance:
    """One revision to append. ``evidence``: the use, the telling and the rule that it rests on, for JSON."""

    person_id: UUID
    version_id: int
    revision: int
    decision: Decision
    evidence: dict[str, Any]


def next_revision(recorded: Recorded | None) -> int:
    """The number of the revision that follows what is recorded."""
    return 1 if recorded is None else recorded.revision + 1


def evidence_of(case: Case, decision: Decision) -> dict[str, Any]:
    """What a decision rests on, for the record."""
    rule = case.rule
    return {
        "reason": decision.reason,
        "campaign_id": case.campaign_id,
        "use": decision.use,
        "telling": decision.telling,
        "posted_at": case.facts.posted_at,
        "literally_since": decision.literally_since,
        "rule": {
            "preset": rule.preset,
            "presets": rule.presets,
            "literal": rule.literal,
            "notice_days": rule.notice_days,
            "bounce_window_hours": rule.bounce_window_hours,
            "evidence": rule.evidence,
            "durable": rule.durable,
            "grade_at_least": rule.grade_at_least,
        },
    }


async def append(tx: Db, lane: int, acceptances: Sequence[Acceptance], now: datetime) -> None:
    """Append all of them. Raises Conflict when somebody else appended to one of them meanwhile: then roll back."""
    if not acceptances:
        return
    rows = [_row(lane, one, one.decision, now) for one in acceptances]
    try:
        await tx.copy("acceptance", _COLUMNS, rows)
    except asyncpg.UniqueViolationError as error:
        raise Conflict("somebody else recorded an acceptance of the same person and version just now") from error


def _row(lane: int, one: Acceptance, decision: Decision, now: datetime) -> tuple[object, ...]:
    grade = None if decision.grade is None else decision.grade.encode()  # as PostgreSQL's type "char" has it
    return (
        lane, one.person_id, one.version_id, one.revision, decision.outcome.value, grade, decision.since,
        decision.counts_from, one.evidence, now,
    )  # fmt: skip
