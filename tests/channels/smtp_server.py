"""A real SMTP server that does what a test tells it to, and remembers what it got.

What to say at a stage, for one recipient or for all::

    server.say("rcpt", "550 5.1.1 no such user", to="a@example.net")     # always
    server.say("dot", DROP, "250 2.0.0 kept", to="a@example.net")         # first this, then that, then as usual

Stages: ``banner``, ``ehlo``, ``starttls``, ``handshake``, ``auth``, ``mail``, ``rcpt``, ``data`` (before content),
``content`` (in the midst of it; only DROP), ``dot`` (after it). ``DROP`` closes without a word, ``KEEP_AND_DROP`` (at
the dot) keeps the letter and closes, ``SILENCE`` never answers, ``ENDLESS`` never ends its answer, and what begins with
``SLOWLY`` comes byte by byte. A reply of several lines is written with ``\\n`` between them, several replies with
``\\r\\n``, or with ``LATER`` where the next comes by itself; ``{to}`` in it is the recipient. Every accepted letter is
answered with its recipient's address, so that a test sees whether an answer was credited to somebody else.
"""

import asyncio
import base64
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

DROP, KEEP_AND_DROP, SILENCE, ENDLESS, SLOWLY = "(drop)", "(keep and drop)", "(silence)", "(endless)", "(slowly) "
LATER = "(later) "
# What may become of commands that came before the one ahead of them was answered. Ways in which real servers get
# PIPELINING wrong: they lose the rest, answer all of them at once, in another order, or call it an error.
Pipelining = Literal["answered", "lost", "merged", "reversed", "refused"]


@dataclass
class Got:
    """One letter as it came: envelope with parameters, and exact content."""

    mail: str
    rcpt: str
    content: bytes
    secured: bool
    user: str | None

    @property
    def address(self) -> str:
        return self.rcpt.partition("<")[2].partition(">")[0]


@dataclass
class SmtpServer:
    """See the module. ``piece``: bytes per write, to cut replies anywhere; ``delay``: seconds before every reply.

    ``room``: how many connections it takes at once; one more is told so by a 421.
    """

    pipelining: Pipelining = "answered"
    extensions: tuple[str, ...] = ("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN")
    data_without_recipient: str = "354 go on then"
    context: ssl.SSLContext | None = None
    implicit_tls: bool = False
    users: dict[str, str] = field(default_factory=dict)
    logins: str = "PLAIN"
    piece: int | None = None
    delay: float = 0
    room: int | None = None
    port: int = 0
    got: list[Got] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    mails: list[float] = field(default_factory=list)  # when each MAIL came, on the loop's clock
    contents: list[float] = field(default_factory=list)  # when the content of each letter had come
    connections: int = 0
    open_now: int = 0
    most_open: int = 0
    pipelined: bool = False
    _said: dict[tuple[str, str | None], list[str]] = field(default_factory=dict)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def chunks(self) -> bool:
        """Whether it knows BDAT."""
        return "CHUNKING" in self.extensions

    def say(self, stage: str, *replies: str, to: str | None = None) -> None:
        """What to answer at a stage: one reply for ever, or several in turn and then as usual."""
        self._said[stage, to] = list(replies) if len(replies) == 1 else [*replies, ""]

    def answer(self, stage: str, usual: str, to: str | None = None) -> str:
        for key in ((stage, to), (stage, None)):
            replies = self._said.get(key)
            if replies:
                reply = replies.pop(0) if len(replies) > 1 else replies[0]
                return (reply or usual).replace("{to}", to or "")
        return usual

    def drop_all(self) -> None:
        """Close every connection, as a restart would."""
        for writer in self._writers:
            writer.transport.abort()

    @property
    def addresses(self) -> list[str]:
        return [got.address for got in self.got]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            await _Conversation(self, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ssl.SSLError):
            pass
        except asyncio.CancelledError:
            pass  # the server goes away, and nobody waits for this task but the server
        finally:
            self.open_now -= 1
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.transport.abort()


class _Dropped(ConnectionError):
    pass


