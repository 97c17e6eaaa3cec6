"""What changed between two texts, section by section and clause by clause."""

import re

import pytest

from notifier.policies.diff import Change, Comparison, compare

OLD = """# Privacy

Who we are.

## 1. What we collect

Your name and [address](https://kumo.example/help?utm_source=a).

## 2. Cookies

Only the needed ones.

## 3. Contact

privacy@kumo.example
"""


def comparison(old: str, new: str, *, new_type: str = "text/markdown", locale: str = "en") -> Comparison:
    return compare("text/markdown", old.encode(), new_type, new.encode(), locale)


def between(old: str, new: str, *, new_type: str = "text/markdown") -> list[tuple[str, str]]:
    found = comparison(old, new, new_type=new_type)
    assert bool([change for change in found.changes if change.change != "moved"]) == found.meaning_changed
    return [(change.section, change.change) for change in found.changes]


def pieces(old: str, new: str, locale: str = "en") -> list[tuple[str, str]]:
    found = comparison(old, new, locale=locale)
    return [
        (piece.op, piece.text)
        for section in found.sections
        for clause in section.clauses
        for piece in clause.pieces
        if piece.op != "same"
    ]


def test_the_same_text_has_no_changes() -> None:
    assert between(OLD, OLD) == []
    assert comparison(OLD, OLD).noise == {}


def test_spaces_markdown_spelling_and_tracking_parameters_are_no_change() -> None:
    new = OLD.replace("Who we are.", "Who  we\nare.").replace("# Privacy", "Privacy\n=======").replace("=a)", "=b)")
    assert between(OLD, new) == []


def test_the_same_words_as_html_are_no_change() -> None:
    html = (
        "<h1>Privacy</h1><p>Who we are.</p><h2>1. What we collect</h2><p>Your name and "
        '<a href="https://kumo.example/help">address</a>.</p><h2>2. Cookies</h2><p>Only the needed ones.</p>'
        "<script>alert(1)</script><h2>3. Contact</h2><p>privacy@kumo.example</p>"
    )
    assert between(OLD, html, new_type="text/html") == []


def test_an_edited_section_is_named_with_the_words_that_changed() -> None:
    assert between(OLD, OLD.replace("needed", "useful")) == [("2. Cookies", "edited")]
    assert pieces(OLD, OLD.replace("needed", "useful")) == [("removed", "needed"), ("added", "useful")]


def test_a_link_that_leads_to_another_site_is_an_edit_that_says_where_it_led() -> None:
    new = OLD.replace("kumo.example/help", "other.example/help")
    assert between(OLD, new) == [("1. What we collect", "edited")]
    [redirect] = [r for s in comparison(OLD, new).sections for c in s.clauses for r in c.redirects]
    assert redirect == ("address", "https://kumo.example/help?utm_source=a", "https://other.example/help?utm_source=a")


def test_an_added_section_does_not_make_the_renumbered_ones_edited() -> None:
    new = OLD.replace("## 2. Cookies", "## 2. Sharing\n\nWith nobody.\n\n## 3. Cookies")
    new = new.replace("3. Contact", "4. Contact")
    assert between(OLD, new) == [("2. Sharing", "added")]
    assert comparison(OLD, new).noise == {"numbering": 2}


def test_a_removed_section_comes_last_in_the_short_list_and_stands_where_it_stood_in_the_long_one() -> None:
    new = OLD.replace("## 2. Cookies\n\nOnly the needed ones.\n\n", "").replace("Who we", "What we")
    assert between(OLD, new) == [("Privacy", "edited"), ("2. Cookies", "removed")]
    found = comparison(OLD, new)
    assert [section.section for section in found.sections] == [
        "Privacy",
        "1. What we collect",
        "2. Cookies",
        "3. Contact",
    ]
    assert found.sections[2].words_removed == 6


def test_a_section_with_another_place_was_moved_and_only_that_one_and_says_nothing_else() -> None:
    contact = "## 3. Contact\n\nprivacy@kumo.example\n"
    new = OLD.replace(contact, "").replace("## 1.", contact + "\n## 1.")
    assert between(OLD, new) == [("3. Contact", "moved")]
    assert not comparison(OLD, new).meaning_changed


