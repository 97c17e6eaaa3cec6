"""A published text as it is shown."""

import re

import pytest

from notifier.policies.display import html_of


def md(text: str) -> str:
    return html_of("text/markdown", text.encode())


def test_markdown_becomes_html_with_an_id_on_each_heading() -> None:
    assert '<h2 id="text-what-we-collect">What we <em>collect</em></h2>' in md("## What we *collect*\n\nx")


def test_the_same_heading_twice_gets_two_ids_and_a_nameless_one_gets_one() -> None:
    shown = md("# A\n\n# A\n\n# !!")
    assert [piece.split('"')[0] for piece in shown.split('id="')[1:]] == ["text-a", "text-a-1", "text-section"]


def test_a_link_to_a_heading_of_the_same_text_leads_there() -> None:
    shown = md("[see](#what-we-collect)\n\n## What we collect")
    assert 'href="#text-what-we-collect"' in shown
    assert 'id="text-what-we-collect"' in shown


def test_japanese_headings_keep_their_words_as_ids() -> None:
    assert 'id="text-第1条-個人情報"' in md("## 第1条 個人情報")


def test_relative_links_lead_nowhere_and_absolute_ones_tell_nobody_where_from() -> None:
    shown = md("[a](/privacy) [b](https://kumo.example/x) [c](//evil.example) [d](mailto:a@kumo.example)")
    assert "/privacy" not in shown
    assert "evil.example" not in shown
    assert 'href="https://kumo.example/x" rel="noopener noreferrer nofollow"' in shown
    assert 'href="mailto:a@kumo.example"' in shown


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        '<a href="jAvAsCrIpT:alert(1)">x</a>',
        '<a href="&#106;avascript:alert(1)">x</a>',
        "<svg><script>alert(1)</script></svg>",
        '<h1 id="x" onclick="alert(1)">x</h1>',
        "<style>*{background:url(https://evil.example)}</style>",
        '<p style="x:alert(1)">x</p>',
        "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
        "<form action=https://evil.example><input name=alert(1)></form>",
        "<math><mtext><table><mglyph><style><img src onerror=alert(1)>",
        "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
        '<a href="data:text/html,alert(1)">x</a>',
    ],
)
@pytest.mark.parametrize("media_type", ["text/markdown", "text/html"])
def test_nothing_that_runs_or_loads_survives(media_type: str, hostile: str) -> None:
    shown = html_of(media_type, f"Before\n\n{hostile}\n\nafter".encode()).lower()
    tags = " ".join(re.findall(r"<[^>]*>", shown))
    runs = ("<script", " on", "javascript:", "data:")
    loads = ("<img", "<svg", "<style", "<iframe", "<form", "style=", "src")
    assert [bad for bad in (*runs, *loads) if bad in tags] == []


def test_template_syntax_and_rtl_marks_are_only_words() -> None:
    shown = md("{{ 7*7 }} {% raw %} \u202eevil 👩‍👩‍👧")
    assert "{{ 7*7 }} {% raw %} \u202eevil 👩‍👩‍👧" in shown


def test_a_table_is_a_table() -> None:
    assert "<td>b</td>" in md("|x|y|\n|-|-|\n|a|b|\n")


def test_what_is_crossed_out_is_shown_so_and_ranges_are_not() -> None:
    assert "<del>gone</del> 1~3 days, 5~7 days" in md("~~gone~~ 1~3 days, 5~7 days")


@pytest.mark.parametrize("marks", [">", "> ", "- ", "1. ", " > - "])
def test_a_hundred_marks_in_a_row_are_words_and_take_no_time(marks: str) -> None:
    shown = md(marks * 100_000 + "end\n\n> a quote\n>> in a quote")
    assert (shown.count("<blockquote>"), shown.count("<li>")) == (2, 0)
    assert "end" in shown
