"""Bounces as a mail server hands them in: by pipe, with the exit status it understands, and to a listening process."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import aiosmtplib
import pytest

from notifier.demo.stage import free_port
from tests.processes.test_commands import environment, serving, start, until_said

Environment = Mapping[str, str]
__all__ = ["environment"]


async def hand_in(environment: Environment, message: bytes, command: str = "bounce") -> tuple[int | None, str]:
    """Pipe something into a command; its exit status, and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifier.cli", command, env=environment,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, complaints = await asyncio.wait_for(process.communicate(message), 60)
    assert b"Traceback" not in complaints
    return process.returncode, complaints.decode() + said.decode()


async def taken(port: int) -> int:
    """The port, once somebody listens there."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return port


async def test_the_mail_server_keeps_a_bounce_while_nothing_answers(environment: Environment) -> None:
    status, complaint = await hand_in(environment, b"To: b+x@kumo.example\r\n\r\nbounced\r\n")
    assert status == os.EX_TEMPFAIL
    assert "notifier serve" in complaint


async def test_what_is_none_of_ours_is_not_bounced_again(environment: Environment) -> None:
    async with serving(environment, "--no-worker"):
        status, complaint = await hand_in(environment, b"To: b+x@kumo.example\r\n\r\nbounced\r\n")
    assert (status, "return path" in complaint) == (0, True)


@pytest.mark.parametrize("role", [["serve", "--no-worker"], ["worker"]])
async def test_every_role_takes_bounces_where_the_settings_say(environment: Environment, role: list[str]) -> None:
    port = free_port(0)
    process = await start({**environment, "NOTIFIER_BOUNCE_LISTEN": f"127.0.0.1:{port}"}, *role)
    await until_said(process, "ing")
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=await taken(port), start_tls=False) as client:
        await client.mail("")
        with pytest.raises(aiosmtplib.SMTPRecipientRefused, match=r"5\.1\.1"):
            await client.rcpt("somebody@kumo.example")
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_a_log_is_read_from_a_pipe_and_from_a_file_that_grows(environment: Environment, tmp_path: Path) -> None:
    line = b"Mar  2 10:00:01 mail postfix/qmgr[1]: AAAAAA1: from=<b+x@kumo.example>, size=1, nrcpt=1 (queue active)\n"
    assert await hand_in(environment, line, "postfix-log") == (0, "0 news\n")
    (tmp_path / "mail.log").write_bytes(line)
    process = await start(environment, "postfix-log", "--follow", str(tmp_path / "mail.log"))
    await until_said(process, "Following")
    process.terminate()
    _, complaints = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, b"Traceback" in complaints) == (0, False), complaints
    process = await start(environment, "postfix-log", "--follow", str(tmp_path / "none.log"))
    _, complaints = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, b"none.log" in complaints) == (1, True)
