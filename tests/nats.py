"""A real NATS server with JetStream: the one that NOTIFIER_TEST_NATS_URL names, or one of our own."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def nats_server(folder: Path) -> Iterator[str]:
    """Its address. ``folder`` is where one of our own keeps its streams."""
    if url := os.environ.get("NOTIFIER_TEST_NATS_URL"):
        yield url
        return
    program = shutil.which("nats-server") or next(filter(os.path.exists, ["/usr/sbin/nats-server"]), None)
    if program is None:
        pytest.skip("nats-server is not installed, and NOTIFIER_TEST_NATS_URL names none")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder)], stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        yield f"nats://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
