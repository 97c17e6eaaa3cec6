"""What changed between two versions, short enough for a letter: which sections, and a few words of each. Pure.

The whole comparison stands on a page (``redline.py``); this is what a mail program shows, in bounded length.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from notifier.policies.diff import ClauseChange, Comparison, SectionChange, What
from notifier.policies.pieces import Piece

MOST_SECTIONS = 12
# Clauses of one section that are quoted, and characters of all quotations together.
_MOST_CLAUSES, _MOST_CHARACTERS = 3, 2400
# Characters of a stretch that changed, and of what stayed on each side of it.
_CHANGED, _AROUND = 240, 50
_CUT = "…"
# So a word that a cut falls into is left out, where words are that short.
_WORD = 15


@dataclass(frozen=True, slots=True)
class Changed:
    """One section. ``quotes``: clauses that changed, shortened; ``more``: how many others did."""

    section: str
    change: What
    was: str | None = None
    quotes: tuple[tuple[Piece, ...], ...] = ()
    more: int = 0


@dataclass(frozen=True, slots=True)
class Digest:
    """The sections in the order of the newer text, removed ones last; and how many are left out."""

    sections: tuple[Changed, ...] = ()
    more: int = 0

    def kept(self) -> dict[str, Any]:
        """As it is kept, in JSON."""
        return {"more": self.more, "sections": [_kept(section) for section in self.sections]}


def digest(found: Comparison) -> Digest:
    """The short list. Where there are too many sections, those that only moved or were renamed are left out first."""
    changed = [section for section in found.sections if section.change != "same"]
    telling = sorted(range(len(changed)), key=lambda place: changed[place].change in ("moved", "renamed"))
    listed = [changed[place] for place in sorted(telling[:MOST_SECTIONS])]
    listed.sort(key=lambda section: section.change == "removed")
    left = _MOST_CHARACTERS
    sections = []
    for section in listed:
        made = _changed(section, left)
        left -= sum(len(piece.text) for quote in made.quotes for piece in quote)
        sections.append(made)
    return Digest(tuple(sections), len(changed) - len(sections))


def digest_of(kept: Mapping[str, Any]) -> Digest:
    """A digest that was kept."""
    return Digest(tuple(_read(**section) for section in kept["sections"]), kept["more"])


def _kept(section: Changed) -> dict[str, Any]:
    return {
        "section": section.section,
        "change": section.change,
        "was": section.was,
        "quotes": [[[piece.op, piece.text] for piece in quote] for quote in section.quotes],
        "more": section.more,
    }


def _read(*, quotes: Sequence[Sequence[tuple[Any, str]]], **fields: Any) -> Changed:
    return Changed(quotes=tuple(tuple(Piece(op, text) for op, text in quote) for quote in quotes), **fields)


def _changed(section: SectionChange, left: int) -> Changed:
    """One section with as many quotations as there is room for."""
    clauses = [] if section.change in ("removed", "moved", "renamed") else list(_quotable(section))
    quotes = []
    for clause in clauses[: 1 if section.change == "added" else _MOST_CLAUSES]:
        quote = _shortened(clause.pieces)
        left -= sum(len(piece.text) for piece in quote)
        if left < 0:
            break
        quotes.append(quote)
    more = len(clauses) - len(quotes) if section.change == "edited" else 0
    return Changed(section.section, section.change, section.was, tuple(quotes), more)


def _quotable(section: SectionChange) -> Iterator[ClauseChange]:
    """The clauses whose words changed; the heading of a section that is new says nothing twice."""
    for place, clause in enumerate(section.clauses):
        heads = not place and clause.kind == "heading"
        if any(piece.op != "same" for piece in clause.pieces) and not (heads and clause.change == "added"):
            yield clause


def _shortened(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """The stretches that changed, and a little of what stayed around them."""
    made = []
    for place, piece in enumerate(pieces):
        if piece.op != "same":
            made.append(Piece(piece.op, _beginning(piece.text, _CHANGED)))
            continue
        first, last = place == 0, place == len(pieces) - 1
        if first or last:
            text = _end(piece.text, _AROUND) if first else _beginning(piece.text, _AROUND)
        elif len(piece.text) > 2 * _AROUND + len(_CUT):
            text = _beginning(piece.text, _AROUND) + _end(piece.text, _AROUND)[len(_CUT) :]
        else:
            text = piece.text
        made.append(Piece("same", text))
    return tuple(made)


def _beginning(text: str, size: int) -> str:
    if len(text) <= size:
        return text
    space = text.rfind(" ", size - _WORD, size + 1)
    return text[: space if space > 0 else size] + _CUT


def _end(text: str, size: int) -> str:
    if len(text) <= size:
        return text
    start = len(text) - size
    space = text.find(" ", start, start + _WORD)
    return _CUT + text[space + 1 if space > 0 else start :]
