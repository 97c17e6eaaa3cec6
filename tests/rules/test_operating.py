"""What the operator's page names is there: settings, figures, events of the log, classes, and places it links to."""

import re
from pathlib import Path

import pytest

from notifier.channels.classify import CLASSES
from notifier.settings import Settings
from notifier.web.metrics import Metrics

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operating.md").read_text("utf-8")
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# What commands that ask a running service, tests and benchmarks read besides the settings.
OTHERS = r"URL|TOKEN|WEBHOOK_SECRET|TEST_\w+"


def test_every_figure_is_one_that_the_service_has_and_none_is_left_out() -> None:
    named = set(re.findall(r"\bnotifier_[a-z_]+\b", PAGE))
    metrics = Metrics()
    metrics.requests.count("GET", "/", 200, 0.1)
    kinds = {found.name: found.type for found in metrics.registry.collect()}
    assert named == {f"{name}_total" if kind == "counter" else name for name, kind in kinds.items()}


def test_every_event_of_the_log_is_one_that_is_logged() -> None:
    table = PAGE.partition("| event | means |")[2].partition("\n\n")[0]
    events = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    code = "\n".join(file.read_text("utf-8") for file in (ROOT / "notifier").rglob("*.py"))
    assert len(events) > 5
    assert [event for event in events if not re.search(rf'log\.\w+\(\s*"{event}"', code)] == []


def test_every_class_of_failure_has_something_to_do() -> None:
    table = PAGE.partition("## What each class means")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \|", table, re.MULTILINE)
    assert sorted(name for row in rows for name in re.findall(r"`([a-z_]+)`", row)) == sorted(CLASSES)


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)
def test_every_setting_that_a_document_names_exists(document: Path) -> None:
    named = set(re.findall(r"\bNOTIFIER_([A-Z][A-Z_]+)\b", document.read_text("utf-8")))
    known = {name.upper() for name in Settings.model_fields}
    assert {name for name in named - known if not re.fullmatch(OTHERS, name)} == set()


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)
def test_every_place_that_a_document_links_to_is_there(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        found = document if not file else document.parent / file
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), target


def anchors(document: Path) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
