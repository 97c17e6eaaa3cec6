"""Append what was decided: acceptances are only ever added to, and a correction is the next revision."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from notifier.acceptance.decide import Decision
from notifier.acceptance.facts import Case, Recorded
from notifier.db import Db
from notifier.errors import Conflict


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


async def append_all(tx: Db, lane: int, acceptances: Sequence[Acceptance], now: datetime) -> None:
    """Append all of them. Raises Conflict when somebody else appended to one meanwhile: then roll back."""
    if await append(tx, lane, acceptances, now) < len(acceptances):
        # What it came from is put back with the transaction, and found again by the next turn.
        raise Conflict("somebody else recorded an acceptance of the same person and version just now")


async def append(tx: Db, lane: int, acceptances: Sequence[Acceptance], now: datetime) -> int:
    """Append what nobody else appended meanwhile. Returns how many."""
    if not acceptances:
        return 0
    return await tx.run(
        "acceptance.append",
        lane=lane,
        now=now,
        people=[a.person_id for a in acceptances],
        versions=[a.version_id for a in acceptances],
        revisions=[a.revision for a in acceptances],
        kinds=[a.decision.outcome.value for a in acceptances],
        grades=[a.decision.grade for a in acceptances],
        accepted=[a.decision.since for a in acceptances],
        counts_from=[a.decision.counts_from for a in acceptances],
        evidence=[a.evidence for a in acceptances],
    )
