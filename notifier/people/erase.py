"""A person is erased: what was done stays provable, under a pseudonym that only the installation's key can make."""

from datetime import datetime
from uuid import UUID

from notifier.db import Db
from notifier.keys import Keys
from notifier.lanes import lane_of
from notifier.people.roster import Person, get_person


async def erase_person(db: Db, keys: Keys, site: str, external_id: str, now: datetime) -> Person:
    """Take everything personal out of the records of one person. Again: changes nothing. Raises NotFound.

    Lane, person_id, times, versions and outcomes stay. Letters not yet sent are withheld when it is their turn.
    Accounts that were merged into this one are the same person's and go with it.
    """
    lane, pseudonym = lane_of(site, external_id), keys.pseudonym(site, external_id)
    async with db.transaction() as tx:
        person_id: UUID | None = await tx.value(
            "people.erase", lane=lane, site=site, external_id=external_id, pseudonym=pseudonym, now=now
        )
        if person_id is not None:
            for query in _TRACES:
                await tx.run(query, lane=lane, person_id=person_id)
            await tx.run("people.next_epoch", lanes=[lane])
            for merged in await tx.many(dict, "people.merged_from", lane=lane, person_id=person_id):
                if not merged["external_id"].startswith("erased:"):
                    await erase_person(tx, keys, site, merged["external_id"], now)
    return await get_person(db, keys, site, external_id)


_TRACES = (
    "people.erase_outcomes",
    "people.erase_activity",
    "people.erase_evidence",
    "people.erase_acts",
    "people.erase_statements",
    "people.erase_baselines",
)
