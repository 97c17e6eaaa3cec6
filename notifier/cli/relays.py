"""A site's relays from the terminal: which are left alone, and letting one be used again."""

from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.text import Text

from notifier.cli.asking import DEFAULT_URL, Url, console, moment, service_at, site_path, table

relays = App(name="relays", help="See which relays are paused as receivers refuse them, and let one be used again.")


@relays.command(name="list")
async def list_(site: str, *, url: Url = DEFAULT_URL) -> None:
    """List a site's relays, and which of them are paused, until when and why."""
    async with service_at(url) as client:
        _show(await client.get(site_path(site, "relays")))


@relays.command
async def resume(
    site: str,
    relay: Annotated[str, Parameter(help="Host and port, as the list has them.")],
    *,
    reason: Annotated[str, Parameter(help="Why, for the record.")] = "",
    url: Url = DEFAULT_URL,
) -> None:
    """Let letters go by a paused relay again."""
    async with service_at(url) as client:
        _show(await client.post(site_path(site, "relays", "resume"), {"relay": relay, "reason": reason}))


def _show(answer: Any) -> None:
    rows = table("Relay", "Paused until", "Said")
    for one in answer["relays"]:
        rows.add_row(Text(one["relay"]), moment(one["paused_until"]) or "not paused", Text(one["reason"]))
    console.print(rows if answer["relays"] else "This site names no relay: no letter leaves.")
