"""What is on record about one person, in the reader's language. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup

from notifier.compliance.search import Event
from notifier.compliance.words import Said
from notifier.pages import Tongue

# kind of fact → (icon, tone)
_LOOKS: Mapping[str, tuple[str, str]] = {
    "registered": ("person", ""),
    "registration_shown": ("document", "on"),
    "considered": ("document", ""),
    "joined_registered": ("person", "on"),
    "joined_restored": ("person", "on"),
    "joined_new_address": ("letter", "on"),
    "merged_into": ("person", ""),
    "merged_from": ("person", ""),
    "tried": ("letter", ""),
    "told_with": ("letter", "on"),
    "reminded": ("letter", ""),
    "nudged": ("letter", ""),
    "baseline_proved": ("document", "good"),
    "baseline_imported": ("document", "on"),
    "baseline_unknown": ("question", ""),
    "accepted_by_relay": ("letter", "on"),
    "accepted_by_recipient": ("letter", "good"),
    "placed": ("message", "on"),
    "shown": ("eye", "good"),
    "acknowledged": ("check", "good"),
    "deferred": ("clock", "warn"),
    "unknown": ("question", "warn"),
    "refused": ("return", "bad"),
    "bounced": ("return", "bad"),
    "expired": ("return", "bad"),
    "complained": ("return", "warn"),
    "withheld": ("no", "warn"),
    "used": ("use", "on"),
    "used_as_written": ("use", "on"),
    "passed_over_grade_too_low": ("use", "warn"),
    "passed_over_objected": ("use", "warn"),
    "passed_over_unknown_baseline": ("use", "warn"),
    "last_seen": ("use", ""),
    "acted": ("pen", "on"),
    "objected": ("no", "bad"),
    "objection_withdrawn": ("no", ""),
    "accepted_deemed": ("check", "good"),
    "accepted_explicit": ("pen", "good"),
    "accepted_void": ("return", "bad"),
    "accepted_registration": ("check", "good"),
    "account_closed": ("no", ""),
    "erased": ("cross", ""),
}
# values that are names of ours → the family of words that says them
_FAMILIES = {
    "channel": "channel", "channels": "channel", "fallback": "channel",
    "class": "class", "class_": "class", "reason": "reason", "grade": "grade", "proof": "proof",
    "accepted": "acceptance",
}  # fmt: skip
_IN_SENTENCES = {**_FAMILIES, "channel": "via", "channels": "via", "fallback": "via"}


@dataclass(frozen=True)
class Moment:
    """One fact of a timeline as it is shown."""

    when: Markup
    icon: str
    tone: str
    words: Markup
    about: str
    details: tuple[tuple[str, str], ...]


def say(tongue: Tongue, fact: Said, titles: Mapping[str, str]) -> Markup:
    """A fact in words; times carry the exact instant, everything that others wrote is escaped."""
    values = {**fact.values, "policy": titles.get(fact.values.get("policy", ""), "")}
    words = Markup(tongue.words[f"said.{fact.code}"])  # noqa: S704 - our own catalogue
    return words.format_map({name: _shown(tongue, name, value, _IN_SENTENCES) for name, value in values.items()})


def moments(tongue: Tongue, events: list[Event], titles: Mapping[str, str]) -> list[Moment]:
    """A person's facts, the newest first. ``titles`` names the policies."""
    return [
        Moment(_when(tongue, event), *_LOOKS.get(event.kind, ("document", "")), say(tongue, event.words, titles),
               _about(tongue, event, titles), tuple(_details(tongue, event.detail)))
        for event in reversed(events)
    ]  # fmt: skip


def _when(tongue: Tongue, event: Event) -> Markup:
    return tongue.utc_day(event.at) if event.kind == "last_seen" else tongue.moment(event.at)


def _about(tongue: Tongue, event: Event, titles: Mapping[str, str]) -> str:
    parts = []
    if event.policy is not None:
        parts.append(f"{titles.get(event.policy, event.policy)} {event.label}")
    if event.corrects is not None:
        parts.append(tongue.t("campaign.correction"))
    if event.channel is not None:
        parts.append(tongue.word("channel", event.channel))
    if event.attempt:
        parts.append(tongue.t("person.attempt", n=event.attempt))
    return " · ".join(parts)


def _details(tongue: Tongue, detail: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in detail.items():
        if value not in (None, "", [], {}):
            yield tongue.word("fact", name), _flat(_shown(tongue, name, value))


def _shown(tongue: Tongue, name: str, value: Any, families: Mapping[str, str] = _FAMILIES) -> Any:
    if isinstance(value, datetime):
        return tongue.moment(value)
    if isinstance(value, list | tuple):
        return ", ".join(str(_shown(tongue, name, one, families)) for one in value) or tongue.t("none")
    if value is None:
        return tongue.t("unknown")
    if name in families:
        return tongue.word(families[name], value)
    return tongue.language_name(value) if name in ("locale", "requested_locale") and value else value


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return " · ".join(f"{name}: {_flat(one)}" for name, one in value.items() if one not in (None, "", [], {}))
    return str(value)
