"""What changed between two files, without a service or a database."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import css_inline
from cyclopts import Parameter
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text as Styled

from notifier.cli.files import MEDIA_TYPES
from notifier.errors import Invalid
from notifier.pages import Pages, Tongue
from notifier.policies.diff import ClauseChange, Comparison, compare
from notifier.policies.display import HTML, MARKDOWN
from notifier.policies.folding import Block
from notifier.policies.hints import Hint, hints_of, proposal_of
from notifier.policies.redline import noise_words, shown, to_json, to_markdown, verdict
from notifier.policies.version import Text
from notifier.resources import resource

# Each costs some microseconds to read; real policies have a tenth of it.
_MOST_MARKS = 100_000
_MARKS = re.compile(r"[*_`&<\\|\[!\n]")
_HTML = re.compile(r"\s*<(?:!doctype|html|body|div|p|h1|section|article|main)\b", re.IGNORECASE)
_STYLES = {"same": "", "removed": "red strike", "added": "green underline"}

Flag = Parameter(negative="")


class _File(NamedTuple):
    name: str
    media_type: str
    body: bytes


def diff(
    old: Path,
    new: Path,
    *,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    html: Annotated[bool, Flag] = False,
    markdown: Annotated[bool, Flag] = False,
    locale: str = "en",
) -> None:
    """Compare two texts clause by clause: Markdown or HTML, in any language. Needs no service.

    What changes nothing in what a text says (dates, tracking parameters, quotation marks, …) is no change.

    Parameters
    ----------
    as_json
        As JSON, with every section and its words.
    html
        As a page that stands alone.
    markdown
        As Markdown.
    locale
        The language of the texts, which says where words end; and of what is said about them, if it is known.
    """
    if as_json + html + markdown > 1:
        raise Invalid("--json, --html and --markdown exclude each other; choose one")
    files = [_read(old), _read(new)]
    found = compare(files[0].media_type, files[0].body, files[1].media_type, files[1].body, locale)
    tongue = Pages().tongue(locale.partition("-")[0])
    hints = hints_of(found)
    if as_json:
        said = {"hints": [hint._asdict() for hint in hints], "proposal": _proposal(found, hints)}
        _write(json.dumps(to_json(found) | said, ensure_ascii=False, indent=2))
    elif html:
        _write(_page(found, files, locale))
    elif markdown:
        _write(to_markdown(found, tongue.t))
    else:
        _show(found, hints, tongue)


def _read(file: Path) -> _File:
    """A file as it could be published. Raises Invalid, saying what is wrong with it."""
    content = file.read_bytes()
    if b"\0" in content[:1024] or content.startswith((b"%PDF", b"PK\x03\x04")):
        raise Invalid(f"{file} is no text; give Markdown or HTML")
    try:
        words = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(f"{file} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    if not words.strip():
        return _File(file.name, MARKDOWN, b"")
    media_type = MEDIA_TYPES.get(file.suffix.lower()) or (HTML if _HTML.match(words) else MARKDOWN)
    try:
        body = Text.model_validate({"media_type": media_type, "body": words}).content
    except ValidationError as error:
        raise Invalid(f"{file}: {error.errors()[0]['msg']}") from error
    if sum(1 for _ in _MARKS.finditer(words)) > _MOST_MARKS:
        raise Invalid(f"{file} has more than {_MOST_MARKS:,} lines and marks; compare it in parts")
    return _File(file.name, media_type, body)


def _page(found: Comparison, files: list[_File], locale: str) -> str:
    pages = Pages()
    language = locale.partition("-")[0]
    page = pages.render(
        "diff/redline.html.j2",
        language,
        old=files[0].name,
        new=files[1].name,
        locale=locale,
        verdict=verdict(found, pages.tongue(language).t),
        sections=shown(found),
        noise=found.noise,
    )
    css = (resource("templates") / "diff" / "redline.css").read_text("utf-8")
    return css_inline.CSSInliner(extra_css=css, load_remote_stylesheets=False).inline(page)


def _proposal(found: Comparison, hints: list[Hint]) -> dict[str, object]:
    proposal = proposal_of(hints, meaning_changed=found.meaning_changed)
    return {"materiality": proposal.materiality, "flags": list(proposal.flags)}


def _show(found: Comparison, hints: list[Hint], tongue: Tongue) -> None:
    console = Console(highlight=False)
    console.print(Styled(verdict(found, tongue.t), style="bold"), soft_wrap=True)
    for hint in hints:
        gone = f" ({tongue.t('hint.gone')})" if hint.gone else ""
        line = f"{tongue.t('hint.perhaps')} {tongue.word('hint', hint.kind)}: {hint.section}: “{hint.words}”{gone}"
        console.print(Styled(line, style="yellow"), soft_wrap=True)
    for section in shown(found):
        title = tongue.t(f"public.changed.{section.section.change}")
        was = f" ({tongue.t('redline.was', name=section.section.was)})" if section.section.was else ""
        console.print(Styled(f"\n{title}: {section.section.section}{was}", style="bold"), soft_wrap=True)
        for fold in section.folds:
            if fold.folded:
                console.print(Styled("  …", style="dim"))
                continue
            for block in fold.blocks:
                for styled in _lines(block, tongue):
                    console.print(styled, soft_wrap=True)
    if found.noise:
        console.print(
            Styled(f"\n{tongue.t('redline.noise')} {noise_words(found, tongue.t)}", style="dim"), soft_wrap=True
        )


def _lines(block: Block, tongue: Tongue) -> Iterator[Styled]:
    if block.clause is not None:
        yield _styled(block.clause, tongue)
    for row in block.rows:
        cells = [Styled("\n").join(_styled(clause, tongue) for clause in slot.clauses) for slot in row.slots]
        yield Styled(" |").join(cells)


def _styled(clause: ClauseChange, tongue: Tongue) -> Styled:
    """One clause: [-removed-] and {+added+} as ``git diff --word-diff`` writes them, so that it needs no colours."""
    marks = {"same": "{}", "removed": "[-{}-]", "added": "{{+{}+}}"}
    line = Styled("  • " if clause.kind == "item" else "  ")
    for piece in clause.pieces:
        style = "dim" if clause.change in ("same", "aside") else _STYLES[piece.op]
        line.append(marks[piece.op].format(piece.text), style=style)
    if clause.moved:
        line.append(f" ({tongue.t('redline.moved_here')})", style="dim")
    for redirect in clause.redirects:
        line.append(f"\n  {tongue.t('redline.link')} {redirect.words}: [-{redirect.old}-] {{+{redirect.new}+}}")
    return line


def _write(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")
