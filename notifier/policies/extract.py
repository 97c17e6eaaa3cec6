"""The text of a policy out of what a server answered, as Markdown. Pure. The answer itself is kept beside it.

A page of 100 kB takes a tenth of a second and more: off the event loop, please.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message

from bs4 import BeautifulSoup, Tag
from bs4.dammit import EncodingDetector
from markdownify import MarkdownConverter

from notifier.policies.excess import excess
from notifier.policies.version import TEXT_LIMIT
from notifier.policies.why import Reasoned

# Never words of a policy, wherever they stand.
_NEVER = frozenset({
    "script", "style", "noscript", "template", "iframe", "object", "svg", "canvas", "img", "picture", "video", "audio",
    "nav", "dialog", "button", "input", "select", "textarea",
})  # fmt: skip
# What surrounds the text where a page does not say which part of it is the text.
_AROUND = "body > header, body > footer, body > aside, [role=banner], [role=contentinfo], [role=search]"
_MAIN = ("main", "[role=main]", "article")
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_PLAIN = frozenset({"text/markdown", "text/x-markdown", "text/plain"})
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
# What browsers take these names for (Encoding Standard, 4.2).
_SUPERSETS = {
    "iso-8859-1": "cp1252", "latin-1": "cp1252", "us-ascii": "cp1252", "ascii": "cp1252",
    "shift_jis": "cp932", "shift-jis": "cp932", "sjis": "cp932", "gb2312": "gb18030", "gbk": "gb18030",
    "euc-kr": "cp949",
}  # fmt: skip
# Nesting costs the square of its depth: ten times the tags of the largest real policies, in seconds.
_MOST_TAGS = 50_000
_BLANK_LINES = re.compile(r"\n{3,}")
_TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)


class Unreadable(Reasoned):
    """Nothing that could be a policy's text; says why."""


@dataclass(frozen=True)
class Reading:
    """What was read: the text as Markdown, and what the page says of itself (for HTML)."""

    text: str
    title: str = ""
    language: str = ""
    asks_for_password: bool = False


def read_answer(body: bytes, content_type: str, keep: Sequence[str] = (), drop: Sequence[str] = ()) -> Reading:
    """Read an answer. ``keep`` and ``drop`` are CSS selectors, for HTML only. Raises Unreadable.

    The encoding is the byte order mark's, else the header's, else the page's own word, else UTF-8.
    """
    if len(body) > TEXT_LIMIT:
        raise Unreadable("size", count=TEXT_LIMIT // 1024 // 1024)
    header = Message()
    header["Content-Type"] = content_type or "text/html"
    kind = header.get_content_type()
    if kind not in _HTML | _PLAIN:
        raise Unreadable("media_type", kind=kind)
    words = _decoded(body, header.get_content_charset(), html=kind in _HTML)
    reading = Reading(_tidy(words)) if kind in _PLAIN else _read_page(words, keep, drop)
    if found := excess(reading.text):
        raise Unreadable(found.what, count=found.most)
    return reading


def _decoded(body: bytes, declared: str | None, *, html: bool) -> str:
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            declared = encoding
    if declared is None and html:
        declared = EncodingDetector.find_declared_encoding(body, is_html=True)
    encoding = (declared or "utf-8").lower()
    try:
        words = body.decode(_SUPERSETS.get(encoding, encoding))
    except (UnicodeDecodeError, LookupError) as error:
        raise Unreadable("encoding", encoding=encoding) from error
    if "\0" in words:
        raise Unreadable("nul")
    return words.removeprefix("\ufeff")


def _read_page(words: str, keep: Sequence[str], drop: Sequence[str]) -> Reading:
    if words.count("<") > _MOST_TAGS:
        raise Unreadable("tags", count=_MOST_TAGS)
    try:
        page = BeautifulSoup(words, "lxml")
        asks = page.select_one("input[type=password]") is not None
        title = page.title.get_text(" ", strip=True) if page.title else ""
        language = str(page.html.get("lang") or "") if page.html else ""
        for element in page.find_all(_is_never_text):
            element.decompose()
        for selector in (*drop, *(() if keep else (_AROUND,))):
            for element in page.select(selector):
                element.decompose()
        text = "\n\n".join(_markdown(part) for part in _parts(page, keep))
    except RecursionError as error:
        raise Unreadable("nested") from error
    return Reading(_tidy(text), title, language, asks)


def _is_never_text(element: Tag) -> bool:
    return element.name in _NEVER or element.has_attr("hidden") or element.get("aria-hidden") == "true"


def _parts(page: BeautifulSoup, keep: Sequence[str]) -> list[Tag]:
    """The elements that are the text, none of them inside another."""
    if keep:
        found = [element for selector in keep for element in page.select(selector)]
        if not found:
            raise Unreadable("selectors", selectors=", ".join(keep))
        chosen = {id(element) for element in found}
        unique = {id(e): e for e in found if not any(id(parent) in chosen for parent in e.parents)}
        return list(unique.values())
    for selector in _MAIN:
        if (element := page.select_one(selector)) is not None:
            return [element]
    return [page.body or page]


def _markdown(element: Tag) -> str:
    made: str = MarkdownConverter(heading_style="ATX", bullets="-", table_infer_header=True).convert_soup(element)
    return made.strip("\n")


def _tidy(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\N{NO-BREAK SPACE}", " ")
    return _BLANK_LINES.sub("\n\n", _TRAILING.sub("", lines)).strip() + "\n"
