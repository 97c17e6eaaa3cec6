"""What a benchmark answers, and where it may work."""

import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from rich.console import Console


@dataclass(frozen=True)
class Figure:
    """One ratio, the bar that it has to reach and what it aims at. ``better`` says on which side of them it should lie.

    Without a bar it is told for whoever wants to know, and decides nothing.
    """

    name: str
    value: float
    bar: float | None
    better: Literal["higher", "lower"]
    detail: str = ""
    aim: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the bar is reached, if there is one."""
        if self.bar is None:
            return True
        return self.value >= self.bar if self.better == "higher" else self.value <= self.bar


@dataclass
class Bench:
    """One run: the server's address, the console that shows progress, and what could not be measured and why."""

    server: str
    console: Console
    missing: list[str] = field(default_factory=list)

    def say(self, words: str) -> None:
        """One line of progress."""
        self.console.print(f"  [dim]{words}[/dim]")


Measure = Callable[[Bench], Awaitable[list[Figure]]]


def median_ratio(ours: list[float], peer: list[float]) -> float:
    """The median of the ratios of interleaved rounds: what a drifting machine disturbs least."""
    return statistics.median(a / b for a, b in zip(ours, peer, strict=True))
