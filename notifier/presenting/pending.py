"""Find where a signed-in person stands with the versions that they have to be told of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from notifier.acceptance.facts import objection_of
from notifier.db import Db
from notifier.errors import NotFound
from notifier.keys import Keys
from notifier.lanes import lane_of
from notifier.presenting.present import Presentation, Standing, counts_from, present, processing_not_before

NEW_PURPOSE = "new_purpose"


@dataclass(frozen=True)
class Pending:
    """One person and the newest version of one policy that they were considered for, or found when they registered.

    ``since`` is the version that they last knew. ``locale`` is the one of their plan (empty: there is none, nobody had
    to look at them), ``time_zone`` the person's own or empty. ``processing_not_before`` is for versions with a new
    purpose; None: not as far as the notice goes.
    """

    lane: int
    person_id: UUID
    time_zone: str
    campaign_id: int
    amended_by: int | None  # the correction whose words it says now
    version_id: int
    policy: str
    label: str
    published_at: datetime
    effective_at: datetime
    since: int | None
    overlays: int
    locale: str
    new_purpose: bool
    processing_not_before: datetime | None
    counts_from: datetime | None
    standing: Standing
    presentation: Presentation


async def load_pending(db: Db, keys: Keys, site: str, external_id: str, now: datetime) -> Sequence[Pending]:
    """What there is to show a person, by policy; each with its reason, also when it is nothing. Raises NotFound."""
    rows = await db.many(
        dict,
        "presenting.pending",
        lane=lane_of(site, external_id),
        site=site,
        external_id=external_id,
        pseudonym=keys.pseudonym(site, external_id),
    )
    if not rows:
        raise NotFound(f"{site} has no such person")
    return [_pending(row, now) for row in rows if row["status"] is not None]


def _pending(row: dict[str, Any], now: datetime) -> Pending:
    row["objection"] = objection_of(row["objected_at"], row["withdrawn"], row["first_objected_at"])
    standing = Standing(**{name: row[name] for name in Standing.__dataclass_fields__})
    is_new = NEW_PURPOSE in row["flags"]
    return Pending(
        **{name: row[name] for name in Pending.__dataclass_fields__ if name in row and name != "new_purpose"},
        new_purpose=is_new,
        processing_not_before=processing_not_before(standing) if is_new else None,
        standing=standing,
        counts_from=counts_from(standing, now),
        presentation=present(standing, now),
    )
