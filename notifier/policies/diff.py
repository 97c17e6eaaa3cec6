"""What changed between two versions of a text, section by section. Pure.

Both texts are compared as they are shown (cleaned HTML), so that a change of spaces, of Markdown spelling or from
Markdown to HTML is no change. A section is a heading and what stands under it up to the next heading of any level.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Literal

from notifier.policies.display import html_of

_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_BLOCKS = frozenset({"p", "li", "dt", "dd", "tr", "td", "th", "div", "section", "blockquote", "pre", "caption"})
# A section that only got another number was not edited: "3. Cookies", "4.1 Cookies", "第5条 Cookie".
_NUMBER = re.compile(
    r"^\W*(?:第\s*\d+\s*[条章節項]|(?:article|section)?\s*\d+(?:[.\-]\d+)*)[.)、．:：]?\s*", re.IGNORECASE
)
_NAME_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Section:
    """One section: its heading ("" before the first one), its words, and where its links lead without queries."""

    heading: str
    text: str
    links: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What to call it: the heading or, where there is none, the first words."""
        if self.heading or len(self.text) <= _NAME_LENGTH:
            return self.heading or self.text
        return self.text[:_NAME_LENGTH].rsplit(" ", 1)[0] + "…"

    @property
    def content(self) -> tuple[str, tuple[str, ...]]:
        """What makes it the same section as before, whatever it is called."""
        return self.text, self.links


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one section, called as in the newer text (a removed one as in the older)."""

    section: str
    change: Literal["added", "removed", "edited", "moved"]


class _Splitter(HTMLParser):
    """Collects words and links per heading from cleaned HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[list[str], list[str], list[str]]] = [([], [], [])]
        self.in_heading = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HEADINGS:
            self.in_heading = True
            self.found.append(([], [], []))
        elif tag == "br":
            self.handle_data(" ")
        elif tag == "a" and not self.in_heading:
            target = (dict(attrs).get("href") or "").partition("#")[0].partition("?")[0]
            if target:
                self.found[-1][2].append(target)

    def handle_endtag(self, tag: str) -> None:
        if tag in _HEADINGS:
            self.in_heading = False
        elif tag in _BLOCKS:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        self.found[-1][0 if self.in_heading else 1].append(data)


def sections_of(media_type: str, body: bytes) -> tuple[Section, ...]:
    """The sections of a text in order. A text without headings is one section; an empty one is none."""
    splitter = _Splitter()
    splitter.feed(html_of(media_type, body))
    splitter.close()
    sections = (Section(_squeeze(h), _squeeze(t), tuple(links)) for h, t, links in splitter.found)
    return tuple(section for section in sections if section.heading or section.text)


def changes(old: Sequence[Section], new: Sequence[Section]) -> tuple[Change, ...]:
    """What changed: added, edited and moved sections in the order of the newer text, then the removed ones."""
    pairs = _pairs(old, new)
    still = _in_order([pairs[n] for n in sorted(pairs)])
    found: list[Change] = []
    for position, section in enumerate(new):
        before = pairs.get(position)
        if before is None:
            found.append(Change(section.name, "added"))
        elif section.content != old[before].content or _key(section) != _key(old[before]):
            found.append(Change(section.name, "edited"))
        elif before not in still:
            found.append(Change(section.name, "moved"))
    kept = set(pairs.values())
    found += [Change(section.name, "removed") for position, section in enumerate(old) if position not in kept]
    return tuple(found)


def _squeeze(pieces: Sequence[str]) -> str:
    return " ".join("".join(pieces).split())


def _key(section: Section) -> str:
    return (_NUMBER.sub("", section.heading) or section.heading).casefold()


Identity = Callable[[Section], Hashable]
_IDENTITIES: tuple[Identity, ...] = (lambda s: (_key(s), s.content), _key, lambda s: s.content)


def _pairs(old: Sequence[Section], new: Sequence[Section]) -> dict[int, int]:
    """Which section of the new text continues which of the old: same heading and content, heading, then content."""
    pairs: dict[int, int] = {}
    for identity in _IDENTITIES:
        free = {place: position for position, place in _places(old, identity, set(pairs.values())).items()}
        for position, place in _places(new, identity, set(pairs)).items():
            if place in free:
                pairs[position] = free[place]
    return pairs


def _places(sections: Sequence[Section], identity: Identity, taken: set[int]) -> dict[int, tuple[Hashable, int]]:
    """Position → identity and how often it stood before, for the sections that are still free."""
    seen: Counter[Hashable] = Counter()
    places: dict[int, tuple[Hashable, int]] = {}
    for position, section in enumerate(sections):
        if position not in taken:
            what = identity(section)
            places[position] = (what, seen[what])
            seen[what] += 1
    return places


def _in_order(positions: Sequence[int]) -> set[int]:
    """The longest run of positions that kept their order; whoever is not in it was moved."""
    tails: list[int] = []
    places: list[int] = []
    for position in positions:
        place = bisect_left(tails, position)
        tails[place : place + 1] = [position]
        places.append(place)
    kept: set[int] = set()
    wanted = len(tails) - 1
    for position, place in zip(reversed(positions), reversed(places), strict=True):
        if place == wanted:
            kept.add(position)
            wanted -= 1
    return kept
