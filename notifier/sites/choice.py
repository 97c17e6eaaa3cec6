"""What a site chooses of the presets: for everybody, and for some people as well. Pure.

A site may ask for more than a preset as it likes. For less it gives a reason, which is kept and shown.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from notifier.sites.condition import Condition, Every, Test, Unclear, read_condition
from notifier.sites.locales import known_locale
from notifier.sites.preset import Baseline, Evidence, GradeAtLeast, NewPurpose, Preset
from notifier.sites.presets import PRESETS

ChannelName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,19}$")]
Locale = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
PresetName = Literal[
    "eu-gdpr-notice", "uk-gdpr-notice", "eu-consumer-terms", "de-consumer-terms", "eu-p2b-terms", "eu-psd2-framework",
    "eu-dsa-terms", "jp-appi-notice", "jp-548-4-terms", "us-contract", "us-ca-ccpa", "br-lgpd", "pop-japan",
    "imacocokara",
]  # fmt: skip

# From the weakest to the strongest.
EVIDENCE: Sequence[str] = ("relay", "recipient", "shown")
GRADES: Sequence[str] = ("E", "D", "C", "B")
BASELINES: Sequence[str] = ("unknown", "imported", "proved")
NEW_PURPOSES: Sequence[str] = ("at_effect", "after_notice", "after_act")
MOST_ALSO = 4  # each doubles how many kinds of people there may be


def _clear(given: dict[str, Any]) -> dict[str, Any]:
    try:
        read_condition(given)
    except Unclear as error:
        raise PydanticCustomError("unclear", "{said}", {"said": str(error), "at": list(error.at)}) from error
    return given


Where = Annotated[dict[str, Any], AfterValidator(_clear)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Audience(_Part):
    """Who must be told, beyond having been registered before: who fits all that is given. An empty list: everyone."""

    countries: list[Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]] = []
    roles: list[str] = []
    locales: list[Annotated[str, StringConstraints(min_length=2, max_length=50), AfterValidator(known_locale)]] = []
    attributes: dict[str, str | int | float | bool] = {}
    where: Where | None = Field(None, description="A condition that people must meet: docs/site-yaml.md.")
    dormant: bool = Field(True, description="Whether dormant accounts are told too.")

    @property
    def condition(self) -> Condition | None:
        """All of it but ``dormant`` as one condition; None: everyone fits."""
        lists = {"country": self.countries, "role": self.roles, "locale": self.locales}
        given: list[Condition] = [Test(field, "in", tuple(values)) for field, values in lists.items() if values]
        given += [Test(f"attributes.{name}", "in", (value,)) for name, value in self.attributes.items()]
        if self.where is not None:
            given.append(read_condition(self.where))
        return Every(tuple(given)) if given else None


class Choice(_Part):
    """A preset, and what the site chooses otherwise. What is left out comes from the preset."""

    preset: PresetName
    channels: list[ChannelName] | None = Field(None, min_length=1)
    telling: Literal["any", "all"] | None = Field(
        None, description="any: the first channel that reaches the person, the others after a failure. all: every one."
    )
    notice_days: int | None = Field(None, ge=0, le=365)
    durable: bool | None = Field(None, description="Whether only what people can keep (email) tells them.")
    bounce_window_hours: int | None = Field(None, ge=0, le=24 * 30)
    evidence: Evidence | None = Field(
        None, description="What shows that a person was told: relay, recipient or shown (docs/delivery.md)."
    )
    evidence_hours: int | None = Field(
        None, ge=1, le=24 * 30, description="Without it this long after the first try, the next channel has its turn."
    )
    deemed_acceptance: bool | None = None
    grade_at_least: GradeAtLeast | None = Field(
        None, description="The weakest grade that a deemed acceptance may have."
    )
    baseline_at_least: Baseline | None = Field(
        None, description="What must be known of an earlier acceptance for use to count. unknown: nothing."
    )
    remind_days_before: list[Annotated[int, Field(ge=1, le=365)]] | None = Field(
        None, max_length=5, description="Days before the effective date on which people are reminded. []: never."
    )
    nudge_unread_days: int | None = Field(
        None, ge=0, le=365, description="After so many days an unread private message is followed by email. 0: never."
    )
    new_purpose: NewPurpose | None = Field(
        None, description="When a new purpose may begin for somebody: at_effect, after_notice or after_act."
    )
    reason: Annotated[str, StringConstraints(min_length=5, max_length=500)] | None = Field(
        None, description="Why something is less than the preset asks for. Kept and shown."
    )

    @model_validator(mode="after")
    def _less_needs_a_reason(self) -> "Choice":
        for field in looser(self) if self.reason is None else ():
            asked = getattr(PRESETS[self.preset], "deems" if field == "deemed_acceptance" else field)
            message = "less than {preset} asks for ({asked}); add `reason:` beside it with why, or leave it out"
            given = {"at": [field], "preset": self.preset, "asked": _said(asked)}
            raise PydanticCustomError("less", message, given)
        return self


class Also(Choice):
    """A preset for some people as well. Where several apply to somebody, the strictest wins, value by value."""

    applies_to: Where | None = Field(None, description="Whom: a condition. Left out: whom the preset is made for.")


class RuleSettings(Choice):
    """Who is told, how, how long before, and what continued use means."""

    also: list[Also] = Field([], max_length=MOST_ALSO, description="Presets for some people as well.")
    activity_kinds: list[str] | None = Field(None, description="Kinds of use that count. None: all but the excluded.")
    audience: Audience = Audience()
    one_letter_per_mailbox: bool = Field(
        False, description="Whether accounts that share an address are told by one letter, each on record."
    )


def choices_of(settings: RuleSettings) -> Iterator[tuple[Choice, list[dict[str, Any]]]]:
    """Every choice with the conditions under which it applies (none: to everybody), and what comes with its preset.

    What comes with it for everybody follows the site's own values; what comes for some people does not.
    """
    chosen: list[tuple[Choice, list[dict[str, Any]]]] = [(settings, [])]
    for also in settings.also:
        condition = also.applies_to or PRESETS[also.preset].applies_to
        chosen.append((also, [dict(condition)] if condition else []))
    for choice, conditions in chosen:
        yield choice, conditions
        for name, condition in PRESETS[choice.preset].overlays.items():
            if condition is None:
                yield choice.model_copy(update={"preset": name}), conditions
            else:
                yield Choice.model_validate({"preset": name}), [*conditions, dict(condition)]


def days_of(choice: Choice, flags: Collection[str]) -> int:
    """Days between telling and effect, for a version with these flags."""
    if choice.notice_days is not None:
        return choice.notice_days
    preset = PRESETS[choice.preset]
    return 0 if preset.at_posting_if & set(flags) else preset.notice_days


def looser(choice: Choice) -> list[str]:
    """The fields in which a choice asks for less than its preset."""
    preset = PRESETS[choice.preset]
    return [field for field, is_less in _LESS.items() if getattr(choice, field) is not None and is_less(choice, preset)]


def _less_by_channel(choice: Choice, preset: Preset) -> bool:
    """None of the preset's channels is used; or, where it wants all of several, not all of them."""
    missing = set(preset.channels) - set(choice.channels or preset.channels)
    return bool(missing) if _wants_all(preset) else len(missing) == len(preset.channels)


