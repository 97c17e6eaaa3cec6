"""Letters by email, through the relays that a site names."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from notifier.channels.channel import Feedback, Permit, Ready, Sent, held
from notifier.channels.relays import Relays
from notifier.channels.reports import read_report
from notifier.channels.signing import Signing
from notifier.channels.smtp import Limits, Trouble, unsigned
from notifier.keys import Keys
from notifier.letters.letter import Letter
from notifier.letters.verp import return_path_key
from notifier.settings import Settings
from notifier.sites.site import Relay, Site

# A letter whose connection was lost before its content went out is tried on this many sessions, then later.
_TRIES = 2
# Seconds for which news are gathered: to wake whoever waits for each takes as long as a tenth of a letter.
_TELL_AFTER = 0.005
# Fewer letters than this are not worth another session.
_LETTERS_A_SESSION = 20


class Email:
    """The email channel. Its sessions live as long as it does, and serve every site and every slice."""

    name = "email"
    paced = True
    batch = 0

    def __init__(self, keys: Keys, limits: Limits | None = None) -> None:
        self.relays = Relays(limits)
        self._signing = Signing()
        self._key = return_path_key(keys)

    async def ready(self, site: Site) -> Ready:
        """Whether a relay of the site takes letters. One that was in trouble is tried without any."""
        return await self.relays.ready(site.relays)

    async def send(self, site: Site, letters: Sequence[Letter], permit: Permit | None = None) -> AsyncIterator[Sent]:
        """Hand letters to the site's relays. A 250 is the relay's word, and no word of the recipient's server."""
        permit = permit or Permit()
        try:
            sign = await self._signing.signing(site.dkim, letters) if site.dkim else unsigned
        except Trouble as problem:
            for letter in letters:
                yield _deferred(letter, problem)
            return
        loop = asyncio.get_running_loop()
        waiting, done, wake = deque(letters), deque[Sent](), asyncio.Event()
        tries: Counter[int] = Counter()
        elsewhere, unable = deque[Letter](), defaultdict[int, set[str]](set)  # by the letter's id(): names of relays

        def report(sent: Sent) -> None:
            if not done:
                loop.call_later(_TELL_AFTER, wake.set)
            done.append(sent)

        def hear(sent: Sent) -> None:
            """What one relay does not know how to carry, another may."""
            if sent.class_ == "unsupported":
                known = unable[id(sent.letter)]
                known.add(sent.via)
                if any(r.name not in known and (r.weight or permit.allows(r.name)) for r in site.relays):
                    return elsewhere.append(sent.letter)
            return report(sent)

        async def carry() -> None:
            await self._carry(site.relays, waiting, tries, hear, permit, sign)
            while elsewhere:
                letter = elsewhere.popleft()
                able = [r for r in site.relays if r.name not in unable[id(letter)] and permit.allows(r.name)]
                if permit.withdrawn:
                    report(held(letter, permit.withdrawn))
                elif able:
                    await self._carry(able, deque([letter]), tries, hear, permit, sign)
                else:
                    words = "the relays that may be able to carry it were given as many letters as they may now"
                    report(Sent(letter, "deferred", "network", words, ""))

        def hold_back() -> None:
            while waiting:
                report(held(waiting.popleft(), permit.withdrawn))

        permit.when_withdrawn(hold_back)
        shared = sum(relay.sessions for relay in site.relays if relay.weight)
        most = shared or max((relay.sessions for relay in site.relays), default=1)
        count = min(most, 1 + len(letters) // _LETTERS_A_SESSION)
        tasks = [asyncio.create_task(carry()) for _ in range(count)]
        for task in tasks:
            task.add_done_callback(lambda _: wake.set())
        missing = len(letters)
        try:
            while missing:
                await wake.wait()
                wake.clear()
                while done:
                    missing -= 1
                    yield done.popleft()
                if missing and not done and all(task.done() for task in tasks):
                    await asyncio.gather(*tasks)  # a fault of ours: raise it rather than wait for ever
                    raise AssertionError("every letter is reported exactly once")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(
        self,
        relays: Sequence[Relay],
        waiting: deque[Letter],
        tries: Counter[int],
        report: Callable[[Sent], None],
        permit: Permit,
        sign: Callable[[Letter], bytes],
    ) -> None:
        """Carry letters over one session after another until none is waiting. ``tries`` is by the letter's id()."""
        while waiting:
            allowed = [relay for relay in relays if permit.allows(relay.name)]
            if relays and not allowed:
                while waiting:
                    report(held(waiting.popleft(), "held back: the relays were given as many as they may now"))
                return
            try:
                async with self.relays.session(allowed) as session:
                    taking = _Granted(waiting, permit, session.via) if permit.limits(session.via) else waiting
                    back = await session.carry(taking, report, sign, permit)
                    trouble = session.trouble
            except Trouble as problem:
                while waiting:
                    letter = waiting.popleft()
                    report(_not_taken(letter, problem, begun=tries[id(letter)] > 0))
                return
            if back is None:
                continue
            tries[id(back)] += 1
            if permit.withdrawn:
                report(held(back, permit.withdrawn))
            elif trouble is not None and tries[id(back)] >= _TRIES:
                report(_deferred(back, trouble))
            else:
                waiting.appendleft(back)

    def endpoint(self, site: Site) -> str:
        """A relay does not end for good."""
        return ""

    def hear(self, headers: Mapping[str, str], body: bytes) -> list[Feedback]:
        """Read a raw message that came to one of our return paths: a delivery report, a complaint, an auto-reply.

        Raises Unauthenticated when no return path of ours proves which letter it is about.
        """
        return read_report(headers, body, self._key, self.name)


class _Granted:
    """The waiting letters, as far as the permit for one route reaches."""

    def __init__(self, waiting: deque[Letter], permit: Permit, route: str) -> None:
        self._waiting, self._permit, self._route = waiting, permit, route

    def __len__(self) -> int:
        return len(self._waiting) if self._permit.allows(self._route) else 0

    def popleft(self) -> Letter:
        self._permit.use(self._route)
        return self._waiting.popleft()


def _deferred(letter: Letter, trouble: Trouble) -> Sent:
    return Sent(letter, "deferred", trouble.class_, trouble.reply, trouble.via, phase=trouble.phase)


def _not_taken(letter: Letter, trouble: Trouble, *, begun: bool) -> Sent:
    """No relay takes letters any more, and nothing of this one was handed over: nobody pays for a relay that went.

    Nor for one that has enough connections, or that asked for less speed when another letter came: who was told so
    slows it down.
    """
    if trouble.class_ == "network" or (trouble.class_ == "throttled" and not begun):
        return held(letter, f"held back: no relay takes letters now: {trouble.via}: {trouble.reply}")
    return _deferred(letter, trouble)


@asynccontextmanager
async def open_channel(settings: Settings, keys: Keys) -> AsyncIterator[Email]:
    """Opens no connection yet: the first letter of a site does."""
    channel = Email(keys)
    try:
        yield channel
    finally:
        await channel.relays.close()
