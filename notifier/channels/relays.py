"""Relays: a few sessions to each, reused; the next relay when one has trouble. aiosmtplib opens and secures them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import aiosmtplib

from notifier.channels.channel import Ready
from notifier.channels.classify import Phase, classify, enhanced_in
from notifier.channels.login import secret_for
from notifier.channels.references import reference_for
from notifier.channels.smtp import Limits, Session, Trouble, printable
from notifier.sites.site import Relay

_PAUSE = 30.0  # seconds for which a relay in trouble is left alone
_FIRST_PAUSE = 1.0  # … when it is out of reach; doubled while it stays so: it may just be starting anew
_BROKEN_IN_A_ROW = 3  # sessions lost before they handed anything over: one letter may be to blame, not three
# After so many of them in a row the next does without PIPELINING and CHUNKING: some servers announce what they cannot.
_DOUBTS = 2
EXTRAS = frozenset({"pipelining", "chunking"})
_ONE_BY_ONE = 3600.0  # seconds for which it is then not used, where sessions do better without
_FORGOTTEN = 3600.0  # seconds after which a relay that nobody named is forgotten, with what was learnt of it


class _Pool:
    """The sessions of one relay."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._turns = asyncio.Semaphore(relay.sessions)
        self._busy = 0  # turns that are taken: with a session, or to open one
        self._kept_back = 0
        self.asked_at = 0.0  # when somebody last named it
        self.credit = 0  # letters that it is due, by its weight
        self.idle: list[Session] = []
        self.broken = 0
        self.trouble: Trouble | None = None
        self._doubts = 0
        self._one_by_one_until = 0.0
        self.proved = False  # a session could be opened, and there was no trouble since
        self.proving = asyncio.Lock()
        self._paused_until = 0.0
        self._next_pause = _FIRST_PAUSE

    async def begin(self, limits: Limits) -> Session:
        """Wait for a turn, and have a session until :meth:`end`. Raises Trouble when the relay takes no letters.

        A relay that has enough connections refuses one more, and is in no trouble while it goes on with the others:
        that turn is kept back, and whoever wanted it waits for a session that comes free.
        """
        while True:
            await self._turns.acquire()
            self._busy += 1
            try:
                if self.paused and self.trouble:
                    raise self.trouble
                session = self._take() or await open_session(self._relay, limits, extras=not self.one_by_one)
            except Trouble as problem:
                if not self.paused and self._busy > 1:
                    self._keep_back()
                    continue
                if problem is not self.trouble:
                    self.pause(problem)
                self.end()
                raise
            except BaseException:
                self.end()
                raise
            self.proved = True
            return session

    def end(self) -> None:
        """The next has a turn."""
        self._busy -= 1
        self._turns.release()

    def _keep_back(self) -> None:
        self._busy -= 1
        self._kept_back += 1
        if self._kept_back == 1:
            asyncio.get_running_loop().call_later(_PAUSE, self._give_back)

    def _give_back(self) -> None:
        """Perhaps it has room for more by now; or it is in trouble, and all who wait must hear of it."""
        for _ in range(self._kept_back):
            self._turns.release()
        self._kept_back = 0

    def _take(self) -> Session | None:
        """A session that is open and not worn, if there is one."""
        while self.idle:
            session = self.idle.pop()
            if session.usable and not session.worn:
                return session
            session.abort()
        return None

    async def put(self, session: Session) -> None:
        """A session comes back. Trouble that others would have too pauses the relay."""
        trouble = session.trouble
        if trouble and trouble.class_ == "held":
            return  # we broke it off ourselves
        if trouble is None and not session.usable:
            trouble = Trouble("network", "connection closed by the server", session.via)
        self.broken = self.broken + 1 if trouble and not session.accepted else 0
        self._doubt(bool(EXTRAS & session.extensions), session.accepted > 0, trouble)
        if session.accepted:
            self._next_pause = _FIRST_PAUSE
        if trouble and (self.broken >= _BROKEN_IN_A_ROW or trouble.class_ in ("session", "throttled")):
            self.pause(trouble)
        elif session.worn:
            await session.quit()
        else:
            self.keep(session)

    def _doubt(self, extras: bool, worked: bool, trouble: Trouble | None) -> None:
        if extras:
            lost = trouble is not None and trouble.class_ != "throttled" and not worked
            self._doubts = self._doubts + 1 if lost else 0
        elif self._doubts and worked:
            self._one_by_one_until = asyncio.get_running_loop().time() + _ONE_BY_ONE
            self._doubts = 0
        elif trouble:
            self._doubts = 0  # it was not to blame

    @property
    def one_by_one(self) -> bool:
        """Whether the next session does without PIPELINING and CHUNKING."""
        return self._doubts >= _DOUBTS or asyncio.get_running_loop().time() < self._one_by_one_until

    def keep(self, session: Session) -> None:
        """Keep a session for the next letters, or destroy it when an answer may still come."""
        if session.usable and session.at_rest:
            self.idle.append(session)
        else:
            session.abort()

    def pause(self, trouble: Trouble) -> None:
        """Leave the relay alone for a while. Sessions that find it out of reach at the same time are one trouble."""
        pause = _PAUSE
        if trouble.class_ == "network":
            if self.paused:
                return
            pause, self._next_pause = self._next_pause, min(2 * self._next_pause, _PAUSE)
        self.trouble, self.broken, self.proved = trouble, 0, False
        self._paused_until = asyncio.get_running_loop().time() + pause
        self._give_back()

    @property
    def forgotten(self) -> bool:
        """Whether nobody uses it: no site names its relay any more, or nothing is sent."""
        return not self._busy and asyncio.get_running_loop().time() >= self.asked_at + _FORGOTTEN

    @property
    def rests(self) -> float:
        """Seconds for which it is still left alone."""
        return max(0.0, self._paused_until - asyncio.get_running_loop().time())

    @property
    def paused(self) -> bool:
        return self.rests > 0


