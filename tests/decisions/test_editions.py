"""What the two example sites publish, and that the examples are what the docs say."""

from itertools import pairwise

import pytest
import yaml

from notifier.demo.editions import edition
from notifier.policies.version import FLAGS
from notifier.resources import resource
from notifier.sites.site import Site

SITES = ["kumo-store", "hanabi-market"]


@pytest.mark.parametrize("site", SITES)
def test_every_edition_differs_from_the_one_before_in_both_languages(site: str) -> None:
    editions = [edition(resource("examples") / site, site, number) for number in range(1, 5)]
    assert [one.label for one in editions] == ["1", "2", "3", "4"]
    for before, after in pairwise(editions):
        for locale in ("en", "ja"):
            assert before.texts[locale]["body"] != after.texts[locale]["body"]
            assert after.texts[locale]["summary"]
        assert set(after.flags) <= FLAGS


@pytest.mark.parametrize("site", SITES)
def test_an_example_is_a_valid_site_whose_policies_have_between_60_and_120_lines(site: str) -> None:
    folder = resource("examples") / site
    described = Site.model_validate(yaml.safe_load((folder / "site.yaml").read_text("utf-8")))
    assert described.site == site
    assert set(described.locales) == {"en", "ja"}
    for text in folder.glob("*/privacy.*.md"):
        assert 60 <= len(text.read_text("utf-8").splitlines()) <= 120
