"""Follow the log of a mail server, and record what it says of our letters."""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from notifier.channels.postfix_log import PostfixLog
from notifier.clock import Clock
from notifier.db import AWAY, Db, is_away
from notifier.log import log, where
from notifier.outcomes.hear import hear

CHUNK = 256 * 1024
LOOK_AGAIN_SECONDS = 1.0


async def record_log(db: Db, clock: Clock, postfix: PostfixLog, chunks: AsyncIterator[bytes]) -> int:
    """Record what a log says, chunk by chunk, as it comes. The same log again changes nothing. Returns the news.

    While the database is away it waits with what it has read: a line that was read is nowhere else.
    """
    news, rest = 0, b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        news += await _record(db, clock, postfix, lines)
    return news + await _record(db, clock, postfix, [rest])


async def _record(db: Db, clock: Clock, postfix: PostfixLog, lines: Iterable[bytes]) -> int:
    found = [one for line in lines if (one := postfix.read(line.decode("utf-8", "replace"))) is not None]
    said = False
    while found:
        try:
            return await hear(db, found, clock.now())
        except AWAY as error:
            if not is_away(error):
                raise
            if not said:
                log.warning("waiting for the database", count=len(found), error=where(error))
            said = True
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
    return 0


async def standard_input() -> AsyncIterator[bytes]:
    """What comes on standard input, as soon as it is there."""
    source = sys.stdin.buffer
    kind = os.fstat(source.fileno()).st_mode
    if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):  # waited for without a thread, which nothing could interrupt
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), source)
        while chunk := await reader.read(CHUNK):
            yield chunk
    else:
        while chunk := await asyncio.to_thread(source.read, CHUNK):
            yield chunk


async def followed(file: Path) -> AsyncIterator[bytes]:
    """A file from its beginning and on as it grows, also when it is rotated: moved away or cut. Never ends.

    Raises OSError when it is not there at first.
    """
    log = await asyncio.to_thread(file.open, "rb")
    try:
        while True:
            if chunk := await asyncio.to_thread(log.read, CHUNK):
                yield chunk
                continue
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            if _is_another(file, os.fstat(log.fileno()), log.tell()):
                yield await asyncio.to_thread(log.read)  # what was written before it was moved away
                log.close()
                log = await asyncio.to_thread(file.open, "rb")
    finally:
        log.close()


def _is_another(file: Path, opened: os.stat_result, place: int) -> bool:
    """Whether the file at this path is not the opened one any more, or was cut."""
    try:
        now = file.stat()
    except FileNotFoundError:
        return False  # between two files: it will come
    return (now.st_dev, now.st_ino) != (opened.st_dev, opened.st_ino) or now.st_size < place
