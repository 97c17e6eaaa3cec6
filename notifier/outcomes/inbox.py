"""A person's private messages with us: read them, and record that they were shown or acknowledged.

Nothing is written when a campaign opens: a message is there for everybody whose frozen plan says ``inbox``, and for
those for whom the inbox later took the place of another channel. Only what the person did leaves rows.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from notifier.db import Db
from notifier.delivery.settle import SLOTS, Tried, add_outcomes, count
from notifier.errors import NotFound

CHANNEL = "inbox"
Mark = Literal["shown", "acknowledged"]
# What is acknowledged was in front of the person, whether or not the page said so before.
_MEANS: dict[Mark, tuple[Mark, ...]] = {"shown": ("shown",), "acknowledged": ("shown", "acknowledged")}


@dataclass(frozen=True)
class Placed:
    """One message that waits for a person, and what they did with it. It has its campaign's number."""

    campaign_id: int
    since: int | None  # the version that the person last knew
    amended_by: int | None  # the correction whose words it says: it was placed after that
    corrects: int | None  # the campaign whose message this one corrects
    site: str
    policy: str
    label: str
    locale: str
    overlays: int  # which rules apply to the person as well
    time_zone: str
    effective_at: datetime
    placed_at: datetime
    attempt: int
    shown_at: datetime | None
    acknowledged_at: datetime | None


async def list_messages(db: Db, lane: int, person_id: UUID) -> list[Placed]:
    """All messages of a person, the newest first. An erased person has none."""
    return await db.many(Placed, "outcomes_inbox.list", lane=lane, person_id=person_id)


async def load_message(db: Db, lane: int, person_id: UUID, campaign_id: int) -> Placed:
    """One message of a person. Raises NotFound."""
    found = await db.first(Placed, "outcomes_inbox.one", lane=lane, person_id=person_id, campaign_id=campaign_id)
    if found is None:
        raise NotFound(f"there is no message {campaign_id} for this person")
    return found


async def mark(db: Db, lane: int, person_id: UUID, campaign_id: int, what: Mark, now: datetime) -> Placed:
    """Record that a message was shown or acknowledged; only the first time changes anything. Raises NotFound."""
    async with db.transaction() as tx:
        message = await load_message(tx, lane, person_id, campaign_id)
        tried = [Tried(lane, person_id, message.attempt, 0, kind, via="inbox") for kind in _MEANS[what]]
        news = await add_outcomes(tx, campaign_id, CHANNEL, tried, now)
        if news:
            await count(tx, campaign_id, CHANNEL, lane % SLOTS, news)
            await tx.notify("notifier", "outcome")
        return await load_message(tx, lane, person_id, campaign_id)
