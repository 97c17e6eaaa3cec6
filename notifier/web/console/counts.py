"""The counts of a campaign as the console shows them: bars, reasons and tables. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from notifier.campaigns.announce import Count
from notifier.compliance.figures import IN_SCOPE, Report
from notifier.web.console.funnel import Level, levels

ENDED = ("too_little_evidence", "unreachable", "suppressed", "superseded")
DIMENSIONS = ("country", "role", "locale", "channel")
_LONGEST_TABLE = 12


@dataclass(frozen=True)
class Row:
    """One value of a table: how many with it are in scope, and how many are left out."""

    words: str
    in_scope: int
    out: int


@dataclass(frozen=True)
class Table:
    """People by country, role, locale or channel, the most frequent first; the rarest share the last row."""

    dimension: str
    rows: tuple[Row, ...]

    @property
    def most(self) -> int:
        """The longest bar."""
        return max((row.in_scope for row in self.rows), default=0)


def by_reason(counts: Iterable[Count]) -> dict[str, int]:
    """People by reason."""
    return {count.value: count.count for count in counts if count.dimension == "reason"}


def planned_levels(reasons: Mapping[str, int]) -> list[Level]:
    """The bars of a campaign that nobody was told by yet: who must be told, and who of them can be."""
    out = sum(count for reason, count in reasons.items() if reason not in IN_SCOPE)
    scope = {reason: reasons.get(reason, 0) for reason in IN_SCOPE}
    parts = {
        "population": {"in_scope": sum(scope.values()), "excluded": out},
        "in_scope": {"pending": scope["in_scope"], "unreachable": scope["unreachable"],
                     "suppressed": scope["suppressed"]},
    }  # fmt: skip
    return levels(sum(reasons.values()), parts, {"in_scope": sum(scope.values())}, {})


def told_levels(report: Report, notices: str) -> list[Level]:
    """The bars of a campaign whose audience is frozen. ``notices`` is the page that lists people by status."""
    parts = {
        "population": {"in_scope": report.in_scope, "excluded": sum(report.excluded.values())},
        "in_scope": {status: getattr(report, status) for status in ("told", "pending", *ENDED)},
        "told": dict(report.told_split),
    }
    totals = {"in_scope": report.in_scope, "told": report.told}
    return levels(report.population, parts, totals, {s: notices + s for s in ("excluded", "told", "pending", *ENDED)})


def left_out(reasons: Mapping[str, int]) -> list[tuple[str, int]]:
    """The reasons for leaving people out, the most frequent first."""
    out = [(reason, count) for reason, count in reasons.items() if reason not in IN_SCOPE and count]
    return sorted(out, key=lambda entry: (-entry[1], entry[0]))


def tables(counts: Sequence[Count], name: Callable[[str, str], str], rest: str) -> list[Table]:
    """The plan as tables. ``name`` gives a dimension's value in words, ``rest`` is what the last row is called."""
    return [Table(dimension, _rows(dimension, counts, name, rest)) for dimension in DIMENSIONS]


def _rows(dimension: str, counts: Sequence[Count], name: Callable[[str, str], str], rest: str) -> tuple[Row, ...]:
    inside: Counter[str] = Counter()
    outside: Counter[str] = Counter()
    for count in counts:
        if count.dimension == dimension:
            (inside if count.reason in IN_SCOPE else outside)[count.value] += count.count
    values = sorted(inside.keys() | outside.keys(), key=lambda v: (-inside[v], -outside[v], v))
    shown = values if len(values) <= _LONGEST_TABLE else values[: _LONGEST_TABLE - 1]
    rows = [Row(name(dimension, value), inside[value], outside[value]) for value in shown]
    if others := values[len(shown) :]:
        rows.append(Row(rest, sum(inside[v] for v in others), sum(outside[v] for v in others)))
    return tuple(rows)
