"""Try it: a demo, and a mailbox that catches what is sent."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators
from rich.console import Console

from notifier.cli.running import Stopping
from notifier.demo.catcher import catch_mail as catching
from notifier.demo.mailbox_pages import show_mailbox
from notifier.demo.play import DemoOptions, play

Port = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))]
console = Console(highlight=False)


async def catch_mail(
    *, host: str = "127.0.0.1", smtp_port: Port = 1025, http_port: Port = 8025, bounce_to: str | None = None
) -> int:
    """Catch mail instead of sending it, and show it on a page. Some addresses are refused: see docs/demo.md.

    Parameters
    ----------
    host
        Address to listen on.
    smtp_port
        Port for the mail; 0 picks a free one.
    http_port
        Port for the page; 0 picks a free one.
    bounce_to
        Where bounces of …+bounce@… are posted, like http://127.0.0.1:8080/hooks/email; otherwise there are none.
    """
    async with catching(host, smtp_port, bounce_to) as catcher, show_mailbox(catcher.mailbox, host, http_port) as url:
        console.print(f"Catching mail on {host}:{catcher.smtp_port}, showing it on {url}")
        stopping = Stopping()
        await stopping.event.wait()
    return stopping.status


async def demo(
    *,
    people: Annotated[int, Parameter(validator=validators.Number(gte=20))] = 2000,
    fresh: Annotated[bool, Parameter(negative="")] = False,
    once: Annotated[bool, Parameter(negative="")] = False,
    data_folder: Path = Path(".demo"),
    port: Port = 8080,
) -> int:
    """Play the whole story with people who do not exist: publish, tell, bounce, use, accept, ask.

    Parameters
    ----------
    people
        How many people the two sites have together.
    fresh
        Start anew instead of going on from the data folder.
    once
        Exit after the story, with the counts as one last line of JSON.
    data_folder
        Where the demo keeps its database.
    port
        Port of the service; the mailbox gets the next one. 0 picks free ones.
    """
    return await play(DemoOptions(people, fresh, once, data_folder, port), Stopping)
