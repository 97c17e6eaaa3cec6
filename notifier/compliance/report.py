"""One campaign in numbers that must add up."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from notifier.campaigns.announce import Count
from notifier.campaigns.campaign import Campaign, load_campaign
from notifier.campaigns.canary import holds_to_come
from notifier.compliance.figures import (
    ACCEPTED,
    ENDS,
    GRADES,
    IN_SCOPE,
    JOINED,
    STATUSES,
    Counted,
    Report,
    by_preset_of,
    gaps,
)
from notifier.compliance.forecast import Forecast, Sofar, ceilings, forecast, pace_of
from notifier.db import Db
from notifier.delivery.bucket import Bucket
from notifier.delivery.pace import provider_of, terms_of
from notifier.log import log
from notifier.sites.site import load_site

# For 100,000 notices: compiling takes longer than it saves, remembering never hits, and sorts fit in memory.
FOR_BULK = "SET LOCAL jit = off; SET LOCAL enable_memoize = off; SET LOCAL work_mem = '64MB'"


async def campaign_report(db: Db, campaign_id: int, now: datetime) -> Report:
    """The counts of a campaign as of one moment. Raises NotFound.

    Numbers that do not add up are still answered, with ``gaps`` and an error in the log: whoever relies on the report
    must see that it failed, and by how much, rather than no report.
    """
    async with db.transaction(snapshot=True, read_only=True) as tx:
        await tx.execute(FOR_BULK)
        campaign = await load_campaign(tx, None, campaign_id)
        rows = await tx.many(
            dict,
            "compliance.report",
            campaign_id=campaign_id,
            version_id=campaign.version_id if campaign.corrects is None else None,  # a correction is not accepted
            inbox_at=campaign.inbox_at,
        )
        progress = await tx.many(dict, "compliance.progress", campaign_id=campaign_id)
        counted = _counted(rows)
        seen = None if campaign.corrects is not None else await _forecast(tx, campaign, counted, now)
    report = _report(campaign, counted, progress, seen)
    if not report.adds_up:
        log.error("counts do not add up", campaign=campaign_id, site=campaign.site, reason="; ".join(report.gaps))
    return report


def _counted(rows: list[dict[str, Any]]) -> Counted:
    parts: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        parts[row["part"]][row["name"]] = row["count"]
    return Counted(parts, max((r["latest"] for r in rows if r["part"] == "status" and r["latest"]), default=None))


def _report(campaign: Campaign, counted: Counted, progress: list[dict[str, Any]], seen: Forecast | None) -> Report:
    reasons, statuses = counted.of("reason"), counted.of("status")
    joined = {why: counted.of("joined").get(why, 0) for why in JOINED}
    frozen = reasons if campaign.frozen is None else campaign.frozen
    population = sum(frozen.values()) + joined["registered"]
    is_correction = campaign.corrects is not None
    broken = tuple(gaps(population, counted, is_correction=is_correction))
    by_channel: dict[str, dict[str, int]] = {c: {"planned": n} for c, n in sorted(counted.of("planned").items())}
    for row in progress:
        by_channel.setdefault(row["channel"], {"planned": 0})[row["kind"]] = row["count"]
    return Report(
        campaign_id=campaign.campaign_id,
        population=population,
        in_scope=sum(reasons.get(reason, 0) for reason in IN_SCOPE),
        excluded={reason: n for reason, n in sorted(reasons.items()) if reason not in IN_SCOPE},
        **{status: statuses.get(status, 0) for status in STATUSES},
        held=counted.of("held").get("pending", 0),
        accepted={} if is_correction else {kind: counted.of("accepted").get(kind, 0) for kind in ACCEPTED},
        grades={} if is_correction else {grade: counted.of("grade").get(grade, 0) for grade in GRADES},
        by_preset={} if is_correction else by_preset_of(counted),
        told_split={} if is_correction else {end: counted.of("told").get(end, 0) for end in ENDS},
        objections=counted.of("objections").get("standing", 0),
        by_channel=by_channel,
        failures=dict(sorted(counted.of("failure").items(), key=lambda item: -item[1])),
        joined=joined,
        reminders=dict(sorted(counted.of("reminders").items())),
        forecast=seen,
        adds_up=not broken,
        gaps=broken,
    )


async def _forecast(tx: Db, campaign: Campaign, counted: Counted, now: datetime) -> Forecast | None:
    """At the pace since everybody has their turn: the stages before say nothing about it, nor do private messages."""
    sent, latest, since = counted.of("sent").get("told", 0), counted.latest_told_at, campaign.inbox_at
    site = await load_site(tx, campaign.site)
    known = since is not None and latest is not None and sent > 0
    pace = pace_of(sent, since, latest, site.pace.quiet_hours) if known and since and latest else None
    # When somebody says that a letter of unknown fate is sent again cannot be foreseen.
    pending = counted.of("status").get("pending", 0) - counted.of("held").get("pending", 0)
    providers = await _pending_by_provider(tx, campaign) if pending and site.pace.providers else {}
    buckets = await tx.many(Bucket, "compliance.buckets", site=campaign.site)
    waiting = ceilings(site, campaign.campaign_id, pending, providers, {one.name: one for one in buckets}, now)
    late = counted.of("late").get("told", 0)
    sofar = Sofar(pace, latest if since is not None else None, late)
    holds = holds_to_come(campaign.safety.canary, campaign.stage, campaign.stages, campaign.held_at, now)
    return forecast(waiting, sofar, campaign.effective_at, campaign.rule.notice_days, now, holds)


def letters_of(counts: Iterable[Count]) -> int:
    """How many letters leave at first, of a preview: private messages of our own are simply there."""
    return sum(
        one.count
        for one in counts
        if one.dimension == "channel" and one.reason == "in_scope" and one.value not in ("", "inbox")
    )


async def planned_forecast(db: Db, campaign: Campaign, letters: int, now: datetime) -> Forecast | None:
    """For so many letters of a campaign whose audience is not frozen, if it began now. None: nothing is limited."""
    site = await load_site(db, campaign.site)
    buckets = await db.many(Bucket, "compliance.buckets", site=campaign.site)
    waiting = ceilings(site, campaign.campaign_id, letters, {}, {one.name: one for one in buckets}, now)
    canary = campaign.safety.canary
    holds = holds_to_come(canary, 1, 1 + len(canary.stages) if canary else 1, None, now)
    return forecast(waiting, Sofar(), campaign.effective_at, campaign.rule.notice_days, now, holds)


async def _pending_by_provider(tx: Db, campaign: Campaign) -> dict[str, int]:
    site = await load_site(tx, campaign.site)
    terms, groups = terms_of(site, campaign.campaign_id), site.pace.groups
    found: dict[str, int] = defaultdict(int)
    for row in await tx.many(dict, "compliance.pending_domains", campaign_id=campaign.campaign_id):
        provider = provider_of(row["domain"], groups)
        if provider in terms:
            found[provider] += row["count"]
    return found
