"""The command line as somebody uses it: real processes, a real database, a real service."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from notifier.demo.catcher import catch_mail
from notifier.demo.stage import free_port
from notifier.resources import resource

Environment = Mapping[str, str]
SITE = "kumo-store"
PEOPLE = """external_id,email,locale,country,roles,registered_at
k1,aoi@example.com,ja,JP,buyer,2024-01-01T00:00:00Z
k2,not an address,en,US,,2024-01-01T00:00:00Z
k3,mia+gone@example.com,en,US,,2024-01-01T00:00:00Z
"""


@pytest.fixture
def environment(database_url: str) -> Environment:
    """What the commands find in their environment: the test's own database and a free port."""
    port = str(free_port(0))
    mine = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFIER_")}
    return mine | {
        "NOTIFIER_DATABASE_URL": database_url,
        "NOTIFIER_SECRET_KEY": "a secret that only this test knows, and long enough",
        "NOTIFIER_PORT": port,
        "NOTIFIER_URL": f"http://127.0.0.1:{port}",
        "NOTIFIER_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "NOTIFIER_POLL_SECONDS": "0.2",
        "NOTIFIER_LOG_LEVEL": "error",
        "COLUMNS": "160",
    }


async def start(environment: Environment, *command: str) -> asyncio.subprocess.Process:
    """Start one command in a process group of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifier.cli", *command,
        env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


async def run(environment: Environment, *command: str, status: int = 0) -> str:
    """Run one command to its end; returns what it printed, and checks how it ended."""
    process = await start(environment, *command)
    said, complaints = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == status, complaints.decode() + said.decode()
    assert b"Traceback" not in complaints
    return said.decode() + complaints.decode()


async def until_said(process: asyncio.subprocess.Process, words: str) -> None:
    """Wait until a process prints a line with these words."""
    assert process.stdout is not None
    while line := await asyncio.wait_for(process.stdout.readline(), 30):
        if words in line.decode():
            return
    assert process.stderr is not None
    raise AssertionError((await process.stderr.read()).decode())


@asynccontextmanager
async def serving(environment: Environment, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A running service; ended by SIGTERM, which must be a good end."""
    process = await start(environment, "serve", *options)
    try:
        await until_said(process, "Listening on")
        yield process
        process.terminate()
        _, complaints = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0, complaints.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def publishing(label: str) -> list[str]:
    """The arguments that publish the example's version of this label."""
    folder = resource("examples") / SITE / label
    texts = [f"--text={locale}={folder / f'privacy.{locale}.md'}" for locale in ("en", "ja")]
    summaries = [f"--summary={file.name.split('.')[1]}={file}" for file in sorted(folder.glob("summary.*"))]
    return ["publish", SITE, "privacy", label, *texts, *summaries]


@pytest.mark.long
async def test_a_site_is_set_up_told_of_a_version_and_asked_about_from_the_terminal(
    environment: Environment, tmp_path: Path
) -> None:
    described = (resource("examples") / SITE / "site.yaml").read_text("utf-8")
    async with catch_mail("127.0.0.1", 0, f"{environment['NOTIFIER_URL']}/hooks/email") as catcher:
        site = tmp_path / "site.yaml"
        site.write_text(described.replace("port: 1025", f"port: {catcher.smtp_port}"))
        assert "nothing was changed" in (await run(environment, "apply", str(site), status=1)).lower()
        assert "Applied" in await run(environment, "apply", str(site), "--yes")
        assert "nothing to change" in await run(environment, "apply", str(site))
        scopes = [f"--scope={scope}" for scope in ("people", "read", "send")]
        token = (await run(environment, "token", "create", "--name", "ci", *scopes)).strip()
        secret = (await run(environment, "webhook-secret", "show", SITE)).strip()
        asking = {**environment, "NOTIFIER_TOKEN": token, "NOTIFIER_WEBHOOK_SECRET": secret}
        async with serving(environment):
            await import_people(asking, tmp_path)
            await publish_and_tell(asking)
            assert "Ended 1" in await run(environment, "token", "revoke", "ci")
            assert "revoked" in await run(asking, "campaigns", "list", SITE, status=1)
    assert catcher.mailbox.counts["accepted"] == 1


