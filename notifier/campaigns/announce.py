"""Open the telling of a version: work out who must be told, and freeze the answer with a reason for everyone.

The rows it leaves: one ``campaign`` (planned), then, once somebody approved it and in one transaction, its plans, a
``notice`` for every person of the site, the ``slice`` rows that workers lease, and the state ``sending``. A crash in
between leaves the campaign approved, and the next worker freezes it from the start.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from notifier.campaigns.audience import asked_of
from notifier.campaigns.campaign import Campaign, load_campaign, record_event
from notifier.campaigns.canary import ends
from notifier.campaigns.plan import Kind, Plan, plan_for
from notifier.campaigns.rule import Rules, rules_of
from notifier.campaigns.safety import Safety
from notifier.campaigns.since import Earlier
from notifier.campaigns.since import question as knew
from notifier.db import Db
from notifier.sites.site import Site, load_site

# The private messages of a plan are fanned out on read: nothing is sent, so nothing is leased.
FANNED_OUT_ON_READ = "inbox"


async def announce(db: Db, site: Site, version_id: int, now: datetime, actor: str) -> int:
    """Plan the telling of a published version. Returns the campaign's id, the same one however often it is asked.

    Where the site asks for nobody's approval it begins by itself.
    """
    async with db.transaction() as tx:
        version = await tx.first(dict, "campaigns.version", version_id=version_id)
        if version is None:
            raise LookupError(f"version {version_id} is not published")
        is_terms = site.policies[version["policy"]].is_terms
        rules = rules_of(site.rule, version["materiality"], version["flags"], is_terms=is_terms)
        safety = Safety(approval=site.approval, canary=site.canary)
        created: int | None = await tx.value(
            "campaigns.create",
            site=site.site, version_id=version_id, now=now,
            rule=rules.base.model_dump(mode="json"), overlays=[one.model_dump(mode="json") for one in rules.overlays],
            safety=safety.model_dump(mode="json"),
        )  # fmt: skip
        if created is None:
            existing: int = await tx.value("campaigns.of_version", version_id=version_id)
            return existing
        await record_event(tx, created, now, actor, "announced")
        await begin_unasked(tx, created, safety, now)
        return created


async def begin_unasked(tx: Db, campaign_id: int, safety: Safety, now: datetime) -> None:
    """Let a planned campaign begin where the site asks for nobody's approval."""
    if not safety.approval.people:
        await record_event(tx, campaign_id, now, "site.yaml", "approve", "approval.people is 0: publishing sends")
        await tx.run("campaigns.step", campaign_id=campaign_id, state="approved", now=now)
        await tx.notify("notifier", "campaign")


@dataclass(frozen=True)
class Count:
    """How many people share a value: ``dimension`` is reason, country, role, locale, channel or presets."""

    dimension: str
    value: str
    reason: str
    count: int


async def preview(db: Db, campaign_id: int, now: datetime) -> list[Count]:
    """Who would be told and why others not; of the frozen audience once there is one. Changes nothing."""
    async with db.transaction(snapshot=True, read_only=True) as tx:
        campaign = await load_campaign(tx, None, campaign_id)
        return [_with_presets(count, campaign.rules) for count in await _preview(tx, campaign, now)]


async def _preview(tx: Db, campaign: Campaign, now: datetime) -> list[Count]:
    if campaign.frozen_at is not None:
        return await tx.many(Count, "campaigns.preview_frozen", campaign_id=campaign.campaign_id)
    plans = await plans_of(tx, campaign, now)
    if campaign.corrects is not None:
        return await tx.many(Count, "campaigns.preview_correction", **correction_of(campaign, plans, now))
    return await tx.many(Count, "campaigns.preview", **await question_of(tx, campaign, plans, now))


def _with_presets(count: Count, rules: Rules) -> Count:
    """A mask of overlays by the names of the presets that it comes to."""
    if count.dimension != "overlays":
        return count
    return replace(count, dimension="presets", value=" + ".join(rules.of(int(count.value)).presets))


async def freeze_next(db: Db, slice_size: int, now: datetime) -> int:
    """Freeze the audience of one approved campaign and open it. Returns 0 when none is waiting."""
    try:
        return await _freeze_next(db, slice_size, now)
    except asyncpg.SerializationError:
        # Another worker opened the campaign between our snapshot and our look: there is nothing left to freeze.
        return 0


