"""The counts that the demo ends with, taken from the reports of the API, and whether they add up. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

SUMS = ("told", "too_little_evidence", "unreachable", "suppressed", "superseded", "pending")


def counts_of(site: str, report: Mapping[str, Any]) -> dict[str, Any]:
    """One site's counts out of the report of its campaign."""
    accepted = report["accepted"]
    return {
        "site": site,
        "population": report["population"],
        "in_scope": report["in_scope"],
        "excluded": dict(report["excluded"]),
        **{name: report[name] for name in SUMS},
        "accepted": {kind: accepted[kind] for kind in ("deemed", "explicit", "registration")},
    }


def what_does_not_add_up(counts: Mapping[str, Any], report: Mapping[str, Any]) -> Iterator[str]:
    """Each sum of docs/acceptance.md that does not hold, in words; nothing when all is well."""
    yield from _sum("population", counts["population"], {"in scope": counts["in_scope"], **counts["excluded"]})
    yield from _sum("in scope", counts["in_scope"], {name: counts[name] for name in SUMS})
    yield from _sum("told", counts["told"], report["told_split"])


def _sum(name: str, whole: int, parts: Mapping[str, int]) -> Iterator[str]:
    if whole != sum(parts.values()):
        yield f"{name} {whole} is not " + " + ".join(f"{part} {count}" for part, count in parts.items())
