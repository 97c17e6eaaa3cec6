"""From everyone a site knows down to who accepted: bars whose parts must add up. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

WIDTH = 1000.0  # of a bar, in the units of its SVG
LEAST = 3.0  # the narrowest part that can be seen


@dataclass(frozen=True)
class Segment:
    """One part of a bar: its count, where it lies, and the page that lists these people."""

    name: str
    count: int
    x: float
    width: float
    href: str = ""


@dataclass(frozen=True)
class Level:
    """One bar. ``join`` is the stretch of the bar above that this one spreads out; None for the first."""

    name: str
    total: int
    segments: tuple[Segment, ...]
    join: tuple[float, float] | None = None

    @property
    def adds_up(self) -> bool:
        """Whether the parts make the whole."""
        return sum(segment.count for segment in self.segments) == self.total


def levels(
    population: int, parts: Mapping[str, Mapping[str, int]], totals: Mapping[str, int], links: Mapping[str, str]
) -> list[Level]:
    """The bars ``population``, ``in_scope`` and ``told``, as far as ``parts`` knows them.

    Each bar but the first spreads out the part of its name of the bar above. ``links`` gives a part's page.
    """
    found: list[Level] = []
    for name, counts in parts.items():
        total = population if name == "population" else totals[name]
        found.append(Level(name, total, _segments(counts, links), _join(found, name)))
    return found


def _segments(counts: Mapping[str, int], links: Mapping[str, str]) -> tuple[Segment, ...]:
    whole = sum(counts.values())
    shown = {name: max(LEAST, WIDTH * count / whole) for name, count in counts.items() if count} if whole else {}
    scale = WIDTH / sum(shown.values()) if shown else 0.0
    segments, x = [], 0.0
    for name, count in counts.items():
        width = shown.get(name, 0.0) * scale
        segments.append(Segment(name, count, round(x, 1), round(width, 1), links.get(name, "")))
        x += width
    return tuple(segments)


def _join(above: list[Level], name: str) -> tuple[float, float] | None:
    for level in reversed(above):
        for segment in level.segments:
            if segment.name == name:
                return segment.x, round(segment.x + segment.width, 1)
    return None
