"""What changed between two texts."""

from notifier.policies.diff import Change, changes, sections_of

OLD = """# Privacy

Who we are.

## 1. What we collect

Your name and [address](https://kumo.example/help?utm_source=a).

## 2. Cookies

Only the needed ones.

## 3. Contact

privacy@kumo.example
"""


def between(old: str, new: str, *, new_type: str = "text/markdown") -> list[tuple[str, str]]:
    found = changes(sections_of("text/markdown", old.encode()), sections_of(new_type, new.encode()))
    return [(change.section, change.change) for change in found]


def test_the_same_text_has_no_changes() -> None:
    assert between(OLD, OLD) == []


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


def test_an_edited_section_is_named() -> None:
    assert between(OLD, OLD.replace("needed", "useful")) == [("2. Cookies", "edited")]


def test_a_link_that_leads_elsewhere_is_an_edit() -> None:
    assert between(OLD, OLD.replace("kumo.example/help", "other.example/help")) == [("1. What we collect", "edited")]


def test_an_added_section_does_not_make_the_renumbered_ones_edited() -> None:
    new = OLD.replace("## 2. Cookies", "## 2. Sharing\n\nWith nobody.\n\n## 3. Cookies")
    new = new.replace("3. Contact", "4. Contact")
    assert between(OLD, new) == [("2. Sharing", "added")]


def test_a_removed_section_comes_last() -> None:
    new = OLD.replace("## 2. Cookies\n\nOnly the needed ones.\n\n", "").replace("Who we", "What we")
    assert between(OLD, new) == [("Privacy", "edited"), ("2. Cookies", "removed")]


def test_a_section_with_another_place_was_moved_and_only_that_one() -> None:
    contact = "## 3. Contact\n\nprivacy@kumo.example\n"
    new = OLD.replace(contact, "").replace("## 1.", contact + "\n## 1.")
    assert between(OLD, new) == [("3. Contact", "moved")]


def test_a_renamed_section_with_the_same_words_was_edited() -> None:
    assert between(OLD, OLD.replace("Cookies", "Cookies and the like")) == [("2. Cookies and the like", "edited")]


def test_a_text_without_headings_is_one_section_called_by_its_first_words() -> None:
    old, new = "Short. " + "word " * 40, "Short. " + "word " * 41
    assert len(sections_of("text/markdown", old.encode())) == 1
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
    some = sections_of("text/markdown", b"# A\n\nx")
    assert changes((), some) == (Change("A", "added"),)
    assert changes(some, ()) == (Change("A", "removed"),)
    assert sections_of("text/markdown", b" \n") == ()
