"""A published text as it is shown: harmless HTML. Pure. The exact bytes are kept elsewhere.

Real policies are rendered and cleaned at 10 to 20 MB/s: off the event loop, please.
"""

import re
from html import unescape

import nh3
import pyromark

MARKDOWN, HTML = "text/markdown", "text/html"

# Words, structure and links. No images (they tell their server who reads the policy), no styles, no forms.
_TAGS = {
    "a", "abbr", "b", "blockquote", "br", "caption", "code", "dd", "del", "dfn", "div", "dl", "dt", "em",
    "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "ins", "kbd", "li", "mark", "ol", "p", "pre", "q", "rp", "rt",
    "ruby", "s", "section", "small", "span", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead",
    "tr", "u", "ul",
}  # fmt: skip
_ATTRIBUTES = {
    "*": {"lang", "dir"}, "a": {"href"}, "ol": {"start"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"},
}  # fmt: skip
# CommonMark with what GitHub adds. Raw HTML comes through: nh3 cleans it afterwards.
_MARKDOWN = pyromark.Options.ENABLE_TABLES | pyromark.Options.ENABLE_STRIKETHROUGH
# More marks of quotes and lists in a row are words: cleaning costs the square of the depth, 80 s for 100,000 ">".
_TOO_DEEP = re.compile(r"^(?=(?:[ \t]*(?:>|(?:[*+-]|\d{1,9}[.)])(?=[ \t]))){100})", re.MULTILINE)
# What a browser does not show in a page either.
_NOT_SHOWN = {"script", "style", "title", "template"}
_ABSOLUTE = re.compile(r"(?:https?://|mailto:|tel:)", re.IGNORECASE)
_HEADING = re.compile(r"<h([1-6])((?: [^>]*)?)>(.*?)(?=</h\1>)", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


def _keep_attribute(tag: str, name: str, value: str) -> str | None:
    """Links lead to absolute addresses or to a heading of the same text; a relative one would lead into our pages."""
    if (tag, name) != ("a", "href") or _ABSOLUTE.match(value):
        return value
    return f"#text-{slug(value[1:])}" if value.startswith("#") and len(value) > 1 else None


def slug(heading: str) -> str:
    """The words of a heading as an id: lower case, letters and digits of any script, hyphens for spaces."""
    return re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", heading.strip().lower()))


def html_of(media_type: str, body: bytes) -> str:
    """The text as HTML that can stand inside any page: cleaned, each heading with an id (``text-…``)."""
    return _with_heading_ids(cleaned(media_type, body))


def cleaned(media_type: str, body: bytes) -> str:
    """The text as harmless HTML in nh3's spelling: every element closed, ``&``, ``<`` and ``>`` escaped everywhere."""
    text = body.decode("utf-8")
    if media_type == MARKDOWN:
        text = pyromark.html(_TOO_DEEP.sub(r"\\", text), options=_MARKDOWN)
    return nh3.clean(
        text,
        tags=_TAGS,
        clean_content_tags=_NOT_SHOWN,
        attributes=_ATTRIBUTES,
        attribute_filter=_keep_attribute,
        url_schemes={"http", "https", "mailto", "tel"},
        link_rel="noopener noreferrer nofollow",
    )


def _with_heading_ids(clean: str) -> str:
    taken: dict[str, int] = {}

    def named(match: re.Match[str]) -> str:
        level, attributes, inner = match.groups()
        name = slug(unescape(_TAG.sub("", inner))) or "section"
        count = taken[name] = taken.get(name, -1) + 1
        return f'<h{level}{attributes} id="text-{name}{f"-{count}" if count else ""}">{inner}'

    return _HEADING.sub(named, clean)