def _wants_all(preset: Preset) -> bool:
    return preset.telling == "all" and len(preset.channels) > 1


def _ranked(order: Sequence[str], field: str) -> "Callable[[Choice, Preset], bool]":
    return lambda choice, preset: order.index(getattr(choice, field)) < order.index(getattr(preset, field))


_LESS: dict[str, Callable[[Any, Preset], bool]] = {
    "channels": _less_by_channel,
    "telling": lambda c, p: _wants_all(p) and c.telling == "any",
    "notice_days": lambda c, p: c.notice_days < p.notice_days,
    "durable": lambda c, p: p.durable and not c.durable,
    "bounce_window_hours": lambda c, p: c.bounce_window_hours < p.bounce_window_hours,
    "evidence": _ranked(EVIDENCE, "evidence"),
    "deemed_acceptance": lambda c, p: bool(c.deemed_acceptance) and p.deems not in ("terms_only", "not_needed"),
    "grade_at_least": _ranked(GRADES, "grade_at_least"),
    "remind_days_before": lambda c, p: not set(p.remind_days_before) <= set(c.remind_days_before),
    "nudge_unread_days": lambda c, p: bool(p.nudge_unread_days) and not 0 < c.nudge_unread_days <= p.nudge_unread_days,
    "new_purpose": _ranked(NEW_PURPOSES, "new_purpose"),
}


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
