"""Who carries the same letter many times: smtp-source, aiosmtplib, nodemailer, and our own client without the rest."""

import asyncio
import json
import resource
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Carried:
    """What a carrier needed for ``count`` letters: seconds, and seconds of its own CPU."""

    count: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Letters a second."""
        return self.count / self.seconds

    @property
    def cpu_each(self) -> float:
        """Microseconds of CPU per letter."""
        return self.cpu / self.count * 1e6


async def smtp_source(program: str, port: int, sessions: int, count: int, letter: Path) -> Carried:
    """smtp-source with reused sessions (-d). It makes up letters of the same size."""
    before, started = _children(), time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        program, "-d", "-s", str(sessions), "-m", str(count), "-l", str(letter.stat().st_size),
        "-f", "from@bench.example", "-t", "to@bench.example", f"127.0.0.1:{port}",
    )  # fmt: skip
    if await process.wait() != 0:
        raise RuntimeError("smtp-source failed")
    return Carried(count, time.perf_counter() - started, _children() - before)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def our_client(port: int, processes: int, sessions: int, count: int, letter: Path) -> Carried:
    """Our email channel with letters that are already written, and with no database."""
    return await _side_by_side(
        [sys.executable, "-m", "benchmarks.carry", "ours"], port, processes, sessions, count, letter
    )


async def aiosmtplib(port: int, processes: int, sessions: int, count: int, letter: Path) -> Carried:
    """A pool of aiosmtplib's sessions, each of which sends one letter after the other."""
    command = [sys.executable, "-m", "benchmarks.carry", "aiosmtplib"]
    return await _side_by_side(command, port, processes, sessions, count, letter)


async def nodemailer(folder: Path, port: int, processes: int, sessions: int, count: int, letter: Path) -> Carried:
    """nodemailer's own pool, from the folder that it was installed into."""
    node = shutil.which("node") or "node"
    command = [node, str(HERE / "carry.cjs"), str(folder / "node_modules" / "nodemailer")]
    return await _side_by_side(command, port, processes, sessions, count, letter)


async def install_nodemailer(folder: Path) -> str | None:
    """Install nodemailer into an empty folder. Returns why not, or None."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return "node and npm are missing"
    process = await asyncio.create_subprocess_exec(
        npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), "nodemailer",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            done = await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        done = 1
    return None if done == 0 else "npm could not install it here"


async def _side_by_side(
    command: Sequence[str], port: int, processes: int, sessions: int, count: int, letter: Path
) -> Carried:
    """The same program several times, from the moment that all are ready. Each carries its share."""
    share = count // processes
    started = [
        await asyncio.create_subprocess_exec(
            *command, str(port), str(sessions), str(share), str(letter),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(processes)
    ]  # fmt: skip
    for process in started:
        assert process.stdout is not None
        if await process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{' '.join(command)} does not start")
    begun = time.perf_counter()
    answers = await asyncio.gather(*(process.communicate(b"go\n") for process in started))
    seconds = time.perf_counter() - begun
    if any(process.returncode for process in started):
        raise RuntimeError(f"{' '.join(command)} failed")
    return Carried(share * processes, seconds, sum(json.loads(said)["cpu"] for said, _ in answers))
