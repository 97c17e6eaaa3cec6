"""What a letter says in one locale, rendered once per campaign. Dates and addresses stay marked, to be filled in later.

The wording comes from ``templates/letters/<language>.toml``. A locale whose language has no wording gets the English
one; its summary and its sections stay in its own language.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

import css_inline
import nh3
from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, get_timezone_name
from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from markdown_it import MarkdownIt
from markupsafe import Markup

from notifier.letters.letter import Telling, Words
from notifier.policies.digest import Changed, Digest
from notifier.resources import resource

_FALLBACK = "en"
_CHANGES = ("added", "edited", "renamed", "removed", "moved")
_AROUND = re.compile(r"\s*;?\s*([{};:,])\s*")  # what no style sheet needs around what tells its rules apart
_NOT_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_SUMMARY_RULES = ["blockquote", "list", "emphasis", "link", "backticks", "escape", "entity", "newline"]
_SUMMARY_TAGS = {"p", "br", "ul", "ol", "li", "strong", "em", "code", "a", "blockquote"}


@dataclass(frozen=True, slots=True)
class Marks:
    """What stands in rendered words where something is filled in later. Made from a secret: no text contains one."""

    published: str
    effective: str
    written: str
    text_address: str
    html_address: str

    @classmethod
    def of(cls, nonce: str) -> "Marks":
        """Marks that nobody who writes a summary can guess. ``nonce``: letters and digits."""
        return cls(*(f"mark{nonce}{field.name.replace('_', '')}" for field in fields(cls)))


@dataclass(frozen=True, slots=True)
class Rendered:
    """A letter in one locale. ``notice_…`` is for private messages, ``letter_…`` for email."""

    language: str  # of the wording
    locale: Locale  # for dates
    catalogue: Mapping[str, str]
    policy: str
    notice_html: str
    notice_text: str
    letter_html: str
    letter_text: str

    def subject(self, effective_at: datetime, zone: ZoneInfo, site: str, key: str = "subject") -> str:
        """The subject, with the day on which the version takes effect in the person's time zone."""
        return self.catalogue[key].format(site=site, policy=self.policy, day=self.day(effective_at, zone))

    def subject_of_correction(self, written_at: datetime, zone: ZoneInfo, site: str) -> str:
        """The subject of a correction, with the day on which what it corrects was written."""
        words = self.catalogue["subject_correction"]
        return words.format(site=site, policy=self.policy, day=self.day(written_at, zone))

    def day(self, at: datetime, zone: ZoneInfo) -> str:
        """The day, like ``April 1, 2026``."""
        return format_date(at.astimezone(zone), "long", locale=self.locale)

    def moment(self, at: datetime, zone: ZoneInfo) -> str:
        """Day, time and the name of the time zone, like ``April 1, 2026, 9:00 AM (Japan Standard Time)``."""
        local = at.astimezone(zone)
        time = format_time(local, "short", tzinfo=zone, locale=self.locale)
        return self.catalogue["moment"].format(
            day=self.day(at, zone),
            time=time.replace("\u202f", "\u00a0"),  # many mail fonts lack the narrow one
            zone=get_timezone_name(local, locale=self.locale),
        )


def prepare() -> None:
    """Compile the templates, read the wording and the names of months: before the first letter has to wait for it."""
    environment = _environment()
    for name in environment.list_templates(extensions=["j2"]):
        environment.get_template(name)
    for language in catalogues():
        for write in (format_date, format_time):
            write(datetime.now(UTC), "long", locale=language)


def render(telling: Telling, locale: str, since: int | None, public_url: str, marks: Marks) -> Rendered:
    """Render one locale of a campaign for people who last knew one version (None: no list of what changed).

    Raises KeyError when the version has no text in that locale, or was not compared with the other one.
    """
    words, site = telling.texts[locale], telling.site
    knew = None if since is None else words.since[since]
    language = _language(locale)
    babel_locale = _babel_locale(locale, language)
    catalogue = catalogues()[language]
    constant = {
        "site": clean(site.name(locale)),
        "policy": clean(site.title(telling.policy, locale)),
        "label": clean(telling.label),
    }
    days = telling.rule.notice_days
    own_page = site.policies[telling.policy].url or ""
    shared = constant | {
        "language": language,
        "lang": locale,
        "slots": marks,
        "rule": telling.rule,
        "days": catalogue[f"days_{'one' if days == 1 else 'other'}"].format(count=days),
        "groups": _groups(knew.changes if knew else Digest()),
        "more": knew.changes.more if knew else 0,
        "redline": redline_of(telling, locale, since, public_url) or "",
        "contact": site.contact,
        "home": site.home_url,
        "url": address_of(words, public_url),
        "current": own_page if own_page.startswith(("https://", "http://")) else "",
        "since": clean(knew.label) if knew else "",
        "intro_reminder": f"intro_{telling.reminder.kind}" if telling.reminder else "",
        **_body(telling),
    }

    def say(key: str, **values: object) -> str:
        return catalogue[key].format(**constant | values)

    def say_html(key: str, **values: object) -> Markup:
        return Markup(catalogue[key]).format(**constant | values)  # noqa: S704 - our own words; the values are escaped

    text = {**shared, "say": say, "summary": clean(words.summary)}
    html = {**shared, "say": say_html, "summary": summary_html(words.summary), "strong": _strong}
    environment = _environment()
    page = environment.get_template("letter.html.j2").render(**html, css=_css)
    return Rendered(
        language,
        babel_locale,
        catalogue,
        constant["policy"],
        notice_html=environment.get_template(f"{shared['body']}.html.j2").render(**html),
        notice_text=environment.get_template(f"{shared['body']}.txt.j2").render(**text),
        letter_html=_with_styles(page),
        letter_text=environment.get_template("letter.txt.j2").render(**text),
    )


