"""One letter for several accounts of one mailbox: what came of it is put on the record of each.

The freeze names companions (``companion``): accounts that share an address and whose letters would say the same. Only
the lead is written to. Once its letter's fate is known, one transaction gives each companion tries and outcomes of its
own, word for word those of the lead, so that whatever asks the record about one account finds the answer there. Who
left meanwhile is not told; and whose lead left, or was written to elsewhere, gets a letter of their own. A crash before
the commit leaves the companions to be looked at again. Later news of the letter comes to each account
(:mod:`notifier.outcomes.hear`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Any
from uuid import UUID

from notifier.db import Db
from notifier.delivery.batch import NOT_TOLD
from notifier.delivery.settle import Made, Tried, add_outcomes, count, fail
from notifier.errors import Undeliverable
from notifier.letters.sheet import envelope_address

PEOPLE = 500  # in one transaction


class Fate(StrEnum):
    """What a letter comes to for a companion."""

    SHARED = "shared"  # it went to the address that they have
    WITHHELD = "withheld"  # they left meanwhile
    APART = "apart"  # it went elsewhere or to nobody: they need one of their own


@dataclass(frozen=True)
class _Companion:
    """Somebody whose letter's fate is known: ``kind``, of the lead's ``attempt``, which went to ``address``."""

    lane: int
    person_id: UUID
    lead_lane: int
    lead_person: UUID
    status: str
    email: str | None
    lead_email: str | None
    attempt: int
    kind: str
    address: str | None

    @property
    def fate(self) -> Fate:
        """Whether the letter tells them too."""
        if self.status in NOT_TOLD:
            return Fate.WITHHELD
        went_to = self.address or self.lead_email
        if self.kind == "withheld" or not self.email or went_to not in (self.email, _as_written(self.email)):
            return Fate.APART
        return Fate.SHARED


def _as_written(address: str) -> str | None:
    """How an address stands in an envelope."""
    try:
        return envelope_address(address)
    except Undeliverable:
        return None


async def tell_companions(db: Db, now: datetime) -> int:
    """Put the fate of letters on the record of some companions. Returns how many, 0 when none is known."""
    if not await db.value("delivery_companions.any"):  # nearly always, and asked with every slice that ends
        return 0
    async with db.transaction() as tx:
        taken = await tx.many(dict, "delivery_companions.take", most=PEOPLE)
        if taken:
            await _settle(tx, taken[0]["campaign_id"], taken, now)
            await tx.notify("notifier", "slice")
    return len(taken)


async def _settle(tx: Db, campaign_id: int, taken: Sequence[dict[str, Any]], now: datetime) -> None:
    keys = {"lanes": [one["lane"] for one in taken], "people": [one["person_id"] for one in taken]}
    await tx.run("campaigns.lock_slices", campaign_id=campaign_id, **keys)
    companions = await tx.many(_Companion, "delivery_companions.fates", campaign_id=campaign_id, **keys)
    shared = [one for one in companions if one.fate is Fate.SHARED]
    withheld = [one for one in companions if one.fate is Fate.WITHHELD]
    apart = [one for one in companions if one.fate is Fate.APART]
    if shared:
        await _share(tx, campaign_id, shared)
    if withheld:
        tried = [Tried(one.lane, one.person_id, one.attempt, 0, "withheld", one.status) for one in withheld]
        await count(tx, campaign_id, "email", 0, await add_outcomes(tx, campaign_id, "email", tried, now))
    if apart:
        await tx.run("delivery_companions.part", campaign_id=campaign_id, now=now, **_keys(apart))
    await tx.run("delivery_companions.settled", campaign_id=campaign_id, now=now, **_keys([*shared, *withheld]))


async def _share(tx: Db, campaign_id: int, companions: Sequence[_Companion]) -> None:
    letters = {
        **_keys(companions),
        "lead_lanes": [one.lead_lane for one in companions],
        "lead_people": [one.lead_person for one in companions],
        "attempts": [one.attempt for one in companions],
    }
    rows = await tx.many(dict, "delivery_companions.outcomes", campaign_id=campaign_id, **letters)
    for at, group in groupby(rows, key=lambda row: row["at"]):
        tried = [
            Tried(
                row["lane"], row["person_id"], row["attempt"], 0, row["kind"], row["class"], row["reply"], row["via"],
                purpose=row["purpose"], made=_made(row), phase=row["phase"],
            )
            for row in group
        ]  # fmt: skip
        news = await add_outcomes(tx, campaign_id, "email", tried, at)
        await count(tx, campaign_id, "email", 0, news)
        await fail(tx, campaign_id, [one for one in news if one.kind in ("refused", "bounced", "expired")], at)


def _made(row: dict[str, Any]) -> Made | None:
    return row["tried_at"] and Made(row["tried_at"], row["sheet"], row["address"], row["sha256"])


def _keys(companions: Sequence[_Companion]) -> dict[str, Any]:
    return {"lanes": [one.lane for one in companions], "people": [one.person_id for one in companions]}
