"""Bring people in: from CSV or NDJSON, streamed to the service with a progress bar."""

import asyncio
import io
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from cyclopts import App
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from notifier.cli.asking import DEFAULT_URL, Url, console, service_at, site_path, table
from notifier.errors import Invalid
from notifier.people.table import ndjson_of

# Lines handed over at once, so that reading is worth the hop to a thread.
BLOCK = 1000
SHOWN_FAULTS = 50
CSV, NDJSON = {".csv"}, {".ndjson", ".jsonl"}
CSV_TYPE, NDJSON_TYPE = "text/csv", "application/x-ndjson"

people = App(name="people", help="Bring in the people that a site has.")


@people.command(name="import")
async def import_(site: str, file: Path, *, url: Url = DEFAULT_URL) -> int:
    """Bring in people from a file. Who is there already is updated; bad lines are reported, the good ones are kept.

    Parameters
    ----------
    file
        .csv with a header line, or .ndjson with a person a line. docs/commands.md lists the fields.
    """
    if file.suffix.lower() not in CSV | NDJSON:
        raise Invalid(f"{file} is neither .csv nor .ndjson; rename it if it is one of them")
    is_table = file.suffix.lower() in CSV
    report = await _send(file, site_path(site, "people"), _lines_of_csv if is_table else _as_it_is, NDJSON_TYPE, url)
    return _say(report, "new", "changed")


@people.command
async def baselines(site: str, file: Path, *, url: Url = DEFAULT_URL) -> int:
    """Bring in what the site knows of acceptances from before, each with its proof: proved, imported or unknown.

    Parameters
    ----------
    file
        .csv with a header line, or .ndjson with one acceptance a line. docs/acceptance.md lists the fields.
    """
    if file.suffix.lower() not in CSV | NDJSON:
        raise Invalid(f"{file} is neither .csv nor .ndjson; rename it if it is one of them")
    media_type = CSV_TYPE if file.suffix.lower() in CSV else NDJSON_TYPE
    report = await _send(file, site_path(site, "baselines"), _as_it_is, media_type, url)
    return _say(report, "new", "said otherwise")


async def _send(
    file: Path, path: str, lines_of: Callable[[BinaryIO], Iterable[bytes]], media_type: str, url: str
) -> Any:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with file.open("rb") as stream, Progress(*columns, console=console) as progress:
        bar = progress.add_task(f"Sending {file.name}", total=os.fstat(stream.fileno()).st_size)
        async with service_at(url) as client:
            return await client.send_lines(path, _sent(lines_of(stream), stream, progress, bar), media_type)


def _say(report: Any, created: str, changed: str) -> int:
    """Print what became of the lines. Returns 1 when some were refused."""
    console.print(
        f"{report['read']:,} read, {report['kept']:,} kept: {report['created']:,} {created}, {report['changed']:,} "
        f"{changed}, {report['unchanged']:,} as they were."
    )
    if not report["faults"]:
        return 0
    faults = table("#Line", "What is wrong with it", title=f"Lines that were refused: {report['refused']:,}")
    for fault in report["faults"][:SHOWN_FAULTS]:
        faults.add_row(fault["pointer"].removeprefix("line "), Text(fault["detail"]))
    console.print(faults)
    return 1


def _as_it_is(stream: BinaryIO) -> Iterable[bytes]:
    return stream


def _lines_of_csv(stream: BinaryIO) -> Iterator[bytes]:
    text = io.TextIOWrapper(stream, "utf-8", newline="")
    try:
        for line in ndjson_of(text):
            yield line + b"\n"
    except UnicodeDecodeError as error:
        raise Invalid("the table is not UTF-8; save it as UTF-8 and import it again") from error
    finally:
        text.detach()  # otherwise it would close the stream, whose position the progress bar still wants


async def _sent(lines: Iterable[bytes], stream: BinaryIO, progress: Progress, bar: TaskID) -> AsyncIterator[bytes]:
    waiting = iter(lines)
    while block := await asyncio.to_thread(lambda: b"".join(islice(waiting, BLOCK))):
        yield block
        progress.update(bar, completed=stream.tell())
