"""Campaigns from the terminal: see who would be told, let it begin, hold it, follow it."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from notifier.cli.asking import DEFAULT_URL, Url, console, moment, service_at, site_path, table
from notifier.cli.files import by_locale, read_words
from notifier.compliance.words import GRADES

campaigns = App(name="campaigns", help="See, approve, hold and follow the telling of versions.")

Number = Annotated[int, Parameter(help="The campaign's number.")]
Reason = Annotated[str, Parameter(help="Why, for the record.")]


@campaigns.command(name="list")
async def list_(site: str, *, url: Url = DEFAULT_URL) -> None:
    """List a site's campaigns, the newest first."""
    async with service_at(url) as client:
        found = (await client.get(site_path(site, "campaigns")))["campaigns"]
    rows = table("#Campaign", "Policy", "Version", "State", "Published", "In effect from")
    for one in found:
        rows.add_row(
            str(one["campaign_id"]), one["policy"], _label(one), one["state"],
            moment(one["published_at"]), moment(one["effective_at"]),
        )  # fmt: skip
    console.print(rows if found else f"{site} has had nothing to tell yet.")


@campaigns.command
async def show(site: str, campaign: Number, *, url: Url = DEFAULT_URL) -> int:
    """Show one campaign: its state, and counts that add up. Ends with 1 when they do not: then rely on none of them."""
    async with service_at(url) as client:
        report = await client.get(site_path(site, "campaigns", campaign))
    console.print(f"[bold]{site} {report['policy']} {_label(report)}[/bold]: {report['state']}")
    rows = table("What", "#People")
    rows.add_row("population", f"{report['population']:,}")
    _add(rows, "left out", report["excluded"])
    rows.add_row("in scope", f"{report['in_scope']:,}")
    for name in ("told", "too_little_evidence", "unreachable", "suppressed", "superseded", "pending"):
        rows.add_row(f"  {name.replace('_', ' ')}", f"{report[name]:,}")
    if report["held"]:
        rows.add_row("    of unknown fate, waiting for a word", f"{report['held']:,}")
    _add(rows, "told, then", report["told_split"])
    for preset, ends in report["by_preset"].items() if len(report["by_preset"]) > 1 else ():
        _add(rows, f"told under {preset}, then", ends)
    _add(rows, "since the freeze", {why: count for why, count in report["joined"].items() if count})
    _add(rows, "accepted", report["accepted"])
    for grade, count in report["grades"].items():
        rows.add_row(f"  grade {GRADES[grade]}", f"{count:,}")
    _add(rows, "sent again", report["reminders"])
    console.print(rows)
    _foresee(report["forecast"])
    if report["adds_up"]:
        console.print("The counts add up: population, in scope, told, accepted, and told under each preset.")
        return 0
    console.print("[bold]The counts do not add up; rely on none of them:[/bold]")
    for gap in report["gaps"]:
        console.print(gap)
    return 1


@campaigns.command
async def preview(site: str, campaign: Number, *, url: Url = DEFAULT_URL) -> None:
    """Count who would be told and why others would not, before anything is sent."""
    async with service_at(url) as client:
        answer = await client.get(site_path(site, "campaigns", campaign, "preview"))
    title = "Frozen: these people are told" if answer["frozen"] else "Nothing was sent; so it would be now"
    rows = table("By", "Value", "Reason", "#People", title=title)
    for count in answer["counts"]:
        rows.add_row(count["dimension"], count["value"], _words(count["reason"]), f"{count['count']:,}")
    console.print(rows)
    if narrowed := _narrowed(answer["audience"] or {}):
        console.print(f"The audience of the rule: {narrowed}", markup=False)
    _foresee(answer["forecast"])


def _narrowed(audience: dict[str, Any]) -> str:
    """What a rule asks of people, as site.yaml says it; empty when nothing."""
    asked = {k: v for k, v in audience.items() if (v is False if k == "dormant" else v)}
    return json.dumps(asked, ensure_ascii=False) if asked else ""


@campaigns.command(name="test")
async def send_test(
    site: str,
    campaign: Number,
    addresses: Annotated[list[str], Parameter(help="Whom to send it, up to ten.")],
    /,
    *,
    locale: Annotated[list[str] | None, Parameter(help="Only in this locale; may be given again.", negative="")] = None,
    url: Url = DEFAULT_URL,
) -> int:
    """Send a few addresses the letters of a campaign, marked as a test. Ends with status 1 when the relay took none."""
    async with service_at(url) as client:
        order = {"addresses": addresses, "locales": locale or []}
        letters = (await client.post(site_path(site, "campaigns", campaign, "test"), order))["letters"]
    rows = table("Address", "Locale", "Outcome", "Reply", "Said by")
    for one in letters:
        rows.add_row(one["address"], one["locale"], _words(one["outcome"]), one["reply"], one["via"])
    console.print(rows)
    return 0 if any(one["outcome"] == "accepted_by_relay" for one in letters) else 1