def _with_styles(page: str) -> str:
    """What a letter could not be read without stands on its elements as well: a few mail programs drop its head.

    All else stands in the head alone, where each rule is said once: a tenth of a letter's bytes less, or more.
    """
    return css_inline.CSSInliner(
        inline_style_tags=False,
        keep_style_tags=True,
        extra_css=_css("elements.css"),
        load_remote_stylesheets=False,
        minify_css=True,
    ).inline(page)


def _body(telling: Telling) -> dict[str, str]:
    """Which template a letter is made of, and its heading."""
    if telling.correction is not None:
        return {"heading": "heading_correction", "body": "correction"}
    if telling.reminder is not None:
        return {"heading": "heading_reminder", "body": "reminder"}
    return {"heading": "heading", "body": "notice"}


def address_of(words: Words, public_url: str) -> str:
    """The permanent address of the text, as people reach it."""
    return words.url if "://" in words.url else public_url.rstrip("/") + "/" + words.url.lstrip("/")


def redline_of(telling: Telling, locale: str, since: int | None, public_url: str) -> str | None:
    """The address of every word that changed since a version that people last knew; None where nothing is compared."""
    words = telling.texts[locale]
    if since not in words.since or since is None:
        return None
    return f"{address_of(words, public_url)}/since/{quote(clean(words.since[since].label))}"


def clean(text: str) -> str:
    """Text without characters that are no text: controls other than tab and line feed, halves of surrogate pairs."""
    return _NOT_TEXT.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def summary_html(summary: str) -> Markup:
    """A summary as harmless HTML: paragraphs, lists, emphasis, quotations and links; all other markup stays words."""
    html = MarkdownIt("zero", {"html": False, "breaks": True}).enable(_SUMMARY_RULES).render(clean(summary))
    safe = nh3.clean(
        html,
        tags=_SUMMARY_TAGS,
        attributes={"a": {"href"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer",
    )
    return Markup(safe)  # noqa: S704 - cleaned by nh3 in the line above


@cache
def catalogues() -> Mapping[str, Mapping[str, str]]:
    """The wording of each language that has one."""
    return {path.stem: tomllib.loads(path.read_text("utf-8")) for path in _folder().glob("*.toml")}


def _language(locale: str) -> str:
    primary = locale.partition("-")[0]
    return primary if primary in catalogues() else _FALLBACK


def _babel_locale(locale: str, language: str) -> Locale:
    """The person's own way of writing dates (en-GB) where it fits the wording, or else the wording's."""
    try:
        found = Locale.parse(locale, sep="-")
    except (ValueError, UnknownLocaleError):
        return Locale(language)
    return found if found.language == language else Locale(language)


def _groups(changes: Digest) -> list[tuple[str, list[Changed]]]:
    """The sections per kind of change, with nothing in their words that is no text."""
    sections = [_clean_section(section) for section in changes.sections]
    groups = [(kind, [section for section in sections if section.change == kind]) for kind in _CHANGES]
    return [(kind, some) for kind, some in groups if some]


def _clean_section(section: Changed) -> Changed:
    quotes = tuple(
        tuple(piece._replace(text=_NOT_TEXT.sub("", piece.text)) for piece in quote) for quote in section.quotes
    )
    was = None if section.was is None else _one_line(section.was)
    return replace(section, section=_one_line(section.section), was=was, quotes=quotes)


def _one_line(text: str) -> str:
    return " ".join(clean(text).split())


def _strong(words: str) -> Markup:
    return Markup("<strong>{}</strong>").format(words)


def _folder() -> Path:
    return resource("templates") / "letters"


@cache
def _css(name: str) -> Markup:
    return Markup(_AROUND.sub(r"\1", (_folder() / name).read_text("utf-8")).strip())  # noqa: S704 - a file of ours


@cache
def _environment() -> SandboxedEnvironment:
    return SandboxedEnvironment(
        loader=FileSystemLoader(_folder()),
        undefined=StrictUndefined,
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        trim_blocks=False,
        keep_trailing_newline=True,
    )
