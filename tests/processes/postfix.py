"""A private Postfix: its own configuration, queue, ports and log, in the foreground. Never the system's own."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from notifier.demo.stage import free_port

_MAIN = """\
compatibility_level = 3.6
myhostname = relay.kumo.example
config_directory = {folder}/etc
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
syslog_name = postfix
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_dns_support_level = disabled
smtp_host_lookup = native
transport_maps = regexp:{folder}/etc/routes
default_transport = error:5.1.2 this test has no such domain
minimal_backoff_time = 1s
queue_run_delay = 1s
"""
_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def missing() -> str | None:
    """Why no private Postfix can run here; None when one can."""
    if shutil.which("postfix", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        return "Postfix is not installed"
    return None if os.geteuid() == 0 else "Postfix starts as root only"


@dataclass(frozen=True)
class Postfix:
    """Where it takes mail, and where it logs."""

    port: int
    log: Path


@asynccontextmanager
async def postfix(routes: Mapping[str, int]) -> AsyncIterator[Postfix]:
    """A relay for as long as the block lasts. ``routes``: which addresses (a regular expression) go to which port."""
    folder = Path(tempfile.mkdtemp(prefix="notifier-postfix-"))
    folder.chmod(0o755)
    port = free_port(0)
    for name in ("etc", "queue", "data"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    lines = [f"/{pattern}/ smtp:[127.0.0.1]:{to}\n" for pattern, to in routes.items()]
    (folder / "etc/routes").write_text("".join(lines))
    (folder / "etc/main.cf").write_text(_MAIN.format(folder=folder))
    (folder / "etc/master.cf").write_text(_MASTER.format(port=port))
    process = await asyncio.create_subprocess_exec(
        "/usr/sbin/postfix", "-c", str(folder / "etc"), "start-fg",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await _listening(port, process)
        yield Postfix(port, folder / "mail.log")
    finally:
        await _stop(folder, process)
        shutil.rmtree(folder, ignore_errors=True)


async def _stop(folder: Path, process: asyncio.subprocess.Process) -> None:
    """End this Postfix. Its master lives in a session of its own, and outlives what started it."""
    if process.returncode is None:
        stopping = await asyncio.create_subprocess_exec(
            "/usr/sbin/postfix", "-c", str(folder / "etc"), "stop",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await asyncio.wait_for(stopping.wait(), 30)
    await asyncio.wait_for(process.communicate(), 30)


async def _listening(port: int, process: asyncio.subprocess.Process) -> None:
    """Wait until somebody listens on the port. Raises RuntimeError with what Postfix said when it does not start."""
    for _ in range(300):
        if process.returncode is not None:
            assert process.stderr is not None
            raise RuntimeError((await process.stderr.read()).decode())
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return
    raise RuntimeError("Postfix did not listen")
