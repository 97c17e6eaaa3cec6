"""A text made ready to be read: harmless HTML, its table of contents, and which sections changed. Pure.

Texts never change, so what was made of one is kept for the next reader. Making it costs about a second per megabyte.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from html import unescape

from markupsafe import Markup

from notifier.policies.diff import Comparison, compare
from notifier.policies.display import html_of

# A text with fewer headings is taken in at a glance.
LONG = 4
_HEADING = re.compile(r'<h([1-6])[^>]* id="([^"]+)">(.*?)</h\1>', re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True)
class Heading:
    """One line of the table of contents; ``deeper`` than the text's main headings."""

    words: str
    anchor: str
    deeper: bool


@dataclass(frozen=True)
class Readable:
    """A text as it is shown."""

    html: Markup
    contents: tuple[Heading, ...]


@lru_cache(maxsize=32)
def readable(media_type: str, body: bytes) -> Readable:
    """The text cleaned for display, with its table of contents if it is long."""
    html = html_of(media_type, body)
    found = [(int(level), anchor, _words(inner)) for level, anchor, inner in _HEADING.findall(html)]
    main = _main_level([level for level, _, words in found if words])
    lines = [
        Heading(words, unescape(at), level > main) for level, at, words in found if words and 0 <= level - main <= 1
    ]
    # nh3 made it harmless: that is what display is for.
    return Readable(Markup(html), tuple(lines) if len(lines) >= LONG else ())  # noqa: S704 - cleaned by nh3


@lru_cache(maxsize=32)
def compared(old_type: str, old: bytes, new_type: str, new: bytes, locale: str) -> Comparison:
    """What changed between two texts."""
    return compare(old_type, old, new_type, new, locale)


def _main_level(levels: list[int]) -> int:
    """The level of the text's sections. A single heading on top is its title: the sections are one step below."""
    ordered = sorted(set(levels))
    titled = len(ordered) > 1 and levels.count(ordered[0]) == 1
    return ordered[int(titled)] if ordered else 0


def _words(inner: str) -> str:
    return " ".join(unescape(_TAG.sub("", inner)).split())
