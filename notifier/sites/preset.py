"""Ready-made rules, to be confirmed with counsel. Pure. Where each comes from: docs/acceptance.md."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

# What shows that somebody was told: our relay's word, the recipient's own server's, or that it was in front of them.
Evidence = Literal["relay", "recipient", "shown"]

# When a new purpose of processing may begin for somebody: when the version takes effect, on the person's own date
# (told, and the notice period has passed), or not by anything here: it wants an act of theirs.
NewPurpose = Literal["at_effect", "after_notice", "after_act"]

# What is known of a person's having accepted an earlier version: nothing, the site's word, or its word with proof.
Baseline = Literal["unknown", "imported", "proved"]


class Preset(BaseModel):
    """What a site starts from; it may choose otherwise value by value in site.yaml."""

    model_config = ConfigDict(frozen=True)

    literal: str
    channels: tuple[str, ...]
    telling: Literal["any", "all"]
    notice_days: int
    bounce_window_hours: int = 72
    evidence: Evidence = "relay"
    evidence_hours: int = 72
    deems: bool = True
    remind_days_before: tuple[int, ...] = ()
    nudge_unread_days: int | None = None
    new_purpose: NewPurpose = "after_notice"
    baseline_at_least: Baseline = "unknown"


PRESETS: dict[str, Preset] = {
    "pop-japan": Preset(
        literal="posted and sent by email; use of the site after the posting is deemed acceptance",
        channels=("email",),
        telling="all",
        notice_days=30,
    ),
    "imacocokara": Preset(
        literal="posted, and sent by email or private message; effective on posting; use after it is acceptance",
        channels=("email", "inbox"),
        telling="any",
        notice_days=14,
        nudge_unread_days=3,
    ),
}
