"""Publish a version from a terminal or from CI, wait until everyone is told, and hand in a bounce."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from cyclopts import Parameter
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from notifier.cli.asking import DEFAULT_URL, Url, console, moment, service_at, site_path
from notifier.cli.files import summaries_of_files, texts_of_files
from notifier.cli.running import complain
from notifier.client import Client
from notifier.errors import Conflict, Invalid, NotifierError
from notifier.policies.version import Materiality

SECRET = "NOTIFIER_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
POLL_SECONDS = 0.5
# What sysexits.h says to a mail server: try again. os.EX_TEMPFAIL is not there on Windows.
EX_TEMPFAIL = 75
# States in which nobody will be told any more.
OVER = {"done", "cancelled", "superseded"}


async def publish(
    site: str,
    policy: str,
    label: str,
    *,
    text: Annotated[list[str], Parameter(negative="")],
    summary: Annotated[list[str] | None, Parameter(negative="")] = None,
    effective_at: datetime | None = None,
    materiality: Materiality = "material",
    flag: Annotated[list[str] | None, Parameter(negative="")] = None,
    corrects: str | None = None,
    untranslated: Annotated[list[str] | None, Parameter(negative="")] = None,
    wait: Annotated[bool, Parameter(negative="")] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Publish a version of a policy by a signed webhook. The same again changes nothing.

    Nobody is told before the campaign is approved. The secret comes from NOTIFIER_WEBHOOK_SECRET.

    Parameters
    ----------
    text
        LOCALE=FILE, once for every locale; Markdown (.md) or HTML (.html).
    summary
        LOCALE=FILE, once for every locale: what changed, in plain words, for the letters.
    effective_at
        When it takes effect, like 2026-07-01T00:00:00+09:00; left out: as soon as the notice period allows.
    materiality
        editorial: only posted. material: people are told. explicit: they must act.
    flag
        What is special about it, like new_recipient; may be given several times.
    corrects
        Of an editorial version: the label of the newest version, whose typing mistake it mends.
    untranslated
        A locale of the site that has no text on purpose; may be given several times.
    wait
        Stay until everyone is told, with a progress bar; needs NOTIFIER_TOKEN with the scope read.
    """
    submission = {
        "policy": policy,
        "label": label,
        "materiality": materiality,
        "flags": flag or [],
        "corrects": corrects,
        "untranslated": untranslated or [],
        "texts": _texts(text, summary or []),
    }
    if effective_at is not None:
        submission["effective_at"] = effective_at.astimezone().isoformat()
    async with service_at(url) as client:
        campaign = say_published(site, await client.publish(site, submission, _secret()))
        if wait and campaign is not None:
            await _wait_until_told(client, site, campaign)


def say_published(site: str, answer: Mapping[str, Any]) -> int | None:
    """Say what became of a version, and what comes next. Returns the number of its campaign, if it has one."""
    version, campaign = answer["version"], answer["campaign"]
    named = f"{site} {version['policy']} {version['label']}"
    for warning in answer["warnings"]:
        console.print(f"Look at the {warning['about']} ({warning['place']}): it {warning['found']}.", markup=False)
    if version["state"] == "pending":
        number = version["version_id"]
        console.print(f"{named} waits for somebody's review as draft {number}: notifier versions show {site} {number}")
        return None
    console.print(f"Published {named}, in effect from {moment(version['effective_at'])}.")
    if campaign is None:
        console.print("Nobody needs to be told of it.")
        return None
    number = int(campaign.rpartition("/")[2])
    console.print(f"Nothing is sent before somebody approves it: notifier campaigns approve {site} {number}")
    return number


async def bounce(channel: str = "email", *, url: Url = DEFAULT_URL) -> int:
    """Hand in a bounce or complaint from standard input, as a mail server's pipe does.

    Ends with 75 when the service cannot take it now, so that the mail server keeps it and tries again. Otherwise with
    0, because what is none of ours should not bounce once more.

    Parameters
    ----------
    channel
        The channel that the letter went out by.
    """
    message = sys.stdin.buffer.read()
    try:
        async with service_at(url) as client:
            await client.send_raw(f"/hooks/{channel}", message, "message/rfc822")
    except NotifierError as error:
        complain(error)
        return EX_TEMPFAIL if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR else 0
    return 0


def _secret() -> str:
    secret = os.environ.get(SECRET)
    if not secret:
        raise Invalid(f"there is no webhook secret; set {SECRET} (notifier webhook-secret show prints it)")
    return secret


def _texts(texts: Sequence[str], summaries: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """The texts of a submission from LOCALE=FILE arguments. Raises Invalid, naming the argument."""
    words = dict(summaries_of_files(summaries))
    found = {locale: {**text, "summary": words.pop(locale, "")} for locale, text in texts_of_files(texts).items()}
    if words:
        raise Invalid(f"there is a summary but no text for {', '.join(words)}; add --text {next(iter(words))}=FILE")
    return found


async def _wait_until_told(client: Client, site: str, campaign_id: int) -> None:
    """Show how far a campaign is until nobody is pending. Raises Conflict when it ends before that."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("waiting for approval", total=None)
        while True:
            report: dict[str, Any] = await client.get(site_path(site, "campaigns", campaign_id))
            settled = report["in_scope"] - report["pending"]
            progress.update(bar, description=report["state"], total=report["in_scope"] or None, completed=settled)
            if report["state"] in OVER:
                break
            await asyncio.sleep(POLL_SECONDS)
    if report["state"] != "done":
        raise Conflict(f"the campaign was {report['state']}; {report['pending']} people were not told by it")
    few = report["too_little_evidence"]
    weak = f" {few:,} more with too little evidence so far;" if few else ""
    console.print(f"Told {report['told']:,} people;{weak} {report['unreachable']:,} could not be reached.")
