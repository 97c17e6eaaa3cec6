"""Two accounts turn out to be one person's: the site says that one was merged into another.

What was recorded stays with the account it was recorded of: the account that goes is closed, so what was not sent to
it ends for that reason, and nothing of it is moved to the other, which has notices and evidence of its own. The row
that is left (``merger``) lets the other's timeline show both.
"""

from datetime import datetime

from notifier.db import Db
from notifier.errors import Conflict, Fault, Invalid
from notifier.keys import Keys
from notifier.people.roster import Person, get_person


async def merge_person(db: Db, keys: Keys, site: str, external_id: str, into: str, now: datetime) -> Person:
    """Close one account as merged into another. Returns the other. The same again changes nothing.

    Raises NotFound for either, Invalid for one into itself, Conflict where the record contradicts it.
    """
    if external_id == into:
        raise Invalid("nothing was merged", [Fault("/into", "is the same account; name the one that stays")])
    async with db.transaction() as tx:
        gone, stays = await get_person(tx, keys, site, external_id), await get_person(tx, keys, site, into)
        # In one order for everybody, so that two who merge each other wait instead of locking each other out.
        for one in sorted((gone, stays), key=lambda person: (person.lane, person.external_id)):
            await tx.run("people.lock", lane=one.lane, site=site, external_id=one.external_id)
        if await _is_merged(tx, gone, stays):
            return stays
        for one in (gone, stays):
            if "erased" in (await get_person(tx, keys, site, one.external_id)).status:
                raise Conflict("nothing was merged: one of the two was erased, and what is left of it is nobody's")
        await tx.run(
            "people.merge",
            lane=stays.lane, person_id=stays.person_id, from_lane=gone.lane, from_person=gone.person_id, now=now,
        )  # fmt: skip
        await tx.run("people.close", lane=gone.lane, person_id=gone.person_id, at=now, now=now)
        await tx.run("people.next_epoch", lanes=[gone.lane])
    return stays


async def _is_merged(tx: Db, gone: Person, stays: Person) -> bool:
    """Whether this was said before. Raises Conflict where another merger stands against it."""
    before = await tx.first(dict, "people.merged_into", lane=gone.lane, person_id=gone.person_id)
    if before is not None:
        if before["person_id"] == stays.person_id:
            return True
        raise Conflict("nothing was merged: this account was merged into another one before")
    beyond = await tx.first(dict, "people.merged_into", lane=stays.lane, person_id=stays.person_id)
    if beyond is not None:
        raise Conflict("nothing was merged: the other account was itself merged; name the one that stays")
    return False
