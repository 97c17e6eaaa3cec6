"""How the story is told on the terminal: a heading, what you are looking at, bars, tables."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

# A moment to read each act; only where somebody is looking.
PAUSE_SECONDS = 1.2


@dataclass
class Narrator:
    """Tells the story. ``patient``: pauses between acts, for somebody who reads along."""

    console: Console = field(default_factory=lambda: Console(highlight=False))
    patient: bool = False
    _acts: int = 0

    async def act(self, title: str, explanation: str) -> None:
        """Begin an act."""
        if self._acts and self.patient:
            await asyncio.sleep(PAUSE_SECONDS)
        self._acts += 1
        self.console.print(Text.assemble("\n", (f"{self._acts}. {title}", "bold")))
        self.say(explanation)

    def say(self, words: str, style: str = "dim") -> None:
        """A paragraph."""
        self.console.print(Padding(Text(words, style=style), (0, 0, 0, 3)))

    def note(self, words: str) -> None:
        """One thing that just happened."""
        self.console.print(Padding(Text.assemble(("✓ ", "green"), words), (0, 0, 0, 3)))

    def show(self, title: str, rows: Mapping[str, tuple[object, ...]], columns: tuple[str, ...]) -> None:
        """A table: what, then a number (or words) for each column."""
        table = Table(title=title, title_justify="left", title_style="", box=None, padding=(0, 2, 0, 0))
        table.add_column("", overflow="fold")
        for column in columns:
            table.add_column(column, justify="right", overflow="fold")
        for name, values in rows.items():
            table.add_row(name, *(f"{v:,}" if isinstance(v, int) else "–" if v is None else str(v) for v in values))
        self.console.print(Padding(table, (0, 0, 0, 3)))

    @contextmanager
    def bars(self) -> Iterator[Progress]:
        """Progress bars for as long as the block lasts."""
        columns = (
            TextColumn("  {task.description:<28}"), BarColumn(36), MofNCompleteColumn(), TimeElapsedColumn()
        )  # fmt: skip
        with Progress(*columns, console=self.console) as progress:
            yield progress
