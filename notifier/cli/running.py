"""How a command runs, is interrupted, and says what went wrong."""

import asyncio
import ctypes
import errno
import gc
import inspect
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any

import asyncpg
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from notifier.errors import Fault, Invalid, NotifierError, Unavailable
from notifier.log import configure_logging
from notifier.settings import Settings

# Faults of one input that are printed; the rest is counted.
SHOWN_FAULTS = 20
SIGNALS = (signal.SIGINT, signal.SIGTERM)

errors = Console(stderr=True, highlight=False)


def run(command: Coroutine[Any, Any, int | None]) -> int:
    """Run a command to its end and return its exit status. Ctrl-C and SIGTERM cancel it; it closes what it opened."""
    # What is loaded stays, and letters make no cycles: looking for some took a worker 6 % of its time (perf).
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
    _keep_memory()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_until_cancelled(command))


def _keep_memory() -> None:
    """Have glibc keep up to 64 MB of what is freed, where it is our libc.

    It gives the memory of a batch of letters back to the system, and takes it anew for the next: page faults, a fifth
    of the time that writing a letter takes. (mallopt(3): M_TRIM_THRESHOLD is -1.)
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(-1, 64 * 1024 * 1024)


def interrupt_nobody() -> None:
    """Have Linux schedule this process as one that works in the background (SCHED_BATCH: sched(7)).

    Whoever is woken otherwise interrupts who runs: each answer of a relay on the same machine interrupted that very
    relay in the midst of the next letter. Its share of the processors is the same. Its children are as before.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # forbidden here: it works as well, a little slower
            os.sched_setscheduler(0, os.SCHED_BATCH | os.SCHED_RESET_ON_FORK, os.sched_param(0))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed (the extra ``fast``), otherwise asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _until_cancelled(command: Coroutine[Any, Any, int | None]) -> int:
    task = asyncio.create_task(command)
    received: list[int] = []

    def cancel(number: int) -> None:
        # Once: a second cancellation would break off the closing that the first one began.
        if not received:
            task.cancel()
        received.append(number)

    on_signals(cancel)
    try:
        return await task or 0
    except asyncio.CancelledError:
        return 128 + received[0] if received else 1


def on_signals(handle: Callable[[int], None]) -> None:
    """Have ``handle`` called with the number of every SIGINT and SIGTERM from now on."""
    for number in SIGNALS:
        with suppress(NotImplementedError):  # Windows: there Ctrl-C raises KeyboardInterrupt
            asyncio.get_running_loop().add_signal_handler(number, handle, number)


class Stopping:
    """Set by the first SIGINT or SIGTERM after it was made; a role then finishes what it has in hand."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self._by: int | None = None
        on_signals(self._set)

    def _set(self, number: int) -> None:
        if self._by is None:
            self._by = number
            errors.print("[dim]Stopping: what is in hand is finished first …[/dim]")
        self.event.set()

    @property
    def status(self) -> int:
        """The exit status: 130 after Ctrl-C, 0 after SIGTERM, which is how a supervisor ends a service."""
        return 130 if self._by == signal.SIGINT else 0


def settings() -> Settings:
    """The settings of the environment; logging is set up as they say. Raises Invalid, naming each variable."""
    try:
        found = Settings()
    except ValidationError as error:
        faults = [Fault("NOTIFIER_" + "_".join(map(str, e["loc"])).upper(), e["msg"]) for e in error.errors()]
        raise Invalid("the settings in the environment (or in .env) need mending", faults) from error
    configure_logging(found.log_format, found.log_level)
    return found


def call(command: Callable[..., Any], arguments: inspect.BoundArguments) -> int:
    """Call a command and return its exit status; what went wrong is printed as one sentence and its remedy."""
    try:
        result = command(*arguments.args, **arguments.kwargs)
        return run(result) if inspect.iscoroutine(result) else int(result or 0)
    except Exception as error:
        known = _known(error)
        if known is None:
            raise
        complain(known)
        return 1


def _known(error: BaseException) -> NotifierError | None:
    """The first thing that went wrong, if the caller can act on it."""
    for cause in _leaves(error):
        if isinstance(cause, NotifierError):
            return cause
        if isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE:
            choose = "choose another port; for a service with NOTIFIER_PORT or NOTIFIER_BOUNCE_LISTEN"
            return Unavailable(f"{cause.strerror}; {choose}")
        if isinstance(cause, OSError) and cause.filename:
            return Invalid(f"{cause.filename}: {cause.strerror}")
        if isinstance(cause, asyncpg.PostgresError | asyncpg.InterfaceError | OSError):
            return Unavailable(f"{cause or type(cause).__name__}; check NOTIFIER_DATABASE_URL and that the server runs")
    return None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def complain(error: NotifierError) -> None:
    """Print an error: the sentence, then each fault on a line of its own."""
    errors.print(Text.assemble(("✗ ", "bold red"), _sentence(error.detail)), soft_wrap=True)
    for fault in error.faults[:SHOWN_FAULTS]:
        errors.print(Text.assemble("  ", (fault.pointer, "bold"), f": {fault.detail}"), soft_wrap=True)
    if len(error.faults) > SHOWN_FAULTS:
        errors.print(f"  … and {len(error.faults) - SHOWN_FAULTS} more", soft_wrap=True)


def _sentence(detail: str) -> str:
    first = detail.split(maxsplit=1)[:1]
    if first and first[0].strip(",;:").isalpha():  # a name of something, like site.yaml or my-shop, stays as it is
        detail = detail[0].upper() + detail[1:]
    return detail + ("" if detail.endswith((".", "!", "?")) else ".")
