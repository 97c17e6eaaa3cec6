"""Publish drafts whose time has come, each with the plan of its telling, in one transaction.

Any number of workers may do this at once: whoever holds the policy first publishes, the others find it published. A
crash leaves a draft as it was, and it is still due.
"""

from datetime import datetime
from typing import NamedTuple

from notifier.campaigns.announce import announce
from notifier.db import Db
from notifier.errors import NotifierError
from notifier.policies.publish import Version, load_version
from notifier.policies.scheduling import give_up_schedule, publish_if_due
from notifier.sites.site import load_site


class _Due(NamedTuple):
    version_id: int
    site: str


async def publish_due(db: Db, now: datetime) -> int:
    """Publish every draft that is due. Returns how many.

    One that cannot be published as it stands (its label was taken, its site changed) is scheduled no more, its history
    says why, and it costs the others nothing.
    """
    published = 0
    for due in await db.many(_Due, "policies.due", now=now):
        version = await load_version(db, due.site, due.version_id)
        try:
            published += await _publish(db, version, now)
        except NotifierError as problem:
            await give_up_schedule(db, version, problem, now)
    return published


async def _publish(db: Db, version: Version, now: datetime) -> bool:
    async with db.transaction() as tx:
        site = await load_site(tx, version.site)
        published = await publish_if_due(tx, site, version.version_id, now)
        if published is not None and published.is_told:
            await announce(tx, site, published.version_id, now, "notifier")
        return published is not None
