"""A campaign as it is read back: the telling of one version, or a correction of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from notifier.campaigns.rule import Overlay, Rule, Rules
from notifier.campaigns.safety import Safety
from notifier.db import Db
from notifier.errors import NotFound


@dataclass(frozen=True)
class Campaign:
    """One campaign with the version that it is about. ``frozen`` holds the counts of the freeze, by reason.

    ``approved_by`` names whoever approved it, as far as that still holds. Of its ``stages``, those up to ``stage`` may
    be sent; ``held_at`` is when the last of them was handed over, ``inbox_at`` when private messages became visible.
    """

    campaign_id: int
    site: str
    version_id: int
    policy: str
    label: str
    state: str
    rules: Rules
    safety: Safety
    created_at: datetime
    frozen_at: datetime | None
    opened_at: datetime | None
    stage: int
    stages: int
    held_at: datetime | None
    inbox_at: datetime | None
    closed_at: datetime | None
    published_at: datetime
    effective_at: datetime
    frozen: dict[str, Any] | None
    corrects: int | None  # the campaign whose notices this corrects; None: it tells of the version
    words: dict[str, str] | None  # of a correction: locale → Markdown
    superseded_by: int | None  # the campaign about a newer version: since it opened, this one sends nothing more
    approved_by: list[str]
    tested: bool  # a relay took a test letter, written with the site as it is

    @property
    def rule(self) -> Rule:
        """What everybody is under, some people under more."""
        return self.rules.base

    @property
    def goes_on_at(self) -> datetime | None:
        """When the next stage opens by itself; None when no stage is held, or it waits for somebody's word."""
        canary = self.safety.canary
        if self.held_at is None or canary is None or canary.go_on == "by_hand":
            return None
        return self.held_at + timedelta(minutes=canary.hold)


@dataclass(frozen=True)
class Event:
    """One line of a campaign's history. ``detail`` has the figures behind it, where there are any."""

    at: datetime
    actor: str
    action: str
    reason: str
    detail: dict[str, Any]


def _read(*, rule: dict[str, Any], overlays: list[Any], safety: dict[str, Any], **columns: Any) -> Campaign:
    rules = Rules(base=Rule.model_validate(rule), overlays=tuple(Overlay.model_validate(one) for one in overlays))
    return Campaign(rules=rules, safety=Safety.model_validate(safety), **columns)


async def load_campaign(db: Db, site: str | None, campaign_id: int) -> Campaign:
    """One campaign of a site (of any site, when None). Raises NotFound."""
    # An id beyond the column's range names no campaign either.
    found = await db.first(dict, "campaigns.one", campaign_id=min(campaign_id, 2**31 - 1))
    if found is None or (site is not None and found["site"] != site):
        raise NotFound(f"there is no campaign {campaign_id}" + (f" of {site}" if site else ""))
    return _read(**found)


async def lock_campaign(tx: Db, site: str | None, campaign_id: int) -> Campaign:
    """The campaign as it is now; until the transaction ends nobody else decides about it. Raises NotFound."""
    await load_campaign(tx, site, campaign_id)
    await tx.run("campaigns.lock", campaign_id=campaign_id)
    return await load_campaign(tx, site, campaign_id)


async def list_campaigns(db: Db, site: str) -> list[Campaign]:
    """A site's campaigns, the newest first."""
    return [_read(**row) for row in await db.many(dict, "campaigns.of_site", site=site)]


async def campaign_of_version(db: Db, version_id: int) -> int | None:
    """The campaign that tells of a version, if there is one."""
    found: int | None = await db.value("campaigns.of_version", version_id=version_id)
    return found


async def history(db: Db, campaign_id: int) -> list[Event]:
    """A campaign's own history, the earliest first."""
    return await db.many(Event, "campaigns.events", campaign_id=campaign_id)


async def record_event(
    db: Db, campaign_id: int, now: datetime, actor: str, action: str, reason: str = "", **detail: Any
) -> None:
    """Append to the campaign's own history: who did what, when and why, and the figures behind it."""
    await db.run(
        "campaigns.record_event",
        campaign_id=campaign_id, now=now, actor=actor, action=action, reason=reason, detail=detail,
    )  # fmt: skip
