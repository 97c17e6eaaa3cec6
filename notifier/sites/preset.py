"""What a preset is: a ready-made rule, to be confirmed with counsel. Pure. The presets themselves: ``presets.py``."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

# What shows that somebody was told: our relay's word, the recipient's own server's, or that it was in front of them.
Evidence = Literal["relay", "recipient", "shown"]

# When a new purpose of processing may begin for somebody: when the version takes effect, on the person's own date
# (told, and the notice period has passed), or not by anything here: it wants an act of theirs.
NewPurpose = Literal["at_effect", "after_notice", "after_act"]

# What is known of a person's having accepted an earlier version: nothing, the site's word, or its word with proof.
Baseline = Literal["unknown", "imported", "proved"]

# Whether continued use may amount to acceptance: of texts that are part of the contract; only where counsel decided so;
# never. ``not_addressed``: the law says nothing about it, so it is held like ``opt_in``. ``not_needed``: the change
# holds without it; what is recorded of it is recorded for terms only.
Deems = Literal["terms_only", "not_needed", "opt_in", "not_addressed", "never"]

# What acceptance is deemed on: a use after the person's date, or that they said nothing until then.
DeemedBy = Literal["use", "silence"]

# The weakest proof that may carry a deemed acceptance: docs/acceptance.md, "Grades".
GradeAtLeast = Literal["B", "C", "D", "E"]

CONFIRM = "A starting point, not advice: have counsel confirm it before anything is published under it."


class Origin(BaseModel):
    """Where a preset comes from."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["law", "case", "guidance", "policy"]
    name: str


class Preset(BaseModel):
    """What a site starts from; it may choose otherwise value by value in site.yaml, less only with a reason.

    ``days_by_law`` says what the law itself was found to ask for; ``notice_days`` is what the preset takes.
    ``applies_to``: whom it is for where it is one of several (a condition, ``condition.py``; None: everybody).
    ``overlays``: other presets that come with it, with whom for. ``at_posting_if``: versions with one of these flags
    count at once. ``wants_act``: versions with one of these flags want an act. ``durable``: only what people can keep
    tells them. ``grade_at_least``: a weaker one carries no acceptance.
    """

    model_config = ConfigDict(frozen=True)

    title: str
    literal: str
    sources: tuple[Origin, ...]
    days_by_law: str
    note: str = CONFIRM
    channels: tuple[str, ...]
    telling: Literal["any", "all"] = "any"
    notice_days: int
    durable: bool = False
    bounce_window_hours: int = 72
    evidence: Evidence = "relay"
    evidence_hours: int = 72
    deems: Deems
    deemed_by: DeemedBy = "use"
    grade_at_least: GradeAtLeast = "E"
    wants_act: frozenset[str] = frozenset()
    at_posting_if: frozenset[str] = frozenset()
    remind_days_before: tuple[int, ...] = ()
    nudge_unread_days: int | None = None
    new_purpose: NewPurpose = "after_notice"
    baseline_at_least: Baseline = "unknown"
    literal_trigger: Literal["use_after_posting"] | None = None
    applies_to: Mapping[str, Any] | None = None
    overlays: Mapping[str, Mapping[str, Any] | None] = {}
