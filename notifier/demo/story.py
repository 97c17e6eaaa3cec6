"""The story, first half: people come, a version is published, everyone concerned is told.

Everything happens over the HTTP API, as a site would do it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import orjson
from rich.progress import Progress

from notifier.client import Client
from notifier.demo.crowd import Crowd
from notifier.demo.editions import edition
from notifier.demo.narrator import Narrator
from notifier.demo.stage import Stage
from notifier.errors import Unavailable
from notifier.resources import resource

POLICY = "privacy"
NEWCOMERS = 0.02
BATCH = 500
POLL_SECONDS = 0.3
# Nothing moved for so long: whoever is still pending waits for a time that has not come yet.
QUIET_SECONDS = 1.5
# When those who were put off are tried again: greylisted ones after minutes, full mailboxes from day to day.
WAITS = (timedelta(minutes=20), *[timedelta(hours=26)] * 8)


@dataclass
class Thread:
    """One site's part in the story."""

    crowd: Crowd
    people: int
    newcomers: int
    number: int = 0
    campaign: str = ""

    @property
    def site(self) -> str:
        """The site's name."""
        return self.crowd.site

    @property
    def path(self) -> str:
        """Where the API keeps what belongs to the site."""
        return f"/v1/sites/{self.crowd.site}"


def threads(people: int) -> tuple[Thread, Thread]:
    """The two sites, with so many people together."""
    return _thread("kumo-store", False, people // 2), _thread("hanabi-market", True, people - people // 2)


def _thread(site: str, market: bool, people: int) -> Thread:
    newcomers = max(2, round(people * NEWCOMERS))
    return Thread(Crowd(site, market), people - newcomers, newcomers)


class Telling:
    """Plays the first half, and leaves each site's campaign finished as far as it can be."""

    def __init__(self, stage: Stage, narrator: Narrator, sites: Sequence[Thread]) -> None:
        self.stage, self.narrator, self.sites = stage, narrator, sites
        self.client: Client = stage.client

    async def play(self) -> None:
        """All acts in order."""
        await self.bring_in_people()
        await self.publish_what_comes_first()
        await self.publish_the_next()
        await self.preview()
        await self.approve_and_send()
        await self.try_again()

    async def bring_in_people(self) -> None:
        await self.narrator.act("People", "Each site streams its people in as NDJSON. The same again changes nothing.")
        with self.narrator.bars() as bars:
            reports = await asyncio.gather(*(self._bring_in(one, bars) for one in self.sites))
        for one, report in zip(self.sites, reports, strict=True):
            self.narrator.note(f"{one.site}: {report['created']:,} new, {report['unchanged']:,} as they were")

    async def _bring_in(self, one: Thread, bars: Progress) -> Any:
        bar = bars.add_task(one.site, total=one.people)
        people = one.crowd.people(one.people)
        return await self.client.send_lines(f"{one.path}/people", ndjson(people, lambda n: bars.advance(bar, n)))

    async def publish_what_comes_first(self) -> None:
        for one in self.sites:
            versions = (await self.client.get(f"{one.path}/versions", policy=POLICY))["versions"]
            one.number = sum(version["state"] == "published" for version in versions)
        if any(one.number == 0 for one in self.sites):
            await self.narrator.act(
                "A baseline", "The first version of a policy is what people registered with. Nobody is told of it."
            )
        for one in self.sites:
            if one.number == 0:
                await self._publish(one)
            else:
                self.narrator.note(f"{one.site}: going on after edition {one.number} from the run before")

    async def publish_the_next(self) -> None:
        await self.narrator.act(
            "A new version",
            "Published by a signed webhook, with a summary in English and Japanese. That sends nothing yet. "
            "Meanwhile new people register: those who were shown the new version need not be told of it.",
        )
        for one in self.sites:
            await self._publish(one)
        now = datetime.fromisoformat((await self.client.get("/v1/clock"))["now"])
        for one in self.sites:
            newcomers = one.crowd.newcomers(one.newcomers, one.number, str(one.number), now)
            await self.client.send_lines(f"{one.path}/people", ndjson(newcomers))
            await self.client.delete(f"{one.path}/people/{one.crowd.newcomer_id(one.newcomers, one.number)}")
        self.narrator.note("people registered with the new version; one of them at each site asked to be erased again")

    async def _publish(self, one: Thread) -> None:
        """Publish the next edition, twice: webhooks come twice, and the second one must change nothing."""
        next_one = edition(resource("examples") / one.site, one.site, one.number + 1)
        submission = {
            "policy": POLICY, "label": next_one.label, "flags": next_one.flags, "texts": next_one.texts,
        }  # fmt: skip
        secret = self.stage.secrets[one.site]
        answer = await self.client.publish(one.site, submission, secret)
        again = await self.client.publish(one.site, submission, secret)
        if again != answer:
            raise Unavailable(f"{one.site}: the same version published again got another answer")
        one.number += 1
        one.campaign = (answer["campaign"] or "").removeprefix(self.stage.url)
        effective = datetime.fromisoformat(answer["version"]["effective_at"])
        self.narrator.note(f"{one.site}: edition {one.number}, effective {effective:%Y-%m-%d}; sent twice, kept once")

    async def preview(self) -> None:
        await self.narrator.act("Who would be told", "Asked before anything is sent. Everybody left out has a reason.")
        counts = [(await self.client.get(f"{one.campaign}/preview"))["counts"] for one in self.sites]
        for dimension, title in (("reason", "by reason"), ("channel", "told by"), ("locale", "told in")):
            self.narrator.show(title, _side_by_side(counts, dimension), tuple(one.site for one in self.sites))

    async def approve_and_send(self) -> None:
        await self.narrator.act(
            "Approved and sent",
            "Workers write down each try before it is made and what came of it after. The mail catcher refuses some "
            "letters for good, puts some off, and bounces some that it had taken. Where there is a second channel, "
            "it steps in.",
        )
        for one in self.sites:
            await self.client.post(f"{one.campaign}/approve", {"reason": "the demo's story"})
        await self.until_quiet()
        self._say_what_the_catcher_did()

    async def try_again(self) -> None:
        """Move the clock to where those who were put off are tried again, until nobody is pending."""
        if not await self._pending():
            return
        await self.narrator.act(
            "Put off is not given up",
            "The demo's clock is moved to when the next tries are due. In production it cannot be.",
        )
        for wait in WAITS:
            await self.move_clock(wait)
            await self.until_quiet()
            if not (pending := await self._pending()):
                break
            self.narrator.note(f"people who still wait for a try that is due later: {pending:,}")

    async def move_clock(self, by: timedelta) -> datetime:
        """Set the service's clock forward."""
        clock = await self.client.post("/v1/clock", {"advance_seconds": int(by.total_seconds())})
        now = datetime.fromisoformat(clock["now"])
        self.narrator.note(f"the clock now says {now:%Y-%m-%d %H:%M} UTC")
        return now

    async def until_quiet(self) -> None:
        """Show progress until nobody is pending, or nothing moves any more."""
        with self.narrator.bars() as bars:
            tasks = [bars.add_task(f"{one.site} settled", total=None) for one in self.sites]
            seen, since, took = None, time.monotonic(), 0.0
            while time.monotonic() - since < max(QUIET_SECONDS, 5 * took):
                began = time.monotonic()
                reports = await self.reports()
                took = time.monotonic() - began
                for task, report in zip(tasks, reports, strict=True):
                    settled = report["in_scope"] - report["pending"]
                    bars.update(task, total=report["in_scope"] or None, completed=settled)
                if all(report["state"] == "done" for report in reports):
                    break
                state = ([_moving(report) for report in reports], dict(self.stage.catcher.mailbox.counts))
                if state != seen:
                    seen, since = state, time.monotonic()
                await asyncio.sleep(max(POLL_SECONDS, 3 * took))
        await self.stage.catcher.all_bounces_posted()

    async def reports(self) -> list[dict[str, Any]]:
        """What the API says of each site's campaign."""
        return list(await asyncio.gather(*(self.client.get(one.campaign) for one in self.sites)))

    async def _pending(self) -> int:
        return sum(report["pending"] for report in await self.reports())

    def _say_what_the_catcher_did(self) -> None:
        counts = self.stage.catcher.mailbox.counts
        self.narrator.note(
            f"the mail catcher took {counts['accepted']:,} letters, put off {counts['put off']:,}, "
            f"refused {counts['refused']:,} and bounced {counts['bounced']:,} afterwards"
        )


def _moving(report: Mapping[str, Any]) -> tuple[object, ...]:
    return report["state"], report["told"], report["pending"], report["unreachable"]


def _side_by_side(sites: Sequence[Sequence[Mapping[str, Any]]], dimension: str) -> dict[str, tuple[object, ...]]:
    """The counts of one dimension, a column for each site."""
    rows: dict[str, list[int]] = {}
    for column, counts in enumerate(sites):
        for count in counts:
            if count["dimension"] == dimension and (dimension == "reason" or count["reason"] == "in_scope"):
                rows.setdefault(count["value"] or "–", [0] * len(sites))[column] += count["count"]
    return {name.replace("_", " "): tuple(values) for name, values in sorted(rows.items(), key=lambda r: -sum(r[1]))}


async def ndjson(things: Iterable[Mapping[str, object]], sent: Any = lambda _: None) -> AsyncIterator[bytes]:
    """Things as NDJSON, some hundred lines at a time; ``sent`` hears how many went."""
    waiting: Iterator[Mapping[str, object]] = iter(things)
    while batch := [orjson.dumps(thing) + b"\n" for thing in islice(waiting, BATCH)]:
        yield b"".join(batch)
        sent(len(batch))
