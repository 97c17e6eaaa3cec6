"""Addresses that are not written to, from the terminal."""

from datetime import datetime
from typing import Annotated, Any

from cyclopts import App, Parameter, validators

from notifier.cli.asking import DEFAULT_URL, Url, console, moment, service_at, site_path, table

suppressions = App(name="suppressions", help="See which addresses are not written to, add one, lift one.")

Address = Annotated[str, Parameter(help="The address itself.")]
Reason = Annotated[str, Parameter(help="Why, for the record.")]


@suppressions.command(name="list")
async def list_(
    site: str,
    *,
    limit: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=1000))] = 100,
    url: Url = DEFAULT_URL,
) -> None:
    """List what is in force, and who has such an address now. The addresses themselves are not kept.

    Parameters
    ----------
    limit
        At most so many. For all of them, take the CSV from the API.
    """
    async with service_at(url) as client:
        found = (await client.get(site_path(site, "suppressions"), limit=limit))["suppressions"]
    rows = table("Reason", "Since", "Until", "By", "People")
    for one in found:
        people = ", ".join(one["external_ids"]) or "nobody now"
        rows.add_row(
            one["reason"].replace("_", " "), moment(one["since"]), moment(one["until"]) or "lifted",
            one["actor"] or "", people,
        )  # fmt: skip
    console.print(rows if found else "No address is suppressed.")


@suppressions.command
async def add(
    site: str,
    address: Address,
    *,
    reason: Reason = "by request",
    until: datetime | None = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Write to an address no more.

    Parameters
    ----------
    until
        Until when; left out: until somebody lifts it.
    """
    body: dict[str, Any] = {"address": address, "reason": reason}
    if until is not None:
        body["until"] = until.astimezone().isoformat()
    async with service_at(url) as client:
        await client.post(site_path(site, "suppressions"), body)
    console.print("This address is not written to any more.")


@suppressions.command
async def lift(site: str, address: Address, *, reason: Reason = "by request", url: Url = DEFAULT_URL) -> None:
    """Let an address be written to again, from the next campaign on."""
    async with service_at(url) as client:
        await client.post(site_path(site, "suppressions", "lift"), {"address": address, "reason": reason})
    console.print("This address is written to again.")
