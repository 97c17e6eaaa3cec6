"""What people do with a campaign. States are a table; every step is recorded with who and why."""

from datetime import datetime

from notifier.campaigns.campaign import Campaign, load_campaign, lock_campaign, record_event
from notifier.campaigns.safety import missing, objection_to_approval
from notifier.campaigns.stages import open_stage
from notifier.campaigns.stop import refuse_if_stopped
from notifier.db import Db
from notifier.errors import Conflict

# action → (the states that it may be taken in, the state that it leads to)
STEPS: dict[str, tuple[tuple[str, ...], str]] = {
    "approve": (("planned",), "approved"),
    "pause": (("sending",), "paused"),
    "resume": (("paused",), "sending"),
    "go_on": (("sending",), "sending"),  # with the next stage of a canary, while one is held
    "cancel": (("planned", "approved", "sending", "paused"), "cancelled"),
}


async def steer(db: Db, site: str, campaign_id: int, action: str, actor: str, reason: str, now: datetime) -> Campaign:
    """Take one step. Raises NotFound, or Conflict when the campaign's state or the site's rules do not allow it.

    Workers look at the state before every batch, so pause and cancel hold what has not been handed over by then.
    """
    allowed, leads_to = STEPS[action]
    async with db.transaction() as tx:
        campaign = await lock_campaign(tx, site, campaign_id)
        if campaign.state not in allowed:
            raise Conflict(
                f"campaign {campaign_id} is {campaign.state}; {action} is possible when it is {' or '.join(allowed)}"
            )
        if action not in possible(campaign):
            raise Conflict(
                f"stage {campaign.stage} of {campaign.stages} is being sent; campaign {campaign_id} can go on with the "
                "next one once it is handed over and held"
            )
        if action == "approve":
            await _approve(tx, campaign, actor, reason, now)
        elif action == "go_on":
            await refuse_if_stopped(tx, site)
            await open_stage(tx, campaign, now, actor, action, reason)
        else:
            if action == "resume":
                await _refuse_while_a_correction_waits(tx, campaign_id)
                await tx.run("campaigns.tally_from_here", campaign_id=campaign_id)
            await record_event(tx, campaign_id, now, actor, action, reason)
            await tx.run("campaigns.step", campaign_id=campaign_id, state=leads_to, now=now)
        await tx.notify("notifier", "campaign")
        return await load_campaign(tx, site, campaign_id)


async def _refuse_while_a_correction_waits(tx: Db, campaign_id: int) -> None:
    """Nobody more is told what is known to be wrong."""
    waiting = await tx.value("campaigns.correction_waiting", campaign_id=campaign_id)
    if waiting is not None:
        raise Conflict(
            f"campaign {waiting} corrects what campaign {campaign_id} says, and is not yet approved or opened; "
            "when it opens, this one goes on by itself with its words; or cancel the correction first"
        )


async def _approve(tx: Db, campaign: Campaign, actor: str, reason: str, now: datetime) -> None:
    """Record one approval; the last that is needed lets the campaign begin."""
    if objection := objection_of(campaign, actor):
        raise Conflict(objection)
    approved_by = [*campaign.approved_by, actor]
    counted = {"approvals": len(approved_by), "people": campaign.safety.approval.people}
    await record_event(tx, campaign.campaign_id, now, actor, "approve", reason, **counted)
    if not missing(campaign.safety, approved_by):
        await tx.run("campaigns.step", campaign_id=campaign.campaign_id, state="approved", now=now)


def objection_of(campaign: Campaign, actor: str) -> str | None:
    """Why somebody cannot approve a campaign now, and what to do; None when they can."""
    tested = campaign.tested or "email" not in campaign.rules.channels
    return objection_to_approval(campaign.safety, campaign.approved_by, actor, tested=tested)


def possible(campaign: Campaign) -> list[str]:
    """The steps that can be taken now."""
    return [
        action
        for action, (allowed, _) in STEPS.items()
        if campaign.state in allowed and (action != "go_on" or campaign.held_at is not None)
    ]
