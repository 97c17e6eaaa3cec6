"""The demo as somebody runs it: the whole story, a second run, and Ctrl-C at awkward moments."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long

PEOPLE = 60
# What a demo and everything it starts carry in their environment, so that the test can see who stays behind.
MARK = "NOTIFIER_TEST_FAMILY"

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A demo of its own session; killed at the end if it is still there."""
    mark = secrets.token_hex(8)
    command = [sys.executable, "-m", "notifier.cli", "demo", "--data-folder", str(folder), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--people", str(PEOPLE), *options],
        env=os.environ | {MARK: mark, "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    process.mark = mark  # type: ignore[attr-defined] # travels with the process, for family()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def family(process: subprocess.Popen[str]) -> list[str]:
    """The processes that the demo started, or is, and that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            environment = (entry / "environ").read_bytes()
            if f"{MARK}={process.mark}".encode() in environment:  # type: ignore[attr-defined] # see demo()
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except (OSError, ValueError):
            continue
    return [line for line in found if line]  # a zombie has no command line


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def until_said(process: subprocess.Popen[str], words: str) -> None:
    """Wait until the demo says something."""
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"it ended without saying {words!r}: {process.stderr and process.stderr.read()}")


def told(folder: Path, *options: str) -> tuple[str, list[dict[str, Any]]]:
    """Play the demo once: what it said, and the counts of its last line."""
    with demo(folder, "--once", *options) as process:
        said, complaints = process.communicate(timeout=120)
        assert process.returncode == 0, complaints
        assert complaints == ""
        assert family(process) == []
    sites = json.loads(said.splitlines()[-1])["sites"]
    assert isinstance(sites, list)
    return said, sites


def check(site: dict[str, Any]) -> None:
    """The sums that every last line must keep."""
    named = (
        "site population in_scope excluded told too_little_evidence unreachable suppressed superseded pending accepted"
    )
    assert list(site) == named.split()
    assert site["population"] == site["in_scope"] + sum(site["excluded"].values())
    parts = ("told", "too_little_evidence", "unreachable", "suppressed", "superseded", "pending")
    assert site["in_scope"] == sum(site[part] for part in parts)
    assert list(site["accepted"]) == ["deemed", "explicit", "registration"]
    assert site["told"] >= site["accepted"]["deemed"] + site["accepted"]["explicit"] > 0
    assert site["pending"] == 0


@linux_only
def test_the_story_is_told_to_its_end_and_the_next_run_goes_on_from_there(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    said, first = told(folder)
    assert [site["site"] for site in first] == ["kumo-store", "hanabi-market"]
    assert sum(site["population"] for site in first) == PEOPLE
    assert "A baseline" in said
    assert first[0]["excluded"]["registered_with_it"] > 0
    for site in first:
        check(site)
    said, second = told(folder)
    assert "going on after edition 2" in said
    assert "edition 3" in said
    for before, after in zip(first, second, strict=True):
        check(after)
        assert after["population"] > before["population"]


@linux_only
def test_ctrl_c_while_the_database_is_made_leaves_nothing_behind(tmp_path: Path) -> None:
    with demo(tmp_path / "demo") as process:
        until((tmp_path / "demo" / "postgres" / "data.new" / "global").exists)
        os.killpg(process.pid, signal.SIGINT)
        _, complaints = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "Traceback" not in complaints
        assert family(process) == []


@linux_only
@pytest.mark.parametrize("moment", ["1. People", "kumo-store: edition 1", "Approved and sent", "Put off"])
def test_ctrl_c_in_the_middle_of_the_story_leaves_nothing_behind(tmp_path: Path, moment: str) -> None:
    with demo(tmp_path / "demo") as process:
        until_said(process, moment)
        os.killpg(process.pid, signal.SIGINT)
        _, complaints = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "Traceback" not in complaints
        assert family(process) == []


@linux_only
def test_ctrl_c_before_anything_is_open_leaves_nothing_behind(tmp_path: Path) -> None:
    with demo(tmp_path / "demo") as process:
        time.sleep(0.2)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode in {130, -signal.SIGINT}
        assert family(process) == []


@linux_only
def test_after_the_story_it_stays_until_ctrl_c_and_a_fresh_start_forgets_it(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with demo(folder) as process:
        until_said(process, "Ctrl-C ends the demo")
        with demo(folder, "--fresh", "--once") as other:
            _, complaints = other.communicate(timeout=30)
            assert other.returncode == 1
            assert "Another demo is using" in complaints.replace("\n", " ")
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 0
        assert family(process) == []
    with demo(folder, "--fresh") as process:
        until_said(process, "A baseline")


def test_a_folder_that_the_demo_did_not_make_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with demo(tmp_path, "--fresh") as process:
        _, complaints = process.communicate(timeout=30)
        assert process.returncode == 1
        assert "did not put there" in complaints.replace("\n", " ")
    assert (tmp_path / "letter.txt").read_text() == "mine"
