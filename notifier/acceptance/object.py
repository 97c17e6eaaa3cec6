"""A person's no, and its being taken back. Both are appended; neither removes anything."""

from dataclasses import dataclass
from datetime import datetime

from notifier.acceptance.accept import check_moment
from notifier.acceptance.decide import Objection
from notifier.acceptance.doubts import contest
from notifier.acceptance.facts import Somebody
from notifier.db import Db
from notifier.errors import Fault, Invalid


@dataclass(frozen=True)
class Statement:
    """When the person said it, how it reached the site, and in which words."""

    at: datetime
    via: str
    words: str = ""


async def record_objection(
    db: Db, site: str, person: Somebody, version_id: int, said: Statement, now: datetime
) -> bool:
    """Record an objection: no use from its time on amounts to acceptance. Returns False when the same one was known.

    An acceptance by use or silence that came before it stays on record beside it; one that came after it, as the
    objection was late to reach us, is void. Raises NotFound for a version that the site has not published, Invalid for
    a time before the publication or in the future, Conflict when acceptances of this person are being recorded.
    """
    await check_moment(db, site, version_id, said.at, now)
    async with db.transaction() as tx:
        news = await _say(tx, person, version_id, said, withdrawn=False, now=now)
        await contest(tx, person.lane, [person.person_id], now)  # also where it was known
    return news


async def withdraw_objection(
    db: Db, site: str, person: Somebody, version_id: int, said: Statement, now: datetime
) -> bool:
    """Record that an objection was taken back: use counts again, from then on. Returns False when that was known.

    Where we have not heard of the objection yet, it waits for it and changes nothing until then. Raises NotFound and
    Invalid like :func:`record_objection`, Invalid for a time that does not lie after the objection.
    """
    await check_moment(db, site, version_id, said.at, now)
    standing = await db.first(
        Objection, "acceptance.standing_objection", lane=person.lane, person_id=person.person_id, version_id=version_id
    )
    if standing is not None and standing.withdrawn:
        return False
    if standing is not None and said.at <= standing.at:
        raise Invalid("nothing was recorded", [Fault("/at", f"lies before the objection at {standing.at:%F %T %Z}")])
    return await _say(db, person, version_id, said, withdrawn=True, now=now)


async def _say(db: Db, person: Somebody, version_id: int, said: Statement, *, withdrawn: bool, now: datetime) -> bool:
    return bool(
        await db.run(
            "acceptance.object",
            lane=person.lane,
            person_id=person.person_id,
            version_id=version_id,
            at=min(said.at, now),
            withdrawn=withdrawn,
            via=said.via,
            statement=said.words,
            now=now,
        )
    )
