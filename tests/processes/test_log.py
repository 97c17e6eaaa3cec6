"""What reaches the log from libraries, in a process of its own, as logging is set up once per process."""

import json
import subprocess
import sys

from notifier.settings import Settings

SCRIPT = """
import asyncio, logging
from notifier.log import configure_logging, log

configure_logging("json", "debug")
try:
    raise ValueError("canary@people.example")
except ValueError:
    logging.getLogger("aiohttp.server").exception("Error handling request from %s for canary", "203.0.113.9")
logging.getLogger("somebody").warning("canary %s", "canary")
logging.getLogger("somebody").info("canary")

async def lose_a_task():
    async def fail():
        raise LookupError("canary")
    task = asyncio.ensure_future(fail())
    await asyncio.sleep(0)
    del task
asyncio.run(lose_a_task())
log.info("request", status=200, email="canary@people.example", external_id="canary")
"""


def test_libraries_are_heard_without_what_they_quote() -> None:
    said = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert "canary" not in said.stdout + said.stderr
    assert "203.0.113.9" not in said.stderr
    lines = [json.loads(line) for line in said.stderr.splitlines()]
    assert [(line["level"], line.get("logger")) for line in lines] == [
        ("error", "aiohttp.server"), ("warning", "somebody"), ("error", "asyncio"), ("info", None),
    ]  # fmt: skip
    assert lines[0]["error"].startswith("ValueError at ")


def test_settings_show_no_secret() -> None:
    secret = "canary" * 6
    found = Settings(
        _env_file=None, database_url=f"postgresql://notifier:{secret}@db/notifier", secret_key=secret,
        postmark_secret=secret, mailgun_key=secret,
    )  # fmt: skip
    assert "canary" not in f"{found!r} {found}"
