"""The rule of a campaign: presets, what the site changed of them, and what the version asks for. Pure."""

from collections.abc import Collection, Iterator
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from notifier.campaigns.strictest import merged
from notifier.sites.choice import Audience, Choice, RuleSettings, choices_of, days_of, looser
from notifier.sites.preset import Baseline, DeemedBy, Evidence, GradeAtLeast, NewPurpose, Preset
from notifier.sites.presets import ACT_FLAGS, PRESETS

# Kinds of activity that are no use of the site in the sense of a policy, whatever a site's allow-list says.
NEVER_USE = frozenset({
    "policy_viewed", "policy_exported", "account_closed", "objected", "password_reset", "logout",
    "prefetch", "api_token", "impersonation",
})  # fmt: skip

# What people can keep as it was told them (a durable medium). A private message with us or with the site is none.
DURABLE = frozenset({"email", "letter"})

_T = TypeVar("_T")


class Rule(BaseModel):
    """Everything that decides about somebody in one campaign, frozen with it. Days and hours are whole ones.

    ``origins`` says of each value which of the ``presets`` it came from; ``own``, where the site chose it itself, the
    reason that it gave (it must where it asks for less).
    """

    model_config = ConfigDict(frozen=True)

    preset: str
    literal: str  # what the policy's own words come to, kept beside what we hold ourselves to
    channels: tuple[str, ...]
    telling: Literal["any", "all"]
    notice_days: int
    bounce_window_hours: int
    evidence: Evidence  # less than this tells nobody: the next channel has its turn, and use does not count
    evidence_hours: int
    deems: bool
    by_notice: bool = False  # notice is all that this asks for: it is no part of the contract, or needs no agreement
    activity_kinds: tuple[str, ...] | None
    audience: Audience
    one_letter_per_mailbox: bool = False  # accounts that share an address are told by one letter, each on record
    remind_days_before: tuple[int, ...] = ()  # days before the effective date, the furthest first
    nudge_unread_days: int | None = None  # a private message unread for so long is followed by email
    new_purpose: NewPurpose = "after_notice"  # when processing for a new purpose may begin for somebody
    baseline_at_least: Baseline = "unknown"  # less known of an earlier acceptance, and use amounts to nothing
    grade_at_least: GradeAtLeast = "E"  # a use of a lesser grade amounts to nothing
    durable: bool = False  # only what people can keep tells them: no private message does
    deemed_by: DeemedBy = "use"
    literal_trigger: Literal["use_after_posting"] | None = None
    explicit: bool  # this version wants an act; continued use amounts to nothing
    presets: tuple[str, ...] = ()
    origins: dict[str, str] = {}
    own: dict[str, str] = {}


class Overlay(BaseModel):
    """A preset that applies to some people as well: whom, and its rule by itself."""

    model_config = ConfigDict(frozen=True)

    applies_to: dict[str, Any]
    rule: Rule


class Rules(BaseModel):
    """The rules of one campaign: everybody's, and what comes to it for some people."""

    model_config = ConfigDict(frozen=True)

    base: Rule
    overlays: tuple[Overlay, ...] = ()

    @property
    def each(self) -> tuple[Rule, ...]:
        """The base, and every overlay by itself."""
        return (self.base, *(one.rule for one in self.overlays))

    @property
    def channels(self) -> tuple[str, ...]:
        """Every channel by which somebody may be told."""
        return tuple(dict.fromkeys(channel for rule in self.each for channel in rule.channels))

    def of(self, mask: int) -> Rule:
        """The rule of people to whom the overlays of a bit mask apply: the strictest of all, value by value."""
        return strictest(self.base, *(one.rule for n, one in enumerate(self.overlays) if mask >> n & 1))


def strictest(first: Rule, *others: Rule) -> Rule:
    """One rule that asks for all that any of them asks for. Audience and literal words are the first one's."""
    rule = first
    for other in others:
        rule = rule.model_copy(update=merged(rule, other))
    return rule


def rules_of(settings: RuleSettings, materiality: str, flags: Collection[str], *, is_terms: bool) -> Rules:
    """The rules for one version. ``is_terms``: its text is part of the contract with people."""
    base: list[Rule] = []
    overlays: list[Overlay] = []
    for choice, conditions in choices_of(settings):
        rule = _rule(choice, settings, materiality, frozenset(flags), is_terms)
        if conditions:
            overlays.append(
                Overlay(applies_to=conditions[0] if len(conditions) == 1 else {"all": conditions}, rule=rule)
            )
        else:
            base.append(rule)
    return Rules(base=strictest(*base), overlays=tuple(overlays))


def rule_of(settings: RuleSettings, materiality: str, flags: Collection[str], *, is_terms: bool = False) -> Rule:
    """The rule for one version that everybody is under."""
    return rules_of(settings, materiality, flags, is_terms=is_terms).base


def _rule(choice: Choice, settings: RuleSettings, materiality: str, flags: frozenset[str], is_terms: bool) -> Rule:
    preset, name = PRESETS[choice.preset], choice.preset
    values = _values(choice, preset, flags) | {
        "deems": is_terms and _may_deem(choice, preset),
        "by_notice": not is_terms or preset.deems == "not_needed",
    }
    less = {_field(name) for name in looser(choice)}
    own = {field: choice.reason or "" if field in less else "" for field in _chosen_fields(choice)}
    return Rule(
        preset=name,
        literal=preset.literal,
        literal_trigger=preset.literal_trigger,
        activity_kinds=None if settings.activity_kinds is None else tuple(settings.activity_kinds),
        audience=settings.audience,
        one_letter_per_mailbox=settings.one_letter_per_mailbox,
        deemed_by=preset.deemed_by,
        explicit=materiality == "explicit" or bool(flags & (ACT_FLAGS | preset.wants_act)),
        presets=(name,),
        origins=dict.fromkeys((*values, "deemed_by", "explicit"), name),
        own=own,
        **values,
    )


def _values(choice: Choice, preset: Preset, flags: frozenset[str]) -> dict[str, Any]:
    reminders = _or(choice.remind_days_before, preset.remind_days_before)
    return {
        "channels": tuple(_or(choice.channels, preset.channels)),
        "telling": _or(choice.telling, preset.telling),
        "notice_days": days_of(choice, flags),
        "durable": _or(choice.durable, preset.durable),
        "bounce_window_hours": _or(choice.bounce_window_hours, preset.bounce_window_hours),
        "evidence": _or(choice.evidence, preset.evidence),
        "evidence_hours": _or(choice.evidence_hours, preset.evidence_hours),
        "grade_at_least": _or(choice.grade_at_least, preset.grade_at_least),
        "baseline_at_least": _or(choice.baseline_at_least, preset.baseline_at_least),
        "remind_days_before": tuple(sorted(set(reminders), reverse=True)),
        "nudge_unread_days": _or(choice.nudge_unread_days, preset.nudge_unread_days) or None,
        "new_purpose": _or(choice.new_purpose, preset.new_purpose),
    }


def _may_deem(choice: Choice, preset: Preset) -> bool:
    chosen = choice.deemed_acceptance
    return preset.deems in ("terms_only", "not_needed") if chosen is None else chosen


def _chosen_fields(choice: Choice) -> Iterator[str]:
    for field in Choice.model_fields:
        if field not in ("preset", "reason") and getattr(choice, field) is not None:
            yield _field(field)


def _field(chosen: str) -> str:
    """What the rule calls a field of site.yaml."""
    return "deems" if chosen == "deemed_acceptance" else chosen


def _or(own: _T | None, preset: Any) -> Any:
    return preset if own is None else own
