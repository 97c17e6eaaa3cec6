"""A text read into its clauses: headings, paragraphs, items and cells in order, each with its words and links. Pure.

It is read as it is shown (cleaned HTML), so Markdown's two ways to write a heading, the indentation of a list and a
change from Markdown to HTML are gone before anything is compared. A short paragraph that is bold throughout is a
heading too, and a line break ends a clause as a paragraph does.
"""

import re
from collections.abc import Iterator, Sequence
from html import unescape
from typing import Literal, NamedTuple

from notifier.policies.display import cleaned
from notifier.policies.grid import Cell, Grid

Kind = Literal["heading", "text", "item", "cell"]

_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_BLOCKS = _HEADINGS | {
    "p", "li", "ul", "ol", "dl", "dt", "dd", "table", "thead", "tbody", "tfoot", "tr", "td", "th", "div", "section",
    "blockquote", "pre", "caption", "hr",
}  # fmt: skip
_BOLD = frozenset({"b", "strong"})
_LISTS = frozenset({"ul", "ol"})
_CELLS = frozenset({"td", "th"})
# A bold paragraph that is longer, or that ends like a sentence, is an emphasised sentence.
_TITLE_LENGTH = 100
_SENTENCE_ENDS = tuple(".,;!?。、！？")
BOLD_LEVEL = 7
# Cleaned HTML has no other tokens: a tag's stroke, name and attributes, or words.
_TOKEN = re.compile(r"<(/?)([a-z][a-z0-9]*)([^>]*)>|([^<]+)")
_ADDRESS = re.compile(r' href="([^"]*)"')


class Link(NamedTuple):
    """The words of a link and its address."""

    words: str
    target: str


class Clause(NamedTuple):
    """One clause. ``level``: of a heading 1 to 6 (7: only bold), of an item how deep its list stands.

    ``cell``: where it stands in a table.
    """

    kind: Kind
    text: str
    level: int = 0
    links: tuple[Link, ...] = ()
    cell: Cell | None = None


def clauses_of(media_type: str, body: bytes) -> tuple[Clause, ...]:
    """The clauses of a text in order; none of an empty one."""
    reader = _Reader()
    reader.read(cleaned(media_type, body))
    return tuple(reader.clauses)


def is_title(text: str) -> bool:
    """Whether these words could be a heading: few, and no sentence."""
    return len(text) <= _TITLE_LENGTH and not text.endswith(_SENTENCE_ENDS)


def sections(clauses: Sequence[Clause]) -> Iterator[range]:
    """The positions of each section: a heading and what stands under it up to the next heading of any level."""
    start = 0
    for position, clause in enumerate(clauses):
        if clause.kind == "heading" and position > start:
            yield range(start, position)
            start = position
    if clauses:
        yield range(start, len(clauses))


class _Reader:
    """Collects clauses from cleaned HTML."""

    def __init__(self) -> None:
        self.clauses: list[Clause] = []
        self.words: list[str] = []
        self.links: list[Link] = []
        self.heading = self.bold = self.depth = self.cells = self.items = 0
        self.all_bold = True
        self.link: tuple[str, int] | None = None
        self.grid = Grid()

    def read(self, html: str) -> None:
        for stroke, tag, attributes, words in _TOKEN.findall(html):
            if words:
                self._add(unescape(words))
            elif stroke:
                self._close(tag)
            else:
                self._open(tag, attributes)
        self.end_clause()

    def _open(self, tag: str, attributes: str) -> None:
        if tag in _BLOCKS or tag == "br":
            self.end_clause(in_cell=tag == "br")
            self.grid.open(tag, attributes)
        if tag in _HEADINGS:
            self.heading = int(tag[1])
        elif tag in _BOLD:
            self.bold += 1
        elif tag == "a":
            found = _ADDRESS.search(attributes)
            self.link = (unescape(found.group(1)) if found else "", len(self.words))
        else:
            self._nest(tag, 1)

    def _close(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.end_clause()
            self.grid.close(tag)
        if tag in _HEADINGS:
            self.heading = 0
        elif tag in _BOLD:
            self.bold -= 1
        elif tag == "a":
            self._end_link()
        else:
            self._nest(tag, -1)

    def _add(self, words: str) -> None:
        if not words.isspace():
            self.words.append(words)
            self.all_bold = self.all_bold and self.bold > 0
        elif self.words:
            self.words.append(words)

    def end_clause(self, *, in_cell: bool = False) -> None:
        target = self.link[0] if self.link else None
        if self.words:
            self._end_link()
            text = " ".join("".join(self.words).split())
            kind, level = self._kind(text, in_cell=in_cell)
            self.clauses.append(Clause(kind, text, level, tuple(self.links), self.grid.cell))
            self.words, self.all_bold = [], True
        self.links = []
        self.link = None if target is None else (target, 0)

    def _kind(self, text: str, *, in_cell: bool) -> tuple[Kind, int]:
        if self.heading:
            return "heading", self.heading
        if self.all_bold and is_title(text) and not self.items and (in_cell or not self.cells):
            return "heading", BOLD_LEVEL
        if self.items:
            return "item", self.depth
        return ("cell", 0) if self.cells else ("text", 0)

    def _nest(self, tag: str, step: int) -> None:
        if tag in _LISTS:
            self.depth += step
        elif tag == "li":
            self.items += step
        elif tag in _CELLS:
            self.cells += step

    def _end_link(self) -> None:
        if self.link and self.link[0]:
            words = " ".join("".join(self.words[self.link[1] :]).split())
            self.links.append(Link(words, self.link[0]))
        self.link = None
