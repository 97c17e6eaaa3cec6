"""``notifier diff``: what it writes, and what it says of files that cannot be compared."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from notifier.cli.app import execute

OLD = "# Privacy\n\n## Data\n\nYour name.\n\n## Sharing\n\nWe share nothing.\n"
NEW = "# Privacy\n\n## Data\n\nYour name.\n\n## Sharing\n\nWe share *everything*.\n"
Files = Callable[..., list[str]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Writes two files and gives their names."""

    def write(old: bytes, new: bytes, suffix: str = ".md") -> list[str]:
        names = [tmp_path / f"{name}{suffix}" for name in ("old", "new")]
        for name, content in zip(names, (old, new), strict=True):
            name.write_bytes(content)
        return [str(name) for name in names]

    return write


def test_a_terminal_shows_what_went_and_came_without_needing_colours(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["diff", *files(OLD.encode(), NEW.encode())]) == 0
    shown = capsys.readouterr().out
    assert "One section changed: words that came: 1, that went: 1." in shown
    assert "Edited: Sharing" in shown
    assert "We share [-nothing-]{+everything+}." in shown


def test_json_has_every_section_and_its_words(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["diff", *files(OLD.encode(), NEW.encode()), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["meaning_changed"] is True
    sections = [(s["section"], s["change"], s["words_added"], s["words_removed"]) for s in found["sections"]]
    assert sections == [("Privacy", "same", 0, 0), ("Data", "same", 0, 0), ("Sharing", "edited", 1, 1)]
    assert execute(["diff", *files(OLD.encode(), OLD.encode()), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["meaning_changed"] is False


def test_markdown_strikes_and_emphasises_and_escapes(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    new = NEW.replace("*everything*", "\\*all\\*")
    assert execute(["diff", *files(OLD.encode(), new.encode()), "--markdown"]) == 0
    assert "We share ~~nothing~~**\\*all\\***." in capsys.readouterr().out


def test_the_page_stands_alone_and_speaks_the_language_of_the_text(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = "# 規約\n\n第三者に提供しません。", "# 規約\n\n第三者に<b>提供します</b>。"
    assert execute(["diff", *files(old.encode(), new.encode()), "--html", "--locale", "ja"]) == 0
    page = capsys.readouterr().out
    assert '<html lang="ja">' in page
    assert not re.search(r'(?:src|href)="(?!#)|<script|<link', page)
    assert re.search(r"<del style=\"[^\"]*line-through[^>]*>.*しません", page)
    assert re.search(r"<ins style=\"[^\"]*underline[^>]*>", page)
    assert "変更" in page


def test_html_is_compared_with_markdown_by_what_both_say(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    html = (
        "<!doctype html><html><head><title>Kumo</title><style>p{}</style></head><body><h1>Privacy</h1><h2>Data</h2>"
        "<p>Your name.</p><h2>Sharing</h2><p>We share nothing.</p><script>x()</script></body></html>"
    )
    assert execute(["diff", *files(OLD.encode(), html.encode(), ""), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["meaning_changed"] is False


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\r", "is no text; give Markdown or HTML"),
        (b"%PDF-1.7 ...", "is no text; give Markdown or HTML"),
        ("café".encode("latin-1"), "is not UTF-8 (byte 3); save it as UTF-8"),
        ("個人情報".encode("shift_jis"), "is not UTF-8 (byte"),
        (b"word " * 2_200_000, "more than 10 MB"),
        (b"- x\n" * 100_001, "more than 100,000 lines and marks"),
        (b"<b>" * 10_001, "more than 10,000 HTML tags"),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_sentence(
    files: Files, capsys: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    assert execute(["diff", *files(content, b"# A\n\nb")]) == 1
    assert said in " ".join(capsys.readouterr().err.split())


def test_an_empty_file_is_a_text_without_words(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["diff", *files(b"\xef\xbb\xbf \n", OLD.encode()), "--json"]) == 0
    assert {s["change"] for s in json.loads(capsys.readouterr().out)["sections"]} == {"added"}


def test_a_missing_file_and_two_formats_at_once_are_refused(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    names = files(OLD.encode(), NEW.encode())
    assert execute(["diff", names[0], names[1] + "x"]) == 1
    assert "No such file" in capsys.readouterr().err
    assert execute(["diff", *names, "--json", "--html"]) == 1
    assert "choose one" in capsys.readouterr().err
