"""The whole pipeline, and our client alone, against others into the same smtp-sink: speed, CPU, memory, log."""

import tempfile
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks.carriers import Carried, aiosmtplib, install_nodemailer, nodemailer, our_client, smtp_source
from benchmarks.far_side import slow_line, smtp_sink, tool
from benchmarks.figures import Bench, Figure, median_ratio
from benchmarks.ground import described
from benchmarks.pipeline import WORKERS, Told, tell
from notifier.sites.site import Dkim

PEOPLE = 100_000
FEW = 10_000
SLOWLY = 2_000  # letters that aiosmtplib sends over the slow line
SESSIONS = 8  # of each worker, and of each process of a peer
ROUNDS = 5
LATENCY = 0.02  # seconds that a reply takes on the slow line
# So few people would be five slices: whoever has the last has it alone, and the other's sessions nothing to do.
SHORT_SLICES = {"NOTIFIER_SLICE_SIZE": "500"}
DKIM = "BENCH_DKIM"  # the environment variable with the key


@dataclass(frozen=True)
class Course:
    """What all rounds share: the sink's port, smtp-source, the letter of the peers, where nodemailer is if it is."""

    bench: Bench
    port: int
    source: str
    letter: Path
    nodemailer: Path | None


async def measure(bench: Bench) -> list[Figure]:
    """Interleaved rounds: same sink, same size of letters, same processes and sessions."""
    sink, source = tool("smtp-sink"), tool("smtp-source")
    if sink is None or source is None:
        bench.missing.append("delivery: smtp-sink and smtp-source are missing (Debian's postfix package has them)")
        return []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pn-bench-")))
        port = await stack.enter_async_context(smtp_sink(sink))
        small = await tell(bench, FEW, described(port, sessions=SESSIONS))
        (folder / "letter").write_bytes(small.letter)
        why_not = await install_nodemailer(folder)
        if why_not:
            bench.missing.append(f"nodemailer's pool: {why_not}")
        course = Course(bench, port, source, folder / "letter", None if why_not else folder)
        told: dict[str, list[Told]] = defaultdict(list)
        carried: dict[str, list[Carried]] = defaultdict(list)
        for number in range(ROUNDS):
            await _round(course, told, carried)
            rates = {name: of[-1] for name, of in _rates(told, carried).items()}
            bench.say(f"round {number + 1}: " + ", ".join(f"{name} {rate:,.0f}/s" for name, rate in rates.items()))
        return [*_speeds(told, carried), *_costs(told, carried, small)]


async def _round(course: Course, told: dict[str, list[Told]], carried: dict[str, list[Carried]]) -> None:
    """Everything once, one after the other."""
    bench, port, letter = course.bench, course.port, course.letter
    sessions = SESSIONS * WORKERS
    told["pipeline"].append(await tell(bench, PEOPLE, described(port, sessions=SESSIONS)))
    carried["smtp-source"].append(await smtp_source(course.source, port, sessions, PEOPLE, letter))
    carried["client"].append(await our_client(port, WORKERS, SESSIONS, PEOPLE, letter))
    carried["aiosmtplib"].append(await aiosmtplib(port, 1, sessions, FEW, letter))
    carried["aiosmtplib twice"].append(await aiosmtplib(port, WORKERS, SESSIONS, FEW, letter))
    if course.nodemailer is not None:
        carried["nodemailer"].append(await nodemailer(course.nodemailer, port, WORKERS, SESSIONS, FEW, letter))
    key = {DKIM: _key()}
    site = described(port, sessions=SESSIONS).model_copy(update={"dkim": [_SIGNED]})
    told["signed"].append(await tell(bench, PEOPLE, site, key))
    async with slow_line(port, LATENCY) as slow:
        told["slow pipeline"].append(await tell(bench, FEW, described(slow, sessions=SESSIONS), SHORT_SLICES))
        carried["slow aiosmtplib"].append(await aiosmtplib(slow, WORKERS, SESSIONS, SLOWLY, letter))


