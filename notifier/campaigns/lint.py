"""What a lawyer or a careful reader would stumble over, before anybody is told. Pure.

Nothing here stops a publication: each warning says what was seen, where, and what to do. Texts are looked at in English
and Japanese; what is said in another language is not judged.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.campaigns.rule import Rules
from notifier.sites.site import Site


@dataclass(frozen=True)
class Warn:
    """One thing to look at. ``about``: rule, version or letter. ``place``: a field, a locale or a preset."""

    code: str
    about: str
    place: str
    found: str
    remedy: str
    quote: str = ""  # the words themselves, where it is about some


_LANGUAGES = ("en", "ja")
_CONTACT = re.compile(
    r"contact|get in touch|reach us|write to us|e-?mail us|[\w.+-]+@[\w-]+\.\w|問い?合わ?せ|連絡先|窓口|ご連絡",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"\b(?:19|20)\d\d\b|(?:令和|平成)\s*(?:元|\d{1,2})\s*年|[12]\d{3}\s*年|(?:令和|平成)[〇一二三四五六七八九十]+年"
)
_CHECK_THIS_PAGE = re.compile(
    r"(?:check|review|visit|revisit|consult)\b[^.\n]{0,60}\b(?:page|policy|terms|site|notice)\b[^.\n]{0,60}"
    r"\b(?:periodically|regularly|frequently|from time to time|often)"
    r"|(?:periodically|regularly|frequently|from time to time|often)\s+(?:check|review|visit|revisit|consult)\b"
    r"|(?:定期的|頻繁|随時|こまめ|適宜)に?[^。\n]{0,30}(?:確認|参照|ご覧|閲覧|チェック)",
    re.IGNORECASE,
)
_WITHOUT_NOTICE = re.compile(
    r"without\s+(?:any\s+)?(?:prior|advance|previous|further)?\s*notice\b|at any time[^.\n]{0,40}without\s+notif"
    r"|(?:事前|予告|あらかじめ)[^。\n]{0,20}(?:なく|なし|無く|せず)|(?:通知|告知|お知らせ)(?:する)?こと?\s*なく",
    re.IGNORECASE,
)
_PROMOTION = re.compile(
    r"\b\d{1,2}\s?% off\b|\b(?:discount|coupon|promo code|special offer|free shipping|buy now|shop now|limited[- ]time|"
    r"sale ends|don['’]t miss|upgrade now)\b|割引|クーポン|キャンペーン実施|送料無料|セール|期間限定|お得な|"
    r"今すぐ(?:購入|登録|申し?込)|"
    r"ポイント(?:プレゼント|進呈|\d+倍)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Draft:
    """A version as it is published. ``texts``: locale → words, ``summaries`` likewise."""

    materiality: str
    flags: tuple[str, ...]
    published_at: datetime
    effective_at: datetime
    texts: Mapping[str, str]
    summaries: Mapping[str, str]


def of_version(draft: Draft) -> Iterator[Warn]:
    """What is odd about the texts of a version."""
    for locale, words in draft.texts.items():
        if locale.partition("-")[0] not in _LANGUAGES:
            continue
        yield from _of_text(locale, words)


def _of_text(locale: str, words: str) -> Iterator[Warn]:
    if not _CONTACT.search(words):
        remedy = "say whom people can write to about it, and where"
        yield Warn("no_contact", "version", locale, "names nobody to contact", remedy)
    if not _DATE.search(words):
        yield Warn("no_date", "version", locale, "has no date", "say from when it is in force, and when it was changed")
    if found := _CHECK_THIS_PAGE.search(words):
        remedy = "leave it out: people are told, and nobody has to look whether something changed"
        yield Warn(
            "check_this_page", "version", locale, "asks people to look for changes themselves", remedy, _short(found)
        )
    if found := _WITHOUT_NOTICE.search(words):
        remedy = "say how long before a change people are told; presets ask for days"
        yield Warn("without_notice", "version", locale, "reserves changes without notice", remedy, _short(found))


def of_letter(draft: Draft) -> Iterator[Warn]:
    """What is odd about the words that a letter carries."""
    for locale, words in draft.summaries.items():
        if found := _PROMOTION.search(words):
            remedy = "a notice that people must get carries no advertising: take it out of the summary"
            yield Warn("promotion", "letter", locale, "advertises", remedy, _short(found))
    if draft.materiality != "editorial":
        for locale in draft.texts:
            if not draft.summaries.get(locale, "").strip():
                remedy = "say in a sentence or two what changes for people; the letter leads with it"
                yield Warn("no_summary", "letter", locale, "has no summary of what changed", remedy)


def of_choices(rules: Rules) -> Iterator[Warn]:
    """What the site chose less than its presets."""
    for rule in rules.each:
        for field, reason in rule.own.items():
            if reason:
                found = f"{field} is less than {rule.preset} asks for, because: {reason}"
                yield Warn("less_than_preset", "rule", field, found, "have counsel confirm the reason")


def of_rules(rules: Rules, draft: Draft) -> Iterator[Warn]:
    """What a campaign's rules have against the version, and what the site chose less than its presets."""
    yield from of_choices(rules)
    if draft.materiality == "editorial":
        return
    given = draft.effective_at - draft.published_at
    for rule in rules.each:
        if given < timedelta(days=rule.notice_days) - timedelta(minutes=5):
            found = f"takes effect after {given.days} days; {rule.preset} promises {rule.notice_days}"
            remedy = "people's own dates keep the promise; name a later effective_at to have one date for all"
            yield Warn("too_soon", "rule", rule.preset, found, remedy)
    if "beneficial" not in draft.flags:
        yield from _of_period(rules)


def _of_period(rules: Rules) -> Iterator[Warn]:
    if rules.base.notice_days == 0:
        found = "no day lies between telling people and the effect"
        yield Warn("no_advance_notice", "rule", "notice_days", found, "give notice_days; most presets ask for 14 or 30")


def of_site(site: Site, rules: Rules) -> Iterator[Warn]:
    """What is odd about a site's rule by itself."""
    names = [rule.preset for rule in rules.each]
    if (also := [name for name in set(names) if names.count(name) > 1]) and site.rule.also:
        remedy = "keep one, with the wider condition"
        yield Warn("twice", "rule", ", ".join(sorted(also)), "stands twice among the presets", remedy)
    privacy = [name for name, policy in site.policies.items() if policy.kind == "privacy" and policy.part_of_terms]
    for name in privacy:
        found = "is a privacy policy that is said to be part of the terms: use may amount to accepting it"
        yield Warn("privacy_as_terms", "rule", name, found, "have counsel confirm; it is never consent to processing")
    if rules.base.deems and rules.base.evidence == "relay" and rules.base.grade_at_least in ("D", "E"):
        found = "our own relay's word carries deemed acceptances (Kass v. PayPal wanted proof for each person)"
        yield Warn("weak_evidence", "rule", "evidence", found, "ask for evidence: recipient, or grade_at_least: C")


def all_of(site: Site, rules: Rules, draft: Draft) -> list[Warn]:
    """Every warning about one publication, in a fixed order."""
    return [*of_rules(rules, draft), *of_site(site, rules), *of_version(draft), *of_letter(draft)]


def before_a_version(site: Site, rules: Rules) -> list[Warn]:
    """What can be said of a site's rule while nothing is published under it."""
    return [*of_choices(rules), *_of_period(rules), *of_site(site, rules)]


def _short(match: re.Match[str]) -> str:
    words = " ".join(match[0].split())
    return words if len(words) <= 60 else words[:57] + "…"
