"""Texts that no rule was made for (``tests/held_out.py``), read from a clone of the repository that has them."""

import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

from notifier.policies.diff import compare
from tests.held_out import HELD_OUT

CLONE = Path(os.environ.get("NOTIFIER_HELD_OUT") or "no-clone")
pytestmark = pytest.mark.skipif(not CLONE.is_dir(), reason="no clone of OpenTermsArchive/demo-versions")


def text(commit: str, document: str) -> bytes:
    command = ["git", "-C", str(CLONE), "show", f"{commit}:{document}"]
    return subprocess.run(command, capture_output=True, check=True).stdout


@cache
def told() -> frozenset[tuple[str, str, str]]:
    """The pairs that are told as changed."""
    return frozenset(
        pair
        for pair in HELD_OUT
        if compare("text/markdown", text(pair[1], pair[0]), "text/markdown", text(pair[2], pair[0])).meaning_changed
    )


def test_every_change_of_meaning_in_unseen_texts_is_seen() -> None:
    assert {pair for pair, (verdict, _) in HELD_OUT.items() if verdict == "changed"} <= told()


def test_of_what_is_told_three_in_four_changed() -> None:
    meant = {pair for pair, (verdict, _) in HELD_OUT.items() if verdict == "changed"}
    assert (len(meant), len(told())) == (19, 26), "docs/comparing.md has these figures"
