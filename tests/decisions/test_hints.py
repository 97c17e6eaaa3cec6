"""Hints of kind: each rule on samples of our own in English and Japanese, and the whole against our own reading."""

import json
import time
from itertools import pairwise

import pytest

from notifier.policies.diff import compare
from notifier.policies.hints import Hint, hints_of, proposal_of, rules
from tests.decisions.test_diff_corpus import CORPUS
from tests.reading_hints import KINDS

EN = "# Privacy\n\nWe run a small shop.\n\n"
JA = "# プライバシーポリシー\n\n当店は小さなお店です。\n\n"


def hints(old: str, new: str) -> list[Hint]:
    return hints_of(compare("text/markdown", old.encode(), "text/markdown", new.encode()))


def kinds(old: str, new: str) -> set[str]:
    return {hint.kind for hint in hints(old, new)}


@pytest.mark.parametrize(
    ("expected", "old", "new"),
    [
        ("new_purpose", "", "We also use your orders to recommend other teas.\n"),
        ("new_purpose", "", "Letters may serve for training our language models.\n"),
        ("new_purpose", "## What we use it for\n\n* to send\n", "## What we use it for\n\n* to send\n* to show teas\n"),
        ("new_recipient", "", "We share your address with a carrier.\n"),
        ("new_recipient", "", "Our insurers receive the list of lost parcels.\n"),
        ("new_recipient", "Letters are stored with Nimbus in vaults.\n", "Letters are stored with Cirrus in vaults.\n"),
        ("new_recipient", "## Processors\n\n* Tsubame Ltd\n", "## Processors\n\n* Tsubame Ltd\n* Hayabusa Ltd\n"),
        ("new_data_category", "", "We also collect the colour of your door.\n"),
        ("new_data_category", "## Data we collect\n\n* names\n", "## Data we collect\n\n* names\n* birthdays\n"),
        ("retention", "We keep orders for seven years.\n", "We keep orders for ten years.\n"),
        ("retention", "We delete letters within 30 days.\n", ""),
        ("arbitration", "", "Any quarrel is settled by binding arbitration.\n"),
        ("arbitration", "You keep the right to a jury.\n", ""),
        ("contact", "Write to us: old@kumo.example.\n", "Write to us: new@kumo.example.\n"),
        ("contact", "## How to reach us\n\nKumo Street 4.\n", "## How to reach us\n\nHarbour Lane 9.\n"),
        ("children", "", "Nobody under 16 may open an account.\n"),
        ("children", "", "We ask a parent before a pupil orders.\n"),
        ("transfer", "", "Orders are transferred to another country.\n"),
        ("transfer", "Our servers are located in Japan.\n", "Our servers are located in Iceland.\n"),
        ("fees", "", "We charge a fee of 300 yen for a second delivery.\n"),
        ("fees", "You get a refund within a week.\n", ""),
    ],
)  # fmt: skip
def test_english(expected: str, old: str, new: str) -> None:
    assert expected in kinds(EN + old, EN + new)


@pytest.mark.parametrize(
    ("expected", "old", "new"),
    [
        ("new_purpose", "", "ご注文の内容は、おすすめ商品をご案内する目的で利用します。\n"),
        ("new_purpose", "", "お手紙は人工知能の開発に役立てます。\n"),
        (
            "new_purpose",
            "## 利用目的\n\n* 商品の発送のため\n",
            "## 利用目的\n\n* 商品の発送のため\n* 広告の配信のため\n",
        ),
        ("new_recipient", "", "お届け先を配送会社に提供します。\n"),
        ("new_recipient", "## 委託先\n\n* つばめ運輸\n", "## 委託先\n\n* つばめ運輸\n* はやぶさ便\n"),
        ("new_data_category", "", "お住まいの地域の天気も取得します。\n"),
        ("new_data_category", "## 取得する情報\n\n* お名前\n", "## 取得する情報\n\n* お名前\n* 生年月日\n"),
        ("retention", "ご注文の記録は7年間保管します。\n", "ご注文の記録は10年間保管します。\n"),
        ("retention", "お手紙は読み終えたら削除します。\n", ""),
        ("arbitration", "", "争いは仲裁により解決します。\n"),
        ("arbitration", "", "東京地方裁判所を専属的合意管轄裁判所とします。\n"),
        ("contact", "お問い合わせは old@kumo.example まで。\n", "お問い合わせは new@kumo.example まで。\n"),
        ("contact", "## お問い合わせ\n\n雲通り4番地\n", "## お問い合わせ\n\n港通り9番地\n"),
        ("children", "", "16歳未満の方は登録できません。\n"),
        ("children", "", "未成年の方は保護者の同意を得てください。\n"),
        ("transfer", "", "お預かりした情報を外国にある会社へ移すことがあります。\n"),
        ("transfer", "保管場所は日本です。\n", "保管場所はアイスランドです。\n"),
        ("fees", "", "再配達の手数料は300円です。\n"),
        ("fees", "1週間以内なら返金します。\n", ""),
    ],
)
def test_japanese(expected: str, old: str, new: str) -> None:
    assert expected in kinds(JA + old, JA + new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # The words of a rule stand in the clause, and only something beside them changed.
        ("We share your address with a carrier.\n", "We share your address with a carrier, gladly.\n"),
        ("We keep orders for seven years. Thanks.\n", "We keep orders for seven years. Thank you.\n"),
        ("Nobody under 16 may order.\n", "Nobody under 16 may ever order.\n"),
        ("お届け先を配送会社に提供します。\n", "お届け先を配送会社に提供します。ありがとうございます。\n"),
        # Addresses of pages, little words, and whole sentences about nothing of the kind.
        ("See https://kumo.example/account today.\n", "See https://kumo.example/refunds/fees today.\n"),
        ("Tea and cake.\n", "Tea or cake.\n"),
        ("", "We like the rain.\n"),
        ("", "雨の日が好きです。\n"),
    ],
)
def test_what_hints_at_nothing(old: str, new: str) -> None:
    assert kinds(EN + old, EN + new) == set()


