"""`python -m benchmarks [name]`: measure, print a table, write latest.json; status 1 when a bar is missed."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import delivery, freezing, reading, using
from benchmarks.figures import Bench, Figure, Measure
from notifier.postgres import embedded_postgres

MEASURES: dict[str, Measure] = {
    "freezing": freezing.measure,
    "reading": reading.measure,
    "delivery": delivery.measure,
    "using": using.measure,
}
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


def show(figures: list[Figure], console: Console) -> None:
    """The table that docs/benchmarks.md keeps."""
    table = Table("figure", "value", "bar", "", "how")
    for figure in figures:
        sign = "≥" if figure.better == "higher" else "≤"
        mark = "[green]ok[/green]" if figure.ok else "[red]missed[/red]"
        table.add_row(figure.name, f"{figure.value:.2f}", f"{sign} {figure.bar:g}", mark, figure.detail)
    console.print(table)


def main() -> int:
    """Run what was asked for, or everything."""
    console = Console()
    names = [name for name in sys.argv[1:] if name] or list(MEASURES)
    if unknown := set(names) - set(MEASURES):
        console.print(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
        return 2
    figures = asyncio.run(run(names, console))
    show(figures, console)
    kept = [{"name": f.name, "value": f.value, "bar": f.bar, "better": f.better, "ok": f.ok} for f in figures]
    RESULTS.write_text(json.dumps(kept, indent=2) + "\n")
    return 0 if all(figure.ok for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
