"""What changed between two versions of a text, section by section and clause by clause. Pure.

Noise is set aside first (``noise.py``), clauses are matched wherever they stand now (``match.py``), and what is left
of a pair is compared by words (``pieces.py``). A section is a heading and what stands under it up to the next one.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, NamedTuple

from notifier.policies import noise
from notifier.policies.clauses import Clause, Kind, clauses_of, is_title, sections
from notifier.policies.grid import Cell
from notifier.policies.links import place, why_same
from notifier.policies.match import Matching, Side, match
from notifier.policies.pieces import Piece, Wording, wording
from notifier.policies.words import count, words

What = Literal["added", "removed", "moved", "renamed", "edited", "same"]

_NAME_LENGTH = 60


class Change(NamedTuple):
    """What happened to one section, called as in the newer text (a removed one as in the older)."""

    section: str
    change: What


class Redirect(NamedTuple):
    """Words whose link leads elsewhere now."""

    words: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class ClauseChange:
    """One clause and what happened to it. ``aside``: it is not compared. ``moved``: it stands elsewhere now.

    ``cell``: its place in a table of the newer text; a removed one's row is the one that its old row became, if any.
    """

    change: Literal["added", "removed", "edited", "same", "aside"]
    kind: Kind
    level: int
    pieces: tuple[Piece, ...]
    redirects: tuple[Redirect, ...] = ()
    moved: bool = False
    cell: Cell | None = None


@dataclass(frozen=True, slots=True)
class SectionChange:
    """One section and what happened to it. ``was``: what it was called, where that was another name."""

    section: str
    change: What
    was: str | None
    moved: bool
    words_added: int
    words_removed: int
    clauses: tuple[ClauseChange, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What happened to every section, removed ones where they stood; and what was no change, by step and how often."""

    sections: tuple[SectionChange, ...]
    noise: Mapping[str, int]

    @property
    def meaning_changed(self) -> bool:
        """Whether anything says something else. A section that only moved does not."""
        return any(section.change not in ("same", "moved") for section in self.sections)

    @property
    def changes(self) -> tuple[Change, ...]:
        """The short list: what changed, in the order of the newer text, then what was removed."""
        changed = [section for section in self.sections if section.change != "same"]
        changed.sort(key=lambda section: section.change == "removed")
        return tuple(Change(section.section, section.change) for section in changed)


def compare(old_type: str, old: bytes, new_type: str, new: bytes, locale: str = "en") -> Comparison:
    """What changed between two texts (media type and bytes) in a locale, which says where words end."""
    return _Comparing(clauses_of(old_type, old), clauses_of(new_type, new), locale).result()


def fingerprint(media_type: str, body: bytes) -> bytes:
    """SHA-256 of what of a text is compared: its clauses after every step of noise, and where their links lead."""
    text = _text(clauses_of(media_type, body), noise.Lines())
    lines = (
        [text.side.keys[at], *(place(link.target) for link in text.side.clauses[at].links)] for at in text.side.compared
    )
    return hashlib.sha256("\n".join("\t".join(line) for line in lines).encode()).digest()


@dataclass(frozen=True, slots=True)
class _Text:
    """A side with where its sections are, and why some of its clauses are not compared."""

    side: Side
    titles: Sequence[bool]
    sections: Sequence[range]
    section_of: Sequence[int]
    aside: Mapping[int, str]

    def named(self, number: int) -> str:
        """What to call a section: its heading or, where it has none, its first words."""
        first = self.side.clauses[self.sections[number].start]
        if first.kind == "heading" or len(first.text) <= _NAME_LENGTH:
            return first.text
        return first.text[:_NAME_LENGTH].rsplit(" ", 1)[0] + "…"

    def lines_aside(self) -> Counter[tuple[str, str]]:
        """The clauses that are not compared: the step that set each aside, and its words."""
        return Counter((step, self.side.clauses[position].text) for position, step in self.aside.items())


class _Outcome(NamedTuple):
    """A clause with its words that came and went, and the old section that it continues (None: of no section)."""

    clause: ClauseChange
    added: int
    removed: int
    origin: int | None


