"""One campaign in numbers that must add up."""

from collections import defaultdict
from datetime import datetime
from typing import Any

from notifier.campaigns.campaign import Campaign, load_campaign
from notifier.compliance.figures import (
    ACCEPTED,
    ENDS,
    IN_SCOPE,
    STATUSES,
    Counted,
    Forecast,
    Report,
    forecast,
    gaps,
)
from notifier.db import Db
from notifier.log import log

# For 100,000 notices: compiling takes longer than it saves, remembering never hits, and sorts fit in memory.
_FOR_BULK = "SET LOCAL jit = off; SET LOCAL enable_memoize = off; SET LOCAL work_mem = '64MB'"


async def campaign_report(db: Db, campaign_id: int, now: datetime) -> Report:
    """The counts of a campaign as of one moment. Raises NotFound.

    Numbers that do not add up are still answered, with ``gaps`` and an error in the log: whoever relies on the report
    must see that it failed, and by how much, rather than no report.
    """
    async with db.transaction(snapshot=True, read_only=True) as tx:
        await tx.execute(_FOR_BULK)
        campaign = await load_campaign(tx, None, campaign_id)
        rows = await tx.many(
            dict,
            "compliance.report",
            campaign_id=campaign_id,
            version_id=campaign.version_id if campaign.corrects is None else None,  # a correction is not accepted
            inbox_at=campaign.inbox_at,
            by_act=campaign.rule.explicit or not campaign.rule.deems,
        )
        progress = await tx.many(dict, "compliance.progress", campaign_id=campaign_id)
    report = _report(campaign, _counted(rows), progress, now)
    if not report.adds_up:
        log.error("counts do not add up", campaign=campaign_id, site=campaign.site, reason="; ".join(report.gaps))
    return report


def _counted(rows: list[dict[str, Any]]) -> Counted:
    parts: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        parts[row["part"]][row["name"]] = row["count"]
    return Counted(parts, next((r["latest"] for r in rows if (r["part"], r["name"]) == ("status", "told")), None))


def _report(campaign: Campaign, counted: Counted, progress: list[dict[str, Any]], now: datetime) -> Report:
    reasons, statuses = counted.of("reason"), counted.of("status")
    population = sum(campaign.frozen.values()) if campaign.frozen is not None else sum(reasons.values())
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
        accepted={} if is_correction else {kind: counted.of("accepted").get(kind, 0) for kind in ACCEPTED},
        told_split={} if is_correction else {end: counted.of("told").get(end, 0) for end in ENDS},
        objections=counted.of("objections").get("standing", 0),
        by_channel=by_channel,
        failures=dict(sorted(counted.of("failure").items(), key=lambda item: -item[1])),
        forecast=None if is_correction else _forecast(campaign, counted, now),
        adds_up=not broken,
        gaps=broken,
    )


def _forecast(campaign: Campaign, counted: Counted, now: datetime) -> Forecast | None:
    return forecast(counted, campaign.inbox_at, campaign.effective_at, campaign.rule.notice_days, now)
