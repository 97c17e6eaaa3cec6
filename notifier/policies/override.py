"""An earlier effective date than people are promised: it takes a reason, and two people who say the same.

It moves the version's date only. What each person is promised stays: use counts from the later of that date and the
end of their own notice period.
"""

from dataclasses import dataclass
from datetime import datetime

from notifier.db import Db
from notifier.errors import Invalid
from notifier.policies.version import Draft, unknown_policy
from notifier.sites.site import Site


@dataclass(frozen=True)
class Override:
    """Who asked that a version may take effect at a certain time, why, and who confirmed it (None: nobody yet)."""

    policy: str
    label: str
    effective_at: datetime
    reason: str
    asked_by: str
    asked_at: datetime
    confirmed_by: str | None
    confirmed_at: datetime | None


async def override(
    db: Db, site: Site, policy: str, label: str, effective_at: datetime, reason: str, actor: str, now: datetime
) -> Override:
    """Ask for a date or, where somebody else asked for the same, confirm it. Again by the same person: as it is.

    Raises Invalid for a policy that the site does not have.
    """
    if policy not in site.policies:
        raise Invalid("nothing was recorded", [unknown_policy(policy, site)])
    found = await db.first(
        Override, "policies.override",
        site=site.site, policy=policy, label=label, effective_at=effective_at, reason=reason, actor=actor, now=now,
    )  # fmt: skip
    assert found is not None, "it returns what it wrote"
    return found


async def overrides(db: Db, site: str) -> list[Override]:
    """All of a site, the newest first."""
    return await db.many(Override, "policies.overrides", site=site)


async def is_overridden(db: Db, site: str, submission: Draft) -> bool:
    """Whether two people let this version take effect when it says."""
    if submission.effective_at is None:
        return False
    where = {"policy": submission.policy, "label": submission.label, "effective_at": submission.effective_at}
    return bool(await db.value("policies.is_overridden", site=site, **where))
