"""Drafts that are published at an instant: when, by whom it was said, and what becomes of it then."""

from datetime import datetime

from notifier.db import Db
from notifier.errors import Conflict, Fault, Invalid, NotifierError
from notifier.log import log
from notifier.policies.authoring import MENDING, hold, publish_draft, ready
from notifier.policies.instant import instant_of
from notifier.policies.publish import Version, load_version, lock_policy, record_event
from notifier.policies.version import SKEW
from notifier.sites.site import Site, load_site


async def schedule(db: Db, site: Site, version_id: int, at: str, actor: str, now: datetime) -> Version:
    """Have a reviewed draft published at an instant: a time on the site's clocks, or one with its own offset.

    Raises Invalid for a time that does not exist, exists twice or lies in the past, and for what could not be published
    then; Conflict for a draft that nobody reviewed.
    """
    instant = instant_of(at, site.time_zone)
    async with db.transaction() as tx:
        version = await hold(tx, site, version_id)
        if version.reviewed_by is None:
            raise Conflict(f"draft {version_id} was not reviewed as it stands; have it reviewed, then schedule it")
        if instant < now - SKEW:
            raise Invalid(MENDING, [Fault("/publish_at", "lies in the past; publish it now, or say a time to come")])
        await ready(tx, site, version, max(instant, now))
        where = {"version_id": version_id, "zone": site.time_zone, "actor": actor}
        await tx.run("policies.schedule", publish_at=instant, **where)
        await record_event(tx, version_id, now, actor, "scheduled", publish_at=instant.isoformat(), zone=site.time_zone)
        await tx.notify("notifier", "schedule")
        return await load_version(tx, site.site, version_id)


async def unschedule(db: Db, site: Site, version_id: int, actor: str, reason: str, now: datetime) -> Version:
    """Have it published by nobody for the time being. It stays reviewed. Raises Conflict when it is published."""
    async with db.transaction() as tx:
        version = await hold(tx, site, version_id)
        if version.publish_at is None:
            return version
        return await _unschedule(tx, version, actor, "unscheduled", reason, now)


async def _unschedule(tx: Db, version: Version, actor: str, action: str, reason: str, now: datetime) -> Version:
    await tx.run("policies.schedule", version_id=version.version_id, publish_at=None, zone=None, actor=None)
    await record_event(tx, version.version_id, now, actor, action, reason)
    return await load_version(tx, version.site, version.version_id)


async def publish_if_due(tx: Db, site: Site, version_id: int, now: datetime) -> Version | None:
    """Publish a draft whose time has come, as the scheduler does: None when somebody else did, or it was put off.

    Raises Invalid or Conflict when it cannot be published as it stands.
    """
    version = await load_version(tx, site.site, version_id)
    await lock_policy(tx, site, version.policy)
    version = await load_version(tx, site.site, version_id)
    if version.stage != "scheduled" or version.publish_at is None or version.publish_at > now:
        return None
    return await publish_draft(tx, site, version, "notifier", now)


async def give_up_schedule(db: Db, version: Version, problem: NotifierError, now: datetime) -> None:
    """Record that a draft could not be published at its time, and why. It waits for a person again."""
    reason = "; ".join([problem.detail, *(f"{fault.pointer}: {fault.detail}" for fault in problem.faults)])
    async with db.transaction() as tx:
        held = await load_version(tx, version.site, version.version_id)
        await lock_policy(tx, await load_site(tx, held.site), held.policy)
        held = await load_version(tx, version.site, version.version_id)
        if (held.sha256, held.publish_at) == (version.sha256, version.publish_at):
            await _unschedule(tx, held, "notifier", "not_published", reason, now)
            log.error("scheduled version not published", site=held.site, version=held.version_id, reason=reason)
