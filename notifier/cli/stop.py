"""The stop switch, from the terminal."""

from typing import Annotated, Any

from cyclopts import Parameter

from notifier.cli.asking import DEFAULT_URL, Url, console, moment, service_at, site_path

Site = Annotated[str | None, Parameter(help="The only site that it is for; left out: every site.")]
Reason = Annotated[str, Parameter(help="Why, for the record.")]


async def stop(site: Site = None, /, *, reason: Reason = "", url: Url = DEFAULT_URL) -> None:
    """Stop all sending at once, of one site or of every one. Campaigns keep their state; `notifier go` goes on."""
    async with service_at(url) as client:
        answer = await client.post(_path(site), {"reason": reason})
    console.print("Stopped: nothing more leaves. What a relay already has cannot be called back.")
    _show(answer)


async def go(site: Site = None, /, *, url: Url = DEFAULT_URL) -> None:
    """Let sending go on after `notifier stop`, exactly where it was."""
    async with service_at(url) as client:
        answer = await client.delete(_path(site))
    console.print("Still stopped:" if answer["stops"] else "Nothing is stopped any more.")
    _show(answer)


def _path(site: str | None) -> str:
    return "/v1/stop" if site is None else site_path(site, "stop")


def _show(answer: Any) -> None:
    for one in answer["stops"]:
        because = f": {one['reason']}" if one["reason"] else ""
        console.print(f"{one['site'] or 'every site'}, since {moment(one['since'])}, by {one['actor']}{because}")
