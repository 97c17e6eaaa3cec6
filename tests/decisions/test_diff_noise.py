"""Each step that takes noise off a text, by its name: what it makes equal, and what it does not."""

import pytest

from notifier.policies import links, noise
from notifier.policies.clauses import clauses_of
from notifier.policies.dates import only_says_when
from notifier.policies.diff import compare

# Step → a pair that it alone makes equal, and one that looks alike but says something else.
TEXTS = {
    "invisible_characters": (("pri\u200bvacy\u00ad", "privacy"), ("privacy", "piracy")),
    "footnote_marks": (("your device[12] and", "your device[13] and"), ("for 12 months", "for 13 months")),
    "address_noise": (
        ("see https://kumo.example/help?utm_source=a now", "see https://www.kumo.example/help/ now"),
        ("see https://kumo.example/help now", "see https://kumo.example/sell now"),
    ),
    "width": (("Ｃｏｏｋｉｅ １２ ｶﾅ", "Cookie 12 カナ"), ("Cookie 12", "Cookie 21")),
    "quotes": (("the “Service” isn’t", "the 'Service' isn't"), ("its data", "it is data")),
    "list_style": (("• your name", "your name"), ("not your name", "your name")),
    "dashes": (("data – all of it", "data — all of it"), ("opt-out", "opt-in")),
    "spaces": (("Cookie を使う", "Cookieを使う"), ("Cookie を使う", "Cookie を使わない")),
    "copyright_year": (("© 2024 Kumo", "© 2025 Kumo"), ("since 2024 Kumo", "since 2025 Kumo")),
    "full_stops": (("your data;", "your data."), ("your data, and", "your data and")),
    "decoration": (("=====", ""), ("✓", "")),
}
TITLES = {
    "numbering": (("3. Cookies", "4. Cookies"), ("30 days to object", "14 days to object")),
    "anchor_marks": (("What we collect #", "What we collect"), ("Ranked #1", "Ranked")),
    "letter_case": (("What We Collect", "What we collect"), ("What we collect", "What we sell")),
    "site_name": (("Privacy Policy | Kumo", "Privacy Policy"), ("Privacy Policy", "Cookie Policy")),
}


def test_every_step_is_tested_here() -> None:
    assert TEXTS.keys() == {name for name, _ in noise.TEXT_STEPS}
    assert TEXTS.keys() | TITLES.keys() == {name for name, _ in noise.TITLE_STEPS}


@pytest.mark.parametrize("step", [*TEXTS, *TITLES])
def test_a_step_makes_noise_equal_and_is_named_for_it(step: str) -> None:
    (one, other), _ = (TEXTS | TITLES)[step]
    heading = step in TITLES
    assert noise.key(one, heading=heading) == noise.key(other, heading=heading)
    assert noise.steps_between(one, other, heading=heading) == (step,)


@pytest.mark.parametrize("step", [*TEXTS, *TITLES])
def test_a_step_leaves_what_says_something_else(step: str) -> None:
    _, (one, other) = (TEXTS | TITLES)[step]
    assert noise.key(one, heading=step in TITLES) != noise.key(other, heading=step in TITLES)


def test_numbers_and_capitals_are_noise_in_headings_only() -> None:
    assert noise.key("3. Cookies", heading=False) != noise.key("4. Cookies", heading=False)
    assert noise.key("the Service", heading=False) != noise.key("the service", heading=False)


NUMBERED = [
    ("第1条 適用", "第2条 適用"),
    ("Article 6: Rights", "Article 7: Rights"),
    ("2.a.Scope", "3.a.Scope"),
    ("iv) x", "v) x"),
]


@pytest.mark.parametrize(("one", "other"), NUMBERED)
def test_headings_are_numbered_in_many_ways(one: str, other: str) -> None:
    assert noise.key(one, heading=True) == noise.key(other, heading=True)


@pytest.mark.parametrize(
    "line",
    [
        "Last updated: 3 May 2025", "Effective June 16, 2025", "Effective: Jan 06, 2026. Last Revised: Jan 06, 2026.",
        "This policy takes effect on 14 August 2025 for new users. It takes effect for existing users on 15 May 2026.",
        "You may find the previous version of our privacy policy here.", "最終更新日：2025年4月1日",
        "令和6年5月1日 改定", "本規約は2025年4月1日から施行します。", "最近更新日期：2024年5月1日",
        "ปรับปรุงล่าสุด 1 พฤษภาคม 2567", "Stand: 14. August 2018",
    ],
)  # fmt: skip
def test_a_line_that_only_says_when_is_a_date(line: str) -> None:
    assert only_says_when(line)


