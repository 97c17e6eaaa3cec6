"""Reminders before the effective date, and nudges for private messages that nobody opened: attempts of the same notice.

A slice says when its people are to be looked at (``remind_at``), so nobody has a row before it is their turn. One slice
is one transaction: who is queued and when to look next are one commit. A crash before it leaves the slice to be looked
at again; after it, the queue is worked off like any other (:mod:`notifier.delivery.deliver`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from notifier.db import Db


@dataclass(frozen=True)
class _Due:
    campaign_id: int
    channel: str
    slice: int


async def remind(db: Db, now: datetime) -> int:
    """Queue the reminders and nudges of one slice whose time has come. Returns 0 when none is due."""
    due = await db.first(_Due, "delivery_remind.next_stretch", now=now)
    if due is None:
        return 0
    key: dict[str, Any] = {"campaign_id": due.campaign_id, "channel": due.channel, "slice": due.slice}
    async with db.transaction() as tx:
        stretch = await tx.first(dict, "delivery_remind.lock", **key, now=now)
        if stretch is not None:
            await tx.run("delivery_remind.queue", **stretch, now=now)
            del stretch["reminded_at"]
            await tx.run("delivery_remind.schedule", **stretch, now=now)
            await tx.notify("notifier", "slice")
    return 1
