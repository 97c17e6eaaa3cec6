"""What a text may not have too much of, and what real texts may have."""

import time

import pytest

from notifier.policies.display import cleaned
from notifier.policies.excess import excess

TABLE = "|" + "a|" * 200 + "\n|" + "-|" * 200 + "\n"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("<b>" * 10_001, "tags"),
        ("<blockquote>" * 101 + "x", "nested"),
        ("<BlockQuote lang=en>" * 101 + "x", "nested"),
        ("> <span>" + "<span>" * 100, "nested"),
        ("".join(f'<p><b lang="x{n}">a' for n in range(101)), "nested"),
        ("".join(f'<p><b lang="x{n}"/>a</p>' for n in range(101)), "nested"),
        ("</b></i>" * 200 + "<i>" * 101, "nested"),
        ("[" * 2001, "brackets"),
        (TABLE + "|a|\n" * 500, "cells"),
        ("> " + TABLE.replace("\n", "\n> ") + "|a|\n> " * 500, "cells"),
        ("\n\n".join(TABLE + "|a|\n" * 100 for _ in range(6)), "cells"),
    ],
)
def test_what_costs_too_much_is_named(words: str, what: str) -> None:
    found = excess(words)
    assert found is not None
    assert found.what == what


@pytest.mark.parametrize(
    "words",
    [
        "",
        "plain",
        "<p>a<p>b" * 4000,
        "<ul>" + "<li>x" * 5000 + "</ul>",
        "<p><b>a</b> <i>b</i></p>" * 3000,
        "<br>" * 9000 + "<img src=x>" * 900,
        '<svg><path d="M0"/></svg>' * 1000,
        "<div>" * 90 + "x" + "</div>" * 90,
        "[a](b)\n\n" * 5000,
        "a | b\n--- | ---\n" + "c | d\n" * 10_000,
        "---\n" * 5000,
        "a - b | c\n" * 5000,
    ],
)
def test_long_texts_that_are_well_made_are_taken(words: str) -> None:
    assert excess(words) is None


@pytest.mark.parametrize(
    "words",
    ["".join(f'<b lang="x{n}">' for n in range(100)) + "<p>a" * 9000, "<blockquote>" * 100 + "<p>a" * 9000],
)
def test_the_worst_that_is_taken_is_shown_within_seconds(words: str) -> None:
    assert excess(words) is None
    before = time.process_time()
    cleaned("text/html", words.encode())
    assert time.process_time() - before < 5


def test_finding_out_takes_time_in_proportion_to_the_text() -> None:
    hostile = [
        "-" * 1_000_000 + "x",
        "|-" * 500_000 + "x",
        "<" * 1_000_000,
        "<a " * 300_000,
        "> \n" * 300_000 + "-|",
        "|-\n" * 300_000,
    ]
    before = time.process_time()
    for words in hostile:
        excess(words)
    assert time.process_time() - before < 5
