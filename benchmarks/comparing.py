"""Comparing versions: a redline of the two largest real texts, and of the median pair."""

import asyncio
import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.figures import Bench, Figure, median_ratio
from notifier.policies.clauses import clauses_of
from notifier.policies.diff import compare
from notifier.policies.words import words

CORPUS = Path(os.environ.get("NOTIFIER_CORPUS") or Path(__file__).parents[2] / "shared" / "corpus")
TYPE = "text/markdown"
ROUNDS = 5


async def measure(bench: Bench) -> list[Figure]:
    """Both, from bytes to the finished comparison."""
    if not (CORPUS / "index.json").is_file():
        bench.missing.append("comparing: the folder of real policies is missing (NOTIFIER_CORPUS)")
        return []
    return await asyncio.to_thread(_measure, bench)


def _measure(bench: Bench) -> list[Figure]:
    documents = json.loads((CORPUS / "index.json").read_text("utf-8"))
    texts = [[(CORPUS / version["file"]).read_bytes() for version in document["versions"]] for document in documents]
    figures = [_median(bench, [pair for versions in texts for pair in pairwise(versions)])]
    if find_spec("diff_match_patch") is None:
        bench.missing.append("the largest redline: diff-match-patch is missing, the peer that it is measured against")
        return figures
    second, first = sorted((text for versions in texts for text in versions), key=len)[-2:]
    return [_largest(bench, second, first), *figures]


def _median(bench: Bench, pairs: list[tuple[bytes, bytes]]) -> Figure:
    compare(TYPE, pairs[0][0], TYPE, pairs[0][1])  # imports and caches
    times = [_seconds(partial(compare, TYPE, old, TYPE, new)) for old, new in pairs]
    bench.say(f"{len(pairs)} pairs, slowest {max(times) * 1000:.0f} ms")
    size = statistics.median(len(new) for _, new in pairs)
    detail = f"{len(pairs)} pairs of successive versions, median size {size / 1000:.0f} kB"
    return Figure("redline of the median pair, ms of CPU", statistics.median(times) * 1000, 50, "lower", detail)


def _largest(bench: Bench, old: bytes, new: bytes) -> Figure:
    from diff_match_patch import diff_match_patch

    ids: dict[str, str] = {}
    old_words, new_words = (_as_characters(text, ids) for text in (old, new))
    ours, peer = [], []
    for _ in range(ROUNDS):
        ours.append(_seconds(lambda: compare(TYPE, old, TYPE, new)))
        peer.append(_seconds(lambda: _redlined(diff_match_patch(), old_words, new_words)))
    bench.say(f"ours {statistics.median(ours) * 1000:.0f} ms, diff-match-patch {statistics.median(peer) * 1000:.0f} ms")
    detail = f"{len(old) / 1000:.0f} and {len(new) / 1000:.0f} kB, from bytes to redline; the peer gets the words"
    return Figure(
        "redline of the two largest ÷ diff-match-patch over their words", median_ratio(ours, peer), 2, "lower", detail
    )


def _as_characters(text: bytes, ids: dict[str, str]) -> str:
    """Each word as a character, as diff-match-patch does it for lines."""
    found = (word for clause in clauses_of(TYPE, text) for word in words(clause.text))
    return "".join(ids.setdefault(word, chr(0x100 + len(ids))) for word in found)


def _redlined(peer: Any, old: str, new: str) -> None:
    peer.Diff_Timeout = 0  # by default it gives up after a second, and then calls everything replaced
    peer.diff_cleanupSemantic(peer.diff_main(old, new, False))


def _seconds(work: Callable[[], object]) -> float:
    """Of CPU: one thread computes, and waits for nobody."""
    start = time.process_time()
    work()
    return time.process_time() - start
