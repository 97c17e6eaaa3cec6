"""Dates as policies write them: lines that say nothing else, and the day on which a text says it was changed. Pure.

A line that only says when a text was written or takes effect, or where its other versions are, is recognised by what it
does not have: once its dates are taken out, nothing is left but a few words that say "last updated". One word more
("effective for buyers only from …") and it is a clause like any other.
"""

import re
from collections.abc import Iterator
from datetime import date

from babel import Locale

_MONTH_LOCALES = ("en", "de", "fr", "es", "it", "pt", "nl", "th")
_MORE_MONTHS = {"sept": 9, "fevrier": 2, "aout": 8, "decembre": 12}


def _months() -> Iterator[tuple[str, int]]:
    for locale in _MONTH_LOCALES:
        for width in ("wide", "abbreviated"):
            for context in ("format", "stand-alone"):
                names = Locale(locale).months[context][width]
                yield from ((name.rstrip(".").lower(), number) for number, name in names.items())


_MONTHS = dict(_months()) | _MORE_MONTHS
_MONTH = "(?:" + "|".join(sorted(map(re.escape, _MONTHS), key=len, reverse=True)) + r")\.?"
_DAY = r"\d{1,2}(?:st|nd|rd|th|er|º|\.)?"
DATE = re.compile(
    rf"(?<![^\W\d_]){_MONTH}\s*{_DAY}\s*,?\s*\d{{4}}(?!\d)"
    rf"|(?<!\d){_DAY}\s*(?:of\s+|de\s+)?{_MONTH},?\s*(?:de\s+|พ\.ศ\.\s*)?\d{{4}}(?!\d)"
    rf"|(?<![^\W\d_]){_MONTH}\s*(?:of\s+|de\s+)?\d{{4}}(?!\d)"
    r"|(?<!\d)(?:\d{4}|(?:令和|平成|昭和)\s*(?:\d{1,2}|元))\s*年\s*\d{1,2}\s*月(?:\s*\d{1,2}\s*日)?"
    r"|(?<!\d)\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?!\d)"
    r"|(?<!\d)\d{1,2}[-/.]\d{1,2}[-/.]\d{4}(?!\d)",
    re.IGNORECASE,
)
# Of the version, the act and the document: enough for every line that says when, and no word that could say more.
_SAYING_WHEN = """
a an and as at been before be becomes can changed changes click come comes coming created current currently date dated
document earlier effect effective enacted established existing find first for force formulated from go goes has have
here in into is issued it last latest look may modified new next notice now of on our out page please policy posted
previous prior privacy published read released review reviewed revised revision see since statement take takes terms
the these this until update updated updates users valid version versions view was we were will you your
stand zuletzt aktualisiert geändert gültig ab vom am letzte aktualisierung änderung kraft seit
dernière mise à jour modification en vigueur le du depuis última actualización fecha entrada vigor el del desde
"""
_VOCABULARY = frozenset(_SAYING_WHEN.split())
_NAMES = re.compile(r"\b(?:terms\s+(?:of|and\s+conditions\s+of)\s+(?:use|service)|user\s+agreement)\b", re.IGNORECASE)
_OTHER_VERSION = frozenset({"previous", "prior", "earlier"})
_ASIAN_LABELS = re.compile(
    "最終|最新|最近|更新|改定|改訂|改正|制定|施行|発効|公開|策定|掲載|生效|发布|發布|修订|修訂|日期|版本|本規約|本約款"
    "|本ポリシー|プライバシーポリシー|利用規約|効力|発生|適用|開始|附則|以上|付け?|から|より|します|されます|しました|第\\d+版"
    "|日|版|は|に|の|を|が|自|起|于|於|本|政策|条款"
    "|อัปเดต|ปรับปรุง|แก้ไข|ล่าสุด|ครั้ง|มีผลบังคับใช้|ตั้งแต่|วันที่|เมื่อ|ฉบับ|นโยบาย"
)
_MARKS = ("©", "(c)", "copyright")
_COPYRIGHT = re.compile(r"(?:©|\(c\)|copyright)[\s©]*\d{4}(?:\s*[-–]\s*\d{4})?", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")
_WORTH_A_LOOK = re.compile(r"\d|元年|[Vv]ersion")
# A whole line, or two: longer ones are never only dates.
_LENGTH = 300


def only_says_when(text: str) -> bool:
    """Whether a clause says nothing but when this version was made or takes effect, or where the other versions are."""
    if len(text) > _LENGTH or not _WORTH_A_LOOK.search(text):
        return False
    rest, dates = DATE.subn(" ", _NAMES.sub(" ", text))
    rest = _ASIAN_LABELS.sub(" ", rest)
    left = [word.lower() for word in _WORD.findall(rest)]
    if not dates and not ("version" in left and not _OTHER_VERSION.isdisjoint(left)):
        return False
    return _VOCABULARY.issuperset(left) and not re.search(r"\d", rest)


def without_copyright_year(text: str) -> str:
    """ "© 2025 Kumo" as "© Kumo"."""
    return _COPYRIGHT.sub("©", text) if any(mark in text.lower() for mark in _MARKS) else text


# ---------------------------------------------------------------- the day of the last change

_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925}
_MONTH_IN = re.compile(_MONTH, re.IGNORECASE)
_NUMBER = re.compile(r"\d+|元")
# Above this a year counts from the Buddha's death, as in Thailand.
_BUDDHIST, _BUDDHA = 2400, 543
_LABEL = re.compile(
    r"""(?:last\s+(?:updated|modified|revised|changed|amended)|effective(?:\s+(?:date|as\s+of|from|on))?|
        (?:date\s+of\s+)?(?:last\s+)?(?:revision|update)|updated|revised|version\s+(?:of|dated)|
        in\s+effect\s+(?:from|since)|
        stand|letzte\s+(?:änderung|aktualisierung)|dernière\s+(?:mise\s+à\s+jour|modification)|última\s+actualización|
        最終(?:更新|改定|改訂)日?|改定日?|改訂日?|更新日|施行日?|制定日?|発効日?)
        [\s*_:：|（(]{0,12}(?:on\s+|of\s+|am\s+|the\s+|le\s+)?""",
    re.IGNORECASE | re.VERBOSE,
)
# 2024年4月1日改定: in Japanese the word may stand behind the day.
_LABEL_BEHIND = re.compile(r"\s?(?:最終)?(?:更新|改定|改訂|施行|制定)")
_LONGEST_DATE = 30


