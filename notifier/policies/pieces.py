"""What changed within one clause, word by word. Pure."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from notifier.policies.align import matches
from notifier.policies.noise import word_key
from notifier.policies.words import count, words

Op = Literal["same", "removed", "added"]

# Where less than this share of the letters stayed, both sentences are shown whole: they are easier to read.
_KEPT = 0.2
_HIDDEN = ("[email protected]", "[emailprotected]")


class Piece(NamedTuple):
    """A stretch of words that stayed, went or came."""

    op: Op
    text: str


class _Run(NamedTuple):
    """Words that stayed (``old`` and ``new`` alike), or what was there and what is there now."""

    same: bool
    old: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def size(self) -> int:
        return max(sum(map(len, self.old)), sum(map(len, self.new)))


class Wording(NamedTuple):
    """The pieces of a clause, its words that came and went, and how many hidden addresses were taken for shown ones."""

    pieces: tuple[Piece, ...]
    added: int
    removed: int
    hidden: int


def wording(old: str, new: str, locale: str) -> Wording:
    """How one clause became the other, in the newer spelling."""
    runs = list(_runs(_glued(old, locale), _glued(new, locale)))
    hidden = sum(1 for run in runs if not run.same and _is_hidden(run))
    changed = [run._replace(same=True) if _is_hidden(run) else run for run in runs]
    readable = _readable(_joined(changed))
    return Wording(
        tuple(_pieces(readable)),
        sum(count(run.new) for run in readable if not run.same),
        sum(count(run.old) for run in readable if not run.same),
        hidden,
    )


def _glued(text: str, locale: str) -> list[tuple[str, str]]:
    """Words with their keys; what has none (a footnote mark, an invisible character) belongs to the word before it."""
    found: list[tuple[str, str]] = []
    for word in words(text, locale):
        key = word_key(word.strip())
        if key or not found:
            found.append((word, key))
        else:
            found[-1] = (found[-1][0] + word, found[-1][1])
    return found


def _runs(old: Sequence[tuple[str, str]], new: Sequence[tuple[str, str]]) -> Iterator[_Run]:
    """What stayed and what changed, in turns."""
    before = after = 0
    for i, j, length in _stretches(matches([key for _, key in old], [key for _, key in new]), len(old), len(new)):
        if i > before or j > after:
            gone, come = old[before:i], new[after:j]
            same = "".join(key for _, key in gone) == "".join(key for _, key in come)
            yield _Run(same, _words(gone), _words(come))
        if length:
            yield _Run(True, _words(old[i : i + length]), _words(new[j : j + length]))
        before, after = i + length, j + length


def _stretches(pairs: Sequence[tuple[int, int]], old_end: int, new_end: int) -> Iterator[tuple[int, int, int]]:
    """Pairs in a row as (old start, new start, length); an empty one at the end."""
    start = 0
    for place, (i, j) in enumerate(pairs):
        if place + 1 == len(pairs) or pairs[place + 1] != (i + 1, j + 1):
            yield *pairs[start], place + 1 - start
            start = place + 1
    yield old_end, new_end, 0


def _words(keyed: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(word for word, _ in keyed)


def _is_hidden(run: _Run) -> bool:
    """A content network shows "[email protected]" in place of an address."""
    old, new = "".join(run.old).strip(), "".join(run.new).strip()
    return (old in _HIDDEN and _is_address(new)) or (new in _HIDDEN and _is_address(old))


def _is_address(text: str) -> bool:
    return "@" in text and not any(map(str.isspace, text))


def _joined(runs: Sequence[_Run]) -> list[_Run]:
    """Neighbours of one sort as one."""
    joined: list[_Run] = []
    for run in runs:
        if joined and joined[-1].same == run.same:
            last = joined.pop()
            joined.append(_Run(run.same, last.old + run.old, last.new + run.new))
        else:
            joined.append(run)
    return joined


def _readable(runs: Sequence[_Run]) -> list[_Run]:
    """Without islands: a stretch that stayed but is shorter than the changes on both sides of it joins them.

    So does everything where nearly nothing stayed. (The "semantic cleanup" of diff-match-patch.)
    """
    kept: list[_Run] = []
    for run in runs:
        if run.same or len(kept) < 2 or kept[-1].size > min(kept[-2].size, run.size) or _is_wide(kept[-1]):
            kept.append(run)
            continue
        island, before = kept.pop(), kept.pop()
        kept.append(_Run(False, before.old + island.old + run.old, before.new + island.new + run.new))
    stayed = sum(run.size for run in kept if run.same)
    if 0 < stayed < _KEPT * sum(run.size for run in kept):
        return [_Run(False, sum((run.old for run in kept), ()), sum((run.new for run in kept), ()))]
    return kept


def _is_wide(run: _Run) -> bool:
    """Whether so much stayed that a reader wants to see that it did."""
    return count(run.new) > 4


def _pieces(runs: Sequence[_Run]) -> Iterator[Piece]:
    """Spaces at the end of a change stand behind it: no line is drawn through or under them."""
    for run in runs:
        gone, come = "".join(run.old), "".join(run.new)
        if run.same:
            # A space that only the older text had parts the words from what went behind them.
            yield Piece("same", come + _space(gone) if not _space(come) and run is not runs[-1] else come)
            continue
        if gone.strip():
            yield Piece("removed", gone.rstrip())
        if gone.strip() and come.strip() and _space(gone):
            yield Piece("same", " ")
        if come.strip():
            yield Piece("added", come.rstrip())
        if _space(come or gone):
            yield Piece("same", " ")


def _space(text: str) -> str:
    return " " if text != text.rstrip() else ""
