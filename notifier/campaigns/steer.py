"""Approve, pause, resume and cancel a campaign. States are a table; every step is recorded with who and why."""

from datetime import datetime

from notifier.campaigns.campaign import Campaign, load_campaign, record_event
from notifier.db import Db
from notifier.errors import Conflict

# action → (the states that it may be taken in, the state that it leads to)
STEPS: dict[str, tuple[tuple[str, ...], str]] = {
    "approve": (("planned",), "approved"),
    "pause": (("sending",), "paused"),
    "resume": (("paused",), "sending"),
    "cancel": (("planned", "approved", "sending", "paused"), "cancelled"),
}


async def steer(db: Db, site: str, campaign_id: int, action: str, actor: str, reason: str, now: datetime) -> Campaign:
    """Take one step. Raises NotFound, or Conflict when the campaign's state does not allow it.

    Workers look at the state before every batch, so pause and cancel hold what has not been handed over by then.
    """
    allowed, leads_to = STEPS[action]
    async with db.transaction() as tx:
        campaign = await load_campaign(tx, site, campaign_id)
        stepped = await tx.run(
            "campaigns.step", campaign_id=campaign_id, allowed=list(allowed), state=leads_to, now=now
        )
        if not stepped:
            raise Conflict(
                f"campaign {campaign_id} is {campaign.state}; {action} is possible when it is {' or '.join(allowed)}"
            )
        await record_event(tx, campaign_id, now, actor, action, reason)
        await tx.notify("notifier", "campaign")
        return await load_campaign(tx, site, campaign_id)


def possible(state: str) -> list[str]:
    """The steps that can be taken in a state."""
    return [action for action, (allowed, _) in STEPS.items() if state in allowed]
