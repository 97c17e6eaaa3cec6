"""The second channel by time: who has no sufficient evidence by then is told by the next channel of their plan.

A slice says when its stretch of people is to be looked at (``second_at``): written when its lease ends, and again after
each look. One stretch is one transaction: who is queued and when to look next are one commit, so a crash before it
leaves the stretch to be looked at again, and looking again finds nobody twice.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from notifier.db import Db


@dataclass(frozen=True)
class _Stretch:
    campaign_id: int
    channel: str
    slice: int
    from_lane: int
    from_person: UUID
    to_lane: int
    to_person: UUID


async def tell_by_second_channel(db: Db, now: datetime) -> int:
    """Queue the next channel of everybody in one stretch whose time has come. Returns 0 when no stretch is due."""
    stretch = await db.first(_Stretch, "delivery_second.next_stretch", now=now)
    if stretch is None:
        return 0
    key = asdict(stretch)
    where = {name: value for name, value in key.items() if name not in ("channel", "slice")}
    async with db.transaction() as tx:
        await tx.run("delivery_second.lock", **where)
        await tx.run("delivery_second.queue", **where, now=now)
        await tx.run("delivery_second.schedule", **key)
        await tx.notify("notifier", "slice")
    return 1
