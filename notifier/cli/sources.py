"""Sources from the terminal: how it stands with them, what would be read at an address, and others' declarations."""

import json
from pathlib import Path
from typing import Annotated

import yaml
from cyclopts import App, Parameter
from pydantic import ValidationError
from rich.text import Text

from notifier.cli.asking import DEFAULT_URL, Url, console, moment, service_at, site_path, table
from notifier.cli.running import settings
from notifier.errors import Invalid, Unavailable
from notifier.policies.capture import doubt
from notifier.policies.declaration import sources_of
from notifier.policies.extract import Unreadable, read_answer
from notifier.policies.fetch import Unfetched, open_fetcher
from notifier.policies.places import fetch_source
from notifier.sites.site import Source

sources = App(name="sources", help="See, try and import the places that texts are read from.")

Selectors = Annotated[list[str] | None, Parameter(negative="")]


@sources.command(name="list")
async def list_(site: str, *, url: Url = DEFAULT_URL) -> None:
    """List a site's sources and how it stands with each."""
    async with service_at(url) as client:
        found = (await client.get(site_path(site, "sources")))["sources"]
    rows = table("Policy", "Locale", "Address", "Looked at", "Found", "Why")
    for one in found:
        said = f"{one['verdict']} ({one['agreed']})" if one["verdict"] == "waiting" else one["verdict"] or "not yet"
        rows.add_row(
            one["policy"], one["locale"], Text(one["address"]), moment(one["looked_at"]), said, Text(one["reason"])
        )
    console.print(rows if found else f"{site} names no sources under watch in its site.yaml.")


@sources.command
async def look(site: str, policy: str, locale: str, *, url: Url = DEFAULT_URL) -> None:
    """Have a source looked at now, by the next worker."""
    async with service_at(url) as client:
        await client.post(site_path(site, "sources", policy, locale, "look"))
    console.print(f"It is looked at next: notifier sources list {site}")


@sources.command
async def snapshots(site: str, policy: str, locale: str, *, url: Url = DEFAULT_URL) -> None:
    """List what came from a source, the newest first."""
    async with service_at(url) as client:
        found = (await client.get(site_path(site, "sources", policy, locale, "snapshots")))["snapshots"]
    rows = table("#Snapshot", "First", "Last", "#Times", "#Bytes", "Found", "Why")
    for one in found:
        rows.add_row(
            str(one["snapshot_id"]), moment(one["taken_at"]), moment(one["seen_at"]), f"{one['times']:,}",
            f"{one['size']:,}", one["verdict"], Text(one["reason"]),
        )  # fmt: skip
    console.print(rows if found else "Nothing came from there yet.")


@sources.command
async def take(site: str, snapshot: int, *, url: Url = DEFAULT_URL) -> None:
    """Say that a snapshot is the policy's text, whatever was doubted. Opens a pending version."""
    async with service_at(url) as client:
        await client.post(site_path(site, "snapshots", snapshot, "take"))
    console.print(f"Taken. If it says something new, a version waits for confirmation: /console/sites/{site}")


@sources.command(name="try")
async def try_(page: str, *, keep: Selectors = None, drop: Selectors = None) -> None:
    """Print as Markdown what would be read at an address from here, and what would be doubted. Keeps nothing.

    Parameters
    ----------
    page
        The address of the page.
    keep
        CSS selector of what is the text; may be given several times.
    drop
        CSS selector of what is not; may be given several times.
    """
    try:
        source = Source(policy="policy", locale="en", page=page, keep=keep or [], drop=drop or [])
    except ValidationError as error:
        raise Invalid(error.errors()[0]["msg"]) from error
    try:
        async with open_fetcher(settings().watch_hosts) as fetcher:
            fetched = await fetch_source(fetcher, source, {})
        reading = read_answer(fetched.body or b"", fetched.headers.get("content-type", ""), source.keep, source.drop)
    except (Unfetched, Unreadable) as problem:
        raise Unavailable(f"{page}: {problem}") from problem
    console.print(Text(reading.text))
    if reason := doubt(reading, None):
        raise Unavailable(f"this would be doubted: {reason}")


@sources.command(name="import")
def import_(declaration: Path, *, locale: str = "en") -> None:
    """Print a declaration of Open Terms Archive as the section watch of a site.yaml.

    What cannot be read here (several pages as one text, ranges, PDF, scripts and filters that are programs) is left
    out, with the reason as a comment. Policies are named after the types of terms; call them as your site.yaml does.

    Parameters
    ----------
    declaration
        The JSON file of one service.
    locale
        The locale of its texts.
    """
    try:
        found = sources_of(json.loads(declaration.read_text("utf-8")), locale)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise Invalid(f"{declaration} is no JSON in UTF-8, as declarations are") from error
    for kind, reason in found.refused.items():
        console.print(Text(f"# {kind} is left out. {reason}"), soft_wrap=True)
    if not found.sources:
        raise Invalid(f"nothing in {declaration} can be read here")
    section = yaml.safe_dump({"watch": {"sources": found.sources}}, sort_keys=False, allow_unicode=True, width=1000)
    console.print(Text(section.rstrip()), soft_wrap=True)
