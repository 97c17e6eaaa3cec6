"""Read what bears on some people of one lane, set-based, as the decision wants it."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from pydantic import TypeAdapter

from notifier.acceptance.decide import Act, Facts, Objection, Telling
from notifier.activity.activity import Use
from notifier.campaigns.rule import Rule
from notifier.db import Db
from notifier.sites.preset import Baseline

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


class _Facts(NamedTuple):
    person_id: UUID
    campaign_id: int
    version_id: int
    plan: int
    status: str
    tellings: Any
    closed_at: datetime | None
    objected_at: datetime | None
    withdrawn: bool
    first_objected_at: datetime | None
    kind: str | None
    accepted_at: datetime | None
    revision: int
    baseline: Baseline
    literally_used_at: datetime | None


@dataclass(frozen=True)
class _Terms:
    campaign_id: int
    plan: int
    rule: dict[str, Any]
    posted_at: datetime | None
    effective_at: datetime


Terms = dict[tuple[int, int], tuple[Rule, _Terms]]  # by campaign and plan


async def load_cases(
    db: Db,
    lane: int,
    people: Mapping[UUID, datetime],
    uses: Mapping[UUID, Sequence[Use]] = MappingProxyType({}),
    terms: Terms | None = None,
) -> dict[UUID, list[Case]]:
    """Every notice of some people of one lane, with the ``uses`` that are given of each.

    With each person comes a moment: versions accepted at or before it are left out, as no use after it can matter.
    ``terms``: what was read of campaigns and plans a moment ago, and is added to.
    """
    rows = await db.many(_Facts, "acceptance.facts", lane=lane, people=list(people), since=list(people.values()))
    terms = {} if terms is None else terms
    if missing := {(row.campaign_id, row.plan) for row in rows} - terms.keys():
        terms |= await _load_terms(db, missing)
    cases: dict[UUID, list[Case]] = defaultdict(list)
    for row in rows:
        rule, found = terms[row.campaign_id, row.plan]
        cases[row.person_id].append(_case(row, rule, found, tuple(uses.get(row.person_id, ()))))
    return cases


async def _load_terms(db: Db, plans: Collection[tuple[int, int]]) -> Terms:
    campaigns, numbers = [campaign for campaign, _ in plans], [plan for _, plan in plans]
    terms = await db.many(_Terms, "acceptance.terms", campaigns=campaigns, plans=numbers)
    return {(t.campaign_id, t.plan): (Rule.model_validate(t.rule), t) for t in terms}


def _case(row: _Facts, rule: Rule, terms: _Terms, uses: tuple[Use, ...]) -> Case:
    recorded = recorded_of(row.kind, row.accepted_at, row.revision)
    facts = Facts(
        terms.posted_at,
        terms.effective_at,
        row.status,
        tellings_of(row.tellings),
        uses,
        _act(recorded),
        objection_of(row.objected_at, row.withdrawn, row.first_objected_at),
        row.closed_at,
        row.baseline,
        row.literally_used_at,
    )
    return Case(row.person_id, row.campaign_id, row.version_id, rule, facts, recorded)


def recorded_of(kind: str | None, accepted_at: datetime | None, revision: int) -> Recorded | None:
    """The latest revision, if there is one."""
    return None if kind is None else Recorded(kind, accepted_at, revision)


def objection_of(at: datetime | None, withdrawn: bool, first_at: datetime | None) -> Objection | None:
    """The latest word of an objection; None also where all that we have heard of is that it was taken back."""
    return None if at is None or first_at is None else Objection(at, withdrawn, first_at)


def tellings_of(column: Any) -> tuple[Telling, ...]:
    """The tellings of a notice, from the column of the view ``standing``."""
    return _TELLINGS.validate_python(column or ())


def _act(recorded: Recorded | None) -> Act | None:
    if recorded is None or recorded.accepted_at is None or recorded.kind == "deemed":
        return None
    return Act(recorded.accepted_at, "registration" if recorded.kind == "registration" else "explicit")
