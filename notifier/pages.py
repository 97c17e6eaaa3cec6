"""Pages: jinja templates, their words in each language, and dates and numbers as a reader expects them.

A language is one catalogue, ``templates/words/<language>.yaml``; all have the same keys (a test compares them).
A page is rendered for one language and one time zone::

    pages.render("console/sites.html.j2", "ja", time_zone="Asia/Tokyo", sites=…)

In a template ``t("key", n=3)`` gives the words with their slots filled, ``number``, ``percent``, ``day`` and ``moment``
format values, and ``static("notifier.css")`` gives an address that changes with the file's content.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, format_timedelta
from babel.numbers import format_decimal, format_percent
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from notifier.resources import resource

LANGUAGES: Mapping[str, str] = {"en": "English", "ja": "日本語"}


def language_for(accepted: str, chosen: str | None = None) -> str:
    """The page language: the reader's choice, else the best of an ``Accept-Language`` header, else English."""
    return chosen if chosen is not None and chosen in LANGUAGES else best_locale(accepted, list(LANGUAGES), "en")


def best_locale(accepted: str, available: Sequence[str], default: str) -> str:
    """The available locale that an ``Accept-Language`` header (RFC 9110, 12.5.4) likes best, else the default.

    A wish is met by its own locale or by one of the same language, in this order.
    """
    return next(liked_locales(accepted, available), default)


def liked_locales(accepted: str, available: Sequence[str]) -> Iterator[str]:
    """The available locales that an ``Accept-Language`` header names, the best one first; some may come twice."""
    wishes: list[tuple[float, str]] = []
    for wish in accepted.split(",")[:20]:
        tag, _, weight = wish.partition(";")
        try:
            wishes.append((float(weight.strip().removeprefix("q=") or 1), tag.strip().lower()))
        except ValueError:
            continue
    for quality, tag in sorted(wishes, key=lambda wish: -wish[0]):
        if quality > 0:
            yield from (locale for locale in available if locale.lower() == tag)
            yield from (locale for locale in available if locale.lower().partition("-")[0] == tag.partition("-")[0])


@dataclass(frozen=True)
class Tongue:
    """The words and formats of one language, for readers in one time zone."""

    language: str
    words: Mapping[str, Any]
    zone: tzinfo

    @property
    def locale(self) -> Locale:
        """The Babel locale of the language."""
        return Locale.parse(self.language)

    def t(self, key: str, **slots: object) -> str:
        """The words of ``key``, slots filled. Counts are formatted, and ``n`` chooses among plural forms."""
        found = self.words[key]
        if isinstance(found, dict):
            number = slots.get("n", 0)
            form = self.locale.plural_form(number if isinstance(number, int | float) else 0)
            found = found.get(form, found["other"])
        shown = {name: self.number(slot) if type(slot) is int else slot for name, slot in slots.items()}
        words: str = found
        return words.format(**shown) if shown else words

    def word(self, family: str, name: str) -> str:
        """The words of ``family.name``, or the name itself where the catalogue has none (a class we do not know)."""
        return self.t(f"{family}.{name}") if f"{family}.{name}" in self.words else name.replace("_", " ")

    def number(self, value: float) -> str:
        """A number with the language's separators."""
        return format_decimal(value, locale=self.locale)

    def percent(self, part: int, whole: int) -> str:
        """``part`` of ``whole``: whole percents, one decimal where it is small, and never 100 % of less than all."""
        if not whole:
            return "–"
        share = part / whole
        if 0 < share < 0.0005:  # somebody is not nobody
            return f"<{format_percent(0.001, format='0.0%', locale=self.locale)}"
        pattern = "0.0%" if 0 < share < 0.1 or 0.99 < share < 1 else "0%"
        return format_percent(min(share, 0.999) if share < 1 else share, format=pattern, locale=self.locale)

    def day(self, value: datetime) -> Markup:
        """The day of an instant in the zone, as a ``<time>`` with the exact instant in UTC on hover."""
        return self._time(value, format_date(value.astimezone(self.zone).date(), "long", locale=self.locale))

    def utc_day(self, value: datetime) -> Markup:
        """The day of something of which only the UTC day is on record; no zone moves it to the day before."""
        return self._time(value, format_date(value.astimezone(UTC).date(), "medium", locale=self.locale))

    def moment(self, value: datetime) -> Markup:
        """Day and time of an instant in the zone, as a ``<time>`` with the exact instant in UTC on hover."""
        local = value.astimezone(self.zone)
        date = format_date(local.date(), "medium", locale=self.locale)
        return self._time(value, f"{date} {format_time(local.time(), 'short', locale=self.locale)}")

    def ago(self, value: datetime, now: datetime) -> str:
        """How long before (or after) ``now`` an instant lies, in round words."""
        return format_timedelta(value - now, add_direction=True, locale=self.locale)

    def _time(self, value: datetime, shown: str) -> Markup:
        utc = value.astimezone(UTC)
        return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
            utc.isoformat(timespec="seconds"), utc.strftime("%Y-%m-%d %H:%M:%S"), shown
        )

    def language_name(self, tag: str) -> str:
        """What a locale is called in this language; the tag itself when nobody knows it."""
        try:
            return Locale.parse(tag, sep="-").get_display_name(self.locale) or tag
        except (UnknownLocaleError, ValueError):
            return tag

    def own_name(self, tag: str) -> str:
        """What a locale is called by those who speak it; the tag itself when nobody knows it."""
        try:
            return Locale.parse(tag, sep="-").get_display_name() or tag
        except (UnknownLocaleError, ValueError):
            return tag

    def country_name(self, code: str) -> str:
        """What a country is called in this language; the code itself when nobody knows it."""
        name: str = self.locale.territories.get(code, code)
        return name


