"""A million people told, from the approval to the last outcome: whether the rate holds, and what memory it takes.

Takes minutes, so only on request: `make bench ONLY=million`. Draws docs/pictures/million.svg.
"""

from itertools import pairwise
from pathlib import Path
from statistics import mean

from benchmarks.far_side import smtp_sink, tool
from benchmarks.figures import Bench, Figure
from benchmarks.ground import described
from benchmarks.pipeline import SAMPLE, WORKERS, tell

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
    rates = [(count - before) / SAMPLE for (_, before), (_, count) in pairwise(told.curve)]
    bench.say(f"{PEOPLE:,} people in {told.seconds:.0f} s, {told.rate:,.0f}/s")
    PICTURE.write_text(draw(rates), "utf-8")
    third = max(1, len(rates) // 3)
    first, last = mean(rates[:third]), mean(rates[-third:])
    return [
        Figure(
            "rate in the last third ÷ in the first", last / first, 0.8, "higher",
            f"{PEOPLE:,} people, {WORKERS} workers, {told.seconds:.0f} s: {first:,.0f}/s first, {last:,.0f}/s last",
            1.0,
        ),
        Figure(
            "worker memory at 1M ÷ at 10k", told.peak / small.peak, 1.2, "lower",
            f"peak {told.peak / 1024:.0f} MiB against {small.peak / 1024:.0f} MiB", 1.0,
        ),
    ]  # fmt: skip


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
