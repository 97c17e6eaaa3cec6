"""The demo as a whole: open everything, tell the story, say where to look, stay until told to go."""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from notifier.demo.aftermath import Aftermath
from notifier.demo.counts import counts_of, what_does_not_add_up
from notifier.demo.narrator import Narrator
from notifier.demo.stage import Stage, own_folder, set_up
from notifier.demo.story import Telling, threads
from notifier.errors import NotifierError
from notifier.serve import serve

WORKERS = 2


@dataclass(frozen=True)
class DemoOptions:
    """How the demo is to be played."""

    people: int
    fresh: bool
    once: bool
    data_folder: Path
    port: int


class Stop(Protocol):
    """How we learn that somebody wants the demo to end, and with which exit status that is."""

    event: asyncio.Event

    @property
    def status(self) -> int:
        """The exit status of whoever was asked to stop."""


async def play(options: DemoOptions, listen: Callable[[], Stop]) -> int:
    """Play the demo and return the exit status: 0 when it ended as it should, 1 when the counts do not add up.

    ``listen`` begins to listen for a wish to stop; before it is called, whoever runs this cancels it instead.
    """
    narrator = Narrator()
    narrator.patient = narrator.console.is_terminal and not options.once
    summary: list[dict[str, Any]] | None = None
    with own_folder(options.data_folder, fresh=options.fresh):
        narrator.say(f"Starting PostgreSQL in {options.data_folder}/ and the service on it …")
        async with set_up(options.data_folder, options.port) as stage:
            stop = listen()
            async with asyncio.TaskGroup() as group:
                ready = asyncio.Event()
                group.create_task(serve(stage.service, stop.event, WORKERS, lambda _: ready.set()))
                await ready.wait()
                summary = await _until(stop.event, _tell(stage, narrator, options))
                if summary is not None and not options.once:
                    _say_where_to_look(narrator, stage)
                    await stop.event.wait()
                stop.event.set()
    if summary is None:
        return stop.status or 1  # stopped before its end, which is no success
    if options.once:
        sys.stdout.write(json.dumps({"sites": summary}) + "\n")
    return 0


async def _until(stop: asyncio.Event, story: Any) -> Any:
    """The outcome of the story, or None when it was stopped before its end."""
    telling, stopping = asyncio.create_task(story), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({telling, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return await telling if telling.done() else None
    finally:
        for task in (telling, stopping):
            task.cancel()
        await asyncio.gather(telling, stopping, return_exceptions=True)


async def _tell(stage: Stage, narrator: Narrator, options: DemoOptions) -> list[dict[str, Any]]:
    sites = threads(options.people)
    telling = Telling(stage, narrator, sites)
    await telling.play()
    await Aftermath(telling).play()
    reports = await telling.reports()
    counts = [counts_of(one.site, report) for one, report in zip(sites, reports, strict=True)]
    for one, report in zip(counts, reports, strict=True):
        for wrong in what_does_not_add_up(one, report):
            raise NotifierError(f"the counts of {one['site']} do not add up: {wrong}")
    return counts


def _say_where_to_look(narrator: Narrator, stage: Stage) -> None:
    site = stage.sites[0].site
    narrator.say("\nLook around; Ctrl-C ends the demo, and the next run goes on from here.", style="bold")
    for what, where in (
        ("Console", f"{stage.url}/console"),
        ("  sign in with", stage.token),
        ("Mailbox", stage.mailbox_url),
        ("API", f"{stage.url}/docs"),
        ("Policy", f"{stage.url}/p/{site}/privacy"),
    ):
        narrator.say(f"{what:<15} {where}", style="")
    narrator.say("Publish a version of your own from another terminal:", style="")
    narrator.console.print(
        f"export NOTIFIER_URL={stage.url} NOTIFIER_TOKEN={stage.token} NOTIFIER_WEBHOOK_SECRET={stage.secrets[site]}\n"
        f"{sys.argv[0]} publish {site} privacy mine --text en=privacy.md --text ja=privacy.ja.md",
        soft_wrap=True,  # so that it can be copied as it stands
    )