@pytest.mark.parametrize(
    "line",
    [
        "Effective for buyers only from 1 May 2025", "We keep logs until 1 May 2025", "We changed our terms.",
        "You may use the service until 1 May 2025.", "Your data before 1 May 2024 will be deleted.", "30 days",
        "This policy is not effective before 1 May 2025.", "2025年4月1日までに退会してください。",
        "2025年4月1日以前の投稿は削除します。", "Terms of use",
    ],
)  # fmt: skip
def test_a_line_that_says_one_word_more_is_a_clause(line: str) -> None:
    assert not only_says_when(line)


def aside(markdown: str) -> dict[str, str]:
    clauses = clauses_of("text/markdown", markdown.encode())
    keys = [noise.key(clause.text, heading=clause.kind == "heading") for clause in clauses]
    return {clauses[position].text: step for position, step in noise.set_aside(clauses, keys, noise.Lines()).items()}


def test_a_table_of_contents_is_set_aside_with_its_title_and_where_most_of_it_repeats_headings() -> None:
    text = "# A\n\n## On this page\n\n- 1 One\n- Two\n- Old name\n\nShow less\n\n# 1 One\n\nText.\n\n# Two\n\nThree\n"
    contents = dict.fromkeys(("On this page", "1 One", "Two", "Old name"), "table_of_contents")
    assert aside(text) == contents | {"Show less": "page_widgets"}
    untitled = "- One\n- Two\n- Three\n\n# One\n\nA.\n\n# Two\n\nB.\n\n# Three\n\nC.\n"
    assert set(aside(untitled)) == {"One", "Two", "Three"}
    assert aside("# Who\n\n- One\n- Two\n\n# One\n\nA.\n\n# Two\n\nB.") == {}


def test_buttons_are_set_aside_but_not_the_words_of_a_cell() -> None:
    assert aside("Back to top\n\nもっと見る\n\nWe share it.") == dict.fromkeys(
        ("Back to top", "もっと見る"), "page_widgets"
    )
    assert aside("| sold |\n|---|\n| no |") == {}


LINKS = {
    "tracking_parameters": ("https://kumo.example/a?utm_source=x&id=1", "https://kumo.example/a?id=1&fbclid=y"),
    "network_tokens": ("https://v.fbcdn.net/a.mp4?oh=1&oe=2", "https://v.fbcdn.net/a.mp4?oh=3&oe=4"),
    "moved_anchors": ("https://kumo.example/a#one", "https://kumo.example/a#two"),
    "address_spelling": ("http://kumo.example/a", "https://www.kumo.example/a/"),
    "moved_pages": ("https://kumo.example/a", "https://help.kumo.example/b"),
    "hidden_addresses": ("mailto:a@kumo.example", "https://kumo.example/cdn-cgi/l/email-protection#00ff"),
}


@pytest.mark.parametrize("step", LINKS)
def test_a_link_that_still_leads_there_is_the_same_for_a_named_reason(step: str) -> None:
    assert links.why_same(*LINKS[step]) == step


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("https://kumo.example/a", "https://other.example/a"),
        ("https://kumo.co.jp/a", "https://other.co.jp/a"),
        ("mailto:a@kumo.example", "mailto:b@kumo.example"),
        ("https://kumo.example/a", "mailto:a@kumo.example"),
    ],
)
def test_a_link_that_leads_to_somebody_else_is_another(old: str, new: str) -> None:
    assert links.why_same(old, new) is None


def test_what_is_no_address_is_compared_as_it_stands() -> None:
    assert links.place("https://[a") != links.place("https://[b")
    assert links.why_same("https://[a", "https://[b") is None


def test_an_address_within_an_address_loses_its_tokens_too() -> None:
    outer = "https://m.kumo.example/play?src=https%3A%2F%2Fcdn.example%2Fa.mp4%3Foh%3D{}&id=7"
    assert links.place(outer.format("1")) == links.place(outer.format("2"))
    assert links.place(outer.format("1")) != links.place(outer.format("1").replace("id=7", "id=8"))


def test_the_bytes_that_are_shown_are_those_of_the_newer_text() -> None:
    old, new = '# A\n\nThe "Service".', "# A\n\nThe “Service”."
    [section] = compare("text/markdown", old.encode(), "text/markdown", new.encode()).sections
    assert [piece.text for clause in section.clauses for piece in clause.pieces] == ["A", "The “Service”."]
