"""schemathesis asks a real server whatever its own document allows, and much that it does not."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from notifier.compose import Service
from notifier.web.app import build_app
from tests.web.asking import Api, ndjson, submission

# Bounds of a run.
EXAMPLES = 5
SECONDS = 180

CONFIG = """
seed = 1
hooks = "{hooks}"
[auth.openapi.token]
bearer = "{token}"
[auth.openapi.person]
bearer = "{person}"
"""


@pytest.mark.long
async def test_no_answer_is_undocumented_and_none_is_our_failure(
    service: Service,
    api: Api,
    token: Callable[..., Awaitable[str]],
    send_version: Callable[..., Awaitable[tuple[int, Any]]],
    tmp_path: Path,
) -> None:
    await api.post("/v1/sites/kumo/people", ndjson({"external_id": "u-1001", "registered_at": "2020-01-01T00:00:00Z"}))
    await send_version("kumo", submission("2026-03"))
    await send_version("kumo", submission("2026-04", "b"), "msg_2")
    minted = await api.post("/v1/sites/kumo/people/u-1001/tokens")
    config = tmp_path / "schemathesis.toml"
    hooks = Path(__file__).with_name("lines_for_schemathesis.py")
    config.write_text(CONFIG.format(hooks=hooks, token=await token(), person=minted["token"]))
    async with TestServer(build_app(service)) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
            *("run", str(server.make_url("/openapi.json")), "--url", str(server.make_url("/")), "--checks", "all"),
            # The live stream never ends, and a moved clock ends the person token of everybody else.
            *("--exclude-path", "/v1/inbox/live", "--exclude-path", "/v1/clock"),
            # A JSON Schema cannot say which addresses, time zones, flags and dates are good, so some are refused.
            *("--exclude-checks", "positive_data_acceptance"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--no-color"),
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONUTF8": "1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
    assert process.returncode == 0, output.decode()[-20_000:]