@campaigns.command
async def approve(site: str, campaign: Number, *, reason: Reason = "", url: Url = DEFAULT_URL) -> None:
    """Approve a planned campaign: with the last approval the audience is frozen, then the letters go out."""
    await _steer(url, site, campaign, "approve", reason)


@campaigns.command
async def pause(site: str, campaign: Number, *, reason: Reason = "", url: Url = DEFAULT_URL) -> None:
    """Hold a campaign. Letters that a relay already has cannot be called back."""
    await _steer(url, site, campaign, "pause", reason)


@campaigns.command
async def resume(site: str, campaign: Number, *, reason: Reason = "", url: Url = DEFAULT_URL) -> None:
    """Go on with a campaign that was held."""
    await _steer(url, site, campaign, "resume", reason)


@campaigns.command
async def go_on(site: str, campaign: Number, *, reason: Reason = "", url: Url = DEFAULT_URL) -> None:
    """Go on with the next stage of a canary, without waiting for the end of its hold."""
    await _steer(url, site, campaign, "go_on", reason)


@campaigns.command
async def cancel(site: str, campaign: Number, *, reason: Reason = "", url: Url = DEFAULT_URL) -> None:
    """End a campaign before everybody is told. What was sent and recorded stays."""
    await _steer(url, site, campaign, "cancel", reason)


@campaigns.command
async def unknown(
    site: str,
    campaign: Number,
    then: Annotated[Literal["resend", "give-up"], Parameter(help="The same letters again, or the next channel.")],
    *,
    reason: Reason = "",
    url: Url = DEFAULT_URL,
) -> None:
    """Say what is done about letters of unknown fate that wait for a word: send them again, or give them up."""
    body = {"then": then.replace("-", "_"), "reason": reason}
    async with service_at(url) as client:
        answer = await client.post(site_path(site, "campaigns", campaign, "unknown"), body)
    console.print(f"{answer['letters']:,} letters {'are sent again' if then == 'resend' else 'are given up'}.")


@campaigns.command
async def correct(
    site: str,
    campaign: Number,
    *,
    words: Annotated[
        list[str], Parameter(negative="", help="LOCALE=FILE, once for every language; a little Markdown.")
    ],
    reason: Reason = "",
    url: Url = DEFAULT_URL,
) -> None:
    """Plan a correction of what a campaign said, for exactly those whom it reached."""
    body = {
        "words": {locale: read_words(file).strip() for locale, file in by_locale("--words", words)},
        "reason": reason,
    }
    async with service_at(url) as client:
        answer = await client.post(site_path(site, "campaigns", campaign, "correction"), body)
    number = answer["campaign_id"]
    console.print(f"Campaign {number} corrects campaign {campaign}; it is {answer['state']}.")
    console.print(f"Nothing is sent before somebody approves it: notifier campaigns approve {site} {number}")


async def _steer(url: str, site: str, campaign: int, step: str, reason: str) -> None:
    async with service_at(url) as client:
        answer = await client.post(site_path(site, "campaigns", campaign, step), {"reason": reason})
    console.print(f"Campaign {campaign} ({answer['policy']} {answer['label']}) is {answer['state']}.")
    approvals = answer["approvals"]
    if answer["state"] == "planned":
        by = approvals["approved_by"]
        console.print(f"{len(by)} of {approvals['people']} approved, by {', '.join(by)}; somebody else must approve.")


def _label(campaign: Mapping[str, Any]) -> str:
    label = str(campaign["label"])
    return label if campaign["corrects"] is None else f"{label}, correction of campaign {campaign['corrects']}"


def _foresee(forecast: Mapping[str, Any] | None) -> None:
    if forecast is None:
        return
    console.print(
        f"The last person is told {moment(forecast['last_told_at'])}, at {forecast['per_hour']:,} an hour;"
        f" the last notice period ends {moment(forecast['notice_ends_at'])}."
    )
    if forecast["too_late"]:
        console.print(f"[bold]{forecast['too_late']:,} people[/bold] are told too late for the effective date.")


def _add(rows: Any, title: str, counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        rows.add_row(f"  {title}: {_words(name)}", f"{count:,}")


def _words(name: str) -> str:
    return name.replace("_", " ")