def last_updated(text: str) -> date | None:
    """The latest day that the text says of itself as its update, revision or effect; None when it says none."""
    days = (day_of(words) for words in _labelled(text))
    return max((day for day in days if day is not None), default=None)


def _labelled(text: str) -> Iterator[str]:
    """The dates beside which it says what they are."""
    for label in _LABEL.finditer(text):
        if (found := DATE.match(text, label.end())) is not None:
            yield found.group()
    for label in _LABEL_BEHIND.finditer(text):
        before = text[max(0, label.start() - _LONGEST_DATE) : label.start()]
        yield from (found.group() for found in DATE.finditer(before) if found.end() == len(before))


def day_of(words: str) -> date | None:
    """The day that a match of DATE means; None where it names none, or one that may be another (1/2/2026)."""
    month = _MONTH_IN.search(words)
    numbers = _NUMBER.findall(words if month is None else words[: month.start()] + " " + words[month.end() :])
    numbers = ["1" if number == "元" else number for number in numbers]
    try:
        if month is not None:
            day, year = sorted(map(int, numbers), key=lambda number: number > 31)
            year -= _BUDDHA if year > _BUDDHIST else 0
            return _day(year, _MONTHS[month.group().rstrip(".").lower()], day)
        year, number, day = map(int, numbers)
    except ValueError:
        return None
    era = next((begin for name, begin in _ERAS.items() if name in words), 0)
    return _day(year + era, number, day) if era or len(numbers[0]) == 4 else None


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
