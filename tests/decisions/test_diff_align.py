"""The longest common subsequence, the ends of words, and what hostile texts cost."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.policies.align import in_order, matches
from notifier.policies.diff import compare
from notifier.policies.words import words

FEW = st.lists(st.integers(0, 4), max_size=14)


def length_by_table(old: list[int], new: list[int]) -> int:
    """The textbook's table."""
    table = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i, one in enumerate(old):
        for j, other in enumerate(new):
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


@given(FEW, FEW)
@settings(max_examples=400)
def test_as_many_items_stay_as_can_stay_and_in_order(old: list[int], new: list[int]) -> None:
    found = matches(old, new)
    assert len(found) == length_by_table(old, new)
    assert all(old[i] == new[j] for i, j in found)
    assert [i for i, _ in found] == sorted({i for i, _ in found})
    assert [j for _, j in found] == sorted({j for _, j in found})


def test_long_texts_are_cut_at_phrases_that_stand_once_and_lose_little() -> None:
    dice = random.Random(1)
    old = [dice.randrange(2000) for _ in range(30_000)]
    new = list(old)
    for _ in range(300):
        new[dice.randrange(len(new))] = -1
    assert len(matches(old, new)) >= 29_600


def test_what_was_moved_is_not_in_the_longest_order() -> None:
    assert in_order([0, 5, 1, 2, 3]) == {0, 1, 2, 3}
    assert in_order([2, 2, 3]) == {2, 3}
    assert in_order([]) == set()


@pytest.mark.parametrize(
    ("text", "locale", "found"),
    [
        ("We don't sell it.", "en", ["We ", "don't ", "sell ", "it", "."]),
        ("個人情報を提供します。", "ja", ["個人", "情報", "を", "提供", "し", "ます", "。"]),
        ("我们会收集您的个人信息", "zh", ["我们", "会", "收集", "您", "的", "个人", "信息"]),
        ("เราจะไม่เปิดเผย", "th", ["เรา", "จะ", "ไม่", "เปิด", "เผย"]),
        ("ask dpo@kumo.example, 😀 now", "en", ["ask ", "dpo@kumo.example", ", ", "😀 ", "now"]),
    ],
)
def test_words_end_where_they_end_in_their_language(text: str, locale: str, found: list[str]) -> None:
    assert words(text, locale) == found


@given(st.text(max_size=60), st.sampled_from(["en", "ja", "th", "xx-nonsense", ""]))
@settings(max_examples=300)
def test_words_together_are_the_text_whatever_it_is(text: str, locale: str) -> None:
    assert "".join(words(text, locale)) == text


@given(st.text(max_size=300), st.text(max_size=300))
@settings(max_examples=150)
def test_any_two_texts_can_be_compared_and_one_with_itself_is_the_same(old: str, new: str) -> None:
    one, other = old.encode("utf-8", "replace"), new.encode("utf-8", "replace")
    found = compare("text/markdown", one, "text/html", other)
    assert found.meaning_changed == any(change.change != "moved" for change in found.changes)
    assert compare("text/markdown", one, "text/markdown", one).changes == ()


HOSTILE = {
    "the same word": ("word " * 50_000, "word " * 50_000 + "end"),
    "no space": ("a" * 500_000, "a" * 500_000 + "b"),
    "full stops": ("." * 300_000, "." * 300_001),
    "half an address": ("a." * 100_000 + "@", "b." * 100_000 + "@"),
    "the same clause": ("We share data.\n\n" * 3000, "We share data.\n\n" * 2999 + "Never.\n\n"),
    "nothing in common": (" ".join(f"a{n}" for n in range(20_000)), " ".join(f"b{n}" for n in range(20_000))),
    "nested": (">" * 40 + " a", ">" * 40 + " b"),
    "links": ("[a](https://" * 900, "[b](https://" * 900),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_is_compared_in_seconds(name: str) -> None:
    old, new = HOSTILE[name]
    began = time.process_time()
    compare("text/markdown", old.encode(), "text/markdown", new.encode())
    assert time.process_time() - began < 20
