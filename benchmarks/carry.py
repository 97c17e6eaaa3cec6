"""`python -m benchmarks.carry ours|aiosmtplib PORT SESSIONS COUNT FILE`: carry one letter many times.

In a process of its own: it says ``ready``, waits for a line, carries, and says how much CPU that took.
"""

import asyncio
import hashlib
import json
import resource
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiosmtplib

from benchmarks.ground import SECRET, described
from notifier.channels.email import Email
from notifier.keys import Keys
from notifier.lanes import new_id
from notifier.letters.letter import Letter
from notifier.letters.sheet import Sheet
from notifier.letters.skeleton import Skeleton

Carry = Callable[[], Coroutine[Any, Any, None]]


def ours(port: int, sessions: int, count: int, body: bytes) -> Carry:
    """Our email channel."""
    site = described(port, sessions=sessions)
    sheet = Sheet(1, "email", "en", "Asia/Tokyo", "bench.example", Skeleton((body,), ()))
    sha256 = hashlib.sha256(body).digest()
    letters = [
        Letter(
            0, new_id(), 1, "email", 1, f"user{number}@people.example", f"<{number}@bench.example>",
            f"notice-{number}@bench.example", [body], sha256, sheet, dotted=False,
        )
        for number in range(count)
    ]  # fmt: skip

    async def carry() -> None:
        channel = Email(Keys(SECRET.encode()))
        accepted = 0
        async for sent in channel.send(site, letters):
            accepted += sent.kind == "accepted_by_relay"
        await channel.relays.close()
        if accepted != count:
            raise RuntimeError(f"{accepted} of {count} letters were accepted")

    return carry


def pooled(port: int, sessions: int, count: int, body: bytes) -> Carry:
    """aiosmtplib: as many open sessions, each of which takes the next letter."""
    waiting = iter(range(count))

    async def session() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, use_tls=False, start_tls=False) as client:
            for number in waiting:
                await client.sendmail(f"notice-{number}@bench.example", [f"user{number}@people.example"], body)

    async def carry() -> None:
        await asyncio.gather(*(session() for _ in range(sessions)))

    return carry


def main() -> None:
    """Get ready, wait, carry, and report."""
    who, port, sessions, count, file = sys.argv[1:]
    make = {"ours": ours, "aiosmtplib": pooled}[who]
    carry = make(int(port), int(sessions), int(count), Path(file).read_bytes())
    print("ready", flush=True)
    sys.stdin.readline()
    before = _used()
    asyncio.run(carry())
    print(json.dumps({"cpu": _used() - before}))


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
