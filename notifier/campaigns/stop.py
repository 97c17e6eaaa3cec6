"""The stop switch: while it is thrown nothing is claimed, nothing is frozen, and what is in hand is held back.

It changes no campaign: when it is taken back, everything goes on exactly where it was.
"""

from dataclasses import dataclass
from datetime import datetime

from notifier.db import Db
from notifier.errors import Conflict, NotFound


@dataclass(frozen=True)
class Stop:
    """Sending is stopped: for one site, or (None) for every one."""

    site: str | None
    since: datetime
    actor: str
    reason: str


@dataclass(frozen=True)
class StopEvent:
    """Somebody stopped sending, or let it go on."""

    site: str | None
    at: datetime
    action: str
    actor: str
    reason: str


async def stop(db: Db, site: str | None, actor: str, reason: str, now: datetime) -> None:
    """Stop all sending of a site, or (None) of every site. Stopped already: it stays as it is."""
    async with db.transaction() as tx:
        await tx.run("stop.add", site=site, actor=actor, reason=reason, now=now)
        await tx.notify("notifier", "campaign")


async def go(db: Db, site: str | None, actor: str, reason: str, now: datetime) -> None:
    """Let sending go on. Raises NotFound when this is not stopped."""
    async with db.transaction() as tx:
        if not await tx.run("stop.lift", site=site, actor=actor, reason=reason, now=now):
            raise NotFound(f"{site or 'sending as a whole'} is not stopped" + _because_of(await stops(tx, site)))
        await tx.notify("notifier", "campaign")


async def stops(db: Db, site: str | None) -> list[Stop]:
    """The stops in force that concern a site (or any, when None), the one of every site first."""
    return await db.many(Stop, "stop.in_force", site=site)


async def stop_events(db: Db, site: str | None, most: int) -> list[StopEvent]:
    """Who stopped sending and who let it go on, the latest first."""
    return await db.many(StopEvent, "stop.events", site=site, most=most)


async def refuse_if_stopped(db: Db, site: str) -> None:
    """Raise Conflict while nothing may leave for this site."""
    for found in await stops(db, site):
        raise Conflict(f"{said(found)}; let it go on first")


def said(found: Stop) -> str:
    """One stop in words."""
    what = "all sending" if found.site is None else f"all sending of {found.site}"
    return f"{what} was stopped by {found.actor}" + (f": {found.reason}" if found.reason else "")


def _because_of(found: list[Stop]) -> str:
    return "; " + "; ".join(said(one) for one in found) if found else "; everything that is approved is being sent"
