"""The duties a worker keeps doing, as one table. Notifications wake it; polling guarantees."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg

from notifier.acceptance.accept import accept
from notifier.acceptance.silence import accept_silence
from notifier.activity.memory import Memory
from notifier.activity.unfold import unfold
from notifier.campaigns.announce import freeze_next
from notifier.campaigns.join import join_late, reconcile
from notifier.campaigns.scheduled import publish_due
from notifier.campaigns.stages import move_stages, trip_breakers
from notifier.compliance.coverage import look_at_coverage
from notifier.compose import Service, follow_clock
from notifier.db import is_away
from notifier.delivery.companions import tell_companions
from notifier.delivery.deliver import Delivery
from notifier.delivery.remind import remind
from notifier.delivery.second import tell_by_second_channel
from notifier.letters.render import prepare
from notifier.log import log, where
from notifier.outcomes.hear import hear
from notifier.outcomes.listen import open_listener
from notifier.policies.posting import look_at_postings
from notifier.policies.sources import look_at_sources
from notifier.policies.watch import watch_folders

# Seconds to wait after a duty failed, before it is tried again.
AFTER_A_FAILURE = 5.0
# Seconds between looks whether the database is back, and before a duty that failed meanwhile is tried again.
IS_IT_BACK = 0.5
# Seconds between looks of the breaker while letters go out.
LOOK_AGAIN = 0.1
# Seconds to wait before listening again, and between looks whether we still hear anything.
LISTEN_AGAIN, STILL_LISTENING = 1.0, 30.0
# News that come many times a second while letters go out: only duties that heed them look at once. All else wakes all.
FREQUENT = frozenset({"slice", "outcome", "activity"})
_ANY = ""


@dataclass(frozen=True)
class Duty:
    """Something a worker keeps doing. ``do`` answers how much it did; nothing done means wait until woken or polled.

    ``hands``: how many at a time in one process. ``once``: by one worker of the whole service at a time.
    ``every``: seconds to let pass before the next look, whatever wakes the others; None: as the settings say.
    ``after_outcomes``: besides, as soon as this worker recorded what came of letters.
    ``heeds``: which frequent news wake it.
    """

    name: str
    do: Callable[[], Awaitable[int]]
    hands: int = 1
    once: bool = False
    every: float | None = None
    after_outcomes: bool = False
    heeds: frozenset[str] = frozenset()


class Shift:
    """One worker at work: what it may use, when it was told to stop, and how it is woken."""

    def __init__(self, service: Service, worker: str, stopping: asyncio.Event) -> None:
        self.service = service
        self.worker = worker
        self.stopping = stopping
        self.delivery = Delivery(
            service.db, service.clock, service.keys, service.channels, service.settings, worker, self.note_outcomes
        )
        self.memory = Memory()
        self.settled = asyncio.Event()
        self._news = {subject: asyncio.Event() for subject in (*FREQUENT, _ANY)}
        self._noted = 0.0
        self._asking = asyncio.Lock()
        self._back_at = float("-inf")

    def wake(self, *subjects: str) -> None:
        """Let every waiting duty look again that heeds news of these."""
        for subject in {subject if subject in FREQUENT else _ANY for subject in subjects}:
            self._news[subject].set()
            self._news[subject] = asyncio.Event()

    def news_for(self, duty: Duty) -> tuple[asyncio.Event, ...]:
        """What is set with the next news that a duty heeds."""
        return self._news[_ANY], *(self._news[subject] for subject in duty.heeds)

    def note_outcomes(self) -> None:
        """Let the breaker look, at most ten times a second: a look costs as much as a small batch."""
        now = asyncio.get_running_loop().time()
        if now - self._noted >= LOOK_AGAIN:
            self._noted = now
            self.settled.set()
            self.settled = asyncio.Event()

    async def database_was_away(self) -> bool:
        """Whether what just failed did so as the database was away. Then it is back now, or we were told to stop.

        The first duty that asks says so, and waits; the others wait for it: one line in the log, not one for each.
        """
        loop, said = asyncio.get_running_loop(), False
        async with self._asking:
            while not (self.stopping.is_set() or await self.service.db.answers()):
                if not said:
                    log.warning("waiting for the database", worker=self.worker)
                said = True
                await self.wait(IS_IT_BACK)
            if said:
                self._back_at = loop.time()
            if said and not self.stopping.is_set():
                log.warning("the database is there", worker=self.worker)
        return loop.time() - self._back_at < AFTER_A_FAILURE

    async def wait(self, seconds: float, *events: asyncio.Event) -> None:
        """Until told to stop, until one of the events, or until ``seconds`` have passed."""
        waits = [asyncio.create_task(event.wait()) for event in (self.stopping, *events)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def duties(shift: Shift) -> tuple[Duty, ...]:
    """What a worker does. Everything is found in rows, so any number of workers may do it at once."""
    db, clock, settings = shift.service.db, shift.service.clock, shift.service.settings
    return (
        Duty("follow the clock", lambda: follow_clock(db, clock)),
        Duty("publish scheduled versions", lambda: publish_due(db, clock.now())),
        Duty("freeze approved campaigns", lambda: freeze_next(db, settings.slice_size, clock.now())),
        Duty("let people join", lambda: join_late(db, clock.now()), once=True),
        Duty("compare audiences", lambda: reconcile(db, clock.now()), once=True, every=15),
        Duty("look at coverage", lambda: look_at_coverage(db, clock.now()), once=True, every=60),
        Duty(
            "deliver",
            lambda: shift.delivery.deliver_next(shift.stopping.is_set),
            hands=settings.worker_slices,
            heeds=frozenset({"slice", "outcome"}),
        ),
        Duty("tell companions", lambda: tell_companions(db, clock.now()), heeds=frozenset({"slice", "outcome"})),
        Duty("break", lambda: trip_breakers(db, clock.now()), every=1, after_outcomes=True),
        Duty("move stages", lambda: move_stages(db, clock.now()), every=1),
        Duty("tell by the second channel", lambda: tell_by_second_channel(db, clock.now()), once=True),
        Duty("remind", lambda: remind(db, clock.now()), once=True),
        Duty(
            "look for answers",
            lambda: db.run("delivery_unknown.wake_answered", now=clock.now()),
            once=True,
            every=60,
        ),
        Duty("end what is over", lambda: db.run("delivery.end_over"), every=5),
        Duty(
            "close finished campaigns",
            lambda: db.run("campaigns.close_finished", now=clock.now()),
            heeds=frozenset({"slice", "outcome"}),
        ),
        Duty("unfold activities", lambda: unfold(db, shift.memory, clock.now()), heeds=frozenset({"activity"})),
        Duty("record acceptances", lambda: accept(db, clock.now()), heeds=frozenset({"outcome", "activity"})),
        Duty("record silence", lambda: accept_silence(db, clock.now())),
        Duty("watch folders", lambda: watch_folders(db, clock.now()), once=True, every=15),
        Duty(
            "look at postings",
            lambda: look_at_postings(db, settings.watch_hosts, settings.public_url, clock.now()),
            once=True,
            every=15,
        ),
        Duty("look at sources", lambda: look_at_sources(db, settings.watch_hosts, clock.now()), once=True, every=15),
    )


async def work(service: Service, worker: str, stopping: asyncio.Event) -> None:
    """Do every duty until ``stopping`` is set; what is in hand by then is finished, and no more is claimed."""
    shift = Shift(service, worker, stopping)
    await asyncio.to_thread(prepare)
    async with asyncio.TaskGroup() as group:
        group.create_task(_keep_listening(shift), name="listen")
        for duty in duties(shift):
            for _ in range(duty.hands):
                group.create_task(_keep_doing(duty, shift), name=duty.name)


async def _keep_doing(duty: Duty, shift: Shift) -> None:
    settings = shift.service.settings
    while not shift.stopping.is_set():
        wait = duty.every or settings.poll_seconds
        # Taken before the look: what happens while we look must not be missed.
        wakers = (shift.settled,) if duty.after_outcomes else () if duty.every else shift.news_for(duty)
        try:
            if duty.once and not await _is_mine(duty, shift):
                done = 0
            else:
                done = await duty.do()
            if done:
                continue
        except Exception as error:  # noqa: BLE001 - the outer loop of a duty: the next try may well succeed
            if is_away(error) and await shift.database_was_away():
                wait = IS_IT_BACK
            else:
                log.error("duty failed", duty=duty.name, worker=shift.worker, error=where(error))
                wait = AFTER_A_FAILURE
        await shift.wait(wait, *wakers)


async def _is_mine(duty: Duty, shift: Shift) -> bool:
    """Whether this worker holds the row of a duty that must run once; it expires, so a dead holder loses it."""
    real = shift.service.clock.real()
    until = real + timedelta(seconds=max(30.0, 3 * shift.service.settings.poll_seconds))
    return await shift.service.db.value(
        "running.take_duty", duty=duty.name, worker=shift.worker, real=real, until=until
    ) is not None  # fmt: skip


async def _keep_listening(shift: Shift) -> None:
    """Be woken by notifications; on another connection when the one that listened is gone."""
    while not shift.stopping.is_set():
        try:
            await _listen(shift)
        except Exception as error:  # noqa: BLE001 - as with duties: polling guarantees meanwhile
            if not (is_away(error) and await shift.database_was_away()):
                log.warning("not listening", worker=shift.worker, error=where(error))
            await shift.wait(LISTEN_AGAIN)


async def _listen(shift: Shift) -> None:
    """Listen on one connection until told to stop. Raises when the connection is gone."""
    gone = asyncio.Event()

    def tell(_: Any) -> None:
        gone.set()

    def hear(*said: Any) -> None:
        shift.wake(said[-1])

    async with shift.service.db.pool.acquire() as connection:
        connection.add_termination_listener(tell)
        await connection.add_listener("notifier", hear)
        shift.wake(*FREQUENT, _ANY)  # for what was said while nobody listened
        try:
            while not shift.stopping.is_set():
                await connection.execute("LISTEN notifier", timeout=STILL_LISTENING)  # once more changes nothing
                await shift.wait(STILL_LISTENING, gone)
            connection.remove_termination_listener(tell)
            await connection.remove_listener("notifier", hear)
        except BaseException:
            with suppress(asyncpg.InterfaceError):  # it is gone already
                connection.terminate()
            raise


async def work_until(service: Service, stopping: asyncio.Event, workers: int) -> None:
    """Do the duties with so many workers (none: only wait), and take bounces, until ``stopping`` is set."""
    async with take_bounces(service), asyncio.TaskGroup() as group:
        for number in range(1, workers + 1):
            group.create_task(work(service, worker_name(number), stopping), name=f"worker {number}")
        await stopping.wait()


@asynccontextmanager
async def take_bounces(service: Service) -> AsyncIterator[int | None]:
    """Take by mail what comes back to our return paths, where the settings say; yields the port, None when off."""

    async def take(sender: str, address: str, message: bytes) -> None:
        envelope = {"Return-Path": f"<{sender}>", "X-Original-To": address}
        feedback = service.channels["email"].hear(envelope, message)
        await hear(service.db, feedback, service.clock.now())

    async with open_listener(service.settings, service.keys, take) as port:
        yield port


def worker_name(number: int) -> str:
    """A name that no other worker has now, and that says where to look for it."""
    return f"{socket.gethostname()}/{os.getpid()}/{number}"
