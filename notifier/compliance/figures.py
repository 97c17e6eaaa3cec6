"""The counts of a campaign, whether they add up, and when the last person will be told. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

IN_SCOPE = ("in_scope", "unreachable", "suppressed")  # reasons of notices that must be told
STATUSES = ("told", "unreachable", "suppressed", "superseded", "pending")
ENDS = ("deemed", "explicit", "objected", "closed", "awaiting_use", "explicit_required")
ACCEPTED = ("deemed", "explicit", "registration")


@dataclass(frozen=True)
class Forecast:
    """When the last person is told at the pace so far, and when their notice period is over."""

    last_told_at: datetime
    notice_ends_at: datetime
    per_hour: float
    late: bool  # some people's notice period ends after the version took effect


@dataclass(frozen=True)
class Report:
    """One campaign in numbers. ``gaps`` names every identity that does not hold, with both sides; none may be there.

    ``told_split`` says what became of the told (``explicit`` there includes registrations); ``accepted`` counts the
    latest acceptance of everyone who accepted the version, told or not; ``objections`` are those not taken back. Of a
    correction all three are empty.
    """

    campaign_id: int
    population: int
    in_scope: int
    excluded: Mapping[str, int]
    told: int
    unreachable: int
    suppressed: int
    superseded: int
    pending: int
    accepted: Mapping[str, int]
    told_split: Mapping[str, int]
    objections: int
    by_channel: Mapping[str, Mapping[str, int]]
    failures: Mapping[str, int]
    forecast: Forecast | None
    adds_up: bool  # when false, the report must not be relied on
    gaps: tuple[str, ...]


@dataclass(frozen=True)
class Counted:
    """Counts by part and name, each part counted by itself, and the latest telling among the told."""

    parts: Mapping[str, Mapping[str, int]]
    latest_told_at: datetime | None

    def of(self, part: str) -> Mapping[str, int]:
        """The counts of one part by name."""
        return self.parts.get(part, {})


def gaps(population: int, counted: Counted, *, is_correction: bool = False) -> Iterator[str]:
    """The identities that do not hold: population, in scope and told are the sums of their parts.

    Nothing becomes of those told of a correction: it is accepted by nobody.
    """
    reasons, statuses = counted.of("reason"), counted.of("status")
    in_scope = sum(reasons.get(reason, 0) for reason in IN_SCOPE)
    excluded = sum(reasons.values()) - in_scope
    yield from _gap("population", population, "in scope + excluded", in_scope + excluded)
    sums = sum(statuses.get(status, 0) for status in STATUSES)
    yield from _gap("in scope", in_scope, "told + unreachable + suppressed + superseded + pending", sums)
    yield from _gap("excluded", excluded, "notices that stand as excluded", statuses.get("excluded", 0))
    if is_correction:
        return
    told = statuses.get("told", 0)
    yield from _gap("told", told, " + ".join(ENDS).replace("_", " "), sum(counted.of("told").values()))


def _gap(name: str, whole: int, parts: str, total: int) -> Iterator[str]:
    if whole != total:
        yield f"{name} is {whole}, but {parts} is {total}"


def forecast(
    counted: Counted, open_since: datetime | None, effective_at: datetime, notice_days: int, now: datetime
) -> Forecast | None:
    """What is left at the pace of those told so far. None before anybody was told by a letter that was sent.

    ``open_since``: since when everybody has their turn; the stages before say nothing about the pace, and neither do
    messages that are simply there from then on.
    """
    sent, latest = counted.of("sent").get("told", 0), counted.latest_told_at
    if open_since is None or latest is None:
        return None
    pace = sent / max((latest - open_since) / timedelta(hours=1), 1 / 3600)
    pending = counted.of("status").get("pending", 0)
    if pending and not pace:
        return None
    last = max(latest, now) + timedelta(hours=pending / pace) if pending else latest
    ends = last + timedelta(days=notice_days)
    return Forecast(last, ends, round(pace, 1), ends > effective_at)