class Pages:
    """Renders the templates. Reads the catalogues and the folder of static files once, when made."""

    def __init__(self, static_url: str = "/static") -> None:
        folder = resource("templates")
        self._static_url = static_url
        self._words = {name: _read_words(folder / "words" / f"{name}.yaml") for name in LANGUAGES}
        self._digests = {file.name: _digest(file) for file in (folder / "static").iterdir()}
        self._jinja = Environment(
            loader=FileSystemLoader(folder),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._jinja.globals.update(static=self.static, languages=LANGUAGES)
        self._jinja.filters.update(paragraphs=paragraphs, as_yaml=as_yaml)

    def tongue(self, language: str, time_zone: str = "UTC") -> Tongue:
        """The words and formats of one language (English when there is no such catalogue)."""
        known = language if language in LANGUAGES else "en"
        return Tongue(known, self._words[known], ZoneInfo(time_zone))

    def static(self, name: str) -> str:
        """The address of a static file; the query changes with the content, so it may be cached for ever."""
        return f"{self._static_url}/{name}?v={self._digests[name]}"

    def render(self, template: str, language: str, /, *, time_zone: str = "UTC", **values: object) -> str:
        """One page (or a part of one) in one language."""
        tongue = self.tongue(language, time_zone)
        return self._jinja.get_template(template).render(
            lang=tongue.language, zone_name=time_zone, tongue=tongue,
            t=tongue.t, word=tongue.word, number=tongue.number, percent=tongue.percent,
            day=tongue.day, moment=tongue.moment, ago=tongue.ago,
            language_name=tongue.language_name, country_name=tongue.country_name,
            **values,
        )  # fmt: skip


def paragraphs(text: str) -> Markup:
    """Plain text as HTML paragraphs: blank lines part them, other line breaks stay."""
    blocks = [block.strip() for block in text.replace("\r\n", "\n").split("\n\n")]
    return Markup("").join(
        Markup("<p>{}</p>").format(Markup("<br>").join(escape(line) for line in block.split("\n")))
        for block in blocks
        if block
    )


def as_yaml(value: object) -> str:
    """Plain values as site.yaml writes them."""
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=1000).rstrip()


@cache
def _read_words(file: Path) -> Mapping[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where it is, takes a tenth of the time
    words: dict[str, Any] = yaml.load(file.read_text("utf-8"), loader)  # noqa: S506 - either is the safe one
    return words


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:10]
