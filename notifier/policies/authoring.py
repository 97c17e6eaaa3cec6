"""Drafts on their way to being published: written, changed, reviewed, published or given up.

A draft is a pending version, whoever opened it: an author, a watched place, or a webhook of a site that wants a second
pair of eyes. Every step holds the policy, leaves the version as it then stands and one event, in one transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from notifier.db import Db
from notifier.errors import Conflict, Invalid
from notifier.policies.draft import Amendment, NewDraft, amended, incomplete, objection_to_review
from notifier.policies.override import is_overridden
from notifier.policies.publish import (
    Version,
    became_published,
    insert_texts,
    latest_of,
    load_version,
    lock_policy,
    placing,
    record_event,
    said,
    same_or_conflict,
    texts_of,
)
from notifier.policies.version import Draft, Seen, check_submission, faults_of_draft, foreseen_effect
from notifier.sites.site import Site

MENDING = "the draft was left as it is: some fields need mending"


@dataclass(frozen=True)
class Event:
    """One line of a version's history. ``sha256`` is over what the version then said."""

    at: datetime
    actor: str
    action: str
    reason: str
    sha256: bytes
    detail: dict[str, Any]


async def history(db: Db, version_id: int) -> list[Event]:
    """What was done to a version, from its first draft on."""
    return await db.many(Event, "policies.events", version_id=version_id)


async def draft_of(db: Db, version: Version) -> Draft:
    """Everything that a version says, as it was or would be submitted."""
    texts = {
        text.locale: {"media_type": text.media_type, "body": text.body.decode("utf-8"), "summary": text.summary}
        for text in await texts_of(db, version.version_id)
    }
    as_they_are = ("policy", "label", "materiality", "flags", "corrects", "untranslated")
    plain = {name: getattr(version, name) for name in as_they_are}
    return Draft.model_validate({**plain, "effective_at": version.wanted_at, "texts": texts})


async def write(db: Db, site: Site, new: NewDraft, actor: str, now: datetime) -> Version:
    """Begin a draft. Raises Invalid for what can never be published; what is merely missing may follow."""
    async with db.transaction() as tx:
        await lock_policy(tx, site, new.policy)
        draft = amended(Draft(policy=new.policy), new)
        await _check(tx, site, draft)
        return await open_draft(tx, site, draft, "author", (actor,), now)


async def open_draft(
    tx: Db, site: Site, draft: Draft, source: str, authors: Sequence[str], now: datetime, seen: Seen | None = None
) -> Version:
    """A pending version that says this. The policy is held. ``seen``: what watched places showed."""
    version_id: int = await tx.value(
        "policies.insert_pending",
        site=site.site, source=source, authors=list(authors), seen=seen, now=now,
        **said(draft, await latest_of(tx, site.site, draft.policy)),
    )  # fmt: skip
    await insert_texts(tx, version_id, draft.texts)
    await record_event(tx, version_id, now, authors[-1] if authors else source, "opened")
    return await load_version(tx, site.site, version_id)


async def submit(db: Db, site: Site, submission: Draft, source: str, now: datetime) -> Version:
    """Take a submission as a draft, for somebody's review. The same again is the same draft, or what became of it."""
    async with db.transaction() as tx:
        await lock_policy(tx, site, submission.policy)
        where = {"site": site.site, "policy": submission.policy}
        published = await tx.first(Version, "policies.published", **where, label=submission.label)
        if published is not None:
            return await same_or_conflict(tx, published, submission)
        latest = await latest_of(tx, site.site, submission.policy)
        overridden = await is_overridden(tx, site.site, submission)
        check_submission(submission, site, latest, now, overridden=overridden)
        known = await tx.value("policies.same_draft", **where, sha256=submission.sha256)
        if known is not None:
            return await load_version(tx, site.site, known)
        return await open_draft(tx, site, submission, source, (source,), now)


async def amend(
    db: Db, site: Site, version_id: int, change: Amendment, actor: str, now: datetime, sha256: bytes | None = None
) -> Version:
    """Change a draft. What was reviewed and scheduled of it is void, unless nothing changes.

    ``sha256``: of the draft that is meant. Raises NotFound, Invalid, Conflict (it waits no more, or somebody else
    changed it meanwhile).
    """
    async with db.transaction() as tx:
        version = await hold(tx, site, version_id, sha256)
        await _check(tx, site, amended(await draft_of(tx, version), change))
        return await _amend(tx, site, version, change, actor, now)


async def _amend(tx: Db, site: Site, version: Version, change: Amendment, actor: str, now: datetime) -> Version:
    before = await draft_of(tx, version)
    draft = amended(before, change)
    if draft.sha256 == version.sha256:
        return version
    recorded = said(draft, await latest_of(tx, site.site, draft.policy))
    del recorded["policy"]
    await tx.run("policies.amend", version_id=version.version_id, actor=actor, **recorded)
    if draft.texts != before.texts:
        await tx.run("policies.drop_texts", version_id=version.version_id)
        await insert_texts(tx, version.version_id, draft.texts)
    undone = [what for what, was in (("review", version.reviewed_by), ("schedule", version.publish_at)) if was]
    await record_event(tx, version.version_id, now, actor, "amended", undone=undone)
    return await load_version(tx, site.site, version.version_id)


async def review(db: Db, site: Site, version_id: int, sha256: bytes, actor: str, reason: str, now: datetime) -> Version:
    """Record that somebody reviewed exactly the draft with this digest.

    Raises Invalid when it could not be published so, Conflict when it says something else by now or the site wants
    another reviewer.
    """
    async with db.transaction() as tx:
        version = await hold(tx, site, version_id, sha256)
        return await _review(tx, site, version, actor, reason, now)