class Relays:
    """All relays that one process talks to, whichever sites name them."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._pools: dict[Relay, _Pool] = {}

    def in_turn(self, relays: Sequence[Relay]) -> list[Relay]:
        """Which relay a new session goes to, and which then: those with a weight in proportion to it, by turns.

        The others stand by, in their order. Each turn gives every relay its weight in credit, and takes all of it from
        the one whose turn it is: no chance, and no relay waits longer than it must.
        """
        weighted = [relay for relay in relays if relay.weight]
        for relay in weighted:
            self._pool(relay).credit += relay.weight
        order = sorted(weighted, key=lambda relay: -self._pool(relay).credit)
        if order:
            self._pool(order[0]).credit -= sum(relay.weight for relay in weighted)
        return [*order, *(relay for relay in relays if not relay.weight)]

    async def ready(self, relays: Sequence[Relay]) -> Ready:
        """Whether one of the relays takes letters. Where none is known to, a session is opened with one, for later."""
        pools = [self._pool(relay) for relay in relays]
        for pool in pools:
            if any(one.proved and not one.paused for one in pools) or await self._prove(pool):
                return Ready(routes=tuple(r.name for r, p in zip(relays, pools, strict=True) if not p.paused))
        first = min(pools, key=lambda pool: pool.rests, default=None)
        if first is None or first.trouble is None:
            return Ready(_PAUSE, "the site names no relay")
        return Ready(max(first.rests, _FIRST_PAUSE), f"{first.trouble.via}: {first.trouble.reply}")

    async def _prove(self, pool: _Pool) -> bool:
        """Whether a relay takes letters: by a session that is kept, unless somebody has just tried."""
        async with pool.proving:
            if pool.paused or pool.proved:
                return pool.proved and not pool.paused
            try:
                pool.keep(await pool.begin(self._limits))
            except Trouble:
                return False
            pool.end()
            return True

    def _pool(self, relay: Relay) -> _Pool:
        pool = self._pools.get(relay)
        if pool is None:
            for old in [old for old, pool in self._pools.items() if pool.forgotten]:
                for session in self._pools.pop(old).idle:
                    session.abort()
            pool = self._pools[relay] = _Pool(relay)
        pool.asked_at = asyncio.get_running_loop().time()
        return pool

    @asynccontextmanager
    async def session(self, relays: Sequence[Relay]) -> AsyncIterator[Session]:
        """A session with a relay whose turn it is and that takes letters, for one task. Raises Trouble when none does.

        Waits for a turn: a relay has at most ``relay.sessions``, and no more than it takes. After an exception inside
        the block the session is destroyed, unless no answer was missing.
        """
        trouble = Trouble("session", "the site names no relay", "")
        for relay in self.in_turn(relays):
            pool = self._pool(relay)
            try:
                session = await pool.begin(self._limits)
            except Trouble as problem:
                trouble = problem
                continue
            try:
                try:
                    yield session
                except BaseException:
                    pool.keep(session)
                    raise
                await pool.put(session)
            finally:
                pool.end()
            return
        raise trouble

    async def close(self) -> None:
        """Take leave of all relays."""
        idle = [session for pool in self._pools.values() for session in pool.idle]
        self._pools.clear()
        await asyncio.gather(*(session.quit() for session in idle))


async def open_session(relay: Relay, limits: Limits, *, extras: bool = True) -> Session:
    """Connect, secure and authenticate. ``extras``: use PIPELINING and CHUNKING where offered. Raises Trouble.

    Certificates are verified (against what OpenSSL trusts here; ``SSL_CERT_FILE`` adds a private authority), and
    nothing but EHLO and STARTTLS is sent in the clear where ``starttls`` was asked for.
    """
    via = relay.name
    secret = await secret_for(relay, via)
    login: dict[str, Any] = {"password": secret}
    if relay.auth == "xoauth2":
        login = {"oauth_token_generator": _giving(secret or "")}
    client = aiosmtplib.SMTP(
        hostname=relay.host,
        port=relay.port,
        use_tls=relay.security == "tls",
        start_tls=relay.security == "starttls",
        username=relay.username,
        **login,
        timeout=limits.opening,
    )
    try:
        async with asyncio.timeout(limits.opening):
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
        if client.transport is None:
            raise Trouble("network", "connection closed by the server", via)
        extensions = frozenset(client.esmtp_extensions) - (frozenset() if extras else EXTRAS)
        session = Session(via, extensions, limits, reference_for(relay.service))
        transport = cast("asyncio.Transport", client.transport)
        transport.set_protocol(session)
        session.connection_made(transport)
    except aiosmtplib.SMTPResponseException as error:
        client.close()
        phase: Phase = "auth" if isinstance(error, aiosmtplib.SMTPAuthenticationError) else "connect"
        text = printable(error.message.encode("utf-8", "replace"))
        class_ = classify(phase, error.code, enhanced_in(text), text)
        raise Trouble(class_, f"{error.code} {text}", via, phase) from error
    except OSError as error:  # also what aiosmtplib raises for lost connections and time-outs, and TLS errors
        client.close()
        raise Trouble("network", str(error) or "no reply in time", via, "connect") from error
    except aiosmtplib.SMTPException as error:  # STARTTLS or AUTH is wanted and not offered
        client.close()
        raise Trouble("session", str(error), via) from error
    except BaseException:
        client.close()
        raise
    return session


def _giving(token: str) -> Callable[[], Awaitable[str]]:
    async def give() -> str:
        return token

    return give
