"""What changes without changing what a text says, step by step. Pure.

Each step has a name, so that a result can say which ones it took. A text's bytes stay as they are: a step makes what is
*compared*, never what is kept or shown.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import groupby

from notifier.policies.clauses import Clause
from notifier.policies.dates import only_says_when, without_copyright_year
from notifier.policies.links import place
from notifier.policies.words import UNSPACED

# Zero-width characters, soft hyphens, marks of direction, variation selectors, and what stands for a lost character.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff]"
)
_QUOTES = re.compile("[\"'`´‘’‚‛“”„‟«»‹›′″‴]+")
_APOSTROPHE = re.compile(r"['’´`](?<=\w.)(?=\w)")
_DASHES = re.compile("[-‐‑‒–—―−⁃]+")
_WAVES = re.compile("[~〜～]+")
_STOPS = re.compile(r"[.…]{2,}|…")
_ENDS = " .,;:、。，；："
_FOOTNOTE = re.compile(r"\[\d{1,3}\]")
_BULLET = re.compile(r"^[*•·‣▪◦●○■□◆・\-–—]\s+")
_ADDRESS = re.compile(r"https?://[^\s<>\"」』）】、。]{1,2000}(?<![.,;:!?)])")
_NUMBER = re.compile(
    r"^\W{0,3}(?:第\s*[\d一二三四五六七八九十百]+\s*[条條章節节項项款](?:の\d+)?"
    r"|(?i:article|section|clause|§|ข้อ)\s*\d+(?:[.\-]\w{1,4})*"
    r"|(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})(?:\.\w{1,4})*[.)、．:：]"
    r"|\d{1,3}(?:\.\d{1,3})+(?=\s))[.)、．:：]?\s*"
)
_NEAR_UNSPACED = re.compile(rf"(?<={UNSPACED.pattern})\s+|\s+(?={UNSPACED.pattern})")
_DECORATION = re.compile(r"[=_*#~-]{3,}")
_ANCHOR_MARKS = frozenset("#¶🔗")
_ANCHOR_MARK = re.compile(r"^[#¶🔗]\s+|\s*[#¶🔗]\s*$")
_SITE_NAME = re.compile(r"\s+[|｜]\s.*$")
_WIDGET_LINES = """
play video|view more|show more|read more|see more|show less|view all|expand all|collapse all|back to top|top|print
share|share this|copy link|download|download pdf|pdf|menu|search|close|skip to content|skip to main content|go back
back|next|previous|false|true|null|undefined|nan|[object object]|loading|was this helpful?|yes|no|cookie settings
cookie preferences|accept all|reject all|sign in|log in|edit|×|x|▲|↑|>
もっと見る|続きを読む|閉じる|開く|印刷|印刷する|シェア|シェアする|戻る|メニュー|検索|ページトップへ|ページの先頭へ|先頭へ戻る|トップへ戻る
查看更多|返回顶部|打印|分享|关闭|ดูเพิ่มเติม|กลับด้านบน|พิมพ์|แชร์"""
_WIDGETS = frozenset(re.split(r"[|\n]", _WIDGET_LINES.strip()))
_WIDGET_LENGTH = max(map(len, _WIDGETS))
_CONTENTS_TITLE = re.compile(
    r"(?:table of )?contents|index|on this page|in this (?:policy|article|document|page)|quick links"
    r"|目次|目录|目錄|สารบัญ|inhalt(?:sverzeichnis)?|sommaire|índice"
)
# So many lines in a row that each repeat a heading of the text are its table of contents.
_CONTENTS_LENGTH = 3
# Characters of a line in it.
_LINE = 200

TextStep = tuple[str, Callable[[str], str]]


def without_invisible(text: str) -> str:
    """Without characters that nobody sees."""
    return text if text.isascii() else _INVISIBLE.sub("", text)


def one_width(text: str) -> str:
    """Full-width letters, half-width katakana, ligatures and accents composed in two ways as one (Unicode's NFKC)."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def without_quotes(text: str) -> str:
    """Without quotation marks, of which there are many kinds; an apostrophe within a word stays, 「」 stay."""
    return _QUOTES.sub("", _APOSTROPHE.sub("\ue000", text)).replace("\ue000", "'")


def one_dash(text: str) -> str:
    """Every hyphen and dash as one, and every wave dash."""
    return _DASHES.sub("-", text if text.isascii() else _WAVES.sub("~", text))


def without_spaces_between_scripts(text: str) -> str:
    """「Cookie を」 as 「Cookieを」; all other spaces were squeezed when the text was read."""
    return text if text.isascii() or not UNSPACED.search(text) else _NEAR_UNSPACED.sub("", text)


def without_address_noise(text: str) -> str:
    """Printed addresses as the places they lead to."""
    return _ADDRESS.sub(lambda found: place(found.group()), text) if "://" in text else text


def without_footnote_marks(text: str) -> str:
    """Without [12] and the like."""
    return _FOOTNOTE.sub("", text) if "[" in text else text


def without_bullet(text: str) -> str:
    """Without a bullet that stands in the words because no list was made of it."""
    return _BULLET.sub("", text)


def without_extra_stops(text: str) -> str:
    """Repeated full stops as one, and none of . , ; : at the end: lists do as they like there."""
    return (_STOPS.sub(".", text) if ".." in text or "…" in text else text).rstrip(_ENDS)


def without_decoration(text: str) -> str:
    """Nothing of a line that is only drawn: =====."""
    return "" if _DECORATION.fullmatch(text) else text


def parted_number(title: str) -> tuple[str, str]:
    """The number of a heading (3., 4.1, 第5条, Article 6) and its words; no number where it is all there is."""
    found = _NUMBER.match(title)
    end = found.end() if found and found.end() < len(title) else 0
    return title[:end], title[end:]


def without_number(title: str) -> str:
    """Without the number of a heading."""
    return parted_number(title)[1]


def without_anchor_mark(title: str) -> str:
    """A heading without the mark behind it (# or ¶) that links to it."""
    return _ANCHOR_MARK.sub("", title) if _ANCHOR_MARKS.intersection(title) else title


def one_case(title: str) -> str:
    """A heading's words without capitals."""
    return title.casefold()


def without_site_name(title: str) -> str:
    """A page's title without the site's name behind a bar."""
    return _SITE_NAME.sub("", title) if "|" in title or "｜" in title else title


TEXT_STEPS: tuple[TextStep, ...] = (
    ("invisible_characters", without_invisible),
    ("footnote_marks", without_footnote_marks),
    ("address_noise", without_address_noise),
    ("width", one_width),
    ("quotes", without_quotes),
    ("list_style", without_bullet),
    ("dashes", one_dash),
    ("spaces", without_spaces_between_scripts),
    ("copyright_year", without_copyright_year),
    ("full_stops", without_extra_stops),
    ("decoration", without_decoration),
)
# These only for headings: "30 days" in a list is no number of a chapter.
TITLE_STEPS: tuple[TextStep, ...] = (
    *TEXT_STEPS,
    ("anchor_marks", without_anchor_mark),
    ("site_name", without_site_name),
    ("numbering", without_number),
    ("letter_case", one_case),
)
# Those that also hold for one word within a clause.
_WORD_STEPS = frozenset({"invisible_characters", "footnote_marks", "address_noise", "width", "quotes", "dashes"})


def key(text: str, *, heading: bool) -> str:
    """What of a clause is compared with other clauses."""
    return _after(text, TITLE_STEPS if heading else TEXT_STEPS)


@lru_cache(maxsize=65536)
def word_key(word: str) -> str:
    """What of a word is compared with other words; nothing of a footnote mark."""
    if word.isascii() and word.isalnum():
        return word
    return _after(word, [step for step in TEXT_STEPS if step[0] in _WORD_STEPS])


def steps_between(old: str, new: str, *, heading: bool) -> tuple[str, ...]:
    """The names of the steps without which two clauses of the same key would differ."""
    if old == new:
        return ()
    steps = TITLE_STEPS if heading else TEXT_STEPS
    needed = []
    for left_out in steps:
        others = [step for step in steps if step is not left_out]
        if _after(old, others) != _after(new, others):
            needed.append(left_out[0])
    return tuple(needed)


def _after(text: str, steps: Sequence[TextStep]) -> str:
    for _, step in steps:
        text = step(text)
    return text.strip()


def as_title(key: str) -> str:
    """The key of a line as that of the heading that it may repeat; nothing of a long one."""
    return _after(key, TITLE_STEPS[len(TEXT_STEPS) :]) if len(key) <= _LINE else ""


class Lines:
    """What single lines amount to, worked out once for each: two texts that are compared share most of theirs."""

    def __init__(self) -> None:
        self.key = cache(key)
        self.as_title = cache(as_title)
        self.only_says_when = cache(only_says_when)


def dates(clauses: Sequence[Clause], keys: Sequence[str], lines: Lines) -> set[int]:
    """Lines that only say when, or where other versions are."""
    return {position for position, clause in enumerate(clauses) if lines.only_says_when(clause.text)}


def widgets(clauses: Sequence[Clause], keys: Sequence[str], lines: Lines) -> set[int]:
    """Buttons and a program's leftovers that an extraction took for text. A cell that says "no" is none."""
    return {n for n, clause in enumerate(clauses) if clause.kind in ("text", "item") and _is_widget(keys[n])}


def _is_widget(key: str) -> bool:
    return len(key) <= _WIDGET_LENGTH and key.casefold() in _WIDGETS


def contents(clauses: Sequence[Clause], keys: Sequence[str], lines: Lines) -> set[int]:
    """The table of contents: lines in a row that repeat headings; under a title that says so, most of them do."""
    titles = [lines.as_title(key) for key in keys]
    headings = {titles[n] for n, clause in enumerate(clauses) if clause.kind == "heading"} - {""}
    repeats = [clause.kind != "heading" and titles[n] in headings for n, clause in enumerate(clauses)]
    found: set[int] = set()
    for run in _runs(clauses, titles):
        repeated = sum(repeats[position] for position in run)
        others = sum(not repeats[position] and not _is_widget(keys[position]) for position in run)
        if run.start and _CONTENTS_TITLE.fullmatch(titles[run.start - 1]) and repeated > others:
            found |= {run.start - 1, *run}
        for _, row in groupby(run, lambda position: repeats[position] or _is_widget(keys[position])):
            positions = list(row)
            if sum(repeats[position] for position in positions) >= _CONTENTS_LENGTH:
                found |= set(positions)
    return found


def _runs(clauses: Sequence[Clause], titles: Sequence[str]) -> Iterator[range]:
    """Short lines in a row, none of them a heading or a title of contents."""
    start = 0
    for position, clause in enumerate(clauses):
        if clause.kind == "heading" or not titles[position] or _CONTENTS_TITLE.fullmatch(titles[position]):
            yield range(start, position)
            start = position + 1
    yield range(start, len(clauses))


ASIDE_STEPS: tuple[tuple[str, Callable[[Sequence[Clause], Sequence[str], Lines], set[int]]], ...] = (
    ("dates", dates),
    ("page_widgets", widgets),
    ("table_of_contents", contents),
)


def set_aside(clauses: Sequence[Clause], keys: Sequence[str], lines: Lines) -> dict[int, str]:
    """Positions of the clauses that are not compared, and the step that set each aside."""
    found: dict[int, str] = {}
    for name, step in ASIDE_STEPS:
        for position in step(clauses, keys, lines):
            found.setdefault(position, name)
    return found


def count_aside(old: Counter[tuple[str, str]], new: Counter[tuple[str, str]]) -> Counter[str]:
    """How many lines of each step differ between two texts; the counters are of (step, words)."""
    gone, come = Counter[str](), Counter[str]()
    for counted, only in ((gone, old - new), (come, new - old)):
        for (step, _), times in only.items():
            counted[step] += times
    return gone | come
