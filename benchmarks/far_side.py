"""The other end of the wire: Debian's smtp-sink, and a line that takes its time."""

import asyncio
import os
import shutil
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast


def tool(name: str) -> str | None:
    """Where a program of Debian's package postfix is; None: it is not installed."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


@asynccontextmanager
async def smtp_sink(program: str) -> AsyncIterator[int]:
    """smtp-sink, which takes every letter and keeps none. Yields its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    # smtp-sink refuses to run as root without being told as whom.
    user = ("-u", "nobody") if os.geteuid() == 0 else ()
    process = await asyncio.create_subprocess_exec(program, *user, f"127.0.0.1:{port}", "1000")
    try:
        for _ in range(100):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
        yield port
    finally:
        process.terminate()
        await process.wait()


class _Replies(asyncio.Protocol):
    """What the server says: it arrives at the client after ``seconds``, in order."""

    def __init__(self, client: asyncio.Transport, seconds: float) -> None:
        self._client, self._seconds = client, seconds
        self._under_way: deque[bytes] = deque()

    def data_received(self, data: bytes) -> None:
        self._under_way.append(data)
        asyncio.get_running_loop().call_later(self._seconds, lambda: self._client.write(self._under_way.popleft()))

    def connection_lost(self, _: Exception | None) -> None:
        self._client.close()


class _Requests(asyncio.Protocol):
    """What the client says: it arrives at once."""

    def __init__(self, port: int, seconds: float) -> None:
        self._port, self._seconds = port, seconds
        self._server: asyncio.Transport | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._opening = asyncio.ensure_future(self._open(cast("asyncio.Transport", transport)))

    async def _open(self, client: asyncio.Transport) -> None:
        replies = _Replies(client, self._seconds)
        self._server, _ = await asyncio.get_running_loop().create_connection(lambda: replies, "127.0.0.1", self._port)
        self._server.writelines(self._early)

    def data_received(self, data: bytes) -> None:
        if self._server is None:
            self._early.append(data)
        else:
            self._server.write(data)

    def connection_lost(self, _: Exception | None) -> None:
        self._opening.cancel()
        if self._server is not None:
            self._server.close()


@asynccontextmanager
async def slow_line(port: int, seconds: float) -> AsyncIterator[int]:
    """A line to ``port`` on which what the server says takes ``seconds`` longer; as much fits on it as without.

    Yields the port to connect to.
    """
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Requests(port, seconds), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
