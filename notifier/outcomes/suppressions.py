"""The list of addresses that are not written to: who is on it and why, put there and taken off by name.

An address lies there as its keyed MAC only. Bounces and complaints put addresses on it (``delivery/settle.py``).
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from notifier.db import Db
from notifier.errors import Fault, Invalid, NotFound
from notifier.keys import Keys
from notifier.queries import all_queries


@dataclass(frozen=True)
class Suppression:
    """An address that is not written to. ``until`` None: until somebody lifts it. ``actor`` put it there."""

    email_mac: bytes
    reason: str
    since: datetime
    until: datetime | None
    actor: str | None
    external_ids: list[str]


async def list_suppressions(
    db: Db, site: str, now: datetime, after: str | None = None, limit: int = 100
) -> tuple[list[Suppression], str | None]:
    """A page of what is in force, with the people who have such an address now; and the cursor of the next page.

    Raises Invalid for a cursor that is none.
    """
    try:
        last = bytes.fromhex(after or "")
    except ValueError as error:
        fault = Fault("?cursor", "is none of ours; begin again without a cursor")
        raise Invalid("no such page", [fault]) from error
    found = await db.many(
        Suppression, "outcomes_suppressions.page", site=site, now=now, after=last, most=limit + 1
    )  # fmt: skip
    return found[:limit], found[limit - 1].email_mac.hex() if len(found) > limit else None


async def suppressions_csv(
    db: Db, site: str, now: datetime, write: Callable[[bytes], Coroutine[Any, Any, None]]
) -> None:
    """Write all that is in force as CSV (RFC 4180, UTF-8, a header line), the newest first, a line per person."""
    query = all_queries()["outcomes_suppressions.csv"]
    arguments = query.arguments({"site": site, "now": now})
    async with db.connection() as connection:
        await connection.copy_from_query(query.sql, *arguments, output=write, format="csv", header=True)


async def add_suppression(
    db: Db, keys: Keys, site: str, address: str, reason: str, until: datetime | None, actor: str, now: datetime
) -> None:
    """Write to an address no more. One on the list already gets this reason and end. Raises Invalid for a past end."""
    if until is not None and until <= now:
        raise Invalid("nothing was changed", [Fault("/until", "is past; leave it out, or name a time to come")])
    await db.run(
        "outcomes_suppressions.add", site=site, email_mac=keys.address_mac(site, address),
        reason=reason, until=until, actor=actor, now=now,
    )  # fmt: skip


async def lift_suppression(db: Db, keys: Keys, site: str, address: str, reason: str, actor: str, now: datetime) -> None:
    """Let an address be written to again. The record of who did that stays. Raises NotFound when it is not listed."""
    lifted = await db.run(
        "outcomes_suppressions.lift", site=site, email_mac=keys.address_mac(site, address),
        reason=reason, actor=actor, now=now,
    )  # fmt: skip
    if not lifted:
        raise NotFound("this address is not on the list; nothing was changed")
