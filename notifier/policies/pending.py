"""Drafts that watched places open: a folder, a page, a feed or a repository that says something new."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from notifier.db import Db
from notifier.policies.authoring import draft_of, open_draft
from notifier.policies.publish import Version, insert_texts, latest_of, load_version, lock_policy, record_event, said
from notifier.policies.version import Draft, Seen, Text, mark_of, seen_in
from notifier.sites.site import Site


class _Mark(NamedTuple):
    locale: str
    media_type: str
    sha256: bytes


class _Pending(NamedTuple):
    version_id: int
    seen: Seen


async def submit_pending(
    db: Db, site: Site, policy: str, texts: Mapping[str, Text], source: str, now: datetime
) -> Version | None:
    """Open a pending version if the texts say something new, or let them join the one that watched places opened.

    A text joins that was as published until now, where those of the pending version are still as they were: one change
    that its places show one after the other is one version, and whatever was reviewed without the text is void. Any
    other change opens a version of its own in place of the pending one, with what was said of that but for its review.

    Returns None when there is nothing to open: the texts are those of the newest version, or of the open pending one,
    or a person already said no to them. Texts that went back to the newest version withdraw the pending one.
    """
    seen = seen_in(texts)
    async with db.transaction() as tx:
        await lock_policy(tx, site, policy)
        pending = await tx.first(_Pending, "policies.pending", site=site.site, policy=policy)
        if pending and pending.seen == seen:
            return None
        published = await _published(tx, site.site, policy)
        nothing_new = await _is_nothing_new(tx, site.site, policy, seen, published)
        if pending and not nothing_new and (come := joining(pending.seen, seen, published)):
            return await _join(tx, site, pending.version_id, {at: texts[at] for at in come}, seen, source, now)
        before = await _withdraw(tx, site, pending.version_id, source, now) if pending else None
        if nothing_new:
            return None
        draft, authors = _carried_over(before, policy, texts)
        return await open_draft(tx, site, draft, source, authors, now, seen)


def joining(before: Seen, now: Seen, published: Seen) -> list[str]:
    """The locales whose texts join what a pending version has: nobody had seen a new text there before.

    None where anything that the version was opened for changed on.
    """
    come = [locale for locale in now if now[locale] != before.get(locale)]
    fresh = all(locale not in before or before[locale] == published.get(locale) for locale in come)
    return come if fresh and before.keys() <= now.keys() else []


async def _join(
    tx: Db, site: Site, version_id: int, texts: Mapping[str, Text], seen: Seen, source: str, now: datetime
) -> Version:
    version = await load_version(tx, site.site, version_id)
    before = await draft_of(tx, version)
    joined = before.model_copy(
        update={
            "texts": before.texts | _summarised(texts, before),
            "untranslated": [locale for locale in before.untranslated if locale not in texts],
        }
    )
    recorded = said(joined, await latest_of(tx, site.site, version.policy))
    await tx.run(
        "policies.join", version_id=version_id, seen=seen,
        sha256=recorded["sha256"], untranslated=recorded["untranslated"],
    )  # fmt: skip
    await tx.run("policies.drop_texts", version_id=version_id)
    await insert_texts(tx, version_id, joined.texts)
    undone = [what for what, was in (("review", version.reviewed_by), ("schedule", version.publish_at)) if was]
    await record_event(tx, version_id, now, source, "joined", locales=sorted(texts), undone=undone)
    return await load_version(tx, site.site, version_id)


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
    return draft.model_copy(update={"texts": draft.texts | _summarised(texts, draft)}), authors


def _summarised(texts: Mapping[str, Text], before: Draft) -> dict[str, Text]:
    """The texts with the summaries that were written for their locales."""
    summaries = {locale: text.summary for locale, text in before.texts.items()}
    return {at: text.model_copy(update={"summary": summaries.get(at, "")}) for at, text in texts.items()}


async def _published(tx: Db, site: str, policy: str) -> Seen:
    """The marks of the newest published version's texts; none before the first."""
    latest = await latest_of(tx, site, policy)
    marks = await tx.many(_Mark, "policies.text_marks", version_id=latest.version_id) if latest else []
    return {mark.locale: mark_of(mark.media_type, mark.sha256) for mark in marks}


async def _is_nothing_new(tx: Db, site: str, policy: str, seen: Seen, published: Seen) -> bool:
    """Whether the newest version has these texts, or a person said no to them since it was published."""
    if seen.items() <= published.items():
        return True
    latest = await latest_of(tx, site, policy)
    since = latest.version_id if latest else 0
    return bool(await tx.value("policies.was_discarded", site=site, policy=policy, seen=seen, since=since))
