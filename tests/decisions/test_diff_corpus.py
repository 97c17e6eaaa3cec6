"""Every pair of successive versions in a folder of real policies, held to our own reading (``tests/reading.py``)."""

import json
import os
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from notifier.policies.diff import Comparison, compare
from tests.reading import READING

CORPUS = Path(os.environ.get("NOTIFIER_CORPUS") or Path(__file__).parents[2].parent / "shared" / "corpus")
pytestmark = pytest.mark.skipif(
    not (CORPUS / "index.json").is_file(), reason="no folder of real policies (NOTIFIER_CORPUS)"
)


@cache
def replayed() -> dict[str, tuple[str, Comparison]]:
    """Pair → what its recorder called it, and what we make of it."""
    found = {}
    for document in json.loads((CORPUS / "index.json").read_text("utf-8")):
        for old, new in pairwise(document["versions"]):
            texts = [(CORPUS / version["file"]).read_bytes() for version in (old, new)]
            comparison = compare("text/markdown", texts[0], "text/markdown", texts[1])
            found[new["file"].partition("_")[0]] = (new["kind"], comparison)
    return found


@pytest.mark.long
def test_every_pair_was_read() -> None:
    assert replayed().keys() == READING.keys()
    assert {verdict for verdict, _ in READING.values()} == {"noise", "editorial", "changed"}


def test_what_only_the_recorders_tools_changed_is_silent() -> None:
    loud = [pair for pair, (kind, found) in replayed().items() if kind == "technical" and found.changes]
    assert loud == []


def test_what_we_read_as_noise_is_silent() -> None:
    assert [pair for pair, (v, _) in READING.items() if v == "noise" and replayed()[pair][1].meaning_changed] == []


def test_every_change_of_meaning_is_seen_and_few_others_are(record_property: Callable[[str, object], None]) -> None:
    told = {pair for pair, (_, found) in replayed().items() if found.meaning_changed}
    meant = {pair for pair, (verdict, _) in READING.items() if verdict == "changed"}
    precision, recall = len(told & meant) / len(told), len(told & meant) / len(meant)
    record_property("precision", precision)
    record_property("recall", recall)
    # Read: 49 of 100 changed. Seen: all 49, and 7 whose words are others but mean the same (a typing mistake mended).
    assert recall == 1, meant - told
    assert precision >= 0.87, told - meant


def test_a_pair_that_went_back_is_the_first_one_turned_round() -> None:
    there, back = replayed()["reddit-privacy-policy/09"][1], replayed()["reddit-privacy-policy/10"][1]
    opposite = {"added": "removed", "removed": "added", "edited": "edited"}
    assert sorted((c.section, opposite[c.change]) for c in there.changes) == sorted(back.changes)


def test_no_text_differs_from_itself_and_no_word_is_lost() -> None:
    for document in json.loads((CORPUS / "index.json").read_text("utf-8")):
        body = (CORPUS / document["versions"][-1]["file"]).read_bytes()
        found = compare("text/markdown", body, "text/markdown", body)
        assert (found.changes, found.noise) == ((), {})
