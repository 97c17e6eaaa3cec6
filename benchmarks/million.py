"""A million people told, from the approval to the last outcome: whether the rate holds, and what memory it takes.

Takes minutes, so only on request: `make bench ONLY=million`. Draws docs/pictures/million.svg.
"""

from itertools import pairwise
from pathlib import Path

from benchmarks.far_side import smtp_sink, tool
from benchmarks.figures import Bench, Figure
from benchmarks.ground import described
from benchmarks.pipeline import SAMPLE, WORKERS, Point, tell

PEOPLE = 1_000_000
FEW = 10_000
SESSIONS = 8
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "million.svg"
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 720, 220, 56, 34


async def measure(bench: Bench) -> list[Figure]:
    """One small campaign and one of a million, into the same smtp-sink."""
    sink = tool("smtp-sink")
    if sink is None:
        bench.missing.append("million: smtp-sink is missing (Debian's postfix package has it)")
        return []
    async with smtp_sink(sink) as port:
        small = await tell(bench, FEW, described(port, sessions=SESSIONS))
        told = await tell(bench, PEOPLE, described(port, sessions=SESSIONS))
    bench.say(f"{PEOPLE:,} people in {told.seconds:.0f} s, {told.rate:,.0f}/s")
    PICTURE.write_text(draw([_rate(*pair) for pair in pairwise(told.curve)]), "utf-8")
    third = max(1, len(told.curve) // 3)
    first, last = (told.curve[0], told.curve[third]), (told.curve[-1 - third], told.curve[-1])
    return [
        Figure(
            "rate in the last third ÷ in the first", _rate(*last) / _rate(*first), 0.8, "higher",
            f"{PEOPLE:,} people, {WORKERS} workers, {told.seconds:.0f} s; {_rate(*first):,.0f}, {_rate(*last):,.0f}/s",
            1.0,
        ),
        Figure(
            "workers' CPU a letter, last third ÷ first", _cpu(*last) / _cpu(*first), None, "lower",
            f"{_cpu(*first):.0f} µs, {_cpu(*last):.0f} µs: what others do on the machine matters less here", 1.0,
        ),
        Figure(
            "worker memory at 1M ÷ at 10k", told.peak / small.peak, 1.2, "lower",
            f"peak {told.peak / 1024:.0f} MiB against {small.peak / 1024:.0f} MiB", 1.0,
        ),
    ]  # fmt: skip


def _rate(begin: Point, end: Point) -> float:
    """Letters a second between two points."""
    return (end[1] - begin[1]) / (end[0] - begin[0])


def _cpu(begin: Point, end: Point) -> float:
    """Microseconds of the workers' CPU per letter between two points."""
    return (end[2] - begin[2]) / (end[1] - begin[1]) * 1e6


def draw(rates: list[float]) -> str:
    """Letters a second over time as SVG, in tones that can be read on light and on dark."""
    high = 2000 * (int(max(rates) // 2000) + 1)
    right, floor = _WIDTH - 16, _HEIGHT - _BOTTOM
    across, up = (right - _LEFT) / max(1, len(rates) - 1), (floor - 16) / high
    points = " ".join(f"{_LEFT + n * across:.1f},{floor - rate * up:.1f}" for n, rate in enumerate(rates))
    steps = [(rate, floor - rate * up) for rate in range(0, high + 1, high // 4)]
    lines = "".join(f"M{_LEFT} {y:.1f}H{right}" for _, y in steps)
    scale = "".join(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{rate:,}</text>' for rate, y in steps)
    seconds = round(len(rates) * SAMPLE)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">
<title>Letters a second while {PEOPLE:,} people are told, over {seconds} seconds</title>
<path d="{lines}" stroke="#888" stroke-opacity=".4"/>
<polyline points="{points}" fill="none" stroke="#3b82f6" stroke-width="2" stroke-linejoin="round"/>
<g fill="#808890" font-family="sans-serif" font-size="12">
{scale}
<text x="{_LEFT}" y="{_HEIGHT - 10}">letters a second, from 0 s</text>
<text x="{right}" y="{_HEIGHT - 10}" text-anchor="end">to {seconds} s</text>
</g>
</svg>
"""