@dataclass
class _Conversation:
    server: SmtpServer
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    secured: bool = False
    user: str | None = None
    mail: str = ""
    rcpt: str = ""
    kept_back: list[str] = field(default_factory=list)

    async def reply(self, words: str) -> None:
        if words == DROP:
            raise _Dropped
        if words == SILENCE:
            while await self.reader.read(4096):
                pass  # until the client has enough of it
            raise _Dropped
        while words == ENDLESS:
            await self.write("250-and " + "so on " * 500 + "\r\n")
            await asyncio.sleep(0.001)
        if words.startswith(SLOWLY):
            for character in words.removeprefix(SLOWLY) + "\r\n":
                await asyncio.sleep(0.002)
                await self.write(character)
            return None
        if LATER in words:
            first, then = words.split(LATER)
            await self.write(first + "\r\n")
            await asyncio.sleep(0.02)
            return await self.write(then + "\r\n")
        if await self.muddled(words):
            return None
        if "\r\n" in words:
            return await self.write(words + "\r\n")
        lines = words.split("\n")
        for line in lines[:-1]:
            await self.write(f"{line[:3]}-{line[4:]}\r\n")
        return await self.write(lines[-1] + "\r\n")

    async def muddled(self, words: str) -> bool:
        """Whether this reply is kept back (or lost), as others are missing that the server gets wrong with it."""
        how, more = self.server.pipelining, bool(self.reader._buffer)  # type: ignore[attr-defined]
        if how == "answered" or not (more or self.kept_back):
            return False
        if how == "lost":
            self.reader._buffer.clear()  # type: ignore[attr-defined]
            return False
        self.kept_back.append(words)
        if not more:
            answers, self.kept_back = self.kept_back, []
            await self.write("\r\n".join(answers[::-1] if how == "reversed" else answers[-1:]) + "\r\n")
        return True

    async def write(self, text: str) -> None:
        if self.server.delay:
            await asyncio.sleep(self.server.delay)
        raw = text.encode("utf-8", "surrogateescape")
        size = self.server.piece or len(raw)
        for start in range(0, len(raw), size):
            self.writer.write(raw[start : start + size])
            if self.server.piece:
                await asyncio.sleep(0)
        await self.writer.drain()

    async def run(self) -> None:
        self.secured = self.server.implicit_tls
        if self.server.room is not None and self.server.open_now > self.server.room:
            return await self.reply("421 4.7.0 too many connections from you")
        await self.reply(self.server.answer("banner", "220 test.example ESMTP"))
        while line := await self.reader.readline():
            command = line.decode().rstrip("\r\n")
            self.server.commands.append(command)
            verb = command.split(" ")[0].upper()
            if verb != "BDAT" and self.reader._buffer:  # type: ignore[attr-defined]  # what came before we answered
                self.server.pipelined = True
                if self.server.pipelining == "refused":
                    return await self.write("554 5.5.0 SMTP synchronization error\r\n")
            if verb == "QUIT":
                return await self.reply("221 2.0.0 bye")
            handler = getattr(self, f"do_{verb.lower()}", None)
            if handler is None:
                await self.reply("500 5.5.2 what?")
            else:
                await handler(command)
        return None

    async def do_ehlo(self, command: str) -> None:
        offered = list(self.server.extensions)
        if self.server.context and not self.secured:
            offered.append("STARTTLS")
        if self.server.users and (self.secured or not self.server.context):
            offered.append(f"AUTH {self.server.logins}")
        await self.reply(self.server.answer("ehlo", "\n".join(f"250 {word}" for word in ["test.example", *offered])))

    async def do_starttls(self, command: str) -> None:
        assert self.server.context
        answer = self.server.answer("starttls", "220 2.0.0 ready")
        await self.reply(answer)
        if not answer.startswith("220"):
            return
        if instead := self.server.answer("handshake", ""):
            await self.reader.read(100)  # the client's first words
            await self.reply(instead)
        await self.writer.start_tls(self.server.context)
        self.secured = True

    async def do_auth(self, command: str) -> None:
        _, method, *given = command.split(" ")
        if method == "LOGIN":
            user = await self.asked("Username:") if not given else base64.b64decode(given[0]).decode()
            password = await self.asked("Password:")
        elif method == "XOAUTH2":
            user, password = base64.b64decode(given[0]).decode().removeprefix("user=").split("\1auth=Bearer ")
            password = password.removesuffix("\1\1")
            if self.server.users.get(user) != password:
                await self.asked('{"status":"400"}')
        else:
            _, user, password = base64.b64decode(given[0]).decode().split("\0")
        good = self.server.users.get(user) == password
        self.user = user if good else None
        await self.reply(self.server.answer("auth", "235 2.7.0 welcome" if good else "535 5.7.8 wrong password"))

    async def asked(self, question: str) -> str:
        await self.reply("334 " + base64.b64encode(question.encode()).decode())
        return base64.b64decode(await self.reader.readline()).decode()

    async def do_mail(self, command: str) -> None:
        self.server.mails.append(asyncio.get_running_loop().time())
        if self.mail:
            return await self.reply("503 5.5.1 nested MAIL")
        answer = self.server.answer("mail", "250 2.1.0 sender ok")
        if answer.startswith("2"):
            self.mail, self.rcpt = command, ""
        return await self.reply(answer)

    async def do_rcpt(self, command: str) -> None:
        if not self.mail:
            return await self.reply("503 5.5.1 MAIL first")
        address = command.partition("<")[2].partition(">")[0]
        answer = self.server.answer("rcpt", "250 2.1.5 recipient ok", address)
        if answer.removeprefix(SLOWLY).startswith("25"):
            self.rcpt = command
        return await self.reply(answer)

    async def do_data(self, command: str) -> None:
        if not self.mail:
            return await self.reply("503 5.5.1 MAIL first")
        if not self.rcpt:
            await self.reply(self.server.data_without_recipient)
            if self.server.data_without_recipient.startswith("354"):
                content = await self.content()
                self.mail = ""
                await self.reply("554 5.5.1 no valid recipients" if not content else "554 content for nobody")
            return None
        address = self.rcpt.partition("<")[2].partition(">")[0]
        answer = self.server.answer("data", "354 end with a dot", address)
        await self.reply(answer)
        if answer.startswith("354"):
            if self.server.answer("content", "", address) == DROP:
                await self.reader.readline()
                raise _Dropped
            await self.end(Got(self.mail, self.rcpt, await self.content(), self.secured, self.user))
        return None

    async def do_bdat(self, command: str) -> None:
        """RFC 3030: the content comes along, whether anybody is there to receive it or not."""
        if not self.server.chunks or not (match := re.fullmatch(r"BDAT (\d+) LAST", command)):
            return await self.reply("500 5.5.2 what?")
        address = self.rcpt.partition("<")[2].partition(">")[0]
        if self.server.answer("content", "", address) == DROP:
            await self.reader.readline()
            raise _Dropped
        content = await self.reader.readexactly(int(match[1]))
        if not self.rcpt:
            return await self.reply("503 5.5.1 MAIL and RCPT first")
        return await self.end(Got(self.mail, self.rcpt, content, self.secured, self.user))

    async def end(self, got: Got) -> None:
        """What becomes of a letter that is there."""
        self.server.contents.append(asyncio.get_running_loop().time())
        self.mail = self.rcpt = ""
        answer = self.server.answer("dot", f"250 2.0.0 queued for {got.address}", got.address)
        if answer == KEEP_AND_DROP or answer.removeprefix(SLOWLY).startswith("2"):
            self.server.got.append(got)
        await self.reply(DROP if answer == KEEP_AND_DROP else answer)

    async def content(self) -> bytes:
        lines = []
        while (line := await self.reader.readline()) != b".\r\n":
            if not line:
                raise _Dropped
            lines.append(line.removeprefix(b"."))
        return b"".join(lines)

    async def do_rset(self, command: str) -> None:
        self.mail = self.rcpt = ""
        await self.reply("250 2.0.0 forgotten")


@asynccontextmanager
async def smtp_server(make: type[SmtpServer] = SmtpServer, **settings: Any) -> AsyncIterator[SmtpServer]:
    """A server on a free port of 127.0.0.1 for as long as the block lasts."""
    server = make(**settings)
    listener = await asyncio.start_server(
        server.serve, "127.0.0.1", server.port, ssl=server.context if server.implicit_tls else None
    )
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        server.drop_all()
        for task in list(server._tasks):
            task.cancel()
        await asyncio.gather(*server._tasks, return_exceptions=True)