def _text(clauses: Sequence[Clause], lines: noise.Lines) -> _Text:
    # The first line of a page is its title, however it is written.
    titles = [clause.kind == "heading" or (not n and is_title(clause.text)) for n, clause in enumerate(clauses)]
    keys = [lines.key(clause.text, heading=title) for clause, title in zip(clauses, titles, strict=True)]
    aside = noise.set_aside(clauses, keys, lines)
    ranges = list(sections(clauses))
    section_of = [number for number, positions in enumerate(ranges) for _ in positions]
    compared = [position for position in range(len(clauses)) if position not in aside and keys[position]]
    return _Text(Side(clauses, keys, compared), titles, ranges, section_of, aside)


class _Comparing:
    def __init__(self, old: Sequence[Clause], new: Sequence[Clause], locale: str) -> None:
        self.locale = locale
        lines = noise.Lines()
        self.old, self.new = _text(old, lines), _text(new, lines)
        self.matching: Matching = match(self.old.side, self.new.side)
        self.back = self.matching.back
        # What a cell, a row and a table of the older text became in the newer one.
        kept = [(old[before].cell, new[now].cell) for before, now in self.back.items()]
        both = [(was, now) for was, now in kept if was and now]
        self.cells = {was[:3]: now for was, now in both}
        self.rows = {was[:2]: now[:2] for was, now in both}
        self.tables = {was.table: now.table for was, now in both}
        self.noise: Counter[str] = noise.count_aside(self.old.lines_aside(), self.new.lines_aside())

    def result(self) -> Comparison:
        within, whole = self._gone()
        found = [self._removed(before) for before in whole.get(-1, ())]
        for number, positions in enumerate(self.new.sections):
            outcomes = [self._outcome_gone(before) for before in within.get(positions.start - 1, ()) if number == 0]
            for position in positions:
                outcomes.append(self._outcome(position))
                outcomes += [self._outcome_gone(before) for before in within.get(position, ())]
            found.append(self._section(number, outcomes))
            found += [self._removed(before) for before in whole.get(number, ())]
        return Comparison(tuple(found), dict(sorted(self.noise.items())))

    def _gone(self) -> tuple[Mapping[int, Sequence[int]], Mapping[int, Sequence[int]]]:
        """Removed clauses by the new position they stood behind, removed sections by the new section they stood behind.

        -1 is the beginning of the text.
        """
        within: defaultdict[int, list[int]] = defaultdict(list)
        whole: defaultdict[int, list[int]] = defaultdict(list)
        gone = [position for position in self.old.side.compared if position not in self.back]
        for number, group in groupby(gone, lambda position: self.old.section_of[position]):
            positions = self.old.sections[number]
            if any(position in self.back for position in positions):
                for position in group:
                    within[self._behind(position, positions)].append(position)
            else:
                anchor = self._behind(positions.start, range(positions.start))
                whole[self.new.section_of[anchor] if anchor >= 0 else -1].append(number)
        return within, whole

    def _behind(self, position: int, among: range) -> int:
        """The new position behind which a removed clause is shown: where the nearest one before or after it went."""
        for before in range(position - 1, among.start - 1, -1):
            if before in self.back:
                return self.back[before]
        for after in range(position + 1, among.stop):
            if after in self.back:
                return max(self.back[after] - 1, self.new.sections[self.new.section_of[self.back[after]]].start)
        return -1

    def _outcome(self, position: int) -> _Outcome:
        clause = self.new.side.clauses[position]
        before = self.matching.pairs.get(position)
        if before is not None:
            return self._pair(position, before)
        if position in self.new.aside or not self.new.side.keys[position]:
            aside = (Piece("same", clause.text),)
            return _Outcome(ClauseChange("aside", clause.kind, clause.level, aside, cell=clause.cell), 0, 0, None)
        change = ClauseChange("added", clause.kind, clause.level, (Piece("added", clause.text),), cell=clause.cell)
        return _Outcome(change, self._count(clause), 0, None)

    def _cell_now(self, cell: Cell | None) -> Cell | None:
        """Where a clause that is gone stood: in a cell of which something stayed, a row, or a row of its own."""
        if cell is None or cell[:3] in self.cells:
            return cell and self.cells[cell[:3]]
        table, row = self.rows.get(cell[:2], (self.tables.get(cell.table, -cell.table), -1 - cell.row))
        return Cell(table, row, cell.column, cell.head, gone=True)

    def _outcome_gone(self, before: int) -> _Outcome:
        clause = self.old.side.clauses[before]
        cell = self._cell_now(clause.cell)
        change = ClauseChange("removed", clause.kind, clause.level, (Piece("removed", clause.text),), cell=cell)
        return _Outcome(change, 0, self._count(clause), self.old.section_of[before])

    def _pair(self, position: int, before: int) -> _Outcome:
        clause, earlier = self.new.side.clauses[position], self.old.side.clauses[before]
        if position in self.matching.reflowed:
            made = Wording((Piece("same", clause.text),), 0, 0, 0)
            self.noise["line_breaks"] += 1
        elif self.new.side.keys[position] == self.old.side.keys[before]:
            made = Wording((Piece("same", clause.text),), 0, 0, 0)
            self.noise.update(noise.steps_between(earlier.text, clause.text, heading=self.new.titles[position]))
        elif self.new.titles[position]:
            number, title = noise.parted_number(clause.text)
            made = wording(noise.parted_number(earlier.text)[1], title, self.locale)
            made = made._replace(pieces=(Piece("same", number), *made.pieces) if number else made.pieces)
        else:
            made = wording(earlier.text, clause.text, self.locale)
        self._note(earlier, clause, made)
        redirects = () if earlier.links == clause.links else tuple(self._redirects(earlier, clause))
        edited = redirects or any(piece.op != "same" for piece in made.pieces)
        change = ClauseChange(
            "edited" if edited else "same",
            clause.kind,
            clause.level,
            made.pieces,
            redirects,
            position in self.matching.moved,
            clause.cell,
        )
        return _Outcome(change, made.added, made.removed, self.old.section_of[before])

    def _note(self, earlier: Clause, clause: Clause, made: Wording) -> None:
        """What else differs and is no change of words: how a heading or a list is written, a hidden address."""
        if (clause.kind, clause.level) != (earlier.kind, earlier.level):
            self.noise["heading_style" if "heading" in (clause.kind, earlier.kind) else "list_style"] += 1
        if made.hidden:
            self.noise["hidden_addresses"] += made.hidden

    def _redirects(self, earlier: Clause, clause: Clause) -> Iterator[Redirect]:
        """Links on the same words that lead elsewhere; the n-th on those words is compared with the n-th."""
        targets: defaultdict[str, list[str]] = defaultdict(list)
        for link in earlier.links:
            targets[noise.key(link.words, heading=False)].append(link.target)
        for link in clause.links:
            olds = targets[noise.key(link.words, heading=False)]
            old = olds.pop(0) if olds else link.target
            if old == link.target:
                continue
            if step := why_same(old, link.target):
                self.noise[step] += 1
            else:
                yield Redirect(link.words, old, link.target)

    def _removed(self, number: int) -> SectionChange:
        positions = [position for position in self.old.sections[number] if position not in self.old.aside]
        outcomes = [self._outcome_gone(position) for position in positions]
        lost = sum(outcome.removed for outcome in outcomes)
        clauses = tuple(outcome.clause for outcome in outcomes)
        return SectionChange(self.old.named(number), "removed", None, False, 0, lost, clauses)

    def _section(self, number: int, outcomes: Sequence[_Outcome]) -> SectionChange:
        what, moved, origin = _judge(outcomes)
        name = self.new.named(number)
        was = None if origin is None else self.old.named(origin)
        first = outcomes[0].clause
        if was == name or first.kind != "heading" or first.change not in ("added", "edited"):
            was = None
        return SectionChange(
            name,
            what,
            was,
            moved,
            sum(outcome.added for outcome in outcomes),
            sum(outcome.removed for outcome in outcomes),
            tuple(outcome.clause for outcome in outcomes),
        )

    def _count(self, clause: Clause) -> int:
        return count(words(clause.text, self.locale))


def _judge(outcomes: Sequence[_Outcome]) -> tuple[What, bool, int | None]:
    """What happened to a section, whether it stands elsewhere now, and the old section that it continues."""
    stayed = [outcome for outcome in outcomes if outcome.clause.change in ("same", "edited")]
    if not stayed:
        return ("added" if any(o.clause.change == "added" for o in outcomes) else "same"), False, None
    origin = Counter(outcome.origin for outcome in stayed).most_common(1)[0][0]
    went = [outcome for outcome in stayed if outcome.clause.moved]
    moved = 2 * len(went) > len(stayed)
    changed = [o.clause for o in outcomes if o.clause.change not in ("same", "aside")]
    brought = any(outcome.origin != origin for outcome in went)
    if brought or any(clause.kind != "heading" or clause.redirects for clause in changed):
        return "edited", moved, origin
    if changed:
        return "renamed", moved, origin
    return ("moved" if went else "same"), moved, origin
