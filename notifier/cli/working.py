"""The roles that answer nobody: work, take in activities, follow a log."""

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from notifier.activity.consume import Consumer, Source
from notifier.activity.memory import Memory
from notifier.channels.postfix_log import OWN_RELAYS, PostfixLog
from notifier.cli.running import Stopping, interrupt_nobody, settings
from notifier.compose import DATABASE_PATIENCE, open_service
from notifier.errors import Unavailable
from notifier.letters.verp import return_path_key
from notifier.outcomes.follow import followed, record_log, standard_input
from notifier.worker import work_until

console = Console(highlight=False)


async def worker() -> int:
    """Only do the work: send letters, record acceptances. Any number of workers share it."""
    interrupt_nobody()
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
