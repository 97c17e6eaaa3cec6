"""Which version of a policy was in force for one person on a day, and by what. Pure.

The newest version that had taken effect by then and that one of these carries, in this order: an acceptance on our
record, one that the site says there was, a notice where notice is all that the rule asks for, that it only mends the
version before it, or that it was the one there when the person registered. docs/compliance.md explains each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from notifier.acceptance.decide import Objection, own_date

Asks = Literal["act", "notice", "use", "agreement"]
Basis = Literal["accepted", "baseline", "notice", "editorial", "registration"]
Lacking = Literal["not_posted", "act_required", "objected", "not_accepted", "not_told", "notice_period", "no_use_yet"]


@dataclass(frozen=True)
class Known:
    """One published version, and what is on record of this person and it. ``asks``: what its rule asks for.

    Of a rule under which nothing but an act agrees to terms that is ``agreement``: no notice puts them in force.
    ``told_at``: since when there is evidence of the telling that suffices. ``objection``: its latest word.
    """

    version_id: int
    label: str
    effective_at: datetime
    posted_at: datetime | None = None
    editorial: bool = False
    asks: Asks | None = None  # None: nobody had to be told of it
    notice_days: int = 0
    told_at: datetime | None = None
    objection: Objection | None = None
    accepted_at: datetime | None = None
    kind: str | None = None
    grade: str | None = None
    proof: str | None = None  # of an earlier acceptance, as the site says: proved or imported
    proof_at: datetime | None = None

    @property
    def date(self) -> datetime | None:
        """The person's own: from here a notice counts. An objection after it takes nothing back."""
        if self.told_at is None:
            return None
        given = self.notice_days, self.effective_at, self.posted_at, self.told_at
        unopposed, said_no = own_date(*given), None if self.objection is None else self.objection.since
        if unopposed is not None and said_no is not None and unopposed < said_no:
            return unopposed
        return own_date(*given, self.objection)


@dataclass(frozen=True)
class InForce:
    """The version in force, since when, and by what."""

    version: Known
    basis: Basis
    since: datetime


@dataclass(frozen=True)
class NotYet:
    """A version that had taken effect, but not for this person, and what was lacking."""

    version: Known
    lacking: Lacking


def in_force(versions: Sequence[Known], registered_at: datetime, on: datetime) -> tuple[InForce | None, list[NotYet]]:
    """The version in force for a person at a moment (None: none was, or they had not registered), and newer ones that
    were not. ``versions`` are all the published ones of the policy, in order."""
    if registered_at > on:
        return None, []
    there = _there_at(versions, registered_at)
    found: InForce | None = None
    lacking: list[NotYet] = []
    for one in versions:
        if one.effective_at > on:
            continue
        carried = _carried(one, found, lacking, registered_at if one is there else None, on)
        if carried is None:
            lacking.append(NotYet(one, _lacking(one, on)))
        else:
            found, lacking = carried, []
    return found, lacking


def _there_at(versions: Sequence[Known], registered_at: datetime) -> Known | None:
    """The version that stood there at a registration; whoever came before the first one found that text."""
    before = [one for one in versions if one.effective_at <= registered_at]
    return before[-1] if before else next(iter(versions), None)


def _carried(
    one: Known, before: InForce | None, skipped: Sequence[NotYet], registered_at: datetime | None, on: datetime
) -> InForce | None:
    if one.accepted_at is not None and one.accepted_at <= on:
        return InForce(one, "accepted", max(one.effective_at, one.accepted_at))
    if one.proof is not None and (one.proof_at is None or one.proof_at <= on):
        return InForce(one, "baseline", max(one.effective_at, one.proof_at or one.effective_at))
    if one.asks == "notice" and one.date is not None and one.date <= on:
        return InForce(one, "notice", one.date)
    if one.editorial and before is not None and not skipped:
        return InForce(one, "editorial", max(one.effective_at, before.since))
    return None if registered_at is None else InForce(one, "registration", max(one.effective_at, registered_at))


def _lacking(one: Known, on: datetime) -> Lacking:
    """What holds it back, in the order of docs/acceptance.md."""
    if one.asks is None:
        return "not_accepted"
    if one.posted_at is None or one.posted_at > on:
        return "not_posted"
    if one.asks == "act":
        return "act_required"
    if one.objection is not None and not one.objection.withdrawn and one.objection.at <= on:
        return "objected"
    if one.asks == "agreement":
        return "not_accepted"
    if one.told_at is None or one.told_at > on:
        return "not_told"
    return "notice_period" if one.date is None or one.date > on else "no_use_yet"
