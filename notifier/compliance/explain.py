"""Why a person was or was not told of a version, by which rule, when, and what holds acceptance back."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from notifier.acceptance.decide import Decision, Reason, decide
from notifier.acceptance.facts import LONG_AGO, Case, Somebody, load_cases
from notifier.activity.activity import Use
from notifier.campaigns.campaign import campaign_of_version, load_campaign
from notifier.campaigns.rule import Rule
from notifier.campaigns.ruling import Ruling, ruling
from notifier.compliance.search import PersonAcceptance, PersonNotice, acceptances, notices
from notifier.compliance.words import Said, said
from notifier.db import Db
from notifier.policies.publish import Version


@dataclass(frozen=True)
class Attempt:
    """One attempt and what it came to; ``class_`` of its failure or delay."""

    channel: str
    attempt: int
    told_at: datetime | None
    recipient_at: datetime | None
    shown_at: datetime | None
    failed_at: datetime | None
    purpose: str  # notice; or reminder-N, nudge-N: it only reminded of what was told
    class_: str | None


@dataclass(frozen=True)
class Explanation:
    """The answer as facts and in English. ``status`` is the notice's (None: never considered); ``recorded`` the latest
    acceptance on record; ``decision`` what the facts amount to now; ``rule`` what they are judged by."""

    policy: str
    label: str
    status: str | None
    recorded: PersonAcceptance | None
    decision: Decision | None
    facts: list[Said]
    rule: Ruling | None = None

    @property
    def words(self) -> list[str]:
        """Every fact in English, in the order in which it came to matter."""
        return [fact.text for fact in self.facts]


async def explain(db: Db, person: Somebody, version: Version, now: datetime) -> Explanation:
    """Explain one person and one published version."""
    about = [a for a in await acceptances(db, person) if (a.policy, a.label) == (version.policy, version.label)]
    recorded = about[-1] if about and about[-1].kind != "void" else None
    voided = about[-1] if about and about[-1].kind == "void" else None
    cases = (await load_cases(db, person.lane, {person.person_id: LONG_AGO})).get(person.person_id, [])
    case = next((case for case in cases if case.version_id == version.version_id), None)
    merged = await db.first(dict, "compliance.merged_into", lane=person.lane, person_id=person.person_id)
    facts = [said(
        "published", label=version.label, policy=version.policy, published_at=version.published_at,
        effective_at=version.effective_at,
    )]  # fmt: skip
    facts += [said("merged_into", **merged)] if merged else []
    if case is None:
        facts += [await _why_not_considered(db, version), *_of_acceptance(recorded)]
        return Explanation(version.policy, version.label, None, recorded, None, facts)
    about_it = [n for n in await notices(db, person) if (n.policy, n.label) == (version.policy, version.label)]
    notice = next(n for n in about_it if n.corrects is None)
    uses = await db.many(Use, "compliance.uses", lane=person.lane, person_id=person.person_id)
    attempts = await _attempts(db, person, case.campaign_id)
    decision = decide(case.rule, replace(case.facts, uses=tuple(uses)), now)
    facts += [
        *await _of_joining(db, person, case.campaign_id),
        *_of_notice(notice, case),
        *await _of_companion(db, person, case.campaign_id),
        *_of_attempts(attempts, notice, case),
        *_of_corrections(about_it),
    ]
    facts += [*await _of_passed_over(db, person, version.version_id)]
    facts += [*_of_void(voided), *_of_decision(case, decision, recorded)]
    return Explanation(version.policy, version.label, notice.status, recorded, decision, facts, ruling(case.rule))


async def _attempts(db: Db, person: Somebody, campaign_id: int) -> list[Attempt]:
    rows = await db.many(
        dict, "compliance.attempts", lane=person.lane, person_id=person.person_id, campaign_id=campaign_id
    )
    return [Attempt(class_=row.pop("class"), **row) for row in map(dict, rows)]


async def _why_not_considered(db: Db, version: Version) -> Said:
    campaign_id = await campaign_of_version(db, version.version_id)
    if campaign_id is not None:
        frozen_at = (await load_campaign(db, None, campaign_id)).frozen_at
        if frozen_at is None:
            return said("not_considered.not_frozen")
        return said("not_considered.came_later", frozen_at=frozen_at)
    if version.is_baseline:
        return said("not_considered.baseline")
    return said("not_considered.editorial" if version.materiality == "editorial" else "not_considered.no_campaign")


async def _of_joining(db: Db, person: Somebody, campaign_id: int) -> list[Said]:
    where = {"lane": person.lane, "person_id": person.person_id, "campaign_id": campaign_id}
    return [said(f"joined.{row['why']}", at=row["at"]) for row in await db.many(dict, "compliance.joined", **where)]


async def _of_companion(db: Db, person: Somebody, campaign_id: int) -> list[Said]:
    where = {"lane": person.lane, "person_id": person.person_id, "campaign_id": campaign_id}
    lead = await db.first(dict, "compliance.lead", **where)
    return [said("shares_mailbox", account=lead["account"])] if lead else []


async def _of_passed_over(db: Db, person: Somebody, version_id: int) -> list[Said]:
    where = {"lane": person.lane, "person_id": person.person_id, "version_id": version_id}
    found = await db.many(dict, "compliance.passed_over", **where)
    return [said(f"passed_over.{row['reason']}", occurred_at=row["occurred_at"]) for row in found]


def _of_notice(notice: PersonNotice, case: Case) -> Iterator[Said]:
    if notice.status == "excluded":
        yield said(f"left_out.{notice.reason}")
    elif notice.reason != "in_scope":
        yield said("suppressed" if notice.reason == "suppressed" else "nothing_reaches")
    else:
        yield said("in_scope", locale=notice.locale, channels=notice.channels, presets=ruling(case.rule).presets)
        yield from _of_presets(case.rule)
        if notice.fallback:
            yield said("in_scope.fallback", fallback=notice.fallback)
        if notice.requested_locale not in ("", notice.locale):
            yield said("other_locale", requested_locale=notice.requested_locale, locale=notice.locale)


def _of_presets(rule: Rule) -> Iterator[Said]:
    """Which values came from which of several presets."""
    if len(rule.presets) > 1:
        by_preset: dict[str, list[str]] = defaultdict(list)
        for value, preset in rule.origins.items():
            by_preset[preset].append(value)
        by_preset.pop(rule.preset, None)
        for preset, values in by_preset.items():
            yield said("in_scope.values", preset=preset, values=values)
        yield said("in_scope.other_values" if by_preset else "in_scope.all_values", preset=rule.preset)


def _of_attempts(attempts: Sequence[Attempt], notice: PersonNotice, case: Case) -> Iterator[Said]:
    for one in attempts:
        if one.failed_at is not None:
            yield said(
                "attempt.failed", attempt=one.attempt, channel=one.channel, failed_at=one.failed_at, class_=one.class_
            )
        elif one.told_at is None:
            yield said("attempt.open", attempt=one.attempt, channel=one.channel, class_=one.class_)
    reminders = {(one.channel, one.attempt) for one in attempts if one.purpose != "notice"}
    for telling in case.facts.tellings:
        if (telling.channel, telling.attempt) in reminders:
            yield said("told.reminded", channel=telling.channel, told_at=telling.at)
            continue
        if telling.placed:
            yield said("told.placed", channel=telling.channel, told_at=telling.at)
        elif telling.recipient_at is not None:
            yield said("told.by_recipient", channel=telling.channel, recipient_at=telling.recipient_at)
        elif telling.shown_at != telling.at:  # that it was shown may be the first we hear of it
            yield said("told.by_relay", channel=telling.channel, told_at=telling.at)
        if telling.shown_at is not None:
            yield said("told.shown", shown_at=telling.shown_at)
    if notice.reason == "in_scope" and notice.status not in ("told", "too_little_evidence"):
        yield said(f"not_told.{notice.status}")


def _of_corrections(notices_: Sequence[PersonNotice]) -> Iterator[Said]:
    for notice in reversed(notices_):  # the oldest first
        if notice.corrects is None or notice.status == "excluded":
            continue
        if notice.told_at is not None:
            yield said("correction.told", channel=notice.told_by, told_at=notice.told_at)
        else:
            yield said("correction.pending" if notice.status == "pending" else "correction.not_told")


def _of_decision(case: Case, decision: Decision, recorded: PersonAcceptance | None) -> Iterator[Said]:
    objection = case.facts.objection
    if objection is not None:
        yield said("objection_withdrawn" if objection.withdrawn else "objected", at=objection.at)
    if decision.counts_from is not None:
        yield said("counts_from", counts_from=decision.counts_from, notice_days=case.rule.notice_days)
    if recorded is None:
        yield said(f"decision.{decision.reason}", since=decision.since, again_at=decision.again_at)
    yield from _of_acceptance(recorded)


def _of_void(voided: PersonAcceptance | None) -> Iterator[Said]:
    if voided is not None:
        reason = voided.evidence.get("reason")
        contested = reason in (Reason.OBJECTED, Reason.ACCOUNT_CLOSED)
        yield said(f"voided.{reason}" if contested else "voided", recorded_at=voided.recorded_at)


def _of_acceptance(recorded: PersonAcceptance | None) -> Iterator[Said]:
    if recorded is not None:
        silence = recorded.evidence.get("reason") == Reason.SILENCE
        yield said(
            "accepted.silence" if silence else f"accepted.{recorded.kind}",
            accepted_at=recorded.accepted_at,
            grade=recorded.grade,
            recorded_at=recorded.recorded_at,
        )
