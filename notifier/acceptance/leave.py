"""A person says, on exactly one version, that they leave. The site's own word about the account may follow."""

from datetime import datetime

from notifier.acceptance.accept import check_moment
from notifier.acceptance.facts import Somebody
from notifier.db import Db


async def record_leaving(db: Db, site: str, person: Somebody, version_id: int, at: datetime, now: datetime) -> bool:
    """Record that somebody left: no use or silence from then on amounts to acceptance. False: they had left by then.

    What was deemed at or after that moment is void in a moment. Raises NotFound for a version that the site has not
    published, Invalid for a time before the publication or in the future.
    """
    await check_moment(db, site, version_id, at, now)
    return bool(await db.run("people.close", lane=person.lane, person_id=person.person_id, at=min(at, now), now=now))
