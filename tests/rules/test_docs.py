"""What the docs say is tested: every setting, dependency and file of the tour is real, and none is left out."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from notifier.channels.classify import CLASSES, FINAL
from notifier.settings import Settings

ROOT = Path(__file__).parents[2]


def read(name: str) -> str:
    """One of the project's documents."""
    return (ROOT / name).read_text("utf-8")


def test_every_setting_stands_in_the_docs_and_no_other() -> None:
    documented = set(re.findall(r"^\| `NOTIFIER_([A-Z_]+)`", read("docs/settings.md"), re.MULTILINE))
    assert documented == {name.upper() for name in Settings.model_fields}


def test_the_example_environment_names_only_real_settings() -> None:
    named = set(re.findall(r"^#? ?NOTIFIER_([A-Z_]+)=", read(".env.example"), re.MULTILINE))
    assert named
    assert named <= {name.upper() for name in Settings.model_fields}


def test_every_dependency_has_its_reason_in_the_docs() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    names = {re.split(r"[>=<;\[ ]", line)[0] for line in wanted}
    assert sorted(name for name in names if name not in read("docs/dependencies.md")) == []


def test_the_lock_file_names_no_index_and_hashes_everything() -> None:
    lock = read("requirements.txt")
    assert "://" not in lock
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=\S)", lock.strip()))


def test_the_stages_stand_in_the_docs_in_the_order_in_which_imports_are_checked() -> None:
    contract = tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]["contracts"][0]
    layers = contract["layers"][::-1]
    package = read("docs/architecture.md").partition("## The package is the flow")[2].partition("\n## ")[0]
    stages = re.findall(r"`(sites → [^`]+)`", package)[0].split(" → ")
    below, above = layers.index(stages[0]), layers.index(stages[-1]) + 1
    assert layers[below:above] == stages
    around = [name for layer in layers[:below] + layers[above:] for name in layer.split(" | ")]
    assert [name for name in around if f"`{name}`" not in package] == []


def test_the_docs_say_of_every_class_of_failure_whether_the_letter_is_tried_again() -> None:
    table = read("docs/delivery.md").partition("## Classes")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z_]+)` \| .+ \| (\w+)[^|]* \| .+ \|$", table, re.MULTILINE)
    again = {"deferred", "unknown"}
    assert {name: outcome in again for name, outcome in rows} == {name: name not in FINAL for name in CLASSES}


def test_every_class_of_failure_has_words() -> None:
    words = yaml.safe_load(read("templates/words/en.yaml"))
    assert {key.removeprefix("class.") for key in words if key.startswith("class.")} == CLASSES


def test_one_notice_is_followed_through_fewer_than_ten_files_that_exist() -> None:
    start = read("README.md").partition("## Start here")[2].partition("\n## ")[0]
    files = re.findall(r"\]\((notifier/[a-z_/]+\.py|sql/[a-z_/]+\.sql)\)", start)
    assert 4 <= len(files) < 10
    assert [file for file in files if not (ROOT / file).is_file()] == []


@pytest.mark.parametrize("document", sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/**/*.md")))
def test_links_between_documents_lead_somewhere(document: str) -> None:
    here = ROOT / document
    links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", here.read_text("utf-8"))
    assert [link for link in links if not (here.parent / link).exists()] == []
