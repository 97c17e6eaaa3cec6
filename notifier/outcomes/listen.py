"""A mail server for one kind of mail: what comes back to our return paths (RFC 5321; RFC 2033 where it is LMTP).

It takes nothing but addresses that open with our MAC, and says 250 only once the news is committed: until then whoever
reported keeps it and tries again. It belongs behind a site's own mail server, so it offers neither TLS nor logins.
Lines end in CRLF and in nothing else, so no second message can be smuggled in behind a first.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from notifier.errors import NotifierError, Unauthenticated
from notifier.keys import Keys
from notifier.letters.verp import return_path_key, unseal
from notifier.log import log, where
from notifier.settings import Settings

# Records what a message says that came from a sender to an address. Raises NotifierError when it cannot be read.
Take = Callable[[str, str, bytes], Awaitable[None]]

MESSAGE_BYTES = 2 * 1024 * 1024  # a report quotes at most one of our letters
LINE_BYTES = 4096  # RFC 5321, 4.5.3.1, has 1,000 at most
SESSIONS = 50
SILENCE_SECONDS = 300  # RFC 5321, 4.5.3.2.7
MESSAGE_SECONDS = 600
MISTAKES = 20

_EXTENSIONS = ("PIPELINING", f"SIZE {MESSAGE_BYTES}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")


class _TooLong(Exception):
    """A line or a message over its limit; it was read to its end and dropped."""


@dataclass(frozen=True)
class Listener:
    """What all sessions share."""

    take: Take
    key: bytes
    lmtp: bool = False
    silence: float = SILENCE_SECONDS

    def is_ours(self, address: str) -> bool:
        """Whether an address is one of our return paths."""
        try:
            unseal(address.rpartition("@")[0], self.key)
        except Unauthenticated:
            return False
        return True


class Session:
    """One connection: its envelope so far, and how many commands made no sense."""

    def __init__(self, listener: Listener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._listener = listener
        self._reader = reader
        self._writer = writer
        self._greeted = False
        self._sender: str | None = None
        self._recipient: str | None = None
        self._mistakes = 0

    async def run(self) -> None:
        """Answer commands until QUIT, silence, or too many mistakes."""
        await self._say("220 notifier ready for reports")
        while self._mistakes < MISTAKES:
            try:
                async with asyncio.timeout(self._listener.silence):
                    line = await self._line()
            except TimeoutError:
                return await self._say("421 4.4.2 nothing came for too long")
            except _TooLong:
                self._mistakes += 1
                await self._say("500 5.5.6 this line is too long")
                continue
            verb, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
            if verb.upper() == "QUIT":
                return await self._say("221 2.0.0 goodbye")
            reply = await self._data() if verb.upper() == "DATA" else self._answer(verb.upper(), rest.strip())
            self._mistakes += reply.startswith("5")
            await self._say(reply)
        return await self._say("421 4.7.0 too many mistakes")

    def _answer(self, verb: str, rest: str) -> str:
        if verb == ("LHLO" if self._listener.lmtp else "EHLO") or (verb == "HELO" and not self._listener.lmtp):
            self._greeted, self._sender, self._recipient = True, None, None
            lines = ("notifier",) if verb == "HELO" else ("notifier", *_EXTENSIONS)
            return "\r\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"])
        if verb == "MAIL":
            return self._mail(rest)
        if verb == "RCPT":
            return self._rcpt(rest)
        if verb == "RSET":
            self._sender = self._recipient = None
        if verb in ("RSET", "NOOP"):
            return "250 2.0.0 fine"
        if verb == "VRFY":
            return "252 2.5.2 send it and see"
        return "500 5.5.1 there is no such command here"

    def _mail(self, rest: str) -> str:
        path, parameters = _path(rest, "FROM:")
        if not self._greeted or self._sender is not None:
            return "503 5.5.1 greet first, and one sender at a time"
        if path is None:
            return "501 5.5.4 this is no MAIL FROM:<…>"
        size = parameters.get("SIZE", "0")
        if size.isdecimal() and int(size) > MESSAGE_BYTES:
            return "552 5.3.4 too big for a report"
        self._sender = path
        return "250 2.1.0 fine"

    def _rcpt(self, rest: str) -> str:
        path, _ = _path(rest, "TO:")
        if self._sender is None:
            return "503 5.5.1 MAIL comes first"
        if path is None:
            return "501 5.5.4 this is no RCPT TO:<…>"
        if self._recipient is not None:
            return "452 4.5.3 one address at a time: a report is about one letter"
        if not self._listener.is_ours(path):
            return "550 5.1.1 no report is expected at this address"
        self._recipient = path
        return "250 2.1.5 fine"

    async def _data(self) -> str:
        sender, recipient = self._sender, self._recipient
        if sender is None or recipient is None:
            return "503 5.5.1 RCPT comes first"
        self._sender = self._recipient = None
        await self._say("354 end with a dot")
        try:
            async with asyncio.timeout(MESSAGE_SECONDS):
                message = await self._message()
        except _TooLong:
            return "552 5.3.4 too big for a report"
        try:
            await self._listener.take(sender, recipient, message)
        except NotifierError as error:
            # Not for the reply to tell: a sender with no return path would have nobody to pass it on to.
            log.warning("report not understood", error=where(error))
            return "554 5.6.0 this cannot be read"
        except Exception as error:  # noqa: BLE001 - whatever it is, the sender keeps the report until we can record it
            log.error("report not recorded", error=where(error))
            return "451 4.3.0 not recorded yet; please try again"
        return "250 2.0.0 recorded"

    async def _message(self) -> bytes:
        """The content up to the final dot, without the dots that were added on the way (RFC 5321, 4.5.2)."""
        pieces: list[bytes] = []
        size, begins = 0, True
        while (piece := await self._piece()) != b".\r\n" or not begins:
            size += len(piece)
            if size <= MESSAGE_BYTES:
                pieces.append(piece[1:] if begins and piece.startswith(b".") else piece)
            else:
                pieces.clear()
            begins = piece.endswith(b"\r\n")
        if size > MESSAGE_BYTES:
            raise _TooLong
        return b"".join(pieces)

    async def _line(self) -> bytes:
        """The next line. Raises _TooLong, after its end, when it has too many bytes."""
        line = await self._piece()
        too_long = not line.endswith(b"\r\n")
        while not line.endswith(b"\r\n"):
            line = await self._piece()
        if too_long:
            raise _TooLong
        return line

    async def _piece(self) -> bytes:
        """Up to and with the next CRLF, or the beginning of a line that is too long. Raises IncompleteReadError."""
        try:
            return await self._reader.readuntil(b"\r\n")
        except asyncio.LimitOverrunError as error:
            return await self._reader.readexactly(error.consumed)  # leaves a CR, which may begin the end

    async def _say(self, reply: str) -> None:
        self._writer.write(f"{reply}\r\n".encode())
        await self._writer.drain()


def _path(rest: str, before: str) -> tuple[str | None, dict[str, str]]:
    """The address in ``FROM:<…> KEY=VALUE …`` and its parameters; None when it is not written so."""
    if not rest.upper().startswith(before):
        return None, {}
    path, closed, after = rest[len(before) :].strip().partition(">")
    if not path.startswith("<") or not closed:
        return None, {}
    parameters = dict(word.upper().partition("=")[::2] for word in after.split())
    return path[1:], parameters


@asynccontextmanager
async def open_listener(settings: Settings, keys: Keys, take: Take) -> AsyncIterator[int | None]:
    """Take reports where the settings say, for as long as the block lasts; yields the port, None when it is off.

    Several processes of a machine may share the address. Raises OSError when somebody else has it.
    """
    if settings.bounce_listen is None:
        yield None
        return
    host, _, port = settings.bounce_listen.rpartition(":")
    listener = Listener(take, return_path_key(keys), settings.bounce_protocol == "lmtp")
    async with listening(listener, host.strip("[]"), int(port)) as bound:
        yield bound


@asynccontextmanager
async def listening(listener: Listener, host: str, port: int) -> AsyncIterator[int]:
    """A listener on an address; yields its port. Sessions that are open at the end are broken off."""
    sessions: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        sessions.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError, asyncio.CancelledError):
                if len(sessions) > SESSIONS:
                    writer.write(b"421 4.3.2 too many sessions; please come again\r\n")
                    await writer.drain()
                else:
                    await Session(listener, reader, writer).run()
        finally:
            sessions.discard(task)
            writer.close()

    server = await asyncio.start_server(
        serve, host, port, limit=LINE_BYTES, reuse_port=hasattr(socket, "SO_REUSEPORT") or None
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for session in list(sessions):
            session.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)
