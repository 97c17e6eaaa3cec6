"""The roles a process can take: web app, worker, mail catcher, demo."""

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators
from rich.console import Console

from notifier.activity.consume import Consumer, Source
from notifier.activity.memory import Memory
from notifier.channels.postfix_log import OWN_RELAYS, PostfixLog
from notifier.cli.running import Stopping, settings
from notifier.compose import DATABASE_PATIENCE, open_service
from notifier.demo.catcher import catch_mail as catching
from notifier.demo.mailbox_pages import show_mailbox
from notifier.demo.play import DemoOptions, play
from notifier.errors import Unavailable
from notifier.letters.verp import return_path_key
from notifier.outcomes.follow import followed, record_log, standard_input
from notifier.serve import serve as serving
from notifier.serve import work_until

Port = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))]
console = Console(highlight=False)


async def serve(*, worker: bool = True) -> int:
    """Answer requests (API, console, public pages) and do the work, in one process.

    Parameters
    ----------
    worker
        Also send letters and record acceptances; with --no-worker this process only answers requests.
    """
    chosen = settings()
    async with open_service(chosen, DATABASE_PATIENCE) as service:
        stopping = Stopping()
        await serving(service, stopping.event, int(worker), lambda url: console.print(f"Listening on {url}"))
    return stopping.status


async def worker() -> int:
    """Only do the work: send letters, record acceptances. Any number of workers share it."""
    async with open_service(settings(), DATABASE_PATIENCE) as service:
        stopping = Stopping()
        console.print("Working")
        await work_until(service, stopping.event, 1)
    return stopping.status


async def consume() -> int:
    """Take in activities from NATS JetStream. Any number of these share the work."""
    chosen = settings()
    if chosen.nats_url is None:
        raise Unavailable("there is no stream to read from; set NOTIFIER_NATS_URL")
    credentials = None if chosen.nats_credentials is None else str(chosen.nats_credentials)
    source = Source(chosen.nats_url, chosen.nats_stream, chosen.nats_subject, chosen.nats_durable, credentials)
    async with open_service(chosen, DATABASE_PATIENCE) as service:
        stopping = Stopping()
        console.print(f"Consuming {source.stream} as {source.durable}")
        await Consumer(service.db, service.clock, source, Memory()).consume(stopping.event)
    return stopping.status


async def postfix_log(
    *, follow: Path | None = None, own_relay: Annotated[tuple[str, ...], Parameter(negative="")] = OWN_RELAYS
) -> int:
    """Record what Postfix logs of our letters: what the recipients' own mail servers said. From standard input, or:

    Parameters
    ----------
    follow
        A log file to read from its beginning and on as it grows, also when it is rotated.
    own_relay
        Host or address of a relay of our own (a content filter, a smart host), whose word says nothing of the
        recipient; may be given several times.
    """
    async with open_service(settings(), DATABASE_PATIENCE) as service:
        stopping = Stopping()
        log = PostfixLog(return_path_key(service.keys), "email", own_relay)
        chunks = standard_input() if follow is None else followed(follow)
        if follow is not None:
            console.print(f"Following {follow}")
        reading = asyncio.create_task(record_log(service.db, service.clock, log, chunks))
        waiting = asyncio.create_task(stopping.event.wait())
        await asyncio.wait([reading, waiting], return_when=asyncio.FIRST_COMPLETED)
        for task in (reading, waiting):
            task.cancel()
        news, _ = await asyncio.gather(reading, waiting, return_exceptions=True)
    if isinstance(news, Exception):
        raise news
    if not stopping.event.is_set():
        console.print(f"{news:,} news")
    return stopping.status


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