_SIGNED = Dkim(domain="bench.example", selector="bench", algorithm="ed25519-sha256", key_env=DKIM, key_file=None)


def _key() -> str:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _rates(told: dict[str, list[Told]], carried: dict[str, list[Carried]]) -> dict[str, list[float]]:
    return {
        **{name: [one.rate for one in of] for name, of in told.items()},
        **{name: [one.rate for one in of] for name, of in carried.items()},
    }


def _speeds(told: dict[str, list[Told]], carried: dict[str, list[Carried]]) -> list[Figure]:
    rates = _rates(told, carried)
    each = f"{WORKERS} processes of {SESSIONS} sessions"
    how = f"{PEOPLE:,} people, {each}, {len(told['pipeline'][0].letter):,} bytes a letter, {ROUNDS} rounds"
    made = "; its bytes were made before"
    figures = [
        _against(rates, "pipeline", "smtp-source", 0.6, 1.0, "whole pipeline ÷ smtp-source", how),
        _against(rates, "signed", "smtp-source", 0.5, 0.7, "… signed with Ed25519 (DKIM) ÷ smtp-source", how),
        _against(
            rates, "pipeline", "aiosmtplib", 4, 6,
            "whole pipeline ÷ pooled aiosmtplib", f"one process of {SESSIONS * WORKERS} sessions{made}",
        ),
        _against(
            rates, "pipeline", "aiosmtplib twice", 2.5, None,
            "… ÷ pooled aiosmtplib in as many processes", f"{each}{made}",
        ),
        _against(
            rates, "slow pipeline", "slow aiosmtplib", 2, None,
            f"… both with {LATENCY * 1000:.0f} ms a reply", f"{FEW:,} people in slices of 500, {each}{made}",
        ),
        _against(rates, "client", "smtp-source", None, None, "our client alone ÷ smtp-source", f"{each}{made}"),
    ]  # fmt: skip
    if "nodemailer" in rates:
        name = "whole pipeline ÷ nodemailer's pool"
        figures.append(_against(rates, "pipeline", "nodemailer", None, None, name, f"{each}{made}"))
    return figures


def _against(
    rates: dict[str, list[float]], ours: str, peer: str, bar: float | None, aim: float | None, name: str, how: str
) -> Figure:
    value = median_ratio(rates[ours], rates[peer])
    seen = f"{median(rates[ours]):,.0f}/s against {median(rates[peer]):,.0f}/s"
    return Figure(name, value, bar, "higher", f"{seen}; {how}", aim)


def _costs(told: dict[str, list[Told]], carried: dict[str, list[Carried]], small: Told) -> list[Figure]:
    client, source = ([one.cpu_each for one in carried[name]] for name in ("client", "smtp-source"))
    workers = [one.cpu / one.people * 1e6 for one in told["pipeline"]]
    largest = max(one.peak for one in told["pipeline"])
    freeze, send = (
        median(getattr(one, what) / one.people for one in told["pipeline"]) for what in ("freeze_wal", "send_wal")
    )
    return [
        Figure(
            "client CPU a letter ÷ smtp-source's", median_ratio(client, source), 3, "lower",
            f"our client alone: {median(client):.0f} µs against {median(source):.0f} µs", 1.5,
        ),
        Figure(
            "whole worker's CPU a letter ÷ smtp-source's", median_ratio(workers, source), None, "lower",
            f"{median(workers):.0f} µs: reads, writes, hashes, records and sends",
        ),
        Figure(
            "WAL bytes per letter tried and its outcome", send, None, "lower",
            f"and {freeze:.0f} a notice while freezing: {send + freeze:.0f} a person told", 150,
        ),
        Figure(
            f"worker memory at {PEOPLE // 1000}k ÷ at {FEW // 1000}k", largest / small.peak, 1.2, "lower",
            f"peak {largest / 1024:.0f} MiB against {small.peak / 1024:.0f} MiB", 1.0,
        ),
    ]  # fmt: skip
