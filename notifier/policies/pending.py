"""Drafts that a watched place opens: a folder, a page, a feed or a repository that says something new."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from notifier.db import Db
from notifier.policies.authoring import draft_of, open_draft
from notifier.policies.publish import Version, latest_of, load_version, lock_policy, record_event
from notifier.policies.version import Draft, Text, mark_of, texts_digest
from notifier.sites.site import Site


class _Mark(NamedTuple):
    locale: str
    media_type: str
    sha256: bytes


class _Pending(NamedTuple):
    version_id: int
    seen_sha256: bytes


async def submit_pending(
    db: Db, site: Site, policy: str, texts: Mapping[str, Text], source: str, now: datetime
) -> Version | None:
    """Open a pending version if the texts say something new, in place of the one that a watched place opened before.

    Returns None when there is nothing to open: the texts are those of the newest version, or of the open pending one,
    or a person already said no to them. Texts that went back to the newest version withdraw the pending one. Every
    change has an id of its own, so that nobody confirms what they have not seen; what was said of the one before is
    said of it too, but for its review.
    """
    seen = texts_digest(texts)
    async with db.transaction() as tx:
        await lock_policy(tx, site, policy)
        pending = await tx.first(_Pending, "policies.pending", site=site.site, policy=policy)
        if pending and pending.seen_sha256 == seen:
            return None
        before = await _withdraw(tx, site, pending.version_id, source, now) if pending else None
        if await _is_known(tx, site.site, policy, texts, seen):
            return None
        draft, authors = _carried_over(before, policy, texts)
        return await open_draft(tx, site, draft, source, authors, now, seen)


async def _withdraw(tx: Db, site: Site, version_id: int, source: str, now: datetime) -> tuple[Draft, list[str]]:
    """Give up a pending version whose files changed on. What nobody wrote at needs no keeping but for its history."""
    version = await load_version(tx, site.site, version_id)
    draft = await draft_of(tx, version)
    if not version.authors and version.reviewed_by is None:
        await tx.run("policies.drop_texts", version_id=version_id)
    await tx.run("policies.withdraw", version_id=version_id)
    await record_event(tx, version_id, now, source, "withdrawn")
    return draft, version.authors


def _carried_over(
    before: tuple[Draft, list[str]] | None, policy: str, texts: Mapping[str, Text]
) -> tuple[Draft, list[str]]:
    """The draft for what is seen now, with what people had said of the one before it."""
    if before is None:
        return Draft(policy=policy, texts=dict(texts)), []
    draft, authors = before
    if not authors:
        return draft.model_copy(update={"texts": dict(texts)}), []
    summaries = {locale: text.summary for locale, text in draft.texts.items()}
    now = {k: text.model_copy(update={"summary": summaries.get(k, "")}) for k, text in texts.items()}
    return draft.model_copy(update={"texts": draft.texts | now}), authors


async def _is_known(tx: Db, site: str, policy: str, texts: Mapping[str, Text], seen: bytes) -> bool:
    """Whether the newest version has these texts, or a person said no to them since it was published."""
    latest = await latest_of(tx, site, policy)
    if latest:
        marks = await tx.many(_Mark, "policies.text_marks", version_id=latest.version_id)
        if {mark_of(locale, text) for locale, text in texts.items()} <= {tuple(mark) for mark in marks}:
            return True
    since = latest.version_id if latest else 0
    return bool(await tx.value("policies.was_discarded", site=site, policy=policy, sha256=seen, since=since))
