"""Leases on slices: few rows, so claims are cheap. Whoever holds the epoch may move the cursor; nobody else can.

Leases run on the real clock, which nobody moves; what is due runs on the service's clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from notifier.db import Db


@dataclass(frozen=True)
class Slice:
    """A leased stretch (from, to] of one campaign and channel. ``taken_over``: its last holder never gave it back."""

    campaign_id: int
    channel: str
    slice: int
    from_lane: int
    from_person: UUID
    to_lane: int
    to_person: UUID
    cursor_lane: int
    cursor_person: UUID
    epoch: int
    state: str  # of its campaign: what a dead worker left is settled whatever the state, and sent only in some
    amended_by: int | None  # the correction whose words its letters say
    taken_over: bool

    @property
    def key(self) -> dict[str, object]:
        """What names the slice in a query."""
        return {"campaign_id": self.campaign_id, "channel": self.channel, "slice": self.slice}

    @property
    def stretch(self) -> dict[str, object]:
        """What bounds its rows in a query."""
        return {
            "campaign_id": self.campaign_id,
            "channel": self.channel,
            "from_lane": self.from_lane,
            "from_person": self.from_person,
            "to_lane": self.to_lane,
            "to_person": self.to_person,
        }


async def claim(
    db: Db, worker: str, lease: timedelta, now: datetime, real: datetime, resting: Sequence[str] = ()
) -> Slice | None:
    """Lease one slice that has work due, or None. Two workers never get the same one at once.

    ``resting``: channels (``site/channel`` or ``campaign/channel``) by which nothing goes now, as far as it knows.
    """
    return await db.first(
        Slice, "delivery.claim", worker=worker, now=now, real=real, until=real + lease, resting=list(resting)
    )


async def recover(db: Db, slice_: Slice, unknown_after: float | None, now: datetime) -> Slice:
    """Settle what the slice's dead holder left under way: it becomes ``unknown``, to be sent again.

    ``unknown_after``: seconds until then; None: when somebody says so. Returns the slice with its cursor past all that
    was under way, so that none of it is fresh any more.
    """
    due_at = None if unknown_after is None else now + timedelta(seconds=unknown_after)
    async with db.transaction() as tx:
        past = await tx.first(dict, "delivery.recover", **slice_.key, now=now, due_at=due_at)
        moved = past and await tx.first(
            dict, "delivery.skip_recovered", **slice_.key, epoch=slice_.epoch, now=now, **past
        )  # fmt: skip
    return replace(slice_, **moved) if moved else slice_


async def give_back(db: Db, slice_: Slice, due: datetime | None, fresh: datetime | None = None) -> None:
    """End the lease. ``due``: when to go on; None: with the first retry, or with what is ``fresh`` and must wait.

    When nothing fresh is left it is also known when to look for people without sufficient evidence
    (:mod:`notifier.delivery.second`).
    """
    async with db.transaction() as tx:
        # The row is locked first: a retry that is queued meanwhile is either seen by the second statement or waits.
        falls_back = await tx.value("delivery.lock", **slice_.key, epoch=slice_.epoch)
        if falls_back is None:
            return
        # Somebody may have been erased between the reading of their address and the writing of the outcome.
        await tx.run("delivery.forget_erased", **slice_.stretch)
        if due is None:  # an answer may have come after the queue was looked at: nobody would look again for it
            await tx.run("delivery.drop_answered", **slice_.stretch)
        await tx.run("delivery.give_back", **slice_.stretch, slice=slice_.slice, due=due, fresh=fresh)
        if due is None and fresh is None and falls_back:
            await tx.run("delivery_second.schedule", **slice_.stretch, slice=slice_.slice)
        await tx.notify("notifier", "slice")


async def let_go(db: Db, slice_: Slice, real: datetime) -> None:
    """End a lease in disorder, as if its holder had died just now: the next one recovers what was in hand."""
    await db.run("delivery.let_go", **slice_.key, epoch=slice_.epoch, real=real)
