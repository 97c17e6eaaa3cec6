"""Find which text was in force for one person on a day, with its exact bytes' digest and address."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from notifier.acceptance.facts import Somebody, objection_of
from notifier.campaigns.plan import choose_locale
from notifier.campaigns.rule import Rule
from notifier.compliance.force import Asks, InForce, Known, NotYet, in_force
from notifier.compliance.words import Said, said
from notifier.db import Db
from notifier.errors import NotFound
from notifier.sites.site import Site


@dataclass(frozen=True)
class Text:
    """The text itself, in the locale of the person's notice, or else of the person."""

    locale: str
    sha256: bytes
    path: str


@dataclass(frozen=True)
class Answer:
    """Which version was in force for a person on a day, and by what. ``found`` is None where none was."""

    policy: str
    on: datetime
    found: InForce | None
    text: Text | None
    not_yet: list[NotYet]

    @property
    def facts(self) -> list[Said]:
        """The answer in words: first the version, then every newer one that was not in force, and why."""
        return [_said(self), *(_said_not(one) for one in self.not_yet)]


async def text_in_force(db: Db, site: Site, person: Somebody, policy: str, on: datetime) -> Answer:
    """Which text of a policy was in force for a person at a moment. Raises NotFound for an unknown policy."""
    if policy not in site.policies:
        raise NotFound(f"{site.site} has no policy {policy!r}")
    where = {"lane": person.lane, "person_id": person.person_id, "site": site.site, "policy": policy}
    rows = await db.many(dict, "compliance.in_force", **where, on=on)
    if not rows:
        return Answer(policy, on, None, None, [])
    found, not_yet = in_force([_known(row) for row in rows], rows[0]["registered_at"], on)
    text = None
    if found is not None:
        row = next(row for row in rows if row["version_id"] == found.version.version_id)
        text = _text(site, policy, row)
    return Answer(policy, on, found, text, not_yet)


def _known(row: dict[str, Any]) -> Known:
    rule = None if row["rule"] is None else Rule.model_validate(row["rule"])
    return Known(
        version_id=row["version_id"],
        label=row["label"],
        effective_at=row["effective_at"],
        posted_at=row["posted_at"],
        editorial=row["editorial"],
        asks=None if rule is None else _asks(rule),
        notice_days=0 if rule is None else rule.notice_days,
        told_at=row["sufficient_at"],
        objection=objection_of(row["objected_at"], row["withdrawn"], row["first_objected_at"]),
        accepted_at=row["accepted_at"],
        kind=row["kind"],
        grade=row["grade"],
        proof=row["proof"],
        proof_at=row["proof_at"],
    )


def _asks(rule: Rule) -> Asks:
    if rule.explicit:
        return "act"
    if rule.by_notice:
        return "notice"
    return "use" if rule.deems else "agreement"


def _text(site: Site, policy: str, row: dict[str, Any]) -> Text | None:
    texts: dict[str, str] | None = row["texts"]
    if not texts:
        return None
    locale = row["locale"] if row["locale"] in texts else choose_locale(row["wanted"], sorted(texts), site.locales)
    return Text(locale, bytes.fromhex(texts[locale]), f"/p/{site.site}/{policy}/{row['label']}/{locale}")


def _said(answer: Answer) -> Said:
    found = answer.found
    if found is None:
        return said("in_force.none", policy=answer.policy, on=answer.on)
    one = found.version
    return said(
        f"in_force.{found.basis}",
        policy=answer.policy, label=one.label, on=answer.on, since=found.since, grade=one.grade, told_at=one.told_at,
        accepted=one.kind, proof=one.proof,
    )  # fmt: skip


def _said_not(one: NotYet) -> Said:
    return said(f"not_in_force.{one.lacking}", label=one.version.label, effective_at=one.version.effective_at)
