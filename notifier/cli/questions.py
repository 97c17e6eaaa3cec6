"""What compliance asks, from the terminal: one person, one version, one campaign."""

from datetime import datetime
from typing import Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from notifier.cli.asking import DEFAULT_URL, Url, console, moment, service_at, site_path, table
from notifier.compliance.words import GRADES

Person = Annotated[str, Parameter(help="The id that the site knows the person by.")]


async def timeline(site: str, person: Person, *, url: Url = DEFAULT_URL) -> None:
    """Everything that is on record about one person, in order."""
    async with service_at(url) as client:
        events = (await client.get(site_path(site, "people", person, "timeline")))["events"]
    rows = table("When", "What", "About")
    for event in events:
        rows.add_row(moment(event["at"]), Text(event["what"]), Text(_about(event)))
    console.print(rows)


async def explain(site: str, person: Person, policy: str, version: str, *, url: Url = DEFAULT_URL) -> None:
    """Say in words why one person was told of a version or not, and what holds acceptance back.

    Parameters
    ----------
    version
        The version's label.
    """
    async with service_at(url) as client:
        answer = await client.get(site_path(site, "people", person, "explain"), policy=policy, version=version)
    for words in answer["words"]:
        console.print(Text(words))


async def told(
    site: str, person: Person, policy: str, version: str, *, before: datetime, url: Url = DEFAULT_URL
) -> None:
    """Say whether one person was validly told of a version before a moment, and how.

    Parameters
    ----------
    version
        The version's label.
    before
        The moment, like 2026-07-01T00:00:00+09:00; without a zone it is local time.
    """
    asked = {"policy": policy, "version": version}
    async with service_at(url) as client:
        told = site_path(site, "people", person, "told")
        how = (await client.get(told, **asked, before=before.astimezone().isoformat()))["how"]
        if how:
            console.print(f"Yes, on {moment(how['told_at'])}, by {how['channel']}.")
            return
        console.print("No. What is known today:")
        for words in (await client.get(site_path(site, "people", person, "explain"), **asked))["words"]:
            console.print(Text(words))


async def in_force(
    site: str, person: Person, policy: str, *, on: datetime | None = None, url: Url = DEFAULT_URL
) -> int:
    """Say which text of a policy was in force for one person on a day, and by what. Ends with 1 when none was.

    Parameters
    ----------
    on
        The moment, like 2026-07-01T00:00:00+09:00; without a zone it is local time. Left out: now.
    """
    asked = {"policy": policy, "on": None if on is None else on.astimezone().isoformat()}
    async with service_at(url) as client:
        answer = await client.get(site_path(site, "people", person, "in-force"), **asked)
    for words in answer["words"]:
        console.print(Text(words))
    if answer["text"]:
        console.print(Text(f"{answer['text']['url']} (SHA-256 {answer['text']['sha256']})"))
    return 0 if answer["version"] else 1


async def acceptances(site: str, person: Person, *, url: Url = DEFAULT_URL) -> None:
    """What is on record as acceptance by one person, with grade and date; every revision."""
    async with service_at(url) as client:
        found = (await client.get(site_path(site, "people", person, "acceptances")))["acceptances"]
    rows = table("Policy", "Version", "Kind", "Grade", "Accepted", "Use counts from", "Recorded")
    for one in found:
        rows.add_row(
            one["policy"], one["label"], one["kind"], GRADES.get(one["grade"], ""), moment(one["accepted_at"]),
            moment(one["counts_from"]), moment(one["recorded_at"]),
        )  # fmt: skip
    console.print(rows if found else "Nothing is on record.")


async def notices(
    site: str,
    campaign: Annotated[int, Parameter(help="The campaign's number.")],
    *,
    status: str | None = None,
    reason: str | None = None,
    channel: str | None = None,
    locale: str | None = None,
    late: Annotated[bool, Parameter(negative="")] = False,
    limit: int = 50,
    url: Url = DEFAULT_URL,
) -> None:
    """List who was considered for a campaign, and what became of each.

    Parameters
    ----------
    status
        Only these: told, too_little_evidence, pending, unreachable, suppressed, superseded or excluded.
    reason
        Only these: in_scope, closed, suspended, registered_with_it, already_accepted, outside_rule, …
    channel
        Only those told by this channel.
    locale
        Only those told in this locale.
    late
        Only those told too late for their notice period to end by the effective date.
    limit
        At most so many. For all of them, take the CSV from the API.
    """
    query: dict[str, Any] = {"status": status, "reason": reason, "channel": channel, "locale": locale, "limit": limit}
    if late:
        query["late"] = "true"
    async with service_at(url) as client:
        found = (await client.get(site_path(site, "campaigns", campaign, "notices"), **query))["notices"]
    rows = table("Person", "Status", "Reason", "Told by", "In", "When")
    for one in found:
        rows.add_row(
            Text(one["external_id"]), one["status"], one["reason"].replace("_", " "),
            one["told_by"] or "", one["locale"] or "", moment(one["told_at"]),
        )  # fmt: skip
    console.print(rows if found else "Nobody fits.")


def _about(event: dict[str, Any]) -> str:
    """Which version, channel and attempt an event is about."""
    version = " ".join(filter(None, (event["policy"], event["label"])))
    attempt = f"{event['channel']} {event['attempt'] or ''}".strip() if event["channel"] else ""
    return ", ".join(filter(None, (version, "correction" if event["corrects"] else "", attempt)))