def test_a_section_that_only_moved_hints_at_nothing() -> None:
    one, two = "## Sharing\n\nWe share it with carriers.\n\n", "## Keeping\n\nWe keep it for a year.\n\n"
    assert kinds(EN + one + two, EN + two + one) == set()


def test_what_is_new_is_a_hint_once_per_section_with_its_words() -> None:
    new = EN + "## Tea\n\nWe collect your name. We collect your age.\n\nWe collect your shoe size.\n"
    assert hints(EN, new) == [Hint("new_data_category", "Tea", "We collect your name", gone=False)]


@pytest.mark.parametrize(
    ("said", "changed", "expected"),
    [
        ([], False, ("editorial", ())),
        ([], True, ("material", ())),
        (["new_recipient", "fees"], True, ("material", ("new_recipient",))),
        (["arbitration", "retention"], True, ("explicit", ("arbitration", "retention"))),
        (["retention"], False, ("editorial", ())),
    ],
)
def test_what_is_proposed(said: list[str], changed: bool, expected: tuple[str, tuple[str, ...]]) -> None:
    found = proposal_of([Hint(kind, "", "", False) for kind in said], meaning_changed=changed)
    assert (found.materiality, found.flags) == expected


def test_every_kind_has_rules_in_both_languages() -> None:
    languages = {(rule.kind, rule.language) for rule in rules()}
    named = {kind for kind, _ in languages}
    assert languages == {(kind, language) for kind in named for language in ("en", "ja")}
    assert len(named) == 9


def test_hostile_words_cost_no_more_than_others() -> None:
    for words in ("use " * 4000, "we share " * 2000, "a@" * 4000, "第三者" * 2000, "1 " * 4000):
        found = compare("text/markdown", EN.encode(), "text/markdown", (EN + words).encode())
        began = time.process_time()
        hints_of(found)
        assert time.process_time() - began < 2, words[:10]


@pytest.mark.skipif(not (CORPUS / "index.json").is_file(), reason="no folder of real policies (NOTIFIER_CORPUS)")
def test_real_pairs_against_our_own_reading() -> None:
    found: dict[str, set[str]] = {}
    for document in json.loads((CORPUS / "index.json").read_text("utf-8")):
        for old, new in pairwise(document["versions"]):
            pair = new["file"].partition("_")[0]
            if pair in KINDS:
                texts = [(CORPUS / version["file"]).read_bytes() for version in (old, new)]
                comparison = compare("text/markdown", texts[0], "text/markdown", texts[1])
                found[pair] = {hint.kind for hint in hints_of(comparison)}
    assert found.keys() == KINDS.keys()
    hits = sum(len(KINDS[pair] & found[pair]) for pair in KINDS)
    missed = sum(len(KINDS[pair] - found[pair]) for pair in KINDS)
    false = sum(len(found[pair] - KINDS[pair]) for pair in KINDS)
    # Read: 27 kinds in 33 pairs. The figures of docs/comparing.md.
    assert (hits, missed) == (26, 1)
    assert false <= 5
