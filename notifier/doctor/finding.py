"""What an examination finds. Pure."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "look", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``fail``: letters would not arrive; ``look``: somebody should know."""

    level: Level
    what: str
    found: str
    remedy: str = ""


def ok(what: str, found: str) -> Finding:
    """Nothing to do."""
    return Finding("ok", what, found)


def look(what: str, found: str, remedy: str) -> Finding:
    """Letters go, and it could be better."""
    return Finding("look", what, found, remedy)


def fail(what: str, found: str, remedy: str) -> Finding:
    """Letters would not go, or not arrive."""
    return Finding("fail", what, found, remedy)
