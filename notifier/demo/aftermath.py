"""The story, second half: messages are read, people object, time passes, the sites are used, compliance asks."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from notifier.client import open_client
from notifier.demo.story import POLICY, POLL_SECONDS, QUIET_SECONDS, Telling, Thread, ndjson
from notifier.demo.uses import uses

# Past the notice period of one site and the bounce window of both.
TIME_PASSES = timedelta(days=34)
EARLY_SHARE, LATER_SHARE = 0.1, 0.6


class Aftermath:
    """Plays the second half on campaigns that have been told."""

    def __init__(self, telling: Telling) -> None:
        self.telling, self.client, self.narrator = telling, telling.client, telling.narrator
        self.sites = telling.sites

    async def play(self) -> None:
        """All acts in order."""
        await self.read_a_private_message()
        await self.use_at_once()
        await self.say_yes_and_no()
        await self.let_time_pass()
        await self.go_on_using()
        await self.show_what_it_amounts_to()
        await self.ask_three_questions()

    async def read_a_private_message(self) -> None:
        market = self.sites[1]
        found = await self._notices(market, status="told", channel="inbox", limit=1)
        if not found:
            return
        person = found[0]["external_id"]
        await self.narrator.act(
            "A private message", "The site mints a token for one signed-in member, whose page shows the message."
        )
        token = (await self.client.post(f"{market.path}/people/{person}/tokens"))["token"]
        async with open_client(self.client.url, token) as member:
            message = (await member.get("/v1/inbox"))["messages"][0]
            await member.post(f"/v1/inbox/{message['campaign_id']}/shown")
            await member.post(f"/v1/inbox/{message['campaign_id']}/acknowledged")
        self.narrator.note(f"{person} was shown “{message['subject']}”; that is evidence, not acceptance")

    async def use_at_once(self) -> None:
        await self.narrator.act(
            "Use at once",
            "Kumo Store's version is not in effect yet, so use amounts to nothing. Hanabi Market's is, but a letter "
            "may still bounce: use counts there at once only for those who were told by private message.",
        )
        await self._report_use(EARLY_SHARE, timedelta(hours=1))
        for one, report in zip(self.sites, await self._settled_acceptances(), strict=True):
            self.narrator.note(f"{one.site}: {report['accepted']['deemed']:,} deemed acceptances")

    async def say_yes_and_no(self) -> None:
        await self.narrator.act("A yes and a no", "One person accepts by an explicit act, another one objects.")
        for one in self.sites:
            told = [notice for notice in await self._notices(one, status="told") if notice["accepted"] is None]
            if len(told) < 2:
                continue
            yes, no = (notice["external_id"] for notice in told[:2])
            about = {"policy": POLICY, "version": str(one.number)}
            await self.client.post(f"{one.path}/people/{yes}/acceptances", about)
            await self.client.post(f"{one.path}/people/{no}/objections", about | {"statement": "I do not agree."})
            self.narrator.note(f"{one.site}: {yes} accepts, {no} objects; use by {no} will amount to nothing")

    async def let_time_pass(self) -> None:
        await self.narrator.act("Five weeks later", "The new versions take effect, each person's own date passes.")
        await self.telling.move_clock(TIME_PASSES)

    async def go_on_using(self) -> None:
        await self.narrator.act(
            "Continued use",
            "The sites report who did what. The first use that counts, after the person's own date, becomes an "
            "acceptance with that use as its evidence. Looking at the policy, logging out and the like never count.",
        )
        for one, report in zip(self.sites, await self._report_use(LATER_SHARE, timedelta(hours=12)), strict=True):
            why = ", ".join(f"{n:,} {reason.replace('_', ' ')}" for reason, n in sorted(report["ignored"].items()))
            self.narrator.note(
                f"{one.site}: {report['read']:,} uses reported, {report['kept']:,} kept; left out: {why or 'none'}"
            )

    async def show_what_it_amounts_to(self) -> None:
        reports = await self._settled_acceptances()
        await self.narrator.act("What the record amounts to", "Every column adds up; a report that did not would fail.")
        self.narrator.show("", _report_rows(reports), tuple(one.site for one in self.sites))

    async def ask_three_questions(self) -> None:
        await self.narrator.act("Compliance asks", "Each question is one call of the API, one command and one page.")
        first, market = self.sites
        if accepted := [
            notice for notice in await self._notices(first, status="told") if notice["accepted"] == "deemed"
        ]:
            await self._explain(first, accepted[0]["external_id"], "Why is there an acceptance of {}?")
        if lost := await self._notices(first, status="unreachable", limit=1):
            await self._explain(first, lost[0]["external_id"], "Why was {} not told?")
        if told := await self._notices(market, status="told", limit=1):
            await self._ask_when_told(market, told[0])

    async def _explain(self, one: Thread, person: str, question: str) -> None:
        answer = await self.client.get(f"{one.path}/people/{person}/explain", policy=POLICY, version=str(one.number))
        self.narrator.say(question.format(f"{person} of {one.site}"), style="bold")
        for words in answer["words"]:
            self.narrator.say(words, style="")

    async def _ask_when_told(self, one: Thread, notice: Mapping[str, Any]) -> None:
        person, day = notice["external_id"], datetime.fromisoformat(notice["told_at"]) + timedelta(days=7)
        self.narrator.say(f"Was {person} of {one.site} validly told before {day:%Y-%m-%d}?", style="bold")
        answer = await self.client.get(
            f"{one.path}/people/{person}/told", policy=POLICY, version=str(one.number), before=day.isoformat()
        )
        how = answer["how"] or {}
        told = f"Yes, on {how['told_at'][:10]}, by {how['channel']}." if answer["told"] else "No."
        self.narrator.say(told, style="")

    async def _notices(self, one: Thread, **filters: Any) -> list[dict[str, Any]]:
        return list((await self.client.get(f"{one.campaign}/notices", **filters))["notices"])

    async def _report_use(self, share: float, within: timedelta) -> list[Mapping[str, Any]]:
        now = datetime.fromisoformat((await self.client.get("/v1/clock"))["now"])
        reports = (
            self.client.send_lines(f"{one.path}/activities", ndjson(uses(_ids(one), share, now, within)))
            for one in self.sites
        )
        return list(await asyncio.gather(*reports))

    async def _settled_acceptances(self) -> list[dict[str, Any]]:
        """The reports once the workers have decided about all use that is due."""
        seen, since, took = None, time.monotonic(), 0.0
        while True:
            began = time.monotonic()
            reports = await self.telling.reports()
            took = time.monotonic() - began
            if (state := [report["accepted"] for report in reports]) != seen:
                seen, since = state, time.monotonic()
            elif time.monotonic() - since >= max(QUIET_SECONDS, 5 * took):
                return reports
            await asyncio.sleep(max(POLL_SECONDS, 3 * took))


def _ids(one: Thread) -> Iterator[str]:
    return (str(person["external_id"]) for person in one.crowd.people(one.people))


def _report_rows(reports: list[dict[str, Any]]) -> dict[str, tuple[object, ...]]:
    rows: dict[str, tuple[object, ...]] = {}
    for name in (
        "population",
        "in_scope",
        "told",
        "too_little_evidence",
        "unreachable",
        "suppressed",
        "superseded",
        "pending",
    ):
        rows[name.replace("_", " ")] = tuple(report[name] for report in reports)
    for part, title in (("excluded", "left out"), ("told_split", "told, then"), ("accepted", "accepted")):
        for name in dict.fromkeys(name for report in reports for name in report[part]):
            values = tuple(report[part].get(name, 0) for report in reports)
            if any(values):
                rows[f"{title}: {name.replace('_', ' ')}"] = values
    return rows
