"""Publish versions and find them again. Leaves a ``version``, its texts and events, and ``registration`` rows.

Everything here is idempotent: the same content under the same label is the same version, whatever races.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from notifier.db import Db
from notifier.errors import Conflict, Invalid, NotFound
from notifier.policies.draft import incomplete
from notifier.policies.override import is_overridden
from notifier.policies.version import Draft, Latest, Submission, Text, check_submission, unknown_policy
from notifier.sites.site import Site


@dataclass(frozen=True)
class Version:
    """One state of a policy. ``state`` is pending, published, discarded or withdrawn.

    Only published ones have an ordinal, a previous one and the times from which they are published and in effect.
    A pending one is a draft, wherever it came from: ``authors`` wrote at it, ``reviewed_by`` reviewed it as it stands,
    and at ``publish_at`` (said in ``publish_zone``) workers publish it. ``sha256`` is over all that is or is to be
    published; ``wanted_at`` is when it is asked to take effect. ``corrects`` is the label of the version it mends.
    """

    version_id: int
    site: str
    policy: str
    label: str
    state: str
    materiality: str
    flags: list[str]
    source: str
    received_at: datetime
    ordinal: int | None
    previous_id: int | None
    published_at: datetime | None
    effective_at: datetime | None
    sha256: bytes
    untranslated: list[str]
    wanted_at: datetime | None
    authors: list[str]
    reviewed_by: str | None
    reviewed_at: datetime | None
    publish_at: datetime | None
    publish_zone: str | None
    scheduled_by: str | None
    corrects_id: int | None
    corrects: str | None

    @property
    def stage(self) -> str:
        """How far it has come: draft, reviewed, scheduled, or its state when it waits no more."""
        if self.state != "pending":
            return self.state
        return "scheduled" if self.publish_at else "reviewed" if self.reviewed_by else "draft"

    @property
    def is_baseline(self) -> bool:
        """The first published version of its policy: nobody is told of it."""
        return self.ordinal == 1

    @property
    def is_told(self) -> bool:
        """Whether publishing it calls for a campaign: neither a baseline nor editorial."""
        return self.state == "published" and not self.is_baseline and self.materiality != "editorial"


@dataclass(frozen=True)
class VersionText:
    """One text of a version: the exact bytes, their SHA-256, and what changed in the publisher's words."""

    locale: str
    media_type: str
    body: bytes
    sha256: bytes
    summary: str


async def publish(db: Db, site: Site, submission: Submission, source: str, now: datetime) -> tuple[Version, bool]:
    """Publish a version. Returns it and whether it is new; the same submission again finds the same one.

    ``source`` is webhook, command or folder. Raises Invalid (fields at fault), Conflict (the label has other content).
    """
    async with db.transaction() as tx:
        await lock_policy(tx, site, submission.policy)
        earlier = await tx.first(
            Version, "policies.published", site=site.site, policy=submission.policy, label=submission.label
        )
        if earlier is not None:
            return await same_or_conflict(tx, earlier, submission), False
        latest = await latest_of(tx, site.site, submission.policy)
        overridden = await is_overridden(tx, site.site, submission)
        strict = site.review.incomplete == "refuse"
        missing = incomplete(submission, site, latest, "/texts/{}/summary") if strict else ()
        effective_at = check_submission(submission, site, latest, now, missing, overridden=overridden)
        version_id: int = await tx.value(
            "policies.insert_published",
            site=site.site, source=source, now=now, **said(submission, latest), **placing(latest, effective_at),
        )  # fmt: skip
        await insert_texts(tx, version_id, submission.texts)
        return await became_published(tx, site.site, version_id, source, now), True


async def lock_policy(tx: Db, site: Site, policy: str) -> None:
    """Hold the policy until the transaction ends. Raises Invalid for one that the site does not have."""
    if await tx.value("policies.lock", site=site.site, policy=policy) is None:
        raise Invalid("the version was not published", [unknown_policy(policy, site)])


