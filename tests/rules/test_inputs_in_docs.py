"""The documents name every field that can be given, and their examples are taken as they stand."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from notifier.people.person import PersonInput
from notifier.policies.version import FLAGS, Submission, Text, read_submission
from notifier.sites import pace, site
from notifier.sites.file import read_site
from notifier.sites.presets import PRESETS

DOCS = Path(__file__).parents[2] / "docs"
PARTS = (
    *(site.Site, site.Sender, site.Policy, site.RuleSettings, site.Audience),
    *(
        site.Relay,
        site.Dkim,
        site.Webhook,
        site.Watch,
        site.Source,
        site.PostedPage,
        site.Review,
        site.Approval,
        site.Canary,
        site.Breaker,
    ),
    *(pace.Pace, pace.Provider),
)


def document(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def example(name: str, language: str) -> str:
    return re.findall(rf"```{language}\n(.*?)```", document(name), re.DOTALL)[0]


@pytest.mark.parametrize(
    ("name", "model"),
    [
        *(("site-yaml.md", part) for part in PARTS),
        ("publishing.md", Submission),
        ("publishing.md", Text),
        ("people.md", PersonInput),
    ],
)
def test_every_field_has_its_line(name: str, model: type[BaseModel]) -> None:
    assert [field for field in model.model_fields if f"| `{field}`" not in document(name)] == []


def test_every_flag_and_preset_is_named() -> None:
    assert [flag for flag in FLAGS if f"`{flag}`" not in document("publishing.md")] == []
    assert [preset for preset in PRESETS if preset not in document("site-yaml.md")] == []


def test_the_examples_are_taken_as_they_stand() -> None:
    assert read_site(example("site-yaml.md", "yaml")).site == "my-shop"
    assert read_submission(example("publishing.md", "json").encode()).label == "2026-04"
    person = json.loads(example("people.md", "json"))
    assert PersonInput.model_validate_json(json.dumps(person)).locale == "ja-JP"


def test_the_settings_allow_every_preset() -> None:
    assert set(PRESETS) == set(get_args(site.RuleSettings.model_fields["preset"].annotation))
