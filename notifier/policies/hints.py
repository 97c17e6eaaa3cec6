"""Hints of what kind a change is: a new purpose, another recipient, where data goes. Pure but for reading its rules.

A hint is for the author, who confirms or dismisses it: nothing is published, and nobody is told, by one. The rules
stand in ``templates/diff/hints.yaml``, for anybody to read. Words of a rule must stand in a clause that changed and
touch words that came (or, where the rule says so, went): "we may share it with carriers" is no hint where only a comma
changed. Some rules also want the heading or the clause to be about the matter. Addresses of pages are not words.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import yaml
from babel import Locale

from notifier.policies.diff import ClauseChange, Comparison
from notifier.policies.version import Materiality
from notifier.resources import resource

# Kinds that are flags of a version too: proposed as such.
_AS_FLAGS = frozenset({"new_purpose", "new_recipient", "new_data_category", "retention", "arbitration"})
_ANYTHING = r"[^\W_](?:.*[^\W_])?"
_EXCERPT = 160
# Beyond these a heading is no heading and a clause no clause; the rules would only take long.
_LONGEST_HEADING, _LONGEST_CLAUSE = 300, 20_000
_ADDRESS = re.compile(r"https?://\S+|www\.\S+")
# Words that say nothing alone: a rule that only touches these touches nothing.
_LITTLE = re.compile(
    r"\W*(?:(?:and|or|the|an?|of|to|in|on|by|with|for|also|inc|ltd|[ぁ-ん]{1,2})\b\W*)*", re.IGNORECASE
)


class Rule(NamedTuple):
    """Words of one language that hint at a kind of change. ``went``: also where they are there no more."""

    kind: str
    language: str
    words: re.Pattern[str]
    heading: re.Pattern[str] | None
    about: re.Pattern[str] | None
    went: bool

    def applies(self, heading: str, text: str) -> bool:
        """Whether the section and the clause are about the matter."""
        if self.heading is not None and not self.heading.search(heading):
            return False
        return self.about is None or bool(self.about.search(text) or self.about.search(heading))


class Hint(NamedTuple):
    """One hint: its kind, the section, and the words that the rule found. ``gone``: they are there no more."""

    kind: str
    section: str
    words: str
    gone: bool


@dataclass(frozen=True)
class Proposal:
    """What hints come to, for a person to confirm."""

    materiality: Materiality
    flags: tuple[str, ...]


def hints_of(found: Comparison) -> list[Hint]:
    """The hints of a comparison, one per kind and section, in the order of the text."""
    hints: dict[tuple[str, str], Hint] = {}
    for section in found.sections:
        if section.change in ("same", "moved"):
            continue
        for clause in section.clauses:
            if clause.change not in ("same", "aside"):
                for hint in _hints_of_clause(section.section, clause):
                    hints.setdefault((hint.kind, hint.section), hint)
    return list(hints.values())


def proposal_of(hints: Iterable[Hint], *, meaning_changed: bool) -> Proposal:
    """What to propose: editorial where no word that counts is another, explicit where a hint asks for an act."""
    if not meaning_changed:
        return Proposal("editorial", ())
    flags = tuple(sorted({hint.kind for hint in hints} & _AS_FLAGS))
    return Proposal("explicit" if "arbitration" in flags else "material", flags)


@cache
def rules() -> tuple[Rule, ...]:
    """The rules as they stand in the file."""
    table = yaml.safe_load((resource("templates") / "diff" / "hints.yaml").read_text("utf-8"))
    return tuple(
        _rule(entry["kind"], language, one, went=entry.get("went", False))
        for entry in table
        for language in ("en", "ja")
        for one in entry.get(language, ())
    )


def _rule(kind: str, language: str, given: Mapping[str, Any], *, went: bool) -> Rule:
    words = [_ANYTHING if one == "anything" else one for one in given["words"]]
    if given.get("country"):
        words += _countries(language)
    about, heading = (_any_of(given[name], language) if name in given else None for name in ("about", "heading"))
    return Rule(kind, language, _any_of(words, language), heading, about, went)


def _any_of(patterns: Sequence[str], language: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{one})" for one in patterns), re.IGNORECASE if language == "en" else 0)


def _countries(language: str) -> list[str]:
    """What countries are called. Short English names are also words."""
    names = [name for code, name in Locale(language).territories.items() if len(code) == 2 and code.isalpha()]
    if language == "en":
        return [rf"(?-i:\b{re.escape(name)}\b)" for name in names if len(name) > 3]
    return [re.escape(name) for name in names]


def _hints_of_clause(section: str, clause: ClauseChange) -> Iterator[Hint]:
    for side, gone in (("added", False), ("removed", True)):
        text, changed = _side(clause, side)
        if not changed:
            continue
        for rule in rules():
            if (gone and not rule.went) or not rule.applies(section[:_LONGEST_HEADING], text):
                continue
            if words := _touching(rule.words, text, changed):
                yield Hint(rule.kind, section, words, gone)


def _side(clause: ClauseChange, side: str) -> tuple[str, list[tuple[int, int]]]:
    """A clause as it reads now (or did), and where words stand that came (or went)."""
    text, changed = "", []
    for piece in clause.pieces:
        if piece.op not in ("same", side):
            continue
        words = _ADDRESS.sub(lambda address: " " * len(address.group()), piece.text)
        if text.endswith(" "):
            words = words.lstrip(" ")  # what went between two words left its space
        if piece.op == side and not _LITTLE.fullmatch(words):
            changed.append((len(text), len(text) + len(words)))
        text += words
        if len(text) > _LONGEST_CLAUSE:
            break
    return text, changed


def _touching(words: re.Pattern[str], text: str, changed: Sequence[tuple[int, int]]) -> str:
    """The first words of the rule that touch what changed, shortened; or nothing."""
    for match in words.finditer(text):
        if any(match.start() < end and start < match.end() for start, end in changed):
            found = " ".join(match.group().split())
            return found if len(found) <= _EXCERPT else found[: _EXCERPT - 1] + "…"
    return ""
