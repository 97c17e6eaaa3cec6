"""`python -m benchmarks [name]`: measure, print a table, write latest.json; status 1 when a bar is missed."""

import asyncio
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import asking, comparing, deciding, delivery, freezing, million, reading, showing, using, watching
from benchmarks.figures import Bench, Figure, Measure
from notifier.postgres import embedded_postgres

MEASURES: dict[str, Measure] = {
    "freezing": freezing.measure,
    "reading": reading.measure,
    "comparing": comparing.measure,
    "delivery": delivery.measure,
    "using": using.measure,
    "showing": showing.measure,
    "watching": watching.measure,
    "million": million.measure,
    "asking": asking.measure,
    "deciding": deciding.measure,
}
ON_REQUEST = {"million", "asking", "deciding"}  # each takes minutes by itself
RESULTS = Path(__file__).parent / "latest.json"


async def run(names: list[str], console: Console) -> list[Figure]:
    """Every measure of ``names`` on one fresh embedded PostgreSQL with its default settings."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="pn-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        async with embedded_postgres(Path(folder) / "data", options={"max_connections": "200"}) as server:
            bench = Bench(server, console)
            for name in names:
                console.rule(name)
                figures += await MEASURES[name](bench)
    for words in bench.missing:
        console.print(f"[yellow]not measured:[/yellow] {words}")
    return figures


def sign_of(figure: Figure) -> str:
    """On which side of its bar a figure should lie."""
    return "≥" if figure.better == "higher" else "≤"


def show(figures: list[Figure], console: Console) -> None:
    """The table that docs/benchmarks.md keeps."""
    table = Table("figure", "value", "bar", "aim", "", "how")
    for figure in figures:
        sign = sign_of(figure)
        bar, aim = ("" if limit is None else f"{sign} {limit:g}" for limit in (figure.bar, figure.aim))
        mark = "[green]ok[/green]" if figure.ok else "[red]missed[/red]"
        table.add_row(figure.name, f"{figure.value:.2f}", bar, aim, mark if bar else "", figure.detail)
    console.print(table)
    for figure in figures:
        if not figure.ok:
            console.print(
                f"[red]missed:[/red] {figure.name} is {figure.value:.2f} and not {sign_of(figure)} {figure.bar:g}"
            )


def main() -> int:
    """Run what was asked for, or everything that does not take too long."""
    console = Console()
    names = [name for name in sys.argv[1:] if name] or [name for name in MEASURES if name not in ON_REQUEST]
    if unknown := set(names) - set(MEASURES):
        console.print(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
        return 2
    figures = asyncio.run(run(names, console))
    show(figures, console)
    kept = [asdict(f) | {"ok": f.ok} for f in figures]
    RESULTS.write_text(json.dumps(kept, indent=2) + "\n")
    return 0 if all(figure.ok for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
