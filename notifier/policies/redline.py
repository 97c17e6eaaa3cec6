"""A comparison written down: as JSON, as Markdown, and folded for a page. Pure."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from notifier.policies.diff import ClauseChange, Comparison, SectionChange
from notifier.policies.folding import Block, Fold, Row, Slot, folds

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~])")


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
        moved = f" _({say('redline.moved_here')})_" if section.moved and section.change != "moved" else ""
        lines += [f"## {say(f'public.changed.{section.change}')}: {_escape(section.section)}{was}{moved}", ""]
        for fold in parts:
            lines += ["> …", ""] if fold.folded else [line for block in fold.blocks for line in _block(block, say)]
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


def _block(block: Block, say: Callable[..., str]) -> list[str]:
    return _table(block.rows, say) if block.clause is None else _clause(block.clause, say)


def _table(rows: Sequence[Row], say: Callable[..., str]) -> list[str]:
    """Rows of a table, under an empty head where they have none."""
    lines = ["|".join(["", *(cell for slot in row.slots for cell in _cells(slot, say)), ""]) for row in rows]
    width = max(line.count("|") for line in lines) - 1
    if not rows[0].head:
        lines.insert(0, "|" + " |" * width)
    links = [line for row in rows for slot in row.slots for clause in slot.clauses for line in _links(clause)]
    return [lines[0], "|" + " --- |" * width, *lines[1:], "", *links]


def _cells(slot: Slot, say: Callable[..., str]) -> list[str]:
    return [" "] * slot.empty + [f" {'<br>'.join(_words(clause, say) for clause in slot.clauses)} "]


def _clause(clause: ClauseChange, say: Callable[..., str]) -> list[str]:
    bullet = "- " if clause.kind == "item" else ""
    return [f"{bullet}{_words(clause, say)}", "", *_links(clause)]


def _words(clause: ClauseChange, say: Callable[..., str]) -> str:
    marks = {"same": "{}", "removed": "~~{}~~", "added": "**{}**"}
    words = "".join(marks[piece.op].format(_escape(piece.text)) for piece in clause.pieces)
    return f"{words} _({say('redline.moved_here')})_" if clause.moved else words


def _links(clause: ClauseChange) -> list[str]:
    return [
        f"> {_escape(redirect.words)}: ~~{_escape(redirect.old)}~~ **{_escape(redirect.new)}**\n"
        for redirect in clause.redirects
    ]


def _escape(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)
