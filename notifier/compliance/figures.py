"""The counts of a campaign, and whether they add up. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from notifier.compliance.forecast import Forecast

IN_SCOPE = ("in_scope", "unreachable", "suppressed")  # reasons of notices that must be told
STATUSES = ("told", "too_little_evidence", "unreachable", "suppressed", "superseded", "pending")
ENDS = ("deemed", "explicit", "not_posted", "closed", "not_deemed", "explicit_required", "objected", "awaiting_use")
JOINED = ("registered", "restored", "new_address")
GRADES = ("A", "B", "C", "D", "E")
ACCEPTED = ("deemed", "explicit", "registration")


@dataclass(frozen=True)
class Report:
    """One campaign in numbers. ``gaps`` names every identity that does not hold, with both sides; none may be there.

    ``grades`` counts those acceptances by grade, ``by_preset`` what became of the told by the preset of their rule.
    ``told_split`` says what became of the told (``explicit`` there includes registrations); ``accepted`` counts the
    latest acceptance of everyone who accepted the version, told or not; ``objections`` are those not taken back. Of a
    correction all three are empty. ``joined`` counts by why notices that came after the freeze, or came to something
    else then: only those who ``registered`` late add to the population. ``reminders`` counts reminders and nudges by
    kind, each once.
    """

    campaign_id: int
    population: int
    in_scope: int
    excluded: Mapping[str, int]
    told: int
    too_little_evidence: int  # something told them, but with less evidence than their rule asks for
    unreachable: int
    suppressed: int
    superseded: int
    pending: int
    held: int  # of the pending: whose letter is of unknown fate and waits for somebody's word
    accepted: Mapping[str, int]
    grades: Mapping[str, int]
    by_preset: Mapping[str, Mapping[str, int]]
    told_split: Mapping[str, int]
    objections: int
    by_channel: Mapping[str, Mapping[str, int]]
    failures: Mapping[str, int]
    joined: Mapping[str, int]
    reminders: Mapping[str, int]
    forecast: Forecast | None
    adds_up: bool  # when false, the report must not be relied on
    gaps: tuple[str, ...]


@dataclass(frozen=True)
class Counted:
    """Counts by part and name, each part counted by itself, and the latest telling."""

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
    yield from _gap("in scope", in_scope, " + ".join(STATUSES).replace("_", " "), sums)
    yield from _gap("excluded", excluded, "notices that stand as excluded", statuses.get("excluded", 0))
    if is_correction:
        return
    told = statuses.get("told", 0)
    yield from _gap("told", told, " + ".join(ENDS).replace("_", " "), sum(counted.of("told").values()))
    accepted = sum(counted.of("accepted").values())
    yield from _gap("accepted", accepted, "grades A + B + C + D + E", sum(counted.of("grade").values()))
    by_preset = sum(sum(ends.values()) for ends in by_preset_of(counted).values())
    yield from _gap("told", told, "told under each preset", by_preset)


def by_preset_of(counted: Counted) -> dict[str, dict[str, int]]:
    """What became of the told, by the preset of the rule that they were told under."""
    found: dict[str, dict[str, int]] = {}
    for name, count in sorted(counted.of("preset").items()):
        preset, _, end = name.partition("/")
        found.setdefault(preset, dict.fromkeys(ENDS, 0))[end] += count
    return found


def _gap(name: str, whole: int, parts: str, total: int) -> Iterator[str]:
    if whole != total:
        yield f"{name} is {whole}, but {parts} is {total}"