async def latest_of(db: Db, site: str, policy: str) -> Latest | None:
    """The newest published version of a policy, in effect or not yet."""
    return await db.first(Latest, "policies.latest", site=site, policy=policy)


async def same_or_conflict(tx: Db, version: Version, submission: Draft) -> Version:
    """The version itself when it was submitted as exactly this. Raises Conflict otherwise."""
    if version.sha256 == submission.sha256:
        return version
    raise Conflict(
        f"{version.policy} {version.label!r} is already published with other content, and stays as it is; "
        "choose another label (a correction is a version of its own)"
    )


def placing(latest: Latest | None, effective_at: datetime) -> dict[str, object]:
    """Where among the versions of its policy a new one goes, and when it takes effect."""
    return {
        "ordinal": latest.ordinal + 1 if latest else 1,
        "previous_id": latest.version_id if latest else None,
        "effective_at": effective_at,
    }


def said(draft: Draft, latest: Latest | None) -> dict[str, object]:
    """What is recorded of a draft. What it says to correct is kept by id where that is the newest version."""
    corrected = latest is not None and draft.corrects == latest.label
    return {
        "policy": draft.policy,
        "label": draft.label,
        "materiality": draft.materiality,
        "flags": sorted(set(draft.flags)),
        "untranslated": sorted(set(draft.untranslated)),
        "wanted_at": draft.effective_at,
        "corrects_id": latest.version_id if latest and corrected else None,
        "sha256": draft.sha256,
    }


async def insert_texts(tx: Db, version_id: int, texts: Mapping[str, Text]) -> None:
    """Keep the exact bytes of each text and their SHA-256."""
    columns = ("version_id", "locale", "media_type", "body", "sha256", "summary")
    rows = [
        (version_id, locale, text.media_type, text.content, hashlib.sha256(text.content).digest(), text.summary)
        for locale, text in texts.items()
    ]
    await tx.copy("version_text", columns, rows)


async def became_published(tx: Db, site: str, version_id: int, actor: str, now: datetime) -> Version:
    """The version as it now stands: to be seen where site.yaml says that the site shows it, and with a registration for
    everybody who was shown it when they registered.

    Drafts of its policy that were reviewed beside an older version want another look.
    """
    version = await load_version(tx, site, version_id)
    await tx.run("posting.require", version_id=version_id)
    await tx.run("policies.insert_registrations", site=site, label=version.label, version_id=version_id)
    await record_event(tx, version_id, now, actor, "published")
    reason = f"{version.label} was published since"
    await tx.run("policies.review_again", site=site, policy=version.policy, reason=reason, now=now)
    return version


async def record_event(
    tx: Db, version_id: int, now: datetime, actor: str, action: str, reason: str = "", **detail: object
) -> None:
    """Append one step to a version's history, with the digest of what it then said."""
    await tx.run(
        "policies.record_event",
        version_id=version_id, now=now, actor=actor, action=action, reason=reason, detail=detail,
    )  # fmt: skip


async def find_version(db: Db, site: str, policy: str, label: str) -> Version:
    """A published version by its label. Raises NotFound."""
    version = await db.first(Version, "policies.published", site=site, policy=policy, label=label)
    if version is None:
        raise NotFound(f"{site} has published no version {label!r} of {policy!r}")
    return version


async def load_version(db: Db, site: str, version_id: int) -> Version:
    """A version in whatever state. Raises NotFound."""
    version = await db.first(Version, "policies.version", site=site, version_id=version_id)
    if version is None:
        raise NotFound(f"{site} has no version {version_id}; a pending one goes when its files change again")
    return version


async def list_versions(db: Db, site: str, policy: str | None = None) -> list[Version]:
    """Published and pending versions of a site or of one of its policies, the newest first."""
    return await db.many(Version, "policies.versions", site=site, policy=policy)


async def texts_of(db: Db, version_id: int) -> list[VersionText]:
    """The texts of a version in the order of their locales."""
    return await db.many(VersionText, "policies.texts", version_id=version_id)
