"""What a look at a source amounts to: nothing new, a change that has to be seen again, a change, or a doubt. Pure.

A server's 200 is not the policy. The same address may answer with a login, an error, another region's edition or half
a page; such captures are kept and shown as doubtful, and open nothing.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from notifier.policies.dates import last_updated
from notifier.policies.extract import Reading
from notifier.policies.why import Why, why

Verdict = Literal["first", "same", "technical", "waiting", "changed", "doubtful", "failed"]

# Below this a text is no policy, whatever it says; and half of what it was is a page that broke.
_LEAST_CHARACTERS = 200
_LEAST_SHARE = 0.5
# A stub says that the text is elsewhere or not for us. Real policies say such things too, but not only.
_STUB_LENGTH = 2500
_STUB = re.compile(
    r"redirecting|being redirected|enable javascript|javascript is (?:required|disabled)|are you a robot|captcha|"
    r"checking your browser|verify(?:ing)? (?:that )?you are (?:a )?human|access denied|request blocked|"
    r"not (?:currently )?available in your (?:country|region|location)|unavailable (?:in|from) your|"
    r"リダイレクト|javascript\s?を有効|お住まいの(?:国|地域)では|この地域では|アクセスが拒否",
    re.IGNORECASE,
)
_LOGIN = re.compile(r"\b(?:log ?in|sign ?in)\b|ログイン|サインイン", re.IGNORECASE)
_ERROR = re.compile(
    r"\b(?:404|403|500|502|503)\b|not found|(?:can(?:no|')t|could not) be found|something went wrong|"
    r"internal server error|service unavailable|under maintenance|page (?:does not|doesn't) exist|"
    r"見つかりません|エラーが発生|存在しません|メンテナンス中",
    re.IGNORECASE,
)
# The share of the commonest words that two editions in one language have in common; two languages share names.
_LEAST_COMMON = 0.25
_COMMONEST = 60
_WORD = re.compile(r"[^\W\d_]+")
_SCRIPTS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("Japanese", re.compile(r"[\u3040-\u30ff]")),
    ("Korean", re.compile(r"[\uac00-\ud7af]")),
    ("Chinese", re.compile(r"[\u4e00-\u9fff]")),
    ("Thai", re.compile(r"[\u0e00-\u0e7f]")),
    ("Arabic", re.compile(r"[\u0600-\u06ff]")),
    ("Hebrew", re.compile(r"[\u0590-\u05ff]")),
    ("Cyrillic", re.compile(r"[\u0400-\u04ff]")),
    ("Greek", re.compile(r"[\u0370-\u03ff]")),
    ("Devanagari", re.compile(r"[\u0900-\u097f]")),
    ("Latin", re.compile(r"[A-Za-z\u00c0-\u024f]")),
)
# A letter counts for this script where at least so much of the text is written in it; kana decides before kanji.
_SCRIPT_SHARE = 0.1
# Goes back and forth: so many changes of mind within the captures that are looked at.
_FLAPS = 2


@dataclass(frozen=True)
class Known:
    """What is known of a source. ``settled``: the text that counts; ``candidate``: another one that was seen since.

    ``agreed``: how often in a row the candidate was seen. ``seen``: marks (:func:`mark`) of what was read lately, the
    oldest first.
    """

    settled: Reading | None = None
    candidate: Reading | None = None
    agreed: int = 0
    seen: Sequence[str] = ()


@dataclass(frozen=True)
class Finding:
    """What a look amounts to. ``agreed``: how often in a row the candidate was now seen; ``reason`` of a doubt."""

    verdict: Verdict
    agreed: int = 0
    reason: Why | None = None


SameMeaning = Callable[[str, str], bool]


def judge(reading: Reading, known: Known, agree: int, same_meaning: SameMeaning) -> Finding:
    """Judge what was read. ``agree``: looks in a row that must find the same before a change counts.

    A first sight is a baseline. A change of nothing but spelling and surroundings is ``technical``, and silent.
    """
    if reason := doubt(reading, known.settled):
        return Finding("doubtful", reason=reason)
    if known.settled is None:
        return Finding("first")
    if reading.text == known.settled.text:
        return Finding("same")
    if same_meaning(known.settled.text, reading.text):
        return Finding("technical")
    if goes_back_and_forth([*known.seen, mark(reading, "waiting")]):
        return Finding("doubtful", reason=why("flapping"))
    again = known.candidate is not None and same_meaning(known.candidate.text, reading.text)
    agreed = known.agreed + 1 if again else 1
    return Finding("changed" if agreed >= agree else "waiting", agreed)


def mark(reading: Reading, verdict: Verdict) -> str:
    """What a step of a source's history is known by: one mark for the text that counts, however it was spelt."""
    return "" if verdict in ("first", "same", "technical") else hashlib.sha256(reading.text.encode()).hexdigest()[:16]


def doubt(reading: Reading, before: Reading | None) -> Why | None:
    """Why this is perhaps not the policy, or None."""
    text = reading.text.strip()
    head = f"{reading.title}\n{text[:300]}"
    if len(text) < _STUB_LENGTH and _STUB.search(f"{reading.title}\n{text}"):
        return why("stub")
    if reading.asks_for_password and (len(text) < _STUB_LENGTH or _LOGIN.search(reading.title)):
        return why("login")
    if len(text) < _STUB_LENGTH and _ERROR.search(head):
        return why("error_page")
    if len(text) < _LEAST_CHARACTERS:
        return why("short", count=len(text))
    return _doubt_beside(reading, before) if before is not None else None


def _doubt_beside(reading: Reading, before: Reading) -> Why | None:
    new, old = reading.text, before.text
    if len(new) < len(old) * _LEAST_SHARE:
        return why("shrunk", new=len(new), old=len(old))
    if (script := script_of(new)) != (usual := script_of(old)):
        return why("script", new=script, old=usual)
    if reading.language[:2].lower() != before.language[:2].lower() and reading.language and before.language:
        return why("language", new=reading.language, old=before.language)
    if _common_share(old, new) < _LEAST_COMMON:
        return why("other_text")
    dates = last_updated(new), last_updated(old)
    if dates[0] is not None and dates[1] is not None and dates[0] < dates[1]:
        return why("backwards", new=dates[0].isoformat(), old=dates[1].isoformat())
    return None


def goes_back_and_forth(seen: Sequence[str]) -> bool:
    """Whether a source comes back to what it had left, more than once: A, B, A, B."""
    steps = [one for place, one in enumerate(seen) if place == 0 or one != seen[place - 1]]
    returns = sum(step in steps[:place] for place, step in enumerate(steps))
    return returns >= _FLAPS


def script_of(text: str) -> str:
    """The script that a text is mainly written in."""
    letters = sum(1 for character in text if character.isalpha()) or 1
    for name, pattern in _SCRIPTS:
        if len(pattern.findall(text)) / letters >= _SCRIPT_SHARE:
            return name
    return "unknown"


def _common_share(old: str, new: str) -> float:
    """How many of the old text's commonest words the new one has, of 1. Texts without spaces count by two letters."""
    words = _terms(old)
    commonest = [word for word, _ in Counter(words).most_common(_COMMONEST)]
    present = set(_terms(new))
    return sum(word in present for word in commonest) / len(commonest) if commonest else 1.0


def _terms(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    return [piece for word in words for piece in (_pairs(word) if len(word) > 20 or not word.isascii() else (word,))]


def _pairs(word: str) -> list[str]:
    return [word[place : place + 2] for place in range(max(1, len(word) - 1))]
