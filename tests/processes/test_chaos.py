"""Everything around the workers fails, by a seeded plan: nobody is lost, every double is flagged, and counts add up.

By default a small campaign that is over in seconds; ``make chaos`` (``NOTIFIER_TEST_CHAOS=full``) plays 50,000 notices.
"""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from notifier.campaigns.campaign import load_campaign
from notifier.campaigns.steer import steer
from notifier.clock import MovableClock
from notifier.compliance.report import campaign_report
from notifier.compose import move_clock
from notifier.db import Db, open_database
from notifier.keys import Keys
from notifier.migrations import migrate
from notifier.postgres import embedded_postgres
from tests.accounts import accounts_of
from tests.channels.smtp_server import SmtpServer
from tests.processes.crew import Crew, campaign_with_people, rows

pytestmark = pytest.mark.long

# What survives the death of the server's processes, though not of the machine: commits are written, not flushed.
OPTIONS = {"fsync": "off", "full_page_writes": "off"}
SESSIONS = 3
CLOSED = 40  # every so many people have closed their account, and are not told
STUCK = 1.0  # seconds without a new person told, after which the clock is moved to the next retries
STEP = timedelta(minutes=10)


@dataclass(frozen=True)
class Size:
    """How big a campaign, and how much befalls it. ``down``, ``lease`` and ``limit`` are in seconds."""

    people: int
    kills: int
    stops: int
    restarts: int
    down: float
    pauses: int
    slice_size: int
    batch: int
    lease: float  # long enough for the batches of all slices of a worker, on a busy machine
    limit: float
    spread: float  # the share of the campaign over which it all happens; the rest must outlast the last of it
    delay: float  # before each reply of the relay
    workers: int = 4


SMALL = Size(
    people=4000, kills=4, stops=1, restarts=1, down=3, pauses=2, slice_size=150, batch=20, lease=5, limit=240,
    spread=0.4, delay=0.008,
)  # fmt: skip
FULL = Size(
    people=50_000, kills=20, stops=3, restarts=2, down=60, pauses=2, slice_size=1000, batch=50, lease=15, limit=1500,
    spread=0.9, delay=0.001,
)  # fmt: skip


@dataclass
class Postgres:
    """The server of this test, which can be killed and started again on the same folder and socket."""

    data: Path
    _process: subprocess.Popen[bytes] | None = None

    def pid(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])

    async def restart_at_once(self, dsn: str, meanwhile: Callable[[], Awaitable[None]]) -> None:
        """SIGQUIT, PostgreSQL's immediate mode: no transaction ends, no client is told; then recovery from the log.

        ``meanwhile``: what is done while it is down.
        """
        pid = self.pid()
        command = [word.decode() for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]]
        owner = Path(f"/proc/{pid}").stat()
        os.kill(pid, signal.SIGQUIT)
        while (self.data / "postmaster.pid").exists():
            await asyncio.sleep(0.02)
        if self._process is not None:
            self._process.wait(60)
        await meanwhile()
        someone: dict[str, Any] = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
        self._process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            command,
            cwd=self.data,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **(someone if os.geteuid() == 0 else {}),
        )
        while True:
            try:
                await (await asyncpg.connect(dsn)).close()
            except (OSError, asyncpg.PostgresError):
                assert self._process.poll() is None, "PostgreSQL did not start again"
                await asyncio.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)


@dataclass
class Mail:
    """A real SMTP server on one port, which can be away: connections are cut, and new ones refused."""

    server: SmtpServer
    _listener: asyncio.Server | None = None

    async def open(self) -> None:
        self._listener = await asyncio.start_server(self.server.serve, sock=self._place())
        self.server.port = self._listener.sockets[0].getsockname()[1]

    def close(self) -> None:
        assert self._listener is not None
        self._listener.close()
        self.server.drop_all()

    async def away(self, seconds: float) -> None:
        self.close()
        with self._place() as place:  # bound and not listening: refused, and taken by nobody else
            await asyncio.sleep(seconds)
            self._listener = await asyncio.start_server(self.server.serve, sock=place.dup())

    def _place(self) -> socket.socket:
        place = socket.socket()
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", self.server.port))
        return place

    def told(self) -> int:
        """How many letters arrived."""
        return len(self.server.got)