async def _review(tx: Db, site: Site, version: Version, actor: str, reason: str, now: datetime) -> Version:
    if objection := objection_to_review(site, version.authors, actor):
        raise Conflict(objection)
    await ready(tx, site, version, now)
    await tx.run("policies.review", version_id=version.version_id, actor=actor, now=now)
    await record_event(tx, version.version_id, now, actor, "reviewed", reason)
    return await load_version(tx, site.site, version.version_id)


async def confirm(
    db: Db, site: Site, version_id: int, change: Amendment, actor: str, now: datetime, sha256: bytes | None = None
) -> tuple[Version, bool]:
    """Publish a draft now, with what is still said about it. Returns it and whether this did it.

    Whoever publishes what nobody reviewed reviews it by that, where the site allows it. ``sha256``: of the draft that
    is meant. Raises NotFound, Invalid, Conflict (discarded, not reviewed by somebody else, says something else by now,
    or the label is taken).
    """
    async with db.transaction() as tx:
        version = await load_version(tx, site.site, version_id)
        await lock_policy(tx, site, version.policy)
        version = await load_version(tx, site.site, version_id)
        if version.state == "published":
            return await same_or_conflict(tx, version, amended(await draft_of(tx, version), change)), False
        _refuse_unless_pending(version)
        _refuse_unless_meant(version, sha256)
        version = await _amend(tx, site, version, change, actor, now)
        if version.reviewed_by is None:
            version = await _review(tx, site, version, actor, "", now)
        return await publish_draft(tx, site, version, actor, now), True


async def publish_draft(tx: Db, site: Site, version: Version, actor: str, now: datetime) -> Version:
    """Publish a reviewed draft whose policy is held. Raises Invalid, Conflict when it cannot be as it stands."""
    effective_at = await ready(tx, site, version, now)
    latest = await latest_of(tx, site.site, version.policy)
    await tx.run("policies.publish_pending", version_id=version.version_id, now=now, **placing(latest, effective_at))
    return await became_published(tx, site.site, version.version_id, actor, now)


async def discard(db: Db, site: Site, version_id: int, actor: str, reason: str, now: datetime) -> None:
    """A person gives a draft up; what a watched place showed does not ask again. Raises NotFound, Conflict (published).

    The same again changes nothing.
    """
    async with db.transaction() as tx:
        version = await load_version(tx, site.site, version_id)
        await lock_policy(tx, site, version.policy)
        if await tx.run("policies.discard", version_id=version_id):
            await record_event(tx, version_id, now, actor, "discarded", reason)
        elif (await load_version(tx, site.site, version_id)).state == "published":
            raise Conflict(f"version {version_id} is published and stays; correct it with a version of its own")


async def hold(tx: Db, site: Site, version_id: int, sha256: bytes | None = None) -> Version:
    """The draft, with its policy held. Raises Conflict when it waits no more, or is not the one that is meant."""
    version = await load_version(tx, site.site, version_id)
    await lock_policy(tx, site, version.policy)
    version = await load_version(tx, site.site, version_id)
    _refuse_unless_pending(version)
    _refuse_unless_meant(version, sha256)
    return version


def _refuse_unless_meant(version: Version, sha256: bytes | None) -> None:
    if sha256 is not None and sha256 != version.sha256:
        raise Conflict(
            f"draft {version.version_id} says something else by now (SHA-256 {version.sha256.hex()}); "
            "nothing was done; read it again"
        )


def _refuse_unless_pending(version: Version) -> None:
    number = version.version_id
    if version.state == "published":
        raise Conflict(f"version {number} is published and stays; correct it with a version of its own")
    if version.state == "withdrawn":
        raise Conflict(f"version {number} was withdrawn, as what it was read from changed again; look at the new one")
    if version.state == "discarded":
        raise Conflict(f"version {number} was discarded; submit its text as a version of its own instead")


async def ready(tx: Db, site: Site, version: Version, at: datetime) -> datetime:
    """When a draft would take effect if it were published at ``at``. Raises Invalid, Conflict when it cannot be."""
    draft = await draft_of(tx, version)
    latest = await latest_of(tx, site.site, version.policy)
    where = {"site": site.site, "policy": version.policy, "label": version.label}
    if await tx.first(Version, "policies.published", **where) is not None:
        raise Conflict(f"{version.policy} {version.label!r} is already published; choose another label")
    overridden = await is_overridden(tx, site.site, draft)
    return check_submission(draft, site, latest, at, incomplete(draft, site, latest), overridden=overridden)


async def _check(tx: Db, site: Site, draft: Draft) -> None:
    """Refuse what is wrong already; what is merely missing may follow."""
    if faults := list(faults_of_draft(draft, site, await latest_of(tx, site.site, draft.policy))):
        raise Invalid(MENDING, faults)


async def foresee(db: Db, site: Site, version: Version, now: datetime) -> Version:
    """A draft as it would stand if it were published at its time (or now), whatever it still lacks."""
    if version.state == "published":
        return version
    latest = await latest_of(db, site.site, version.policy)
    at = max(version.publish_at or now, now)
    effective_at = foreseen_effect(await draft_of(db, version), site, latest, at)
    placed: dict[str, Any] = placing(latest, effective_at)
    return replace(version, label=version.label or "draft", state="published", published_at=at, **placed)
