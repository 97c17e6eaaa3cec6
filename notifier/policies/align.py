"""Which items of one sequence continue which of another: a longest common subsequence in bounded time. Pure.

The rows of the table are the bits of Python's integers (Hyyrö, "Bit-parallel LCS-length computation revisited", 2004),
so two paragraphs of a thousand words take a millisecond. Longer stretches are first cut at runs that stand once in
each (as Bram Cohen's patience diff does); what is still too long then counts as replaced, in whole.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence

Pair = tuple[int, int]

# Bits of table that one stretch may take: 8 MB and some hundredths of a second.
_BITS = 64_000_000
# Items in a row that make an anchor: natural text repeats its words but not its phrases.
_RUNS = (8, 1)


def matches(old: Sequence[Hashable], new: Sequence[Hashable]) -> list[Pair]:
    """Pairs of positions (old, new) of equal items, both rising."""
    found: list[Pair] = []
    open_stretches = [(0, len(old), 0, len(new))]
    while open_stretches:
        a, b, c, d = open_stretches.pop()
        while a < b and c < d and old[a] == new[c]:
            found.append((a, c))
            a, c = a + 1, c + 1
        while a < b and c < d and old[b - 1] == new[d - 1]:
            b, d = b - 1, d - 1
            found.append((b, d))
        if a == b or c == d:
            continue
        if (b - a) * (d - c) <= _BITS:
            found += [(a + i, c + j) for i, j in _longest(old[a:b], new[c:d])]
        else:
            open_stretches += _cut(old, new, (a, b, c, d), found)
    return sorted(found)


def in_order(positions: Sequence[int]) -> set[int]:
    """The members of the longest subsequence that never falls: whoever is not in it was moved."""
    tails: list[int] = []
    places: list[int] = []
    for position in positions:
        place = bisect_right(tails, position)
        tails[place : place + 1] = [position]
        places.append(place)
    kept: set[int] = set()
    wanted = len(tails) - 1
    for position, place in zip(reversed(positions), reversed(places), strict=True):
        if place == wanted:
            kept.add(position)
            wanted -= 1
    return kept


def _longest(old: Sequence[Hashable], new: Sequence[Hashable]) -> Iterator[Pair]:
    """Bit i of a row stays set where old[:i+1] has no longer common subsequence with the new so far than old[:i]."""
    where: dict[Hashable, int] = {}
    for position, item in enumerate(old):
        where[item] = where.get(item, 0) | 1 << position
    full = (1 << len(old)) - 1
    row = full
    rows = [row]
    for item in new:
        common = row & where.get(item, 0)
        row = (row + common | row - common) & full
        rows.append(row)
    i, j = len(old), len(new)
    while i and j:
        if rows[j] >> i - 1 & 1:
            i -= 1
        elif not rows[j - 1] >> i - 1 & 1:
            j -= 1
        else:
            i, j = i - 1, j - 1
            yield i, j


def _cut(
    old: Sequence[Hashable], new: Sequence[Hashable], stretch: tuple[int, int, int, int], found: list[Pair]
) -> list[tuple[int, int, int, int]]:
    """The stretches between runs that are unique on both sides. None where there are no such runs."""
    a, b, c, d = stretch
    for length in _RUNS:
        where = _once(old, a, b, length)
        others = _once(new, c, d, length)
        candidates = [(where[run], position) for run, position in others.items() if run in where]
        kept = in_order([position for position, _ in candidates])
        anchors = [pair for pair in candidates if pair[0] in kept]
        if anchors:
            break
    else:
        return []
    stretches = []
    for i, j in anchors:
        found.append((i, j))
        stretches.append((a, i, c, j))
        a, c = i + 1, j + 1
    return [*stretches, (a, b, c, d)]


def _once(items: Sequence[Hashable], start: int, end: int, length: int) -> dict[Hashable, int]:
    """Runs of so many items that stand in the stretch once, in order, and where."""
    runs = {position: tuple(items[position : position + length]) for position in range(start, end - length + 1)}
    times = Counter(runs.values())
    return {run: position for position, run in runs.items() if times[run] == 1}
