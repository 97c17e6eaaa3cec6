"""The password or token that a relay wants: named in site.yaml, and read where the worker runs."""

import asyncio
import os
import shlex

from notifier.channels.smtp import Trouble
from notifier.sites.site import Relay

_PATIENCE = 30.0  # seconds for a command that fetches a token


async def secret_for(relay: Relay, via: str) -> str | None:
    """The secret for one new session; None when the relay wants none. Raises Trouble.

    A command is run anew for every session, without a shell: tokens last an hour, sessions minutes.
    """
    if relay.username is None:
        return None
    if relay.command_env is not None:
        return await _printed_by(_variable(relay.command_env, via), relay.command_env, via)
    return None if relay.password_env is None else _variable(relay.password_env, via)


def _variable(name: str, via: str) -> str:
    if name not in os.environ:
        raise Trouble("session", f"the environment variable {name} is not set", via)
    return os.environ[name]


async def _printed_by(command: str, name: str, via: str) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            *shlex.split(command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except (OSError, ValueError, TypeError) as error:
        raise Trouble("session", f"the command in {name} cannot be run: {error}", via) from error
    try:
        async with asyncio.timeout(_PATIENCE):
            printed, _ = await process.communicate()
    except TimeoutError as error:
        raise Trouble("session", f"the command in {name} takes too long", via) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    secret = printed.decode("utf-8", "replace").strip()
    if process.returncode or not secret or not secret.isprintable():
        raise Trouble("session", f"the command in {name} printed no secret (status {process.returncode})", via)
    return secret