async def _freeze_next(db: Db, slice_size: int, now: datetime) -> int:
    async with db.transaction(snapshot=True) as tx:
        campaign_id = await tx.value("campaigns.next_approved")
        if campaign_id is None:
            return 0
        campaign = await load_campaign(tx, None, campaign_id)
        if campaign.corrects is not None:
            await tx.run("campaigns.hold_corrected", corrects=campaign.corrects)
        await allow_many_rows(tx)
        plans = await plans_of(tx, campaign, now)
        await insert_plans(tx, campaign, plans)
        await _load_notices(tx, campaign, plans, now)
        shares = campaign.rule.one_letter_per_mailbox
        if shares:
            beyond = {"campaign_id": campaign_id, "beyond": len(plans)}
            await tx.run("campaigns.plans_of_companions", **beyond)
            await tx.run("campaigns.name_companions", **beyond, now=now)
        frozen, since = await _counted(tx, campaign_id)
        await tx.run("campaigns.note_changed", campaign_id=campaign_id, version_id=campaign.version_id, since=since)
        stage_ends = await _stage_ends(tx, campaign)
        await _cut_slices(tx, campaign_id, plans.values(), slice_size, stage_ends, now)
        if shares:
            await tx.run("campaigns.join_slices", campaign_id=campaign_id)
            await tx.run("campaigns.wake_queued", campaign_id=campaign_id, now=now)
        await tx.run("campaigns.open", campaign_id=campaign_id, stages=len(stage_ends) + 1, frozen=frozen, now=now)
        await record_event(tx, campaign_id, now, "notifier", "opened", stages=len(stage_ends) + 1)
        await tx.run("campaigns.supersede_older", campaign_id=campaign_id, now=now)
        await tx.run("campaigns.tell_the_rest", campaign_id=campaign_id, now=now)
        await tx.notify("notifier", "campaign")
    return 1


async def plans_of(tx: Db, campaign: Campaign, now: datetime) -> dict[int, Plan]:
    """One plan for every kind of person that the site has, by number."""
    kinds = await tx.many(dict, "campaigns.kinds", site=campaign.site, now=now, **overlays_of(campaign))
    return dict(enumerate(await plans_for(tx, campaign, kinds)))


def overlays_of(campaign: Campaign) -> dict[str, Any]:
    """What queries about kinds of people take: which overlays apply to somebody, as a bit mask."""
    asked = asked_of(campaign.rules)
    return {"overlays": asked["overlays"], "given": asked["given"]}


async def plans_for(tx: Db, campaign: Campaign, kinds: Iterable[Mapping[str, Any]]) -> list[Plan]:
    """One plan for each of some kinds of people, as a query answers them."""
    site = await load_site(tx, campaign.site)
    locales = await tx.many(dict, "campaigns.text_locales", version_id=campaign.version_id)
    available = [row["locale"] for row in locales]
    them = [Kind(k["locale"], tuple(k["channels"]), k["email_usable"], k["overlays"]) for k in kinds]
    rules = {mask: campaign.rules.of(mask) for mask in {kind.overlays for kind in them}}
    return [plan_for(kind, rules[kind.overlays], available, site.locales) for kind in them]


async def insert_plans(tx: Db, campaign: Campaign, plans: Mapping[int, Plan], *, late: bool = False) -> None:
    """Keep plans by number, each with the rule that it is under. ``late``: of people who join after the freeze."""
    masks = {plan.overlays for plan in plans.values()} - {0}  # under none: the campaign's own rule
    under = {mask: campaign.rules.of(mask).model_dump(mode="json") for mask in masks}
    rows = [(campaign.campaign_id, n, *astuple(plan), under.get(plan.overlays), late) for n, plan in plans.items()]
    columns = "requested_locale", "preference", "email_usable", "locale", "channels", "fallback", "overlays"
    await tx.copy("plan", ("campaign_id", "plan", *columns, "rule", "late"), rows)


async def _load_notices(tx: Db, campaign: Campaign, plans: Mapping[int, Plan], now: datetime) -> None:
    """Fill the campaign's partition bare and in key order; its key is built after (docs/decisions/0003)."""
    partition = f"notice_{campaign.campaign_id}"
    if campaign.corrects is None:
        question = await question_of(tx, campaign, plans, now)
        question |= knew(await tx.many(Earlier, "campaigns.earlier", version_id=campaign.version_id))
        await tx.create(partition, "campaigns.freeze", campaign_id=campaign.campaign_id, **question)
    else:
        reached = correction_of(campaign, plans, now)
        await tx.create(partition, "campaigns.freeze_correction", campaign_id=campaign.campaign_id, **reached)
    await tx.execute(
        f"ALTER TABLE {partition} ALTER reason SET NOT NULL, ALTER plan SET NOT NULL,"
        f" ADD CHECK (campaign_id = {campaign.campaign_id}), ADD PRIMARY KEY (lane, person_id, campaign_id)"
    )
    await tx.execute(f"ALTER TABLE notice ATTACH PARTITION {partition} FOR VALUES IN ({campaign.campaign_id})")
    # The slices are cut along the key, which pays only for many notices: a look at few of them says as much.
    await tx.execute("SET LOCAL default_statistics_target = 10")
    await tx.execute(f"ANALYZE {partition}")


