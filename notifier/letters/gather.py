"""Gather what the letters of a campaign share: the version's texts, what changed in them, the site and the rule."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from notifier.campaigns.campaign import Campaign, load_campaign
from notifier.db import Db
from notifier.letters.letter import Correction, Telling, Words
from notifier.policies.diff import Change, compare
from notifier.policies.publish import VersionText, load_version, texts_of
from notifier.sites.site import load_site


@dataclass(frozen=True)
class _LastTold:
    version_id: int
    label: str


async def gather(db: Db, campaign_id: int) -> Telling:
    """Everything that does not depend on the person. Raises NotFound.

    A campaign that did not open yet is told as if it opened when its version was published (for previews).
    """
    async with db.transaction(snapshot=True, read_only=True) as tx:
        campaign = await load_campaign(tx, None, campaign_id)
        correction = await _correction(tx, campaign)
        version = await load_version(tx, campaign.site, campaign.version_id)
        texts = await texts_of(tx, version.version_id)
        last_told = await tx.first(_LastTold, "letters.told_before", version_id=version.version_id)
        before = {} if last_told is None else {t.locale: t for t in await texts_of(tx, last_told.version_id)}
        site = await load_site(tx, campaign.site)
    # Off the event loop: a very long text takes seconds, and leases have to be kept meanwhile.
    words = await asyncio.to_thread(_all_words, campaign, texts, before)
    return Telling(
        campaign_id=campaign_id,
        site=site,
        policy=campaign.policy,
        label=campaign.label,
        published_at=campaign.published_at,
        effective_at=campaign.effective_at,
        opened_at=campaign.opened_at or campaign.published_at,
        rule=campaign.rule,
        texts=words,
        correction=correction,
        since=None if last_told is None or last_told.version_id == version.previous_id else last_told.label,
    )


async def _correction(tx: Db, campaign: Campaign) -> Correction | None:
    if campaign.corrects is None:
        return None
    corrected = await load_campaign(tx, None, campaign.corrects)
    return Correction(corrected.campaign_id, corrected.opened_at or corrected.published_at)


def _all_words(campaign: Campaign, texts: Sequence[VersionText], before: Mapping[str, VersionText]) -> dict[str, Words]:
    return {text.locale: _words(campaign, text, before.get(text.locale)) for text in texts}


def _words(campaign: Campaign, text: VersionText, before: VersionText | None) -> Words:
    words = campaign.words
    return Words(
        summary=text.summary if words is None else words[text.locale],
        changes=() if before is None or words is not None else _changes(before, text),
        url=f"/p/{campaign.site}/{campaign.policy}/{campaign.label}/{text.locale}",
    )


def _changes(before: VersionText, text: VersionText) -> tuple[Change, ...]:
    return compare(before.media_type, before.body, text.media_type, text.body, text.locale).changes
