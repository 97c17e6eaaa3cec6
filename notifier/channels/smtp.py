"""An SMTP session that is open and secured: our own protocol carries letters over its transport.

Where the server offers PIPELINING (RFC 2920) one write holds the end of one letter and the MAIL, RCPT and DATA of the
next, so a letter costs one round trip; where it does not, the same commands go one by one. Replies are matched strictly
in order: after an answer too many, something else than 354 comes where that is expected. Where CHUNKING (RFC 3030) is
offered the content follows the reply to RCPT, and nobody waits for 354 or doubles dots. There the enhanced status codes
(RFC 2034) tell what a reply answers, and a server that uses none is sent DATA. Anything irregular, and any
cancellation, destroys the connection: a late reply would otherwise be taken for the answer to somebody else's letter.
"""

import asyncio
import re
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from msgspec.structs import replace

from notifier.channels.channel import Permit, Sent, SentKind
from notifier.channels.classify import FINAL, Phase, classify, enhanced_in, wait_asked
from notifier.channels.envelope import chunk, content, envelope, unsupported
from notifier.letters.letter import Letter

# What a server answers, nearly always in one piece, to the end of one letter and the envelope of the next. Taken whole
# it costs 2 µs, line by line 14.
_USUAL = re.compile(rb"250 ([ -~]{0,400})\r\n250 [ -~]*\r\n250 [ -~]*\r\n354(?: [ -~]*)?\r\n")
_ONE_ROUND = deque(("dot", "mail", "rcpt", "data"))
_USUAL_CHUNKED = re.compile(rb"250 ((?!2\.1\.)[ -~]{0,400})\r\n250 2\.1\.[ -~]*\r\n250 2\.1\.[ -~]*\r\n")
_ONE_ROUND_CHUNKED = deque(("dot", "mail", "rcpt"))
# How MAIL and RCPT are granted, and nothing else (RFC 3463, 3.2: about an address).
_OF_ADDRESS = "2.1."
# What somebody says who knows no BDAT after all (RFC 5321, 4.2.4): no word about the letter.
_UNKNOWN_COMMAND = (500, 501, 502, 503, 504)
_REPLY_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?")
_REPLY_LIMIT = 16 * 1024
_KEPT_REPLY = 500
_ADDRESS = re.compile(r"[^\s<>()@,;:\"']+@[^\s<>()@,;\"']+")
_LEAVE = 2.0  # seconds for the reply to QUIT


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds to wait: to open and secure a session, for a reply, for the reply to the final dot (RFC 5321, 4.5.3.2).

    And how many letters and seconds a session is used for before a new one is opened.
    """

    opening: float = 30
    reply: float = 300
    final: float = 600
    letters: int = 500
    age: float = 300


class Trouble(Exception):
    """Why a relay takes no letters now: a class, its own words, without the address of whoever they were about, and in
    which phase it said so.

    It puts off other people's letters too, and is written down with each of them.
    """

    def __init__(self, class_: str, reply: str, via: str, phase: str | None = None) -> None:
        super().__init__(reply)
        self.class_, self.via, self.phase = class_, via, phase
        self.reply = _ADDRESS.sub("(somebody)", reply)[:_KEPT_REPLY]


def unsigned(letter: Letter) -> bytes:
    """No signature."""
    return b""


class Waiting(Protocol):
    """Letters to take from, one by one, while there are any."""

    def __len__(self) -> int: ...

    def popleft(self) -> Letter: ...


class Session(asyncio.Protocol):
    """One connection, ready for MAIL. Not for two tasks at once.

    A letter is *starting* from its MAIL until its content goes, then *ending* until the reply to that: if the
    connection is lost, one that was starting can be sent otherwise, one that was ending may have arrived.
    """

    def __init__(
        self,
        via: str,
        extensions: frozenset[str],
        limits: Limits,
        reference: Callable[[Letter], bytes] | None = None,
    ) -> None:
        """``reference``: makes what stands before each letter for the service that runs this relay."""
        self.via = via
        self._reference = reference
        self.accepted = 0  # letters that this session handed over
        self.trouble: Trouble | None = None
        self._limits = limits
        self._started = 0
        self._loop = asyncio.get_running_loop()
        self._old_at = self._loop.time() + limits.age
        self._extensions = extensions
        self._pipelining = "pipelining" in extensions
        self._chunking = "chunking" in extensions
        self._one_round, self._usual = (_ONE_ROUND_CHUNKED, _USUAL_CHUNKED) if self._chunking else (_ONE_ROUND, _USUAL)
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._code = b""
        self._lines: list[str] = []
        self._unsent: deque[tuple[str, list[bytes]]] = deque()
        self._expected: deque[str] = deque()
        self._starting: Letter | None = None
        self._ending: Letter | None = None
        self._refusal: tuple[Phase, int, str] | None = None
        self._waiting: Waiting = deque[Letter]()
        self._permit = Permit()
        self._sign: Callable[[Letter], bytes] = unsigned
        self._report: Callable[[Sent], None] = lambda sent: None
        self._done: asyncio.Future[Letter | None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------ what callers use

    @property
    def usable(self) -> bool:
        """Whether letters can still be carried."""
        return self.trouble is None and self._transport is not None and not self._transport.is_closing()

    @property
    def extensions(self) -> frozenset[str]:
        """What the server offers (RFC 5321, 2.2), in lower case."""
        return self._extensions

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The connection's TLS, if it has one."""
        return self._transport.get_extra_info("ssl_object") if self._transport else None

    @property
    def at_rest(self) -> bool:
        """Whether no answer is missing: only then may somebody else use this session."""
        return not self._expected

    @property
    def worn(self) -> bool:
        """Whether a new session should take over."""
        return self._started >= self._limits.letters or self._loop.time() >= self._old_at

    async def carry(
        self,
        waiting: Waiting,
        report: Callable[[Sent], None],
        sign: Callable[[Letter], bytes] = unsigned,
        permit: Permit | None = None,
    ) -> Letter | None:
        """Take letters from ``waiting`` until there are none, or until worn, and report what came of each.

        ``sign``: makes the headers that stand before a letter, as its turn comes. ``permit``: once it is withdrawn no
        more content goes, whatever the server was told before; the connection is destroyed instead.

        Returns the letter that was started when the connection was lost, if any: nothing of it was handed over, and it
        is not reported. ``trouble`` then says why. When cancelled, the connection is destroyed and reports end.
        """
        if not self.usable:
            return None
        self._done = self._loop.create_future()
        self._waiting, self._report, self._sign, self._permit = waiting, report, sign, permit or Permit()
        self._start_next()
        self._go_on()
        try:
            return await self._done
        finally:
            self._waiting, self._report = deque(), lambda sent: None
            if not self.at_rest:
                self.abort()

    async def quit(self) -> None:
        """Take leave of the server, and close whatever it says."""
        try:
            if self.usable:
                self._done = self._loop.create_future()
                self._unsent.append(("quit", [b"QUIT\r\n"]))
                self._flush()
                await asyncio.wait([self._done], timeout=min(self._limits.reply, _LEAVE))
        finally:
            self.abort()

    def abort(self) -> None:
        """Destroy the connection. Whatever was under way is settled as lost."""
        self._lose(Trouble("network", "the session was given up", self.via))

    # ------------------------------------------------------------ what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a transport on which a session is open."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._lose(
            Trouble("network", f"connection lost: {exc}" if exc else "connection closed by the server", self.via)
        )

    def data_received(self, data: bytes) -> None:
        """Split replies (RFC 5321, 4.2.1) and match each with the command that expects it."""
        usual = self._expected == self._one_round and not self._lines and self._usual.fullmatch(self._received + data)
        if usual:
            return self._as_usual(usual)
        lines = (self._received + data).split(b"\n")
        self._received = lines.pop()
        for number, line in enumerate(lines, 1):
            match = _REPLY_LINE.fullmatch(line.removesuffix(b"\r"))
            if match is None or not self._expected or (self._lines and match[1] != self._code):
                return self._out_of_step(line)
            code, more, words = match.groups()
            self._code = code
            self._lines.append(printable(words or b""))
            if more == b"-":
                continue
            too_many = len(self._expected) == 1 and (number < len(lines) or self._received)
            if too_many and not (self._chunking and int(code) in _UNKNOWN_COMMAND):
                # More than was asked for: one of these answers nothing, and nobody can say which. (But whoever does not
                # know BDAT says so, and then the same of every line of the letter.)
                return self._out_of_step(line)
            text, self._lines = " ".join(self._lines), []
            self._replied(self._expected.popleft(), int(code), text)
            if self.trouble is not None:
                return None
        if not self._expected and self._received:
            return self._out_of_step(self._received)
        if len(self._received) + sum(map(len, self._lines)) > _REPLY_LIMIT:
            self._lose(Trouble("network", "a reply without end", self.via))
        return None

    # ------------------------------------------------------------ replies

    def _as_usual(self, replies: re.Match[bytes]) -> None:
        """One letter is accepted, and the next one's content is asked for."""
        self._received = b""
        self._expected.clear()
        self._ended(250, replies[1].decode("ascii"))
        self._hand_over()
        self._go_on()

    def _replied(self, phase: str, code: int, text: str) -> None:
        if code == 421:
            self._leave(phase, text)
        elif phase == "dot":
            self._ended(code, text)
        elif phase in ("mail", "rcpt"):
            if code >= 400:
                self._refused(cast("Phase", phase), code, text)
            elif self._refusal is not None or code not in (250, 251, 252):
                # MAIL was refused and RCPT was not: after this nothing that we send is safe.
                self._out_of_step(f"{code} {text}".encode())
            elif self._chunking and not text.startswith(_OF_ADDRESS):
                self._untold(code, text)
            elif phase == "rcpt" and self._chunking:
                self._hand_over()
        elif phase == "data":
            self._data_replied(code, text)
        elif phase == "reset" and code != 250:  # what else could be wrong with it?
            self._out_of_step(f"{code} {text}".encode())
        if self.trouble is None:
            self._go_on()

    def _untold(self, code: int, text: str) -> None:
        """A grant by which nobody can tell what it answers. Before the first content DATA can still be used instead."""
        if self._started > 1:
            return self._out_of_step(f"{code} {text}".encode())
        self._chunking, self._one_round, self._usual = False, _ONE_ROUND, _USUAL
        return self._unsent.append(("data", [b"DATA\r\n"]))

    def _data_replied(self, code: int, text: str) -> None:
        refusal = self._refusal
        if code == 354 and refusal is None:
            self._hand_over()
        elif code == 354 or code >= 400:
            # RFC 2920, 3.1: a server may ask for content although nobody is left to receive it; then end it at once.
            # Without 354 the transaction is still open, and the next MAIL would be out of order.
            self._unsent.append(("void", [b".\r\n"]) if code == 354 else ("reset", [b"RSET\r\n"]))
            self._give_up(*(refusal or ("data", code, text)))
        else:
            self._out_of_step(f"{code} {text}".encode())

    def _hand_over(self) -> None:
        """Somebody is there to receive it: the content follows, and with it what begins the next letter."""
        letter = self._starting
        assert letter is not None
        if self._permit.withdrawn:  # after 354 there is no other way to leave it at that
            return self._lose(Trouble("held", self._permit.withdrawn, self.via))
        self._starting, self._ending = None, letter
        headers = self._sign(letter)
        if self._reference:
            headers = self._reference(letter) + headers
        self._unsent.append(("dot", chunk(letter, headers) if self._chunking else content(letter, headers)))
        self._start_next()
        return None

    def _refused(self, phase: Phase, code: int, text: str) -> None:
        """MAIL or RCPT was refused. What was sent along must be heard first: RCPT, and DATA where that is used."""
        if phase == "mail" and classify(phase, code, enhanced_in(text), text) == "session":
            return self._lose(Trouble("session", f"{code} {text}", self.via, phase))
        if self._refusal is None:
            self._refusal = (phase, code, text)
        if not self._pipelining or (self._chunking and phase == "rcpt"):
            self._unsent.clear()
            self._unsent.append(("reset", [b"RSET\r\n"]))
            self._give_up(*self._refusal)
        return None

    def _ended(self, code: int, text: str) -> None:
        letter, self._ending = self._ending, None
        assert letter is not None
        if 200 <= code < 300 and not (self._chunking and text.startswith(_OF_ADDRESS)):
            self.accepted += 1
            self._report(Sent(letter, "accepted_by_relay", None, f"{code} {text}"[:_KEPT_REPLY], self.via))
        elif self._chunking and code in _UNKNOWN_COMMAND:
            self._report(replace(refusal_of(letter, "dot", code, text, self.via), kind="deferred", class_="network"))
            self._lose(Trouble("network", f"CHUNKING is offered and not known: {code} {text}", self.via))
        elif code >= 400:
            self._report(refusal_of(letter, "dot", code, text, self.via))
        else:
            self._ending = letter
            self._out_of_step(f"{code} {text}".encode())

    def _leave(self, phase: str, text: str) -> None:
        """421 (RFC 5321, 3.8): the server closes. It answers the command that it answers; the rest is lost."""
        if phase == "dot":
            self._ended(421, text)
        class_ = classify("rcpt", 421, enhanced_in(text), text)
        self._lose(Trouble(class_, f"421 {text}", self.via, phase))

    def _out_of_step(self, said: bytes) -> None:
        if self._refusal and self._refusal[0] == "mail":
            self._refusal = None  # it was the answer to what came before
        self._lose(Trouble("network", f"an answer that does not fit: {printable(said)}", self.via))

    def _give_up(self, phase: Phase, code: int, text: str) -> None:
        """Report the starting letter as refused, and go on with the next."""
        letter, self._starting, self._refusal = self._starting, None, None
        assert letter is not None
        self._report(refusal_of(letter, phase, code, text, self.via))
        self._start_next()

    # ------------------------------------------------------------ commands

    def _go_on(self) -> None:
        """Send what is next. When nothing is missing and nothing is left, the caller has its session back."""
        if self._expected:
            return
        self._flush()
        if not self._expected and self._done and not self._done.done():
            self._done.set_result(None)

    def _start_next(self) -> None:
        while self._waiting and not self.worn:
            letter = self._waiting.popleft()
            self._started += 1
            if problem := unsupported(letter, self._extensions):
                self._report(Sent(letter, "refused", "unsupported", problem, self.via))
                continue
            self._starting = letter
            mail, rcpt = envelope(letter, self._extensions)
            self._unsent += (("mail", [mail]), ("rcpt", [rcpt]))
            if not self._chunking:
                self._unsent.append(("data", [b"DATA\r\n"]))
            return

    def _flush(self) -> None:
        """Send what is unsent (no reply is missing): all of it where commands may be pipelined, else one."""
        unsent, transport = self._unsent, self._transport
        if not unsent or transport is None:
            return
        if self._pipelining:
            pieces: list[bytes] = []
            for phase, more in unsent:
                self._expected.append(phase)
                pieces += more
            transport.write(b"".join(pieces))
            unsent.clear()
        else:
            phase, pieces = unsent.popleft()
            self._expected.append(phase)
            transport.write(b"".join(pieces))
        self._arm()

    # ------------------------------------------------------------ time, and the end

    def _arm(self) -> None:
        """Give the server time from now on. The timer looks again when it fires: replies do not restart it."""
        self._deadline = self._loop.time() + (self._limits.final if self._ending else self._limits.reply)
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._look_at_clock)

    def _look_at_clock(self) -> None:
        self._timer = None
        if not self._expected:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._look_at_clock)
        else:
            self._lose(Trouble("network", "no reply in time", self.via))

    def _lose(self, trouble: Trouble) -> None:
        """The connection is over. What was ending may have arrived; what was starting goes back to the caller."""
        if self.trouble is not None:
            return
        self.trouble = trouble
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        ending, starting = self._ending, self._starting
        self._ending = self._starting = None
        if ending is not None:
            self._report(Sent(ending, "unknown", "unknown", trouble.reply, self.via, phase="dot"))
        if starting is not None and self._refusal is not None:
            self._report(refusal_of(starting, *self._refusal, self.via))
            starting = None
        if self._done is not None and not self._done.done():
            self._done.set_result(starting)


def refusal_of(letter: Letter, phase: Phase, code: int, text: str, via: str) -> Sent:
    """What a refusal in one phase says about a letter."""
    class_ = classify(phase, code, enhanced_in(text), text)
    kind: SentKind = "refused" if class_ in FINAL else "deferred"
    return Sent(letter, kind, class_, f"{code} {text}"[:_KEPT_REPLY], via, wait_asked(text), phase)


def printable(words: bytes) -> str:
    """A server's words without anything that a terminal or a database would take for more than words."""
    text = words.decode("utf-8", "replace")
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
