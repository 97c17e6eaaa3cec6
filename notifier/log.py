"""Structured logs. Only the fields that are listed here may carry a value, so that no person slips into a log."""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog

# Ids of reference rows, numbers and states: nothing here names a person. A field that is not listed is dropped.
ALLOWED = frozenset({
    "event", "level", "timestamp", "logger", "exc_info", "exception",
    "site", "policy", "version", "label", "campaign", "channel", "slice", "state", "action",
    "duty", "worker", "relay", "outcome", "kind", "count", "seconds", "rows", "epoch", "attempts",
    "method", "route", "status", "request", "address_of_service", "port", "folder", "reason", "error",
})  # fmt: skip


def _drop_unlisted(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: value for key, value in event.items() if key in ALLOWED}


def configure_logging(style: str, level: str = "info") -> None:
    """Send logs to standard error: ``json`` for machines, ``text`` for people."""
    renderer: Any = (
        structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _drop_unlisted,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(handlers=[_Libraries()], level=logging.WARNING, force=True)


class _Libraries(logging.Handler):
    """What libraries say through the standard library: who and where. Their words may quote a request or a person."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        place = where(error) if error else f"{record.filename}:{record.lineno}"
        log.log(record.levelno, "said by a library", logger=record.name, error=place)


def where(error: BaseException) -> str:
    """An error as its type and the lines it came through. Its message may quote a person's data, so it stays out."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at " + " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames))


log: structlog.stdlib.BoundLogger = structlog.get_logger()
