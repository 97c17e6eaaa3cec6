"""`notifier versions` against a real service: a draft all the way from a terminal."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from notifier.cli.app import app
from notifier.compose import Service
from notifier.errors import Conflict, Invalid
from notifier.sites.apply import apply
from tests.sites import a_site
from tests.web.asking import Client, submission

Type = Callable[..., Awaitable[str]]


@pytest.fixture
async def typed(
    client: Client, token: Callable[..., Awaitable[str]], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Type:  # fmt: skip
    """Types a command, and gives back what it printed."""
    monkeypatch.setenv("NOTIFIER_TOKEN", await token(name="aya"))
    monkeypatch.setenv("NOTIFIER_URL", str(client.make_url("")))
    monkeypatch.setenv("COLUMNS", "200")

    async def run(*words: str, group: str = "versions") -> str:
        command, arguments, _ = app.parse_args([group, *words], exit_on_error=False, print_error=False)
        await command(*arguments.args, **arguments.kwargs)
        out = capsys.readouterr().out
        return "".join(line for line in out.splitlines(keepends=True) if "[info " not in line)

    return run


async def test_a_draft_all_the_way(typed: Type, send_version: Callable[..., Awaitable[Any]], tmp_path: Path) -> None:
    await send_version("kumo", submission("1"))
    files = {"en.md": "# Privacy\n\nWe share it with a carrier.", "ja.html": "<h1>方針</h1>", "en.txt": "A carrier."}
    for name, words in files.items():
        (tmp_path / name).write_text(words, "utf-8")
    said = await typed("draft", "kumo", "privacy", "--label", "2", "--text", f"en={tmp_path}/en.md",
                       "--summary", f"en={tmp_path}/en.txt", "--flag", "new_recipient")  # fmt: skip
    number = said.split()[0]
    assert "draft, material" in said
    assert "Perhaps new_recipient (en): Privacy: “share it with a carrier”" in said
    with pytest.raises(Invalid) as error:
        await typed("publish", "kumo", number)
    assert [fault.pointer for fault in error.value.faults] == ["/texts/ja"]
    (tmp_path / "ja.txt").write_text("配送会社。", "utf-8")
    said = await typed(
        "amend", "kumo", number, "--text", f"ja={tmp_path}/ja.html", "--summary", f"ja={tmp_path}/ja.txt"
    )
    sha256 = re.findall(r"SHA-256 ([0-9a-f]{64})", said)[0]
    said = await typed("preview", "kumo", number, "--into", str(tmp_path / "out"))
    assert "A carrier." in said
    assert "配送会社。" in said
    assert "8 files" in said
    assert "配送会社。" in (tmp_path / "out" / "letter.ja.html").read_text("utf-8")
    assert "We share it with a carrier." in (tmp_path / "out" / "page.en.html").read_text("utf-8")
    with pytest.raises(Conflict, match="was not reviewed"):
        await typed("schedule", "kumo", number, "2090-04-01T09:00")
    assert "Reviewed by aya" in await typed("review", "kumo", number, sha256, "--reason", "fine")
    assert "said in Asia/Tokyo" in await typed("schedule", "kumo", number, "2090-04-01T09:00")
    assert "reviewed, material" in await typed("unschedule", "kumo", number)
    assert "campaigns approve kumo" in await typed("publish", "kumo", number)
    assert "published, material" in await typed("show", "kumo", number)
    assert "published" in await typed("list", "kumo", "--policy", "privacy")


async def test_a_correction_and_a_draft_that_is_given_up(
    typed: Type, send_version: Callable[..., Awaitable[Any]], tmp_path: Path
) -> None:
    await send_version("kumo", submission("1"))
    (tmp_path / "en.md").write_text("# Privacy\n\nNo typo.", "utf-8")
    said = await typed("draft", "kumo", "privacy", "--label", "1a", "--materiality", "editorial", "--corrects", "1",
                       "--text", f"en={tmp_path}/en.md")  # fmt: skip
    assert "editorial, corrects 1" in said
    assert "Nobody is told of it" in await typed("preview", "kumo", said.split()[0])
    assert "was discarded" in await typed("discard", "kumo", said.split()[0], "--reason", "not now")


async def test_two_people_override_a_date_that_is_too_soon(
    typed: Type, token: Callable[..., Awaitable[str]], send_version: Callable[..., Awaitable[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    await send_version("kumo", submission("1"))
    assert "Nobody asked" in await typed("overrides", "kumo")
    words = "override", "kumo", "privacy", "2", "--effective-at", "2090-01-01T00:00:00+09:00"
    assert "nobody yet" in await typed(*words, "--reason", "an order of the authority")
    monkeypatch.setenv("NOTIFIER_TOKEN", await token(name="ben"))
    assert "ben" in await typed(*words, "--reason", "I have read the order")
    listed = await typed("overrides", "kumo")
    assert all(word in listed for word in ("aya", "ben", "authority")), listed


async def test_a_campaign_is_previewed_with_whom_the_rule_narrows_it_to(
    typed: Type, service: Service, send_version: Callable[..., Awaitable[Any]]
) -> None:
    for number, audience in enumerate(({}, {"locales": ["de_AT"], "dormant": False})):
        rule = {"preset": "pop-japan", "audience": audience}
        await apply(service.db, a_site(rule=rule), service.clock.now())
        await send_version("kumo", submission(f"{number}1"), f"msg_{number}1")
        _, answer = await send_version("kumo", submission(f"{number}2", "b"), f"msg_{number}2")
        said = await typed("preview", "kumo", answer["campaign"].rpartition("/")[2], group="campaigns")
        narrowed = 'The audience of the rule: {"locales": ["de-AT"], "dormant": false}'
        assert (narrowed in said) is bool(audience)
