"""Versions that wait for a person's word: opened when a file changed, then confirmed or discarded."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from notifier.db import Db
from notifier.errors import Conflict
from notifier.policies.publish import (
    Version,
    became_published,
    insert_texts,
    latest_of,
    load_version,
    lock_policy,
    placing,
    same_or_conflict,
    texts_of,
)
from notifier.policies.version import Details, Submission, Text, check_submission, mark_of, texts_digest
from notifier.sites.site import Site


class _Mark(NamedTuple):
    locale: str
    media_type: str
    sha256: bytes


class _Pending(NamedTuple):
    version_id: int
    sha256: bytes


async def submit_pending(
    db: Db, site: Site, policy: str, texts: Mapping[str, Text], source: str, now: datetime
) -> Version | None:
    """Open a pending version if the texts say something new, in place of the one that may be open.

    Returns None when there is nothing to open: the texts are those of the newest version, or of the open pending one,
    or a person already said no to them. Texts that went back to the newest version withdraw the pending one. Every
    change has an id of its own, so that nobody confirms what they have not seen.
    """
    sha256 = texts_digest(texts)
    async with db.transaction() as tx:
        await lock_policy(tx, site, policy)
        pending = await tx.first(_Pending, "policies.pending", site=site.site, policy=policy)
        if pending and pending.sha256 == sha256:
            return None
        if pending:
            await tx.run("policies.withdraw_texts", version_id=pending.version_id)
            await tx.run("policies.withdraw", version_id=pending.version_id)
        if await _is_known(tx, site.site, policy, texts, sha256):
            return None
        version_id: int = await tx.value(
            "policies.insert_pending", site=site.site, policy=policy, source=source, sha256=sha256, now=now
        )
        await insert_texts(tx, version_id, texts)
        return await load_version(tx, site.site, version_id)


async def _is_known(tx: Db, site: str, policy: str, texts: Mapping[str, Text], sha256: bytes) -> bool:
    """Whether the newest version has these texts, or a person said no to them since it was published."""
    latest = await latest_of(tx, site, policy)
    if latest:
        marks = await tx.many(_Mark, "policies.text_marks", version_id=latest.version_id)
        if {mark_of(locale, text) for locale, text in texts.items()} <= {tuple(mark) for mark in marks}:
            return True
    since = latest.version_id if latest else 0
    return bool(await tx.value("policies.was_discarded", site=site, policy=policy, sha256=sha256, since=since))


async def confirm(db: Db, site: Site, version_id: int, details: Details, now: datetime) -> tuple[Version, bool]:
    """Publish a pending version as the person describes it. Returns it and whether this did it.

    Raises NotFound (its files changed again: look at the new one), Invalid, Conflict (discarded, or the label is
    taken).
    """
    policy = (await load_version(db, site.site, version_id)).policy
    async with db.transaction() as tx:
        await lock_policy(tx, site, policy)
        version = await load_version(tx, site.site, version_id)
        submission = await _described(tx, version, details)
        if version.state == "published":
            return await same_or_conflict(tx, version, submission), False
        if version.state == "discarded":
            raise Conflict(f"version {version_id} was discarded; submit its text as a version of its own instead")
        taken = await tx.first(Version, "policies.published", site=site.site, policy=policy, label=details.label)
        if taken is not None:
            raise Conflict(f"{policy} {details.label!r} is already published; choose another label")
        latest = await latest_of(tx, site.site, policy)
        effective_at = check_submission(submission, site, latest, now)
        await tx.run("policies.set_summaries", version_id=version_id, summaries=details.summaries)
        await tx.value(
            "policies.publish_pending", version_id=version_id, now=now, **placing(submission, latest, effective_at)
        )
        return await became_published(tx, site.site, version_id), True


async def discard(db: Db, site: str, version_id: int) -> None:
    """A person says no to a pending version; the same files do not ask again. Raises NotFound, Conflict (published)."""
    await db.run("policies.discard", version_id=version_id)
    if (await load_version(db, site, version_id)).state == "published":
        raise Conflict(f"version {version_id} is published and stays; correct it with a version of its own")


async def _described(tx: Db, version: Version, details: Details) -> Submission:
    texts = {
        text.locale: Text.model_validate({
            "media_type": text.media_type,
            "body": text.body.decode("utf-8"),
            "summary": details.summaries.get(text.locale, ""),
        })
        for text in await texts_of(tx, version.version_id)
    }  # fmt: skip
    return Submission(
        policy=version.policy,
        label=details.label,
        effective_at=details.effective_at,
        materiality=details.materiality,
        flags=details.flags,
        texts=texts,
    )
