"""A comparison written down: as JSON, as Markdown, and folded for a page. Pure."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from notifier.policies.diff import ClauseChange, Comparison, SectionChange

# Unchanged clauses that are shown around a change; so many more are folded away.
_CONTEXT = 1
_WORTH_FOLDING = 3
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~])")


class Fold(NamedTuple):
    """Clauses of a section in a row. ``folded``: nothing changed in them, and they are many."""

    folded: bool
    clauses: tuple[ClauseChange, ...]


class Shown(NamedTuple):
    """One changed section as a page shows it: the clause of its heading, where it has one, and what stands under it."""

    section: SectionChange
    title: ClauseChange | None
    folds: tuple[Fold, ...]


def shown(found: Comparison) -> list[Shown]:
    """The sections in which something changed."""
    made = []
    for section in found.sections:
        if section.change == "same":
            continue
        title = section.clauses[0] if section.clauses[0].kind == "heading" else None
        under = section.clauses[1:] if title else section.clauses
        made.append(Shown(section, title, () if section.change == "moved" else tuple(folds(under))))
    return made


def folds(clauses: Sequence[ClauseChange]) -> Iterator[Fold]:
    """The clauses of a section, long stretches that stayed folded but for one on each side."""
    stays = [clause.change in ("same", "aside") and not clause.moved for clause in clauses]
    start = 0
    while start < len(clauses):
        end = start
        while end < len(clauses) and stays[end] == stays[start]:
            end += 1
        yield from _folded(clauses, start, end) if stays[start] else [Fold(False, tuple(clauses[start:end]))]
        start = end


def _folded(clauses: Sequence[ClauseChange], start: int, end: int) -> Iterator[Fold]:
    first = start + (_CONTEXT if start else 0)
    last = end - (_CONTEXT if end < len(clauses) else 0)
    if last - first < _WORTH_FOLDING:
        first = last = end
    parts = ((False, start, first), (True, first, last), (False, last, end))
    yield from (Fold(folded, tuple(clauses[a:b])) for folded, a, b in parts if a < b)


def to_json(found: Comparison) -> dict[str, Any]:
    """The comparison as plain values. ``clauses`` has those in which something changed."""
    return {
        "meaning_changed": found.meaning_changed,
        "words_added": sum(section.words_added for section in found.sections),
        "words_removed": sum(section.words_removed for section in found.sections),
        "sections": [_section(section) for section in found.sections],
        "noise": dict(found.noise),
    }


def _section(section: SectionChange) -> dict[str, Any]:
    return {
        "section": section.section,
        "change": section.change,
        "was": section.was,
        "moved": section.moved,
        "words_added": section.words_added,
        "words_removed": section.words_removed,
        "clauses": [
            {
                "change": clause.change,
                "moved": clause.moved,
                "kind": clause.kind,
                "pieces": [{"op": piece.op, "text": piece.text} for piece in clause.pieces],
                "links": [redirect._asdict() for redirect in clause.redirects],
            }
            for clause in section.clauses
            if clause.change not in ("same", "aside") or clause.moved
        ],
    }


def to_markdown(found: Comparison, say: Callable[..., str]) -> str:
    """The changed sections as Markdown: ~~removed~~, **added**. ``say`` gives the words of a page by their key."""
    lines = [f"# {say('redline.title')}", "", verdict(found, say), ""]
    for section, _, parts in shown(found):
        was = f" ({say('redline.was', name=_escape(section.was))})" if section.was else ""
        lines += [f"## {say(f'public.changed.{section.change}')}: {_escape(section.section)}{was}", ""]
        for fold in parts:
            lines += ["> …", ""] if fold.folded else [line for clause in fold.clauses for line in _clause(clause, say)]
    if found.noise:
        lines += ["---", "", f"{say('redline.noise')} {noise_words(found, say)}", ""]
    return "\n".join(lines)


def noise_words(found: Comparison, say: Callable[..., str]) -> str:
    """What was no change, in words: "dates (2), quotation marks (14)"."""
    return ", ".join(f"{say(f'noise.{step}')} ({times})" for step, times in found.noise.items())


def verdict(found: Comparison, say: Callable[..., str]) -> str:
    """One sentence: how much changed, or that nothing did."""
    if found.meaning_changed:
        changed = sum(1 for section in found.sections if section.change not in ("same", "moved"))
        added = sum(section.words_added for section in found.sections)
        removed = sum(section.words_removed for section in found.sections)
        return say("redline.changed", n=changed, added=added, removed=removed)
    return say("redline.moved_only" if found.changes else "redline.unchanged")


def _clause(clause: ClauseChange, say: Callable[..., str]) -> list[str]:
    marks = {"same": "{}", "removed": "~~{}~~", "added": "**{}**"}
    words = "".join(marks[piece.op].format(_escape(piece.text)) for piece in clause.pieces)
    bullet = "- " if clause.kind == "item" else ""
    moved = f" _({say('redline.moved_here')})_" if clause.moved else ""
    links = [
        f"> {_escape(redirect.words)}: ~~{_escape(redirect.old)}~~ **{_escape(redirect.new)}**\n"
        for redirect in clause.redirects
    ]
    return [f"{bullet}{words}{moved}", "", *links]


def _escape(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)
