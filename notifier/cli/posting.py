"""Posting from the terminal: whether the site's own pages show what was published."""

from cyclopts import App
from rich.text import Text

from notifier.cli.asking import DEFAULT_URL, Url, console, moment, service_at, site_path, table

posting = App(name="posting", help="See whether the site's own pages show what was published.")


@posting.command(name="list")
async def list_(site: str, *, url: Url = DEFAULT_URL) -> None:
    """List the pages that must show a site's texts, and how it stands with each."""
    async with service_at(url) as client:
        found = (await client.get(site_path(site, "posting")))["pages"]
    rows = table("Policy", "Locale", "Version", "Posted at", "Looked at", "Found", "Alarm", "Why")
    for one in found:
        rows.add_row(
            one["policy"], one["locale"], one["label"] or "–", moment(one["posted_at"]), moment(one["looked_at"]),
            one["verdict"] or "not yet", one["alarm"] or "", Text(one["reason"]),
        )  # fmt: skip
    console.print(rows if found else f"{site} names no posted_at_url in its site.yaml.")


@posting.command
async def looks(site: str, policy: str, locale: str, *, url: Url = DEFAULT_URL) -> None:
    """List what was seen on one page, the newest first."""
    async with service_at(url) as client:
        found = (await client.get(site_path(site, "posting", policy, locale, "looks")))["looks"]
    rows = table("#Look", "At", "Expected", "Shows", "Found", "SHA-256", "Why")
    for one in found:
        rows.add_row(
            str(one["look_id"]), moment(one["at"]), one["expected"], one["shows"] or "–", one["verdict"],
            (one["sha256"] or "–")[:16], Text(one["reason"]),
        )  # fmt: skip
    console.print(rows if found else "Nobody looked there yet.")


@posting.command
async def look(site: str, policy: str, locale: str, *, url: Url = DEFAULT_URL) -> None:
    """Have a page looked at now, by the next worker."""
    async with service_at(url) as client:
        await client.post(site_path(site, "posting", policy, locale, "look"))
    console.print(f"It is looked at next: notifier posting list {site}")