def test_a_section_that_moved_and_was_edited_is_edited_and_known_to_have_moved() -> None:
    contact = "## 3. Contact\n\nWrite to privacy@kumo.example at any time.\n"
    old = OLD.replace("## 3. Contact\n\nprivacy@kumo.example\n", contact)
    new = old.replace(contact, "").replace("## 1.", contact.replace("any time", "any hour") + "\n## 1.")
    [section] = [section for section in comparison(old, new).sections if section.change != "same"]
    assert (section.section, section.change, section.moved) == ("3. Contact", "edited", True)
    assert pieces(old, new) == [("removed", "time"), ("added", "hour")]


def test_a_section_with_the_same_words_and_another_name_was_renamed() -> None:
    found = comparison(OLD, OLD.replace("2. Cookies", "2. Small files"))
    [section] = [section for section in found.sections if section.change != "same"]
    assert (section.section, section.change, section.was) == ("2. Small files", "renamed", "2. Cookies")
    assert (section.words_added, section.words_removed) == (2, 1)
    assert found.meaning_changed


def test_a_section_that_was_split_keeps_its_words_and_its_second_half_has_a_name_of_its_own() -> None:
    old = "# All\n\n## Data\n\nYour name and address, from you.\n\nYour use of the site, from its logs.\n"
    new = old.replace("\nYour use", "\n## Logs\n\nYour use")
    [section] = [section for section in comparison(old, new).sections if section.change != "same"]
    assert (section.section, section.change, section.was) == ("Logs", "renamed", "Data")
    assert pieces(old, new) == [("added", "Logs")]


def test_a_clause_that_moved_to_another_section_changes_both() -> None:
    old = "# A\n\nWe keep nothing at all.\n\nExcept what the law wants us to keep.\n\n# B\n\nWe share nothing at all.\n"
    exception = "Except what the law wants us to keep.\n\n"
    new = old.replace(exception, "") + "\n" + exception
    assert between(old, new) == [("B", "edited")]
    assert pieces(old, new) == []


def test_paragraphs_in_another_order_within_their_section_are_no_change_of_meaning() -> None:
    items = ["- Amber Analytics for figures about use\n", "- Basil Billing for payments by card\n"]
    old, new = "# Who gets data\n\n" + "".join(items), "# Who gets data\n\n" + "".join(reversed(items))
    assert between(old, new) == [("Who gets data", "moved")]
    assert not comparison(old, new).meaning_changed


def test_a_text_without_headings_is_one_section_called_by_its_first_words() -> None:
    old, new = "Short. " + "word " * 40, "Short. " + "word " * 41
    [(name, change)] = between(old, new)
    assert change == "edited"
    assert name.startswith("Short. word")
    assert len(name) <= 61


def test_what_stands_before_the_first_heading_is_a_section() -> None:
    assert between("Before.\n\n# A\n\nx", "Since.\n\n# A\n\nx") == [("Since.", "edited")]


def test_the_same_heading_twice_is_two_sections() -> None:
    old = "# A\n\n## Note\n\none\n\n# B\n\n## Note\n\ntwo\n"
    assert between(old, old.replace("two", "three")) == [("Note", "edited")]


def test_japanese_articles_that_only_got_another_number_are_no_change() -> None:
    old = "## 第1条 適用\n\n本規約。\n\n## 第2条（個人情報）\n\n氏名。\n"
    new = "## 第1条 適用\n\n本規約。\n\n## 第2条 定義\n\n用語。\n\n## 第3条（個人情報）\n\n氏名。\n"
    assert between(old, new) == [("第2条 定義", "added")]


def test_nothing_against_something_is_added_and_the_reverse_removed() -> None:
    assert comparison(" \n", "# A\n\nx").changes == (Change("A", "added"),)
    assert comparison("# A\n\nx", " \n").changes == (Change("A", "removed"),)
    assert comparison(" \n", "").sections == ()


