"""The alarm: does everybody whom a version concerns hear of it in time? Looked at hourly, not per request.

It leaves one ``coverage`` row per version; metrics, ``notifier doctor`` and the console show what lies there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.compliance.report import FOR_BULK
from notifier.compliance.uncovered import Look, gaps_of
from notifier.db import Db
from notifier.log import log
from notifier.sites.site import load_site


@dataclass(frozen=True)
class Covered:
    """What the last look at one version found. ``gaps``: kind → how many people; empty: nothing is missing."""

    site: str
    policy: str
    label: str
    effective_at: datetime
    campaign_id: int | None
    looked_at: datetime
    gaps: Mapping[str, int]


@dataclass(frozen=True)
class _Due:
    version_id: int
    site: str
    policy: str
    label: str
    effective_at: datetime
    campaign_id: int | None
    state: str | None
    frozen: bool
    gaps: Mapping[str, int]


async def look_at_coverage(db: Db, now: datetime) -> int:
    """Look at one version that it is time for. Returns 0 when none is due.

    The log says when something else is missing than at the last look, and when nothing is any more.
    """
    due = await db.first(_Due, "coverage.due", now=now)
    if due is None:
        return 0
    days = (await load_site(db, due.site)).coverage_days
    near = now >= due.effective_at - timedelta(days=days)
    found = gaps_of(await _look(db, due, near))
    await db.run("coverage.keep", version_id=due.version_id, now=now, gaps=found)
    about = {"site": due.site, "policy": due.policy, "version": due.label}
    if found and found != due.gaps:
        log.warning("not everybody is covered", **about, **found)
    elif due.gaps and not found:
        log.info("everybody is covered", **about)
    return 1


async def coverage_of(db: Db, site: str | None = None) -> list[Covered]:
    """What the last looks found, of one site or of all."""
    return await db.many(Covered, "coverage.looks", site=site)


async def _look(db: Db, due: _Due, near: bool) -> Look:
    if due.campaign_id is None or not due.frozen or due.state in ("cancelled", "superseded"):
        return Look(due.state, near)
    where = {"campaign_id": due.campaign_id}
    async with db.transaction(snapshot=True, read_only=True) as tx:
        await tx.execute(FOR_BULK)
        without = await tx.value("coverage.without_notice", **where, site=due.site, effective_at=due.effective_at)
        rows = await tx.many(dict, "coverage.not_told", **where) if near else []
    return Look(due.state, near, without, {row["status"]: row["count"] for row in rows})
