"""Where words begin and end, also where no spaces say so. Pure.

The boundaries are ICU's: Unicode Standard Annex 29, with dictionaries for Japanese, Chinese, Thai, Lao,
Burmese and Khmer.
"""

import re
from collections.abc import Iterable, Iterator

from icu4py.breakers import WordBreaker

# What stays whole whatever stands in it: addresses of pages and of people, and what a content network shows instead.
_WHOLE = re.compile(
    r"https?://[^\s<>\"」』）】、。]{1,2000}(?<![.,;:!?)])"
    r"|[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"
    r"|\[email\s?protected\]"
)
# Scripts that write no spaces between words.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f"
_FEATURE = re.compile(rf"([^\W{_UNSPACED}]+)|(?=([{_UNSPACED}]{{2}}|[{_UNSPACED}](?![{_UNSPACED}])))[{_UNSPACED}]")
UNSPACED = re.compile(f"[{_UNSPACED}\U00020000-\U0003ffff]")


def words(text: str, locale: str = "en") -> list[str]:
    """The words and marks of a text in order; each carries the spaces behind it, so that together they are the text."""
    found: list[str] = []
    for piece in _pieces(text, locale):
        if found and piece.isspace():
            found[-1] += piece
        else:
            found.append(piece)
    return found


def count(pieces: Iterable[str]) -> int:
    """How many of these are words: punctuation alone is none."""
    return sum(1 for piece in pieces if any(character.isalnum() for character in piece))


def features(text: str) -> list[str]:
    """What two clauses are alike by: words, and pairs of neighbouring letters where no spaces are written."""
    return [match.group(1) or match.group(2) for match in _FEATURE.finditer(text)]


def _pieces(text: str, locale: str) -> Iterator[str]:
    position = 0
    for match in _WHOLE.finditer(text):
        yield from _boundaries(text[position : match.start()], locale)
        yield match.group()
        position = match.end()
    yield from _boundaries(text[position:], locale)


def _boundaries(text: str, locale: str) -> Iterator[str]:
    if not text:
        return
    # icu4py 1.2 counts in UTF-16, where 😀 is two.
    if text.isascii() or max(text) <= "\uffff":
        for start, end in WordBreaker(text, locale).segments():
            yield text[start:end]
    else:
        wide = text.encode("utf-16-le", "surrogatepass")
        for start, end in WordBreaker(text, locale).segments():
            yield wide[2 * start : 2 * end].decode("utf-16-le", "surrogatepass")
