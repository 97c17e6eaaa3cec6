"""The exact letter that somebody was sent, out of the record."""

import sys
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from notifier.cli.asking import DEFAULT_URL, Url, moment, service_at, site_path

aside = Console(stderr=True, highlight=False)


async def letter(
    site: str,
    *,
    campaign: Annotated[int, Parameter(help="The campaign's number.")],
    person: Annotated[str, Parameter(help="The id that the site knows the person by.")],
    channel: str | None = None,
    attempt: int | None = None,
    url: Url = DEFAULT_URL,
) -> int:
    """Write the exact letter that one person was sent to standard output, and say whether it is the recorded one.

    Ends with status 1 when its SHA-256 is not the one in the record.

    Parameters
    ----------
    channel
        Only by this channel, like email.
    attempt
        The attempt's number, as in the timeline; left out: the last one.
    """
    path = site_path(site, "campaigns", campaign, "people", person, "letter")
    async with service_at(url) as client:
        headers, body = await client.get_raw(path, channel=channel, attempt=attempt)
    sys.stdout.buffer.write(body)
    sys.stdout.buffer.flush()
    which = f"attempt {headers['Letter-Attempt']} by {headers['Letter-Channel']}, {moment(headers['Letter-Sent'])}"
    if headers["Letter-Matches"] == "true":
        aside.print(f"This is the letter of {which}: its SHA-256 is the recorded one, {headers['Letter-SHA256']}.")
        return 0
    aside.print(f"This is NOT the letter of {which}: recorded is the SHA-256 {headers['Letter-SHA256']}.")
    return 1
