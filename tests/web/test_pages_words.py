"""The words of the pages: the same in every language, all of them used as they are, none of them wrong."""

import re
from string import Formatter
from typing import Any

import pytest
import yaml

from notifier.compliance.words import ENGLISH
from notifier.pages import LANGUAGES, Pages, best_locale, language_for, paragraphs
from notifier.policies.why import ENGLISH as REASONS
from notifier.resources import resource

FOLDER = resource("templates")
WORDS: dict[str, dict[str, Any]] = {
    name: yaml.safe_load((FOLDER / "words" / f"{name}.yaml").read_text("utf-8")) for name in LANGUAGES
}
TEMPLATES = [file for part in ("console", "public") for file in (FOLDER / part).glob("*.j2")] + [
    FOLDER / "base.html.j2", FOLDER / "parts.html.j2", FOLDER / "redline.html.j2",
]  # fmt: skip


def _slots(words: Any) -> set[str]:
    forms = words.values() if isinstance(words, dict) else [words]
    return {name for form in forms for _, name, _, _ in Formatter().parse(form) if name}


def test_every_language_has_the_same_keys_with_the_same_slots() -> None:
    english, japanese = WORDS["en"], WORDS["ja"]
    assert english.keys() == japanese.keys()
    assert {key: _slots(words) for key, words in english.items()} == {k: _slots(w) for k, w in japanese.items()}


def test_every_fact_of_compliance_can_be_said_in_every_language() -> None:
    for words in WORDS.values():
        assert {f"said.{code}" for code in ENGLISH} <= words.keys()
        assert all(_slots(words[f"said.{code}"]) == _slots(text) for code, text in ENGLISH.items())


def test_every_reason_of_a_look_can_be_said_in_every_language() -> None:
    for words in WORDS.values():
        assert {key.removeprefix("why.") for key in words if key.startswith("why.")} == REASONS.keys()
        assert all(_slots(words[f"why.{code}"]) == _slots(text) for code, text in REASONS.items())
    assert all(WORDS["en"][f"why.{code}"] == text for code, text in REASONS.items())


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_key_that_a_template_names_is_in_the_catalogue(template: Any) -> None:
    text = template.read_text("utf-8")
    named = set(re.findall(r'\bt\("([a-z_.]+[a-z_])"', text))
    assert named <= WORDS["en"].keys()
    assert not re.search(r"\sstyle=|\son[a-z]+=|<script>|<style", text), "the content security policy refuses these"
    assert "https://" not in text
    assert "http://" not in text


# Families whose last word comes from the data: a state, a reason, a class, a step.
COMPOSED = (
    "state", "count", "reason", "channel", "via", "class", "outcome", "materiality", "flag", "error", "event", "said",
    "fact", "rule.telling", "rule.evidence", "step", "funnel", "campaign.by", "policy.confirm", "policy.discard",
    "public.changed", "noise", "mailbox.count", "verdict", "breaker", "acceptance", "act", "joined", "gap", "unknown",
    "why", "script", "sight", "posting.banner", "grade", "proof", "campaign.reminded",
    "hint", "draft.stage", "draft.did", "warn",
)  # fmt: skip


def test_no_words_lie_in_the_catalogue_unused() -> None:
    sources = [*FOLDER.rglob("*.j2"), *resource("templates").parent.joinpath("notifier").rglob("*.py")]
    text = "".join(file.read_text("utf-8") for file in sources)
    unused = {
        key for key in WORDS["en"] if f'"{key}"' not in text and not key.startswith(tuple(f"{f}." for f in COMPOSED))
    }
    assert unused == set()


def test_acceptance_is_never_called_consent() -> None:
    for file in [*TEMPLATES, *(FOLDER / "words").glob("*.yaml")]:
        assert not re.search(r"consent|同意", file.read_text("utf-8"), re.IGNORECASE), file


def test_the_style_sheet_stays_small_and_asks_nobody_else() -> None:
    css = (FOLDER / "static" / "notifier.css").read_text("utf-8")
    assert len(css.encode()) < 20_000
    assert "url(" not in css
    assert "@import" not in css


@pytest.mark.parametrize(
    ("accepted", "chosen", "language"),
    [
        ("ja", None, "ja"),
        ("ja-JP,ja;q=0.9,en;q=0.8", None, "ja"),
        ("fr,en;q=0.5,ja;q=0.7", None, "ja"),
        ("fr", None, "en"),
        ("", None, "en"),
        ("ja;q=0", None, "en"),
        ("ja;q=nonsense, ;;,", None, "en"),
        ("en", "ja", "ja"),
        ("ja", "xx", "ja"),
    ],
)
def test_the_language_is_the_chosen_one_or_the_best_of_the_wishes(
    accepted: str, chosen: str | None, language: str
) -> None:
    assert language_for(accepted, chosen) == language


def test_a_wish_is_met_by_its_own_locale_before_one_of_the_same_language() -> None:
    assert best_locale("pt-BR", ["pt", "pt-BR"], "en") == "pt-BR"
    assert best_locale("pt-AO", ["en", "pt"], "en") == "pt"


def test_numbers_are_said_as_the_language_says_them() -> None:
    pages = Pages()
    english, japanese = pages.tongue("en"), pages.tongue("ja")
    assert english.t("rule.days", n=1) == "1 day"
    assert english.t("rule.days", n=14) == "14 days"
    assert japanese.t("rule.days", n=1) == "1 日"
    assert english.t("campaign.letters", settled=1200, n=12000, failed=3) == "1,200 of 12,000 letters settled, 3 of them failed"  # fmt: skip  # noqa: E501 - one sentence
    assert [english.percent(*parts) for parts in [(0, 0), (0, 5), (1, 1000), (1999, 2000), (5, 5)]] == [
        "–", "0%", "0.1%", "99.9%", "100%",
    ]  # fmt: skip
    assert english.percent(1, 8549) == "<0.1%"


def test_a_page_in_an_unknown_language_is_in_english_and_strange_locales_keep_their_names() -> None:
    tongue = Pages().tongue("xx", "Asia/Tokyo")
    assert tongue.language == "en"
    assert tongue.language_name("ja") == "Japanese"
    assert tongue.own_name("ja") == "日本語"
    assert tongue.language_name("zz-nonsense-locale") == "zz-nonsense-locale"
    assert tongue.country_name("XX1") == "XX1"


def test_paragraphs_escape_what_they_part() -> None:
    assert paragraphs("a <b>\r\nc\n\n\n\nd") == "<p>a &lt;b&gt;<br>c</p><p>d</p>"
