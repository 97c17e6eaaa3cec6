"""The mail catcher: an SMTP server that keeps what it gets, answers by address, and shows it on a page.

It delivers nothing anywhere. Memory stays constant: counts, the last mails, and the addresses that were put off.
"""

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from notifier.clock import Clock
from notifier.demo.mailbox import Mailbox, headers_of
from notifier.demo.manners import ACCEPTED, CATCHER, bounce_report, manner, reply_to_recipient
from notifier.errors import Unavailable
from notifier.log import log

LARGEST_MAIL = 32 * 1024 * 1024
BOUNCES_WAITING = 1000
BOUNCE_TRIES = 5


@dataclass
class Catcher:
    """What aiosmtpd calls for every recipient and every mail."""

    bounce_to: str | None = None
    clock: Clock = field(default_factory=Clock)
    mailbox: Mailbox = field(default_factory=Mailbox)
    smtp_port: int = 0
    _put_off: set[str] = field(default_factory=set)
    _bounces: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(BOUNCES_WAITING))

    async def handle_RCPT(self, _: Any, __: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802 - aiosmtpd's name
        """Answer ``RCPT TO``."""
        reply = reply_to_recipient(address, tried_before=address in self._put_off)
        if reply.startswith("4"):
            self._put_off.add(address)
        else:
            self._put_off.discard(address)
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        else:
            self.mailbox.counts["put off" if reply.startswith("4") else "refused"] += 1
        return reply

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep a mail, and report those that "could not be delivered"."""
        now = self.clock.now()
        return_path = (envelope.mail_from or "").strip("<>")
        mail = self.mailbox.keep(now, return_path, tuple(envelope.rcpt_tos), envelope.content)
        if self.bounce_to and mail.return_path:
            for address in mail.recipients:
                if manner(address) == "bounce":
                    self.mailbox.counts["bounced"] += 1
                    report = bounce_report(mail.return_path, address, headers_of(envelope.content), now)
                    await self._bounces.put(report)
        return ACCEPTED

    async def post_bounces(self) -> None:
        """Hand the waiting notifications to the service, for ever."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            while True:
                report = await self._bounces.get()
                await self._post(session, report)
                self._bounces.task_done()

    async def all_bounces_posted(self) -> None:
        """Wait until no notification waits any more."""
        await self._bounces.join()

    async def _post(self, session: aiohttp.ClientSession, report: bytes) -> None:
        assert self.bounce_to is not None
        for attempt in range(BOUNCE_TRIES):
            with suppress(aiohttp.ClientError, TimeoutError):
                headers = {"Content-Type": "message/rfc822"}
                async with session.post(self.bounce_to, data=report, headers=headers) as response:
                    if response.status < 500:
                        self.mailbox.counts["bounces taken" if response.ok else "bounces refused"] += 1
                        return
            await asyncio.sleep(2**attempt / 4)
        log.warning("bounce dropped", reason="the service did not take it")


@asynccontextmanager
async def catch_mail(
    host: str, port: int, bounce_to: str | None = None, clock: Clock | None = None
) -> AsyncIterator[Catcher]:
    """Listen for SMTP on ``host:port`` (0: a free port, see ``smtp_port``). Raises Unavailable when that fails."""
    catcher = Catcher(bounce_to, clock or Clock())
    factory, sessions = _smtp_factory(catcher)
    try:
        server = await asyncio.get_running_loop().create_server(factory, host, port)
    except OSError as error:
        raise Unavailable(
            f"the mail catcher cannot listen on {host}:{port} ({error.strerror}); choose another port"
        ) from error
    catcher.smtp_port = server.sockets[0].getsockname()[1]
    poster = asyncio.create_task(catcher.post_bounces()) if bounce_to else None
    try:
        yield catcher
    finally:
        server.close()
        for session in list(sessions):
            if session.transport is not None:
                session.transport.abort()
        if poster is not None:
            poster.cancel()
            await asyncio.gather(poster, return_exceptions=True)


def _smtp_factory(catcher: Catcher) -> tuple[Callable[[], Any], "weakref.WeakSet[Any]"]:
    try:
        from aiosmtpd.smtp import SMTP
    except ImportError as error:
        raise Unavailable(
            "the mail catcher needs aiosmtpd; install it with: pip install 'policy-notifier[demo]'"
        ) from error
    sessions: weakref.WeakSet[Any] = weakref.WeakSet()

    def session() -> Any:
        smtp = SMTP(
            catcher,
            hostname=CATCHER,
            ident="policy-notifier mail catcher",
            enable_SMTPUTF8=True,
            data_size_limit=LARGEST_MAIL,
            loop=asyncio.get_running_loop(),
        )
        sessions.add(smtp)
        return smtp

    return session, sessions