async def import_people(asking: Environment, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text(PEOPLE)
    said = await run(asking, "people", "import", SITE, str(people), status=1)
    assert "3 read, 2 kept: 2 new" in said
    assert re.search(r"^ *3 .*email", said, re.MULTILINE), said
    people.write_text(PEOPLE.replace("not an address", "liam@example.com").replace("external_id", "id"))
    assert "external_id" in await run(asking, "people", "import", SITE, str(people), status=1)


async def publish_and_tell(asking: Environment) -> None:
    assert "Nobody needs to be told" in await run(asking, *publishing("1"))
    said = await run(asking, *publishing("2"))
    number = re.search(r"approve kumo-store (\d+)", said)
    assert number is not None, said
    assert "2" in await run(asking, "campaigns", "preview", SITE, number[1])
    assert "approved" in await run(asking, "campaigns", "approve", SITE, number[1], "--reason", "all is well")
    assert "Told 1 people; 1 could not be reached." in await run(asking, *publishing("2"), "--wait")
    assert "approve is possible" in await run(asking, "campaigns", "approve", SITE, number[1], status=1)
    assert "done" in await run(asking, "campaigns", "list", SITE)
    assert re.search(r"population +2", await run(asking, "campaigns", "show", SITE, number[1]))
    assert "k3" in await run(asking, "notices", SITE, number[1], "--status", "unreachable")
    assert await run(asking, "timeline", SITE, "k1")
    assert await run(asking, "explain", SITE, "k3", "privacy", "2")
    assert "Yes" in await run(asking, "told", SITE, "k1", "privacy", "2", "--before", "2099-01-01")
    said = await run(asking, "told", SITE, "k1", "privacy", "2", "--before", "2020-01-01T00:00:00+09:00")
    assert said.startswith("No. What is known today:")
    assert len(said.splitlines()) > 1
    assert "Nothing is on record" in await run(asking, "acceptances", SITE, "k1")


async def test_a_signature_that_does_not_fit_is_one_sentence_and_status_1(environment: Environment) -> None:
    async with serving(environment, "--no-worker"):
        forged = {**environment, "NOTIFIER_WEBHOOK_SECRET": "whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldA=="}
        said = await run(forged, *publishing("1"), status=1)
        assert "signature does not fit" in said
        assert len(said.splitlines()) == 1


async def test_what_cannot_be_understood_is_status_2(environment: Environment) -> None:
    await run(environment, "publish", "kumo-store", status=2)
    await run(environment, "nonsense", status=2)


async def test_a_service_that_is_not_there_is_said_with_what_to_do(environment: Environment) -> None:
    assert "notifier serve" in await run(environment, "campaigns", "list", SITE, status=1)


async def test_a_setting_that_is_wrong_is_named(environment: Environment) -> None:
    said = await run({**environment, "NOTIFIER_PORT": "many"}, "serve", status=1)
    assert "NOTIFIER_PORT" in said


async def test_a_database_that_is_not_there_is_said_with_what_to_do(environment: Environment) -> None:
    gone = {**environment, "NOTIFIER_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
    assert "NOTIFIER_DATABASE_URL" in await run(gone, "migrate", status=1)


async def test_a_port_that_is_taken_is_said_with_what_to_do(environment: Environment) -> None:
    async with serving(environment, "--no-worker"):
        assert "NOTIFIER_PORT" in await run(environment, "serve", "--no-worker", status=1)


@pytest.mark.parametrize("role", [["serve"], ["worker"], ["catch-mail", "--smtp-port=0", "--http-port=0"]])
async def test_ctrl_c_ends_a_role_with_130_and_no_traceback(environment: Environment, role: list[str]) -> None:
    process = await start(environment, *role)
    await until_said(process, "")
    os.killpg(process.pid, signal.SIGINT)
    _, complaints = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 130, complaints.decode()
    assert b"Traceback" not in complaints


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel that knows how to")
async def test_a_worker_interrupts_nobody(environment: Environment) -> None:
    process = await start(environment, "worker")
    await until_said(process, "Working")
    policy = os.sched_getscheduler(process.pid) & ~os.SCHED_RESET_ON_FORK
    process.terminate()
    await asyncio.wait_for(process.communicate(), 30)
    assert policy == os.SCHED_BATCH


async def test_every_command_stands_in_the_docs_and_explains_itself(environment: Environment) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "commands.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `notifier ([a-z-]+)", docs, re.MULTILINE))
    listed = set(re.findall(r"^│ ([a-z][a-z-]+) ", await run(environment, "--help"), re.MULTILINE))
    assert listed == documented


@pytest.mark.long
async def test_a_campaign_is_tested_approved_by_two_stopped_and_let_go_on_from_the_terminal(
    environment: Environment, tmp_path: Path
) -> None:
    described = (resource("examples") / SITE / "site.yaml").read_text("utf-8")
    async with catch_mail("127.0.0.1", 0, f"{environment['NOTIFIER_URL']}/hooks/email") as catcher:
        site = tmp_path / "site.yaml"
        careful = "\napproval: {people: 2, test_send: true}\ncanary: {stages: [1], go_on: by_hand}\n"
        site.write_text(described.replace("port: 1025", f"port: {catcher.smtp_port}") + careful)
        await run(environment, "migrate")
        await run(environment, "apply", str(site), "--yes")
        scopes = [f"--scope={scope}" for scope in ("people", "read", "send", "admin")]
        tokens = [await run(environment, "token", "create", "--name", name, *scopes) for name in ("kei", "noor")]
        one, two = ({**environment, "NOTIFIER_TOKEN": token.strip()} for token in tokens)
        secret = (await run(environment, "webhook-secret", "show", SITE)).strip()
        async with serving(environment):
            people = tmp_path / "people.csv"
            people.write_text(PEOPLE.replace("not an address", "liam@example.com").replace("mia+gone", "mia"))
            await run(one, "people", "import", SITE, str(people))
            one["NOTIFIER_WEBHOOK_SECRET"] = secret
            for label in ("1", "2"):
                await run(one, *publishing(label))
            assert "test letter first" in await run(one, "campaigns", "approve", SITE, "1", status=1)
            said = await run(one, "campaigns", "test", SITE, "1", "kei@office.example", "--locale", "ja")
            assert "accepted by relay" in said
            assert "1 of 2 approved, by kei; somebody else must approve." in await run(
                one, "campaigns", "approve", SITE, "1"
            )
            assert "somebody else must approve" in await run(one, "campaigns", "approve", SITE, "1", status=1)
            assert "every site" in await run(one, "stop", "--reason", "wait")
            assert "is approved" in await run(two, "campaigns", "approve", SITE, "1")
            assert "Nothing is stopped any more" in await run(two, "go")
            assert "is not stopped" in await run(two, "go", SITE, status=1)
            await once_it_can(one, "campaigns", "go-on", SITE, "1", "--reason", "all is well")
            await once_it_can(one, *publishing("2"), "--wait")
    assert catcher.mailbox.counts["accepted"] == 4  # one of them the test letter


async def once_it_can(environment: Environment, *command: str) -> None:
    """Run a command until it ends well."""
    for _ in range(50):
        process = await start(environment, *command)
        _, complaints = await asyncio.wait_for(process.communicate(), 60)
        if process.returncode == 0:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(complaints.decode())
