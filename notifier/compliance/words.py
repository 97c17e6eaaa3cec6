"""The answers of compliance in words. Every fact is a code with its values, so that any page can say it in its own
language; here is what it says in English. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# What each grade of an acceptance proves: that the person could know of the version. docs/acceptance.md, "Grades".
GRADES: Mapping[str, str] = {
    "A": "A (an act on exactly this version)",
    "B": "B (shown to them in the site before the use)",
    "C": "C (their own mail server accepted the letter)",
    "D": "D (our side's word alone)",
    "E": "E (the posting alone)",
}
ENGLISH: Mapping[str, str] = {
    "published": "Version {label} of {policy} was published on {published_at} and takes effect on {effective_at}.",
    "not_considered.baseline": "It is the first version of its policy, so nobody had to be told of it.",
    "not_considered.editorial": "Its changes are editorial: it was posted, and nobody had to be told.",
    "not_considered.no_campaign": "No campaign tells of this version.",
    "not_considered.not_frozen": "The audience has not been worked out yet, as nobody has approved the campaign.",
    "not_considered.came_later": "The audience was frozen on {frozen_at}, before this person became known to us. Who"
    " registered before the version takes effect joins it; who registered later finds it in force.",
    "joined.registered": "They became known to us after the audience was frozen, and were looked at on {at}.",
    "joined.restored": "Their account was open again on {at}, so they were looked at once more.",
    "joined.new_address": "They had another address on {at}, and nothing had reached them, so they were looked at once"
    " more.",
    "left_out.erased": "They were not told: their data had been erased.",
    "left_out.closed": "They were not told: their account was closed.",
    "left_out.suspended": "They were not told: their account was suspended.",
    "left_out.dormant": "They were not told: their account was dormant, and the rule leaves those out.",
    "left_out.registered_with_it": "They were not told: they registered while this version was shown to them.",
    "left_out.already_accepted": "They were not told: they had already accepted this or a newer version.",
    "left_out.outside_rule": "They were not told: the rule does not cover their country, role, locale or attributes.",
    "merged_into": "The site merged this account into {account} on {at}. What is on record of it stays its own.",
    "nothing_reaches": "They had to be told, but there was no channel that could reach them.",
    "suppressed": "They had to be told, but their address must not be written to since it bounced or complained, and"
    " there was no other channel.",
    "in_scope": "They had to be told, in {locale}, by {channels}; the rule was frozen from {presets}.",
    "in_scope.values": "Of several presets the strictest wins, value by value. From {preset}: {values}.",
    "in_scope.other_values": "All other values come from {preset}.",
    "in_scope.all_values": "Of several presets the strictest wins, value by value; here all values come from {preset}.",
    "in_scope.fallback": "If that fails, by {fallback}.",
    "other_locale": "They asked for {requested_locale}; there is no such text, so {locale} was used.",
    "shares_mailbox": "They share a mailbox with the account {account}: one letter, written to that one, tells both.",
    "attempt.failed": "Attempt {attempt} by {channel} failed on {failed_at}: {class_}.",
    "attempt.open": "Attempt {attempt} by {channel} has no final answer yet: {class_}.",
    "told.by_relay": "Told by {channel}: our relay took the letter over on {told_at}. That is not delivery.",
    "told.by_recipient": "Told by {channel}: the recipient's own server accepted the letter on {recipient_at}.",
    "told.placed": "Told by {channel}: the message has been there for them since {told_at}.",
    "told.reminded": "Reminded by {channel} on {told_at}. That moves no date, unless everything before it failed.",
    "told.shown": "It was shown to them on {shown_at}.",
    "correction.told": "What it said was corrected: told by {channel} on {told_at}.",
    "correction.pending": "A correction of what it said has not been told to them yet.",
    "correction.not_told": "A correction of what it said could not be told to them.",
    "validly_told": "Before {before}, they had been validly told of version {label} of {policy}: by {channel}, with the"
    " evidence that the rule asks for since {told_at}, and it holds to this day.",
    "not_validly_told": "Before {before}, they had not been validly told of version {label} of {policy}.",
    "not_told.pending": "They have not been told yet.",
    "not_told.unreachable": "They could not be told: every channel failed.",
    "not_told.superseded": "They were not told before a newer version took over.",
    "objected": "They objected on {at}, so no use amounts to acceptance. An explicit act is still possible.",
    "objection_withdrawn": "They objected, and took it back on {at}. Use counts from then on.",
    "counts_from": "Use counts from {counts_from}: not before the version's effect, nor before it was seen posted, nor"
    " {notice_days} days after the telling.",
    "decision.not_posted": "There is no acceptance: the version is not posted.",
    "decision.account_closed": "There is no acceptance: the account is closed.",
    "decision.never_deemed": "There is no acceptance: under this rule no use ever amounts to it.",
    "decision.act_required": "There is no acceptance: this version wants an explicit act, and there was none.",
    "decision.objected": "There is no acceptance, because of the objection.",
    "decision.unknown_baseline": "There is no acceptance: the rule wants it to be known that they accepted an earlier"
    " version, and it is not.",
    "decision.left_out": "There is no acceptance on record.",
    "decision.unreachable": "There is no acceptance: use counts for nothing while nobody could tell them.",
    "decision.suppressed": "There is no acceptance: use counts for nothing while nobody could tell them.",
    "decision.superseded": "There is no acceptance: use counts for nothing as they were not told.",
    "decision.not_yet_told": "There is no acceptance: use counts for nothing before they are told.",
    "decision.too_little_evidence": "There is no acceptance: the rule wants better evidence that they were told.",
    "decision.bounce_window": "There is no acceptance yet: they used the site, but the letter may still bounce until"
    " {again_at}.",
    "decision.silence": "They said nothing until {since}, which the contract takes for acceptance; this will be"
    " recorded with the next decision.",
    "decision.notice_period": "There is no acceptance yet: silence until {again_at} amounts to it, as the contract"
    " states.",
    "decision.no_use_yet": "There is no acceptance yet: no use that counts has been reported.",
    "decision.grade_too_low": "There is no acceptance: they used the site, but the rule wants better proof that they"
    " could know of the version.",
    "decision.used": "They used the site on {since}; this will be recorded as acceptance with the next decision.",
    "decision.explicit_act": "They accepted exactly this version on {since}.",
    "decision.registered_with_it": "They registered on {since} while this version was shown to them.",
    "accepted.deemed": "Deemed accepted by their use of the site on {accepted_at}, grade {grade}, recorded on"
    " {recorded_at}.",
    "passed_over.grade_too_low": "They used the site on {occurred_at}; it did not count, as its grade is less"
    " than the rule asks for.",
    "passed_over.objected": "They used the site on {occurred_at}; it did not count, as they had objected.",
    "passed_over.unknown_baseline": "They used the site on {occurred_at}; it did not count, as no earlier"
    " acceptance was known.",
    "accepted.silence": "Deemed accepted by silence: they had not objected by {accepted_at}, which the contract takes"
    " for acceptance; grade {grade}, recorded on {recorded_at}.",
    "accepted.explicit": "Accepted by an explicit act on {accepted_at}, grade {grade}, recorded on {recorded_at}.",
    "accepted.registration": "Accepted by registering with this version on {accepted_at}, grade {grade}, recorded on"
    " {recorded_at}.",
    "voided": "What was deemed before is void since {recorded_at}: the telling that it rested on had failed, and no"
    " other carried it.",
    "voided.objected": "What was deemed before is void since {recorded_at}: as we heard then, they had objected"
    " before it.",
    "in_force.accepted": "On {on}, version {label} of {policy} was in force for them, since {since}: accepted"
    " ({accepted}), grade {grade}.",
    "voided.account_closed": "What was deemed before is void since {recorded_at}: as we heard then, they had left"
    " before it.",
    "in_force.baseline": "On {on}, version {label} of {policy} was in force for them, since {since}: the site says that"
    " they accepted it ({proof}).",
    "in_force.notice": "On {on}, version {label} of {policy} was in force for them, since {since}: told on {told_at},"
    " and the rule asks for no more than notice.",
    "in_force.editorial": "On {on}, version {label} of {policy} was in force for them, since {since}: it only mends the"
    " version before it.",
    "in_force.registration": "On {on}, version {label} of {policy} was in force for them, since {since}: it was the one"
    " there when they registered. No acceptance of it is on record.",
    "in_force.none": "On {on}, no version of {policy} was in force for them: none had taken effect, or they had not"
    " registered.",
    "not_in_force.act_required": "Version {label}, in effect from {effective_at}, was not: it wants an explicit act.",
    "not_in_force.objected": "Version {label}, in effect from {effective_at}, was not: they had objected.",
    "not_in_force.not_told": "Version {label}, in effect from {effective_at}, was not: they had not been validly told"
    " of it.",
    "not_in_force.notice_period": "Version {label}, in effect from {effective_at}, was not: their notice period had not"
    " ended.",
    "not_in_force.no_use_yet": "Version {label}, in effect from {effective_at}, was not: no use of theirs had been"
    " deemed acceptance.",
    "not_in_force.not_accepted": "Version {label}, in effect from {effective_at}, was not: no acceptance of it is on"
    " record.",
    "not_in_force.not_posted": "Version {label}, in effect from {effective_at}, was not: it had not been seen posted.",
    "event.registered": "Registered",
    "event.account_closed": "Account closed",
    "event.erased": "Erased",
    "event.last_seen": "Last used the site on this day",
    "event.registration_shown": "Registered with this version on show, as the site reports",
    "event.considered": "Considered for the audience: {reason}",
    "event.joined_registered": "Joined the audience after it was frozen, as they became known later: {reason}",
    "event.joined_restored": "Joined the audience after it was frozen, as their account was open again: {reason}",
    "event.joined_new_address": "Is tried once more, as they have another address: {reason}",
    "event.merged_into": "Merged into the account {account}",
    "event.merged_from": "The account {account} was merged into this one",
    "event.tried": "About to send",
    "event.told_with": "One letter for this mailbox: the tries by email are those of the account {account}",
    "event.reminded": "About to send a reminder",
    "event.nudged": "About to send a reminder of an unread message",
    "event.accepted_by_relay": "Our relay took the letter over",
    "event.accepted_by_recipient": "The recipient's server accepted the letter",
    "event.placed": "Private message placed",
    "event.shown": "Shown to the person",
    "event.acknowledged": "Acknowledged by the person",
    "event.deferred": "Put off: {class}",
    "event.unknown": "No answer: the letter may or may not have arrived",
    "event.refused": "Refused: {class}",
    "event.bounced": "Bounced: {class}",
    "event.expired": "Given up: {class}",
    "event.complained": "Complained, so it arrived",
    "event.withheld": "Not sent: {class}",
    "event.used": "Used the site: {kind}",
    "event.used_as_written": "First use of the site after the posting, which this version's own words make acceptance",
    "event.passed_over_grade_too_low": "Used the site; not counted, as the grade is less than the rule asks for",
    "event.passed_over_objected": "Used the site; not counted, as they had objected",
    "event.passed_over_unknown_baseline": "Used the site; not counted, as no earlier acceptance was known",
    "event.acted": "Answered on a page that was shown to them",
    "event.objected": "Objected",
    "event.objection_withdrawn": "Took the objection back",
    "event.baseline_proved": "The site says that they accepted this version, and names proof",
    "event.baseline_imported": "The site says that they accepted this version, without proof",
    "event.baseline_unknown": "The site does not know whether they accepted this version",
    "event.accepted_deemed": "Deemed acceptance, grade {grade}",
    "event.accepted_void": "Deemed acceptance void: the telling that it rested on failed",
    "event.accepted_void_objected": "Deemed acceptance void: they had objected before it",
    "event.accepted_void_account_closed": "Deemed acceptance void: they had left before it",
    "event.accepted_silence": "Deemed acceptance by silence, grade {grade}",
    "event.accepted_explicit": "Explicit acceptance, grade {grade}",
    "event.accepted_registration": "Acceptance by registration, grade {grade}",
}


@dataclass(frozen=True)
class Said:
    """One fact: what it is, and its values. Pages look the code up in their own catalogue."""

    code: str
    values: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The fact in English."""
        return ENGLISH[self.code].format_map({name: _shown(name, value) for name, value in self.values.items()})


def said(code: str, **values: Any) -> Said:
    """A fact with its values."""
    return Said(code, values)


def _shown(name: str, value: Any) -> str:
    if name == "grade" and value in GRADES:
        return GRADES[value]
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "nothing"
    return "unknown" if value is None else str(value)
