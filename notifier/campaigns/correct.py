"""Correct what a campaign said: a campaign of its own, for exactly those whom it reached.

It is about the same version and tells nobody of it: it starts no notice period and amounts to no acceptance. It has an
approval, an audience, letters and a history of its own.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from notifier.campaigns.announce import begin_unasked
from notifier.campaigns.campaign import Campaign, load_campaign, lock_campaign, record_event
from notifier.campaigns.safety import Safety
from notifier.db import Db
from notifier.errors import Conflict, Fault, Invalid
from notifier.sites.site import load_site

# What is being said cannot be corrected yet: those whom it reaches in the meantime would be left out.
CORRECTABLE = ("paused", "done", "cancelled", "superseded")


def can_be_corrected(campaign: Campaign) -> bool:
    """Whether a campaign has told people something and tells nobody just now."""
    return campaign.opened_at is not None and campaign.state in CORRECTABLE


async def correct(
    db: Db, site: str, campaign_id: int, words: Mapping[str, str], actor: str, reason: str, now: datetime
) -> Campaign:
    """Plan the correction of what a campaign said, in ``words``: locale → Markdown. It waits for the site's approval.

    The same words again are the same correction. Raises NotFound, Conflict while the campaign is sending or when it
    said nothing to anybody, Invalid unless the words are in exactly the locales that the version has texts in.
    """
    async with db.transaction() as tx:
        campaign = await lock_campaign(tx, site, campaign_id)
        _check_state(campaign)
        locales = await tx.many(dict, "campaigns.text_locales", version_id=campaign.version_id)
        _check_words(words, [row["locale"] for row in locales])
        known = await tx.value("campaigns.correction", corrects=campaign_id, words=dict(words))
        if known is None:
            safety = Safety(approval=(await load_site(tx, site)).approval)
            known = await tx.value(
                "campaigns.create_correction",
                corrects=campaign_id, words=dict(words), safety=safety.model_dump(mode="json"), now=now,
            )  # fmt: skip
            await record_event(tx, known, now, actor, "correction_planned", reason)
            await begin_unasked(tx, known, safety, now)
        return await load_campaign(tx, site, known)


def _check_state(campaign: Campaign) -> None:
    if can_be_corrected(campaign):
        return
    if campaign.opened_at is None:
        raise Conflict(f"campaign {campaign.campaign_id} has told nobody anything, so there is nothing to correct")
    raise Conflict(f"campaign {campaign.campaign_id} is {campaign.state}; pause it first, then correct what it said")


def _check_words(words: Mapping[str, str], locales: Iterable[str]) -> None:
    wanted = set(locales)
    faults = [
        Fault(f"/words/{locale}", "is missing; letters went out in this language too")
        for locale in sorted(wanted)
        if not words.get(locale, "").strip()
    ]
    strange = sorted(words.keys() - wanted)
    faults += [Fault(f"/words/{locale}", "the version has no text in this language") for locale in strange]
    if faults:
        raise Invalid("nothing was planned", faults)
