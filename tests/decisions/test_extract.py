"""Reading a text out of what a server answered."""

import pytest

from notifier.policies.extract import Unreadable, read_answer

PAGE = b"""<!doctype html><html lang="en"><head><title>Privacy at Kumo</title><style>p{}</style></head><body>
<header>Shop Basket</header><nav>Home</nav><main><h1>Privacy</h1><p>We <b>keep</b>&nbsp;it.</p>
<ul><li>one<li>two</ul><div class="share">Share this</div><script>track()</script></main><footer>2026</footer></body>"""


def test_a_page_is_its_main_part_as_markdown() -> None:
    reading = read_answer(PAGE, "text/html; charset=utf-8", drop=[".share"])
    assert reading.text == "# Privacy\n\nWe **keep** it.\n\n- one\n- two\n"
    assert (reading.title, reading.language, reading.asks_for_password) == ("Privacy at Kumo", "en", False)


def test_what_is_kept_can_be_said_and_nothing_is_kept_twice() -> None:
    kept = read_answer(PAGE, "text/html", keep=["h1", "main ul", "main ul li"]).text
    assert kept == "# Privacy\n\n- one\n- two\n"
    with pytest.raises(Unreadable, match="nothing on it fits #terms"):
        read_answer(PAGE, "text/html", keep=["#terms"])


def test_without_a_main_part_the_surroundings_of_the_text_are_left_out() -> None:
    page = b"<body><header>Menu</header><h2>Terms</h2><p>Text.</p><footer>Us</footer></body>"
    assert read_answer(page, "text/html").text == "## Terms\n\nText.\n"


def test_markdown_and_plain_text_are_taken_as_they_are() -> None:
    assert read_answer(b"\xef\xbb\xbf# Terms  \r\n\r\n\r\n\r\nText\r\n", "text/markdown").text == "# Terms\n\nText\n"


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("方針を定めます".encode("shift_jis"), "text/html; charset=Shift_JIS", "方針を定めます\n"),
        ("<meta charset=euc-jp><p>方針".encode("euc-jp"), "text/html", "方針\n"),
        ("<p>方針".encode("utf-16"), "text/html; charset=utf-8", "方針\n"),
        (b"<p>Caf\xe9 \x93x\x94", "text/html; charset=iso-8859-1", "Café “x”\n"),
        ("<p>方針".encode(), "", "方針\n"),
    ],
)
def test_the_encoding_is_the_one_that_is_claimed(body: bytes, content_type: str, text: str) -> None:
    assert read_answer(body, content_type).text == text


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        ("方針".encode("shift_jis"), "text/html; charset=utf-8", "encoding"),
        (b"<p>x", "text/html; charset=klingon", "encoding"),
        (b"a\0b", "text/plain", "NUL"),
        (b"%PDF-1.7", "application/pdf", "application/pdf"),
        (b"<b>" * 60_000, "text/html", "50,000 tags"),
        (b"<div>" * 3000 + b"x", "text/html", "nested too deeply"),
        (b"<blockquote>" * 100_000 + b"x", "text/plain", "10,000 tags"),
        (b"<blockquote>" * 101 + b"x", "text/plain", "nested too deeply"),
        (b"<p>" + b"&lt;b&gt;" * 101 + b"x", "text/html", "nested too deeply"),
        (b"[" * 2001, "text/plain", "2,000"),
        (b"|a" * 1000 + b"\n" + b"|-" * 1000 + b"\n" + b"|\n" * 200, "text/markdown", "100,000 cells"),
        (b"x" * (10 * 1024 * 1024 + 1), "text/plain", "10 MB"),
    ],
)
def test_what_cannot_be_read_says_why(body: bytes, content_type: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read_answer(body, content_type)
