"""Where the running service is, and who we are to it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated
from urllib.parse import quote

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from notifier.client import Client, open_client

DEFAULT_URL = "http://127.0.0.1:8080"

Url = Annotated[str, Parameter(env_var="NOTIFIER_URL", help="Address of the running service.", group="Which service")]
console = Console(highlight=False)


@asynccontextmanager
async def service_at(url: str) -> AsyncIterator[Client]:
    """The running service, asked with the token in NOTIFIER_TOKEN."""
    async with open_client(url, os.environ.get("NOTIFIER_TOKEN")) as client:
        yield client


def site_path(site: str, *steps: str | int) -> str:
    """The path of something that belongs to a site; every step is escaped."""
    return "/".join(["/v1/sites", *(quote(str(step), safe="") for step in (site, *steps))])


def table(*columns: str, title: str | None = None) -> Table:
    """An empty table in the one look that all commands share; a column marked with # holds numbers."""
    made = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(
            column.removeprefix("#"), overflow="fold", justify="right" if column.startswith("#") else "left"
        )
    return made


def moment(value: str | None) -> str:
    """An instant as the terminal shows it: local time, to the minute."""
    return "" if value is None else datetime.fromisoformat(value).astimezone().strftime("%Y-%m-%d %H:%M %Z")
