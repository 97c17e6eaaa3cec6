"""Take in activities from NATS JetStream: messages are the lines of an NDJSON body, and acknowledged once committed.

The last token of a message's subject names the site. A message that was taken in comes again when its acknowledgement
is lost: the same use twice is one. What can never be taken in is recorded with its reason (``refused_message``) and
terminated, so that it does not come for ever; its words stay in the stream alone, as long as that keeps them.
"""

import asyncio
import importlib
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

import asyncpg

from notifier.activity.activity import Activity, read_activity
from notifier.activity.memory import Memory
from notifier.activity.record import KEPT, take
from notifier.clock import Clock
from notifier.db import Db
from notifier.errors import Invalid, NotFound, Unavailable
from notifier.log import log, where

if TYPE_CHECKING:
    from nats.aio.msg import Msg

MOST_AT_ONCE = 500  # messages in one turn
TURNS = 2  # at once: while one waits for the disk, the other's messages are read
WAIT = 1.0  # seconds for a message to come, before it is looked whether to stop
CONNECTED_WITHIN = 10.0  # seconds, when it starts
ACKNOWLEDGED_WITHIN = 30  # seconds; then the server delivers it again
AGAIN_AFTER = 2.0  # seconds until what could not be committed is delivered again
MOST_OUT = 5000  # messages delivered and not yet acknowledged
MOST_FAULTS = 20  # of a message that are recorded
# Nothing is wrong with these messages: the database refused one for what it holds, or does not answer.
_ITS_OWN_FAULT = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)


@dataclass(frozen=True)
class Source:
    """Where the messages come from: a stream that is there already, and the name that our place in it has."""

    url: str
    stream: str
    subject: str
    durable: str
    credentials: str | None = None


@dataclass
class _Read:
    """One message, read: what is taken in of it, and why the rest is not."""

    message: "Msg"
    site: str
    activities: list[Activity] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class Consumer:
    """Takes in what a stream holds, until told to stop. Any number of processes may share one durable name."""

    def __init__(self, db: Db, clock: Clock, source: Source, memory: Memory) -> None:
        self._db = db
        self._clock = clock
        self._source = source
        self._memory = memory

    async def consume(self, stopping: asyncio.Event) -> None:
        """Until ``stopping`` is set; what is in hand by then is finished. Raises Unavailable: no server, no stream."""
        async with open_subscriptions(self._source, TURNS) as subscriptions, asyncio.TaskGroup() as group:
            for subscription in subscriptions:
                group.create_task(self._keep_taking(subscription, stopping), name="consume")

    async def _keep_taking(self, subscription: Any, stopping: asyncio.Event) -> None:
        errors = _library("nats.errors")
        while not stopping.is_set():
            try:
                messages = await subscription.fetch(MOST_AT_ONCE, timeout=WAIT)
            except (errors.TimeoutError, TimeoutError):
                continue
            except errors.Error as error:
                log.warning("the stream does not answer", error=where(error))
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), AGAIN_AFTER)
                continue
            await self.take_all(messages)

    async def take_all(self, messages: Sequence["Msg"]) -> None:
        """Take in some messages, one commit for each site, and say what became of each."""
        sites: dict[str, list[_Read]] = defaultdict(list)
        for message in messages:
            sites[message.subject.rpartition(".")[2]].append(read(message))
        kept = False
        for site, own in sites.items():
            try:
                kept = await self._take(site, own) or kept
            except Exception as error:  # noqa: BLE001 - whatever it is, it may be over when they come again
                log.error("activities not taken in", site=site, count=len(own), error=where(error))
                for one in own:
                    await one.message.nak(delay=AGAIN_AFTER)
        if kept:
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):  # a courtesy: workers also poll
                await self._db.notify("notifier", "activity")

    async def _take(self, site: str, own: Sequence[_Read]) -> bool:
        """Whether any of them was kept. What the database refuses is split until the one at fault stands alone."""
        activities = [activity for one in own for activity in one.activities]
        try:
            fates = await take(self._db, self._memory, site, activities, self._clock.now())
        except NotFound as error:
            fates = []
            for one in own:
                one.faults.insert(0, error.detail)
        except _ITS_OWN_FAULT as error:
            if len(own) > 1:
                halves = own[: len(own) // 2], own[len(own) // 2 :]
                return any([await self._take(site, half) for half in halves])
            fates = []
            own[0].faults.append(f"the database refuses it: {type(error).__name__}")
        await self._refuse([one for one in own if one.faults])
        for one in own:
            await (one.message.term() if one.faults else one.message.ack())
        return KEPT in fates

    async def _refuse(self, refused: Sequence[_Read]) -> None:
        if not refused:
            return
        places = [one.message.metadata for one in refused]
        log.warning("messages refused", count=len(refused))
        await self._db.run(
            "activity.refuse",
            streams=[place.stream for place in places],
            sequences=[place.sequence.stream for place in places],
            subjects=[one.message.subject for one in refused],
            reasons=["; ".join(one.faults) for one in refused],
            now=self._clock.now(),
        )


def read(message: "Msg") -> _Read:
    """The lines of one message: the good ones, and what is wrong with the others."""
    found = _Read(message, message.subject.rpartition(".")[2])
    for number, line in enumerate(message.data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            found.activities.append(read_activity(line))
        except Invalid as error:
            room = MOST_FAULTS - len(found.faults)
            found.faults += [f"line {number} {f.pointer} {f.detail}" for f in error.faults[:room]]
    return found


@asynccontextmanager
async def open_subscriptions(source: Source, count: int) -> AsyncIterator[Sequence[Any]]:
    """Durable pull subscriptions. Raises Unavailable without the library, the server or the stream."""
    nats, api, errors = _library("nats"), _library("nats.js.api"), _library("nats.errors")
    try:
        async with asyncio.timeout(CONNECTED_WITHIN):  # by itself it would try for ever, as it does when it is lost
            connection = await nats.connect(
                source.url,
                name="policy-notifier",
                user_credentials=source.credentials,
                max_reconnect_attempts=-1,
                error_cb=_say,
            )
    except (errors.Error, OSError, TimeoutError) as error:
        raise Unavailable(f"no NATS server answers ({type(error).__name__}); check NOTIFIER_NATS_URL") from error
    try:
        yield [await _subscribe(connection, source, api) for _ in range(count)]
    finally:
        await connection.close()


async def _subscribe(connection: Any, source: Source, api: ModuleType) -> Any:
    errors = _library("nats.js.errors")
    config = api.ConsumerConfig(
        ack_policy=api.AckPolicy.EXPLICIT, ack_wait=ACKNOWLEDGED_WITHIN, max_ack_pending=MOST_OUT
    )
    try:
        return await connection.jetstream().pull_subscribe(
            source.subject, durable=source.durable, stream=source.stream, config=config
        )
    except errors.NotFoundError as error:
        remedy = f"make it: nats stream add {source.stream} --subjects '{source.subject}'"
        raise Unavailable(f"there is no stream {source.stream!r}; {remedy}") from error
    except errors.Error as error:
        raise Unavailable(f"the NATS server has no JetStream for us: {error}") from error


async def _say(error: Exception) -> None:
    log.warning("said by NATS", error=type(error).__name__)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Unavailable("this needs the extra nats: pip install 'policy-notifier[nats]'") from error
