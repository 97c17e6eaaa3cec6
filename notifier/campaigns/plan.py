"""How one kind of person is told: in which locale and by which channels. Pure; asked once per kind, not per person."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from notifier.campaigns.rule import DURABLE, Rule


@dataclass(frozen=True)
class Kind:
    """What people have in common as far as telling them goes."""

    requested_locale: str
    preference: tuple[str, ...]
    email_usable: bool
    overlays: int = 0  # bit mask: which of the campaign's overlays apply to them


@dataclass(frozen=True)
class Plan:
    """How people of one kind are told. No channel at all: they cannot be reached."""

    requested_locale: str
    preference: tuple[str, ...]
    email_usable: bool
    locale: str
    channels: tuple[str, ...]
    fallback: tuple[str, ...]
    overlays: int = 0


def plan_for(kind: Kind, rule: Rule, available: Sequence[str], chain: Sequence[str]) -> Plan:
    """The plan for a kind of person. ``available`` are the locales of the version's texts, ``chain`` the fallbacks."""
    usable = [c for c in _in_order(rule.channels, kind.preference) if c != "email" or kind.email_usable]
    if rule.durable:  # whatever they prefer: nothing else tells them
        usable.sort(key=lambda channel: channel not in DURABLE)
    at_once = len(usable) if rule.telling == "all" else 1
    return Plan(
        kind.requested_locale,
        kind.preference,
        kind.email_usable,
        choose_locale(kind.requested_locale, available, chain),
        tuple(usable[:at_once]),
        tuple(usable[at_once:]),
        kind.overlays,
    )


def _in_order(channels: Sequence[str], preference: Sequence[str]) -> list[str]:
    """The rule's channels, those that the person prefers first. A preference adds no channel and removes none."""
    preferred = [c for c in preference if c in channels]
    return list(dict.fromkeys([*preferred, *channels]))


def choose_locale(requested: str, available: Sequence[str], chain: Sequence[str]) -> str:
    """The best locale that there is a text for (RFC 4647, 3.4 lookup), then the chain, then the first text."""
    for locale in (*_lookup(requested), *chain):
        if locale in available:
            return locale
    return available[0]


def _lookup(locale: str) -> Iterator[str]:
    parts = locale.split("-")
    for size in range(len(parts), 0, -1):
        yield "-".join(parts[:size])