@dataclass
class Chaos:
    """A campaign under way, its workers, and what may befall them."""

    size: Size
    dsn: str
    db: Db
    mail: Mail
    postgres: Postgres
    campaign_id: int
    clock: MovableClock
    crew: Crew
    begun: list[asyncio.Task[bytes]] = field(default_factory=list)
    stopped: list[int] = field(default_factory=list)
    began: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    async def start_worker(self) -> None:
        await self.crew.start()
        worker = self.crew.workers[-1]
        assert worker.stdout
        self.begun.append(asyncio.create_task(worker.stdout.readline()))

    async def kill(self) -> None:
        await self.crew.kill()
        await self.start_worker()

    async def stop(self) -> None:
        self.stopped.append(await self.crew.stop())
        await self.start_worker()

    async def restart(self) -> None:
        """Workers that are at work survive it and are woken again; one that is only starting waits for it."""
        await asyncio.gather(*self.begun)
        await self.crew.kill()
        await self.postgres.restart_at_once(self.dsn, self.start_worker)
        await self.all_listen()

    async def relay_away(self) -> None:
        await self.mail.away(self.size.down)

    async def pause(self) -> None:
        """Pause, see that nothing more is sent once what was in hand has gone out, and resume."""
        await steer(self.db, "kumo", self.campaign_id, "pause", "test", "", self.clock.now())
        before = -1
        while before != self.mail.told():
            before = self.mail.told()
            await asyncio.sleep(0.3)
        await asyncio.sleep(0.3)
        assert self.mail.told() == before, "letters left while the campaign was paused"
        await steer(self.db, "kumo", self.campaign_id, "resume", "test", "", self.clock.now())

    def plan(self) -> list[Callable[[], Awaitable[None]]]:
        """What befalls the campaign, in an order that the seed decides."""
        size = self.size
        events = [self.kill] * size.kills + [self.stop] * size.stops + [self.restart] * size.restarts
        events += [self.relay_away] + [self.pause] * size.pauses
        self.crew.dice.shuffle(events)
        return list(events)

    async def play(self) -> None:
        """Let it all befall the campaign, each when some more letters have arrived; then wait until it is done."""
        events = self.plan()
        for number, event in enumerate(events, 1):
            arrived = int(self.size.people * self.size.spread * number / len(events))
            await self.until(partial(self.arrived, arrived))
            self.note(event.__name__, arrived=self.mail.told())
            await event()
        await self.until(self.done)

    async def arrived(self, count: int) -> bool:
        """Whether so many letters arrived."""
        return self.mail.told() >= count

    async def done(self) -> bool:
        """Whether nobody is left to be told."""
        return (await load_campaign(self.db, None, self.campaign_id)).state == "done"

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait for something; where nothing moves, retries are waiting for their time, and the clock is moved on."""
        loop = asyncio.get_running_loop()
        seen, since = self.mail.told(), loop.time()
        while not await holds():
            assert all(worker.returncode is None for worker in self.crew.workers), "a worker left on its own"
            await asyncio.sleep(0.02)
            if self.mail.told() != seen:
                seen, since = self.mail.told(), loop.time()
            elif loop.time() > since + STUCK:
                await move_clock(self.db, self.clock, STEP)
                since = loop.time()

    async def all_listen(self) -> None:
        """Every worker is woken by notifications again."""
        listening = 0
        while listening != self.size.workers:
            await asyncio.sleep(0.1)
            sql = "SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN notifier' AND state = 'idle'"
            listening = (await self.rows(sql))[0][0]

    async def rows(self, sql: str, *arguments: Any) -> list[Any]:
        """Rows of a question that only this test asks."""
        return await rows(self.db, sql, *arguments)

    def note(self, what: str, **counts: int) -> None:
        """One line for whoever reads the run (pytest -s, or when it fails)."""
        told = " ".join(f"{name}={count}" for name, count in counts.items())
        sys.stdout.write(f"{asyncio.get_running_loop().time() - self.began:7.1f} s  {what}  {told}\n")

    def bound(self) -> int:
        """Most second copies: a batch for each slice in hand where a worker or PostgreSQL died, and a letter for each
        session where the relay went away."""
        deaths = self.size.kills + self.size.restarts * self.size.workers
        return deaths * self.crew.at_once + self.size.workers * SESSIONS


@pytest.mark.skipif(sys.platform != "linux", reason="how PostgreSQL was started is read from /proc")
async def test_nobody_is_lost_whatever_fails_around_the_workers(tmp_path: Path, keys: Keys) -> None:
    size = FULL if os.environ.get("NOTIFIER_TEST_CHAOS") == "full" else SMALL
    async with AsyncExitStack() as stack, asyncio.timeout(size.limit):
        dsn = await stack.enter_async_context(embedded_postgres(tmp_path / "pg", options=OPTIONS))
        postgres = Postgres(tmp_path / "pg" / "data")
        stack.callback(postgres.stop)
        db = await stack.enter_async_context(open_database(dsn, 4))
        await migrate(db)
        mail = Mail(SmtpServer(delay=size.delay))
        await mail.open()
        stack.callback(mail.close)
        clock = MovableClock()
        campaign_id = await campaign_with_people(
            db, keys, mail.server.port, size.people, closed=CLOSED, sessions=SESSIONS
        )
        crew = Crew(
            dsn, random.Random(3), lease=size.lease, batch=size.batch, slice_size=size.slice_size,
            settings={"MODE": "test", "POLL_SECONDS": "0.5", "LOG_LEVEL": "warning"},  # shown when the test fails
            output=subprocess.PIPE,
        )  # fmt: skip
        chaos = Chaos(size, dsn, db, mail, postgres, campaign_id, clock, crew)
        try:
            for _ in range(size.workers):
                await chaos.start_worker()
            await chaos.play()
            await chaos.all_listen()
        finally:
            chaos.stopped += await crew.leave()
        await check(chaos, keys)


async def check(chaos: Chaos, keys: Keys) -> None:
    """Nobody lost, every double flagged and within the bound, every count the same wherever it is counted."""
    size, campaign_id = chaos.size, chaos.campaign_id
    assert chaos.stopped == [0] * (size.stops + size.workers), "a worker that was told to stop did not end well"

    accounts = await accounts_of(chaos.db, keys, campaign_id, chaos.mail.server.got)
    in_scope = size.people - -(-size.people // CLOSED)
    assert len(accounts.audience) == in_scope
    assert {got.address for got in chaos.mail.server.got} == accounts.audience, "somebody was lost, or told unasked"
    assert accounts.told == accounts.audience, "not told, by the record"
    assert accounts.unknown > 0, "nothing hit a letter on its way: the test proved nothing"
    assert accounts.doubles <= chaos.bound()
    chaos.note("counts", copies=accounts.copies, doubles=accounts.doubles, unknown=accounts.unknown)

    outcomes = await chaos.rows("SELECT kind::text FROM outcome WHERE campaign_id = $1", campaign_id)
    progress = await chaos.rows("SELECT kind::text, sum(count)::int AS n FROM progress GROUP BY kind")
    assert {row["kind"]: row["n"] for row in progress} == dict(Counter(row["kind"] for row in outcomes))

    report = await campaign_report(chaos.db, campaign_id, chaos.clock.now())
    assert report.gaps == ()
    assert report.adds_up
    assert (report.population, report.in_scope) == (size.people, in_scope)
    assert (report.told, report.pending) == (in_scope, 0)
    assert dict(report.by_channel["email"]) == {"planned": in_scope} | dict(Counter(r["kind"] for r in outcomes))