NOISY = """# Kumo privacy policy

Last updated: 3 May 2025

## Contents

- [What we collect](#what-we-collect)
- [Who gets it](#who-gets-it)
- [How long](#how-long)

## What we collect

* Your name
* Your "order history" - and the time of each order

## Who gets it

We share data with our [carriers](https://kumo.example/carriers?utm_source=footer).

## How long

We keep orders for ten years; after that we delete them.
"""
DISGUISED = """Kumo Privacy Policy
===================

Last updated: 1 January 2026

**What we collect**

1.  Your name;
2.  Your “order history” – and the time of each order.

### Who gets it

We share data with our [carriers](https://www.kumo.example/carriers/?utm_source=banner#list).

Share

**3. How long**

We keep orders for ten\u00a0years; after that we delete them.

Back to top
"""


def test_twenty_edits_of_form_are_no_change_and_each_is_named() -> None:
    found = comparison(NOISY, DISGUISED)
    assert found.changes == ()
    assert {"dates", "table_of_contents", "page_widgets", "heading_style", "numbering", "quotes", "dashes"} < set(
        found.noise
    )


@pytest.mark.parametrize(
    ("was", "became"),
    [("ten\u00a0years", "two\u00a0years"), ("we delete", "we do not delete"), ("carriers]", "advertisers]")],
)
def test_one_sentence_that_matters_is_found_among_twenty_edits_of_form(was: str, became: str) -> None:
    assert DISGUISED.count(was) == 1
    found = comparison(NOISY, DISGUISED.replace(was, became))
    assert [change.change for change in found.changes] == ["edited"]
    [section] = [section for section in found.sections if section.change == "edited"]
    assert section.words_added + section.words_removed <= 3


def test_a_paragraph_that_was_parted_says_the_same() -> None:
    old = "# A\n\nWe keep it for a year. Then we delete it.\n"
    assert between(old, old.replace(". Then", ".\n\nThen")) == []
    assert comparison(old, old.replace(". Then", ".\n\nThen")).noise == {"line_breaks": 2}
    assert between(old.replace(". Then", ".\n\nThen"), old) == []
    assert between(old, old.replace("year. Then", "year.\n\nThen, maybe,")) == [("A", "edited")]


def test_an_address_that_a_content_network_hides_is_the_same_address_but_two_shown_ones_differ() -> None:
    old = "Write to [dpo@kumo.example](mailto:dpo@kumo.example) about anything."
    hidden = "Write to [\\[email protected\\]](https://kumo.example/cdn-cgi/l/email-protection) about anything."
    assert between(old, hidden) == []
    assert comparison(old, hidden).noise == {"hidden_addresses": 1}
    assert between(old, old.replace("dpo@", "legal@")) != []


def test_an_edit_in_a_language_without_spaces_shows_the_words_and_not_the_sentence() -> None:
    old = "当社は、お客様の個人情報を第三者に提供しません。"
    assert pieces(old, old.replace("第三者", "広告会社"), "ja") == [("removed", "第三者"), ("added", "広告会社")]
    thai = "เราจะไม่เปิดเผยข้อมูลส่วนบุคคลของคุณแก่บุคคลที่สาม"
    [gone] = pieces(thai, thai.replace("ไม่", ""), "th")
    assert gone == ("removed", "ไม่")
    chinese = "我们不会与第三方共享您的个人信息。"
    assert pieces(chinese, chinese.replace("共享", "出售"), "zh") == [("removed", "共享"), ("added", "出售")]


def test_islands_of_a_word_or_two_do_not_tear_a_rewritten_sentence_to_pieces() -> None:
    old = "You may close your account by mail to our office in the town where you live."
    new = "Accounts can be closed at any hour through the settings of the app that you use."
    assert len(pieces(old, new)) <= 4


def test_a_replaced_passage_ends_before_its_space() -> None:
    found = comparison("a b c d e f g h", "a b c X e f g h")
    [clause] = found.sections[0].clauses
    assert [tuple(piece) for piece in clause.pieces] == [
        ("same", "a b c "), ("removed", "d"), ("same", " "), ("added", "X"), ("same", " "), ("same", "e f g h"),
    ]  # fmt: skip


def test_the_words_that_are_shown_are_exactly_those_of_the_two_texts() -> None:
    for section in comparison(NOISY, DISGUISED.replace("ten", "two")).sections:
        for clause in section.clauses:
            assert not any(re.search(r"\s\s", piece.text) for piece in clause.pieces)
