"""Gather what the letters of a campaign share: the version's texts, what changed in them, the site and the rule.

What changed is compared once for each version that some of the audience last knew and each locale, by whoever writes
first, and kept with the campaign. Whoever crashes before it is kept leaves it to the next.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from notifier.campaigns.campaign import Campaign, load_campaign
from notifier.db import Db
from notifier.letters.letter import Correction, Since, Telling, Words
from notifier.policies.diff import compare
from notifier.policies.digest import Digest, digest, digest_of
from notifier.policies.publish import VersionText, load_version, texts_of
from notifier.sites.site import load_site

_Pair = tuple[int, str]  # the version that people last knew, and the locale


@dataclass(frozen=True)
class _Changed:
    """What is kept of one pair. ``content``: None as long as nobody compared it."""

    since: int
    label: str
    locale: str
    content: dict[str, Any] | None


@dataclass(frozen=True)
class _LastTold:
    version_id: int
    label: str


async def gather(db: Db, campaign_id: int, amended_by: int | None = None) -> Telling:
    """Everything that does not depend on the person. Raises NotFound.

    ``amended_by``: the correction whose words stand in the place of the summary, for whom it reaches after that.

    A campaign that did not open yet is told as if it opened when its version was published (for previews), to people
    who all knew the version that was last told.
    """
    async with db.transaction(snapshot=True, read_only=True) as tx:
        campaign = await load_campaign(tx, None, campaign_id)
        correction = await _correction(tx, campaign)
        said = campaign.words if amended_by is None else (await load_campaign(tx, None, amended_by)).words
        version = await load_version(tx, campaign.site, campaign.version_id)
        texts = await texts_of(tx, version.version_id)
        pairs = await _pairs(tx, campaign, texts)
        missing = {pair.since for pair in pairs if pair.content is None}
        earlier = {(of, text.locale): text for of in sorted(missing) for text in await texts_of(tx, of)}
        site = await load_site(tx, campaign.site)
    # Off the event loop: a very long text takes seconds, and leases have to be kept meanwhile.
    found = await asyncio.to_thread(_compared, [pair for pair in pairs if pair.content is None], earlier, texts)
    if found and campaign.frozen_at is not None:
        found = await _keep(db, campaign_id, found)
    return Telling(
        campaign_id=campaign_id,
        site=site,
        policy=campaign.policy,
        label=campaign.label,
        published_at=campaign.published_at,
        effective_at=campaign.effective_at,
        opened_at=campaign.opened_at or campaign.published_at,
        rule=campaign.rule,
        overlays=campaign.rules.overlays,
        texts={text.locale: _words(campaign, text, said, pairs, found) for text in texts},
        correction=correction,
        usual=pairs[0].since if pairs else None,
        amended_by=amended_by,
    )


async def _correction(tx: Db, campaign: Campaign) -> Correction | None:
    if campaign.corrects is None:
        return None
    corrected = await load_campaign(tx, None, campaign.corrects)
    return Correction(corrected.campaign_id, corrected.opened_at or corrected.published_at)


async def _pairs(tx: Db, campaign: Campaign, texts: Sequence[VersionText]) -> list[_Changed]:
    """What the letters may list: as the freeze noted it or, before that, since the version that was last told."""
    if campaign.corrects is not None:
        return []
    if campaign.frozen_at is not None:
        return await tx.many(_Changed, "letters.changed", campaign_id=campaign.campaign_id)
    last = await tx.first(_LastTold, "letters.told_before", version_id=campaign.version_id)
    if last is None:
        return []
    there = {text.locale for text in await texts_of(tx, last.version_id)}
    return [_Changed(last.version_id, last.label, text.locale, None) for text in texts if text.locale in there]


def _compared(
    pairs: Sequence[_Changed], earlier: Mapping[_Pair, VersionText], texts: Sequence[VersionText]
) -> dict[_Pair, Digest]:
    newer = {text.locale: text for text in texts}
    found = {}
    for pair in pairs:
        old, new = earlier[pair.since, pair.locale], newer[pair.locale]
        found[pair.since, pair.locale] = digest(compare(old.media_type, old.body, new.media_type, new.body, new.locale))
    return found


async def _keep(db: Db, campaign_id: int, found: Mapping[_Pair, Digest]) -> dict[_Pair, Digest]:
    """Keep what was compared. Returns what is kept: another process may have been first."""
    rows = [{"since": of, "locale": locale, "content": one.kept()} for (of, locale), one in sorted(found.items())]
    kept = await db.many(dict, "letters.keep_changed", campaign_id=campaign_id, found=rows)
    return {(row["since"], row["locale"]): digest_of(row["content"]) for row in kept}


def _words(
    campaign: Campaign, text: VersionText, said: Mapping[str, str] | None, pairs: Sequence[_Changed],
    found: Mapping[_Pair, Digest],
) -> Words:  # fmt: skip
    since = {}
    for pair in pairs:
        if pair.locale == text.locale:
            known = None if pair.content is None else digest_of(pair.content)
            since[pair.since] = Since(pair.label, known or found[pair.since, pair.locale])
    return Words(
        summary=text.summary if said is None else said[text.locale],
        url=f"/p/{campaign.site}/{campaign.policy}/{campaign.label}/{text.locale}",
        since=since,
    )
