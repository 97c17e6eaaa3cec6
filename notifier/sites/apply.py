"""Put a site.yaml into force: what would change, then the change, in one transaction."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson

from notifier.db import Db
from notifier.errors import Conflict, pointer_of
from notifier.sites.site import Site


@dataclass(frozen=True)
class Change:
    """One value that differs: where (an RFC 6901 pointer), what stands there and what will (None: nothing)."""

    pointer: str
    before: object
    after: object


@dataclass(frozen=True)
class _Kept:
    policy: str
    versions: int


async def plan(db: Db, site: Site) -> list[Change]:
    """What applying the site would change; [] when it is in force as it is.

    Raises Conflict when it would remove a policy that has versions: what people were told must keep its name.
    """
    stored = await db.value("sites.settings", site=site.site)
    await _refuse_to_lose_versions(db, site)
    return list(_differences("", stored, site.model_dump(mode="json")))


async def apply(db: Db, site: Site, now: datetime) -> list[Change]:
    """Put the site into force and return what changed; the same site again changes nothing. Raises Conflict as plan."""
    settings = site.model_dump(mode="json")
    digest = hashlib.sha256(orjson.dumps(settings, option=orjson.OPT_SORT_KEYS)).digest()
    async with db.transaction() as tx:
        await tx.run("sites.lock", site=site.site)
        found = await plan(tx, site)
        if not found:
            return []
        await tx.run("sites.upsert", site=site.site, settings=settings, sha256=digest, now=now)
        policies = {name: policy.model_dump(mode="json") for name, policy in site.policies.items()}
        await tx.run("sites.upsert_policies", site=site.site, policies=policies)
        await tx.run("sites.remove_policies", site=site.site, policies=list(site.policies))
    return found


async def _refuse_to_lose_versions(db: Db, site: Site) -> None:
    lost = await db.many(_Kept, "sites.policies_with_versions", site=site.site, policies=list(site.policies))
    if lost:
        named = ", ".join(f"{kept.policy} ({kept.versions})" for kept in lost)
        raise Conflict(
            f"nothing was changed: {site.site} has versions of policies that this file leaves out: {named}. "
            "People were told of them; keep the policy in site.yaml"
        )


def _differences(pointer: str, before: object, after: object) -> list[Change]:
    if before == after:
        return []
    if not isinstance(after, Mapping) or not isinstance(before, Mapping | None):
        return [Change(pointer, before, after)]
    earlier = before or {}
    found: list[Change] = []
    for key in [*after, *(key for key in earlier if key not in after)]:
        found += _differences(pointer + pointer_of([key]), earlier.get(key), after.get(key))
    return found
