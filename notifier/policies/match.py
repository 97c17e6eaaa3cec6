"""Which clause of one text continues which of another: the same words first, then headings, then likeness. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from notifier.policies.align import in_order, matches
from notifier.policies.clauses import Clause
from notifier.policies.noise import key
from notifier.policies.words import features

# Share of common words (Dice) from which one clause continues another: less is asked between the same neighbours.
_ALIKE, _ALIKE_IN_PLACE = 0.6, 0.35
# A word that stands in more of the clauses that are left says nothing about which of them is meant.
_RARE = 12
# Clauses between the same neighbours that are all compared with each other.
_NEIGHBOURS = 400
# Bytes of a clause that is not found elsewhere by chance.
_TELLING = 30


class Side(NamedTuple):
    """One text made ready for comparing: its clauses, what of them is compared, and which are."""

    clauses: Sequence[Clause]
    keys: Sequence[str]
    compared: Sequence[int]


class Matching(NamedTuple):
    """Which clauses continue which.

    ``pairs``: position in the new text → in the old one; ``back``: the other way. ``moved``: new positions that did not
    keep their order. ``reflowed``: those of clauses that were only parted or joined.
    """

    pairs: dict[int, int]
    back: dict[int, int]
    moved: frozenset[int]
    reflowed: frozenset[int]


def match(old: Side, new: Side) -> Matching:
    """Which clauses continue which. Positions that are not compared are in no pair."""
    pairing = _Pairing(old, new)
    pairing.take_same_in_order()
    pairing.take_same_elsewhere()
    pairing.take_reflowed()
    pairing.take_cells()
    pairing.take_headings()
    pairing.take_alike()
    pairing.take_lone()
    pairing.take_headings()
    pairs = pairing.pairs
    still = in_order([pairs[position] for position in sorted(pairs)])
    moved = frozenset(position for position, before in pairs.items() if before not in still)
    return Matching(pairs, pairing.back, moved, frozenset(pairing.reflowed))


class _Pairing:
    def __init__(self, old: Side, new: Side) -> None:
        self.old, self.new = old, new
        self.old_place = {position: n for n, position in enumerate(old.compared)}
        self.new_place = {position: n for n, position in enumerate(new.compared)}
        self.pairs: dict[int, int] = {}
        self.back: dict[int, int] = {}
        self.reflowed: set[int] = set()

    def take_same_in_order(self) -> None:
        old_keys = [self.old.keys[position] for position in self.old.compared]
        new_keys = [self.new.keys[position] for position in self.new.compared]
        for i, j in matches(old_keys, new_keys):
            self._pair(self.old.compared[i], self.new.compared[j])

    def take_same_elsewhere(self) -> None:
        """Clauses with the same words in another place: telling ones first, then their neighbours, however short."""
        places: dict[str, list[int]] = defaultdict(list)
        for before in self._left(self.old, self.back):
            places[self.old.keys[before]].append(before)
        fresh = []
        for position in self._left(self.new, self.pairs):
            words = self.new.keys[position]
            if places[words] and len(words.encode()) >= _TELLING:
                fresh.append((places[words].pop(0), position))
        while fresh:
            for before, position in fresh:
                self._pair(before, position)
            fresh = [pair for pair in self._beside(fresh) if self._same(*pair)]

    def take_reflowed(self) -> None:
        """Paragraphs that were parted or joined, between the same neighbours and with the same words."""
        for run, gap in list(self._gaps()):
            olds = [before for before in gap if before in self.old_place and before not in self.back]
            for there, here in _reflows(self.old, olds, self.new, run):
                self.pairs |= dict.fromkeys(here, there[0])
                self.back |= dict.fromkeys(there, here[0])
                self.reflowed |= set(here)

    def take_cells(self) -> None:
        """As many cells between the same neighbours: each is the one in its place, whatever figures stand in them."""
        for run, gap in list(self._gaps()):
            olds = [before for before in gap if before in self.old_place and before not in self.back]
            kinds = {self.new.clauses[n].kind for n in run} | {self.old.clauses[n].kind for n in olds}
            if len(olds) == len(run) and kinds == {"cell"}:
                for before, position in zip(olds, run, strict=True):
                    self._pair(before, position)

    def take_headings(self) -> None:
        """A heading whose section goes on as before was renamed, whatever it is called now."""
        for position in self._left(self.new, self.pairs):
            below = self._next(self.new, self.new_place, position, 1)
            if self.new.clauses[position].kind == "heading" and below in self.pairs:
                before = self._next(self.old, self.old_place, self.pairs[below], -1)
                if before >= 0 and before not in self.back and self.old.clauses[before].kind == "heading":
                    self._pair(before, position)

    def take_alike(self) -> None:
        """Edited clauses: the most alike first."""
        olds = {n: Counter(features(self.old.keys[n])) for n in self._left(self.old, self.back)}
        news = {n: Counter(features(self.new.keys[n])) for n in self._left(self.new, self.pairs)}
        ranked = []
        for position, before, in_place in self._candidates(olds, news):
            likeness = _dice(olds[before], news[position])
            if likeness >= (_ALIKE_IN_PLACE if in_place else _ALIKE):
                ranked.append((-likeness, not in_place, position, before))
        for _, _, position, before in sorted(ranked):
            if position not in self.pairs and before not in self.back:
                self._pair(before, position)

    def take_lone(self) -> None:
        """One clause in the place of one other replaces it, however unlike they are."""
        for run, gap in list(self._gaps()):
            olds = [before for before in gap if before in self.old_place and before not in self.back]
            kinds = {self.new.clauses[n].kind for n in run} | {self.old.clauses[n].kind for n in olds}
            if len(run) == len(olds) == 1 and kinds != {"heading"} and len(kinds) == 1:
                self._pair(olds[0], run[0])

    def _candidates(
        self, olds: dict[int, Counter[str]], news: dict[int, Counter[str]]
    ) -> Iterator[tuple[int, int, bool]]:
        """Position, position before, and whether both stand between the same neighbours."""
        holders: dict[str, list[int]] = defaultdict(list)
        for before, words in olds.items():
            for word in words:
                holders[word].append(before)
        for run, gap in self._gaps():
            near = [before for before in gap if before in olds]
            if len(run) * len(near) > _NEIGHBOURS:
                near = []
            for position in run:
                yield from ((position, before, True) for before in near)
                yield from ((position, before, False) for before in _sharing(news[position], holders))

    def _gaps(self) -> Iterator[tuple[list[int], range]]:
        """Runs of clauses that are left, each with the old positions between the partners of its neighbours."""
        run: list[int] = []
        for position in [*self.new.compared, -1]:
            if position >= 0 and position not in self.pairs:
                run.append(position)
                continue
            if run:
                start = self.pairs.get(self._next(self.new, self.new_place, run[0], -1), -1)
                end = self.pairs.get(position, len(self.old.clauses))
                yield run, range(start + 1, end) if end - start <= _NEIGHBOURS else range(0)
            run = []

    def _beside(self, pairs: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        for before, position in pairs:
            for step in (-1, 1):
                one = self._next(self.old, self.old_place, before, step)
                other = self._next(self.new, self.new_place, position, step)
                if one >= 0 and other >= 0 and one not in self.back and other not in self.pairs:
                    yield one, other

    def _same(self, before: int, position: int) -> bool:
        return self.old.keys[before] == self.new.keys[position]

    def _pair(self, before: int, position: int) -> None:
        if before not in self.back and position not in self.pairs:
            self.pairs[position] = before
            self.back[before] = position

    @staticmethod
    def _left(side: Side, taken: dict[int, int]) -> list[int]:
        return [position for position in side.compared if position not in taken]

    @staticmethod
    def _next(side: Side, places: dict[int, int], position: int, step: int) -> int:
        """The compared position beside this one; -1 where there is none."""
        place = places[position] + step
        return side.compared[place] if 0 <= place < len(side.compared) else -1


def _reflows(old: Side, olds: Sequence[int], new: Side, news: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """Runs of old and of new clauses of different lengths that say the same when each run is read as one."""
    i = k = 0
    while i < len(olds) and k < len(news):
        there, here = [olds[i]], [news[k]]
        while (shorter := _shorter(_letters(old, there), _letters(new, here))) is not None:
            run, rest = (there, olds[i:]) if shorter == "old" else (here, news[k:])
            if len(run) == len(rest):
                break
            run.append(rest[len(run)])
        if len(there) != len(here) and _as_one(old, there) == _as_one(new, here):
            yield there, here
            i, k = i + len(there), k + len(here)
        elif len(olds) - i > len(news) - k:
            i += 1
        else:
            k += 1


def _shorter(old: str, new: str) -> Literal["old", "new"] | None:
    """Which of the two may be the beginning of the other."""
    if old != new and new.startswith(old):
        return "old"
    return "new" if old != new and old.startswith(new) else None


def _as_one(side: Side, positions: Sequence[int]) -> str:
    return key(" ".join(side.clauses[position].text for position in positions), heading=False)


def _letters(side: Side, positions: Sequence[int]) -> str:
    return "".join(filter(str.isalnum, "".join(side.keys[position] for position in positions)))


def _sharing(words: Counter[str], holders: dict[str, list[int]]) -> list[int]:
    """The three old clauses that share most rare words."""
    shared: Counter[int] = Counter()
    for word in words:
        if len(holders.get(word, ())) <= _RARE:
            shared.update(holders.get(word, ()))
    return [before for before, _ in shared.most_common(3)]


def _dice(one: Counter[str], other: Counter[str]) -> float:
    total = one.total() + other.total()
    return 2 * (one & other).total() / total if total else 0.0
