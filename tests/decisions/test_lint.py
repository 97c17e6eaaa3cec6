"""What a careful reader would stumble over, as tables in English and Japanese."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifier.campaigns.lint import Draft, all_of, of_letter, of_rules, of_site, of_version
from notifier.campaigns.rule import rules_of
from tests.sites import a_site

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
GOOD = {
    "en": "# Privacy\n\nIn force from 1 April 2026. We tell you of changes a month before. Contact: a@kumo.example",
    "ja": "# 個人情報\n\n2026年4月1日施行。変更は30日前に知らせます。お問い合わせ窓口は次のとおりです。",
}
DRAFT = Draft(
    materiality="material", flags=(), published_at=NOW, effective_at=NOW + timedelta(days=62), texts=GOOD,
    summaries={"en": "We keep messages for one year.", "ja": "保存期間を1年にします。"},
)  # fmt: skip


def codes(warnings: Any) -> list[str]:
    return [f"{one.code} {one.place}" for one in warnings]


def test_a_careful_text_has_no_warnings() -> None:
    assert codes(of_version(DRAFT)) == codes(of_letter(DRAFT)) == []


@pytest.mark.parametrize(
    ("locale", "old", "new", "code"),
    [
        ("en", "Contact: a@kumo.example", "", "no_contact"),
        ("ja", "お問い合わせ窓口は次のとおりです。", "", "no_contact"),
        ("en", "1 April 2026", "today", "no_date"),
        ("ja", "2026年4月1日", "本日", "no_date"),
        ("en", "We tell you", "Please check this page periodically. We tell you", "check_this_page"),
        ("en", "We tell you", "You should review these terms from time to time. We tell you", "check_this_page"),
        ("en", "We tell you", "We encourage you to frequently check this page. We tell you", "check_this_page"),
        ("ja", "変更は", "本ページを定期的にご確認ください。変更は", "check_this_page"),
        ("ja", "変更は", "随時、本ページを参照してください。変更は", "check_this_page"),
        ("en", "We tell you", "We may change it at any time without prior notice. We tell you", "without_notice"),
        ("ja", "変更は", "当社は事前の通知なく変更することがあります。変更は", "without_notice"),
        ("ja", "変更は", "予告なく変更します。変更は", "without_notice"),
    ],
)
def test_what_is_odd_about_a_text(locale: str, old: str, new: str, code: str) -> None:
    assert old in GOOD[locale]
    odd = replace(DRAFT, texts=GOOD | {locale: GOOD[locale].replace(old, new)})
    assert codes(of_version(odd)) == [f"{code} {locale}"]


@pytest.mark.parametrize(
    "words",
    [
        "We tell you without delay, and without charge.", "You can check your orders on this page at any time.",
        "定期的にデータを削除します。", "遅滞なく通知します。", "Contact us before 2026-04-01.",
    ],
)  # fmt: skip
def test_what_is_not_odd(words: str) -> None:
    texts = {locale: f"{text}\n{words}" for locale, text in GOOD.items()}
    assert codes(of_version(replace(DRAFT, texts=texts))) == []


def test_a_language_that_we_do_not_read_is_not_judged() -> None:
    assert codes(of_version(replace(DRAFT, texts={"fr": "Bonjour"}))) == []


@pytest.mark.parametrize(
    ("locale", "summary", "code"),
    [
        ("en", "New rules. And now 20% off everything!", "promotion"),
        ("en", "Use the coupon below.", "promotion"),
        ("ja", "規約を変更します。今すぐ登録で割引クーポンを進呈。", "promotion"),
        ("ja", "期間限定の送料無料もぜひ。", "promotion"),
        ("en", "  ", "no_summary"),
    ],
)
def test_what_is_odd_about_a_letter(locale: str, summary: str, code: str) -> None:
    assert codes(of_letter(replace(DRAFT, summaries={**DRAFT.summaries, locale: summary}))) == [f"{code} {locale}"]


@pytest.mark.parametrize(
    ("rule", "changes", "found"),
    [
        ({"preset": "pop-japan"}, {}, []),
        ({"preset": "pop-japan"}, {"effective_at": NOW + timedelta(days=9)}, ["too_soon pop-japan"]),
        ({"preset": "pop-japan", "also": [{"preset": "eu-psd2-framework"}]},
         {"effective_at": NOW + timedelta(days=31)}, ["too_soon eu-psd2-framework"]),
        ({"preset": "pop-japan", "notice_days": 7, "reason": "our lawyers said so"}, {},
         ["less_than_preset notice_days"]),
        ({"preset": "pop-japan", "notice_days": 0, "reason": "as posted"}, {},
         ["less_than_preset notice_days", "no_advance_notice notice_days"]),
        ({"preset": "us-ca-ccpa"}, {"flags": ("beneficial",)}, []),
        ({"preset": "pop-japan"}, {"materiality": "editorial", "effective_at": NOW}, []),
    ],
)  # fmt: skip
def test_what_is_odd_about_a_rule(rule: dict[str, Any], changes: dict[str, Any], found: list[str]) -> None:
    draft = replace(DRAFT, **changes)
    rules = rules_of(a_site(rule=rule).rule, draft.materiality, draft.flags, is_terms=True)
    assert codes(of_rules(rules, draft)) == found


def test_what_is_odd_about_a_site() -> None:
    site = a_site(rule={"preset": "pop-japan", "also": [{"preset": "us-contract"}, {"preset": "us-contract"}]})
    rules = rules_of(site.rule, "material", (), is_terms=True)
    assert codes(of_site(site, rules)) == ["twice us-contract", "privacy_as_terms privacy", "weak_evidence evidence"]
    assert [one.about for one in all_of(site, rules, DRAFT)] == ["rule", "rule", "rule"]
