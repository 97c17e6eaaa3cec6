"""Read what bears on some people of one lane, set-based, as the decision wants it."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from pydantic import TypeAdapter

from notifier.acceptance.decide import Act, Facts, Objection, Telling
from notifier.campaigns.rule import Rule
from notifier.db import Db

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)  # before any acceptance: nothing is left out

_TELLINGS = TypeAdapter(tuple[Telling, ...])


class Somebody(Protocol):
    """Whatever knows a person's key."""

    @property
    def lane(self) -> int: ...

    @property
    def person_id(self) -> UUID: ...


@dataclass(frozen=True)
class Recorded:
    """The latest revision on record of one person and version. ``accepted_at`` is None of one that is void."""

    kind: str
    accepted_at: datetime | None
    revision: int


@dataclass(frozen=True)
class Case:
    """One person and one version that a campaign told of, or did not: the rule, the facts, what is recorded already."""

    person_id: UUID
    campaign_id: int
    version_id: int
    rule: Rule
    facts: Facts
    recorded: Recorded | None


@dataclass(frozen=True)
class _Terms:
    campaign_id: int
    plan: int
    rule: dict[str, Any]
    posted_at: datetime | None
    effective_at: datetime


async def load_cases(db: Db, lane: int, people: Mapping[UUID, datetime]) -> dict[UUID, list[Case]]:
    """Every notice of some people of one lane, without their uses.

    With each person comes a moment: versions accepted at or before it are left out, as no use after it can matter.
    """
    rows = await db.many(dict, "acceptance.facts", lane=lane, people=list(people), since=list(people.values()))
    terms = await _load_terms(db, {(row["campaign_id"], row["plan"]) for row in rows})
    cases: dict[UUID, list[Case]] = defaultdict(list)
    for row in rows:
        cases[row["person_id"]].append(_case(row, *terms[row["campaign_id"], row["plan"]]))
    return cases


async def _load_terms(db: Db, plans: Collection[tuple[int, int]]) -> dict[tuple[int, int], tuple[Rule, _Terms]]:
    campaigns, numbers = [campaign for campaign, _ in plans], [plan for _, plan in plans]
    terms = await db.many(_Terms, "acceptance.terms", campaigns=campaigns, plans=numbers)
    return {(t.campaign_id, t.plan): (Rule.model_validate(t.rule), t) for t in terms}


def _case(row: dict[str, Any], rule: Rule, terms: _Terms) -> Case:
    recorded = recorded_of(row)
    said = row["objected_at"], row["withdrawn"], row["first_objected_at"]
    objection = None if row["objected_at"] is None else Objection(*said)
    facts = Facts(
        posted_at=terms.posted_at,
        effective_at=terms.effective_at,
        status=row["status"],
        tellings=tellings_of(row["tellings"]),
        act=_act(recorded),
        objection=objection,
        closed_at=row["closed_at"],
        baseline=row["baseline"],
    )
    return Case(row["person_id"], row["campaign_id"], row["version_id"], rule, facts, recorded)


def recorded_of(row: Mapping[str, Any]) -> Recorded | None:
    """The revision in a row's columns kind, accepted_at and revision, if there is one."""
    return None if row["kind"] is None else Recorded(row["kind"], row["accepted_at"], row["revision"])


def tellings_of(column: Any) -> tuple[Telling, ...]:
    """The tellings of a notice, from the column of the view ``standing``."""
    return _TELLINGS.validate_python(column or ())


def _act(recorded: Recorded | None) -> Act | None:
    if recorded is None or recorded.accepted_at is None or recorded.kind == "deemed":
        return None
    return Act(recorded.accepted_at, "registration" if recorded.kind == "registration" else "explicit")
