"""Applying a site.yaml to a real database."""

import asyncio
from datetime import datetime

import pytest

from notifier.db import Db
from notifier.errors import Conflict, NotFound
from notifier.sites.apply import Change, apply, plan
from notifier.sites.site import Policy, Site, load_site


async def test_a_site_that_was_applied_is_read_back_as_it_was(db: Db, site: Site) -> None:
    assert await load_site(db, "kumo") == site
    with pytest.raises(NotFound, match=r"apply its site\.yaml"):
        await load_site(db, "nobody")


async def test_applying_the_same_again_changes_nothing(db: Db, site: Site, now: datetime) -> None:
    assert await plan(db, site) == []
    assert await apply(db, site, now) == []


async def test_the_plan_names_each_value_that_differs(db: Db, site: Site, now: datetime) -> None:
    changed = site.model_copy(update={"names": {"en": "Kumo", "ja": "くもストア"}, "locales": ["en"]})
    expected = [Change("/names/en", "Kumo Store", "Kumo"), Change("/locales", ["en", "ja"], ["en"])]
    assert await plan(db, changed) == expected
    assert await load_site(db, "kumo") == site
    assert await apply(db, changed, now) == expected
    assert await load_site(db, "kumo") == changed


async def test_policies_come_change_and_go(db: Db, site: Site, now: datetime) -> None:
    terms = Policy(kind="terms", titles={"en": "Terms"})
    await apply(db, site.model_copy(update={"policies": {"terms": terms}}), now)
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT policy, kind, titles FROM policy")
    assert [tuple(row) for row in rows] == [("terms", "terms", {"en": "Terms"})]


async def test_a_policy_with_versions_is_not_removed(db: Db, site: Site, now: datetime) -> None:
    await db.execute(
        "INSERT INTO version (site, policy, label, state, materiality, flags, source, sha256, received_at)"
        " VALUES ('kumo', 'privacy', '1', 'pending', 'material', '{}', 'folder', '', now())"
    )
    without = site.model_copy(update={"policies": {"terms": Policy(titles={"en": "Terms"})}})
    for verb in (plan(db, without), apply(db, without, now)):
        with pytest.raises(Conflict, match=r"nothing was changed: kumo has versions .* privacy \(1\)"):
            await verb
    assert await load_site(db, "kumo") == site


async def test_two_who_apply_at_once_change_it_once(db: Db, site: Site, now: datetime) -> None:
    other = site.model_copy(update={"site": "tsubame"})
    found = await asyncio.gather(*(apply(db, other, now) for _ in range(4)))
    assert sorted(map(bool, found)) == [False, False, False, True]