async def _counted(tx: Db, campaign_id: int) -> tuple[dict[str, int], list[int]]:
    """How many of a frozen audience there are of each reason, and which versions some of them last knew."""
    frozen: Counter[str] = Counter()
    since = set()
    for row in await tx.many(dict, "campaigns.counted", campaign_id=campaign_id):
        frozen[row["reason"]] += row["count"]
        since.add(row["since"])
    return dict(frozen), sorted(since - {None})


async def allow_many_rows(tx: Db) -> None:
    """Sort in memory, and let several processes answer: the planner shies away from them where many rows come back."""
    await tx.execute("SET LOCAL work_mem = '128MB'")
    await tx.execute("SET LOCAL parallel_tuple_cost = 0.01")


async def question_of(tx: Db, campaign: Campaign, plans: Mapping[int, Plan], now: datetime) -> dict[str, Any]:
    """The parameters of the one CASE that is asked of every person."""
    newer = await tx.many(dict, "campaigns.this_or_newer", version_id=campaign.version_id)
    return {
        "site": campaign.site,
        "now": now,
        "versions": [row["version_id"] for row in newer],
        "labels": [row["label"] for row in newer],
        "dormant": campaign.rule.audience.dormant,
        **asked_of(campaign.rules),
        **_reaching(campaign, plans),
    }


def correction_of(campaign: Campaign, plans: Mapping[int, Plan], now: datetime) -> dict[str, Any]:
    """The parameters of the question that a correction asks instead: whom did what it corrects reach?"""
    about = {"site": campaign.site, "now": now, "corrects": campaign.corrects}
    return {**about, **overlays_of(campaign), **_reaching(campaign, plans)}


def _reaching(campaign: Campaign, plans: Mapping[int, Plan]) -> dict[str, Any]:
    return {
        "by_email": "email" in campaign.rules.channels,
        "plans": [
            {
                "plan": number,
                "requested_locale": plan.requested_locale,
                "preference": plan.preference,
                "email_usable": plan.email_usable,
                "overlays": plan.overlays,
                "locale": plan.locale,
                "channels": plan.channels,
            }
            for number, plan in plans.items()
        ],
    }


async def _stage_ends(tx: Db, campaign: Campaign) -> list[tuple[int, UUID]]:
    """The key of the last person of each stage but the last. Keys begin with a hash of who somebody is."""
    canary = campaign.safety.canary
    if canary is None:
        return []
    where = {"campaign_id": campaign.campaign_id, "read": FANNED_OUT_ON_READ}
    counted = await tx.first(dict, "campaigns.sent_to", **where)
    assert counted is not None, "counts have a row"
    numbers = ends(canary.stages, counted["sent"], counted["read"])
    return [(key["lane"], key["person_id"]) for key in await tx.many(dict, "campaigns.nth", **where, ends=numbers)]


async def _cut_slices(
    tx: Db, campaign_id: int, plans: Collection[Plan], size: int, stage_ends: Sequence[tuple[int, UUID]], now: datetime
) -> None:
    """Cut the work of each channel that is sent into slices of ``size`` notices; a fallback's wait for failures."""
    cuts = {
        "size": size,
        "end_lanes": [lane for lane, _ in stage_ends],
        "end_people": [person for _, person in stage_ends],
    }
    at_once = {channel for plan in plans for channel in plan.channels} - {FANNED_OUT_ON_READ}
    later = {channel for plan in plans for channel in plan.fallback}
    for channel in sorted(at_once | later):
        fallback = channel not in at_once
        where = {"campaign_id": campaign_id, "channel": channel}
        await tx.run("campaigns.cut_slices", **where, **cuts, fallback=fallback, now=now)
    if not stage_ends:
        await look_later(tx, campaign_id, now)


async def look_later(tx: Db, campaign_id: int, now: datetime) -> None:
    """Note, once everybody has their turn, when to look who reads nothing, and whom to remind."""
    await tx.run("campaigns.look_for_unread", campaign_id=campaign_id, now=now)
    await tx.run("campaigns.look_for_reminders", campaign_id=campaign_id, now=now)
