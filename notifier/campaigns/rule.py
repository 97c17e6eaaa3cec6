"""The rule of a campaign: a preset, what the site changed of it, and what the version asks for. Pure."""

from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from notifier.policies.version import EXPLICIT_FLAGS
from notifier.sites.preset import PRESETS, Baseline, Evidence, NewPurpose
from notifier.sites.site import Audience, RuleSettings

# Kinds of activity that are no use of the site in the sense of a policy, whatever a site's allow-list says.
NEVER_USE = frozenset({
    "policy_viewed", "policy_exported", "account_closed", "objected", "password_reset", "logout",
    "prefetch", "api_token", "impersonation",
})  # fmt: skip

_T = TypeVar("_T")


class Rule(BaseModel):
    """Everything that decides about one campaign, frozen with it. Days and hours are whole ones."""

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
    activity_kinds: tuple[str, ...] | None
    audience: Audience
    remind_days_before: tuple[int, ...] = ()  # days before the effective date, the furthest first
    nudge_unread_days: int | None = None  # a private message unread for so long is followed by email
    new_purpose: NewPurpose = "after_notice"  # when processing for a new purpose may begin for somebody
    baseline_at_least: Baseline = "unknown"  # less known of an earlier acceptance, and use amounts to nothing
    grade_at_least: Literal["B", "C", "D", "E"] = "E"  # a use of a lesser grade amounts to nothing
    explicit: bool  # this version wants an act; continued use amounts to nothing


def rule_of(settings: RuleSettings, materiality: str, flags: frozenset[str]) -> Rule:
    """The rule for one version: the site's own choice where it made one, the preset's otherwise."""
    preset = PRESETS[settings.preset]
    chosen = settings.deemed_acceptance
    return Rule(
        preset=settings.preset,
        literal=preset.literal,
        channels=tuple(settings.channels or preset.channels),
        telling=settings.telling or preset.telling,
        notice_days=preset.notice_days if settings.notice_days is None else settings.notice_days,
        bounce_window_hours=(
            preset.bounce_window_hours if settings.bounce_window_hours is None else settings.bounce_window_hours
        ),
        evidence=settings.evidence or preset.evidence,
        evidence_hours=preset.evidence_hours if settings.evidence_hours is None else settings.evidence_hours,
        deems=preset.deems if chosen is None else chosen,
        activity_kinds=None if settings.activity_kinds is None else tuple(settings.activity_kinds),
        audience=settings.audience,
        remind_days_before=tuple(
            sorted(set(_chosen(settings.remind_days_before, preset.remind_days_before)), reverse=True)
        ),
        nudge_unread_days=_chosen(settings.nudge_unread_days, preset.nudge_unread_days) or None,
        new_purpose=settings.new_purpose or preset.new_purpose,
        baseline_at_least=settings.baseline_at_least or preset.baseline_at_least,
        explicit=materiality == "explicit" or bool(flags & EXPLICIT_FLAGS),
    )


def _chosen(own: _T | None, preset: _T) -> _T:
    return preset if own is None else own
