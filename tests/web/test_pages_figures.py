"""The bars, the progress and the words behind the console's pages, from made-up numbers."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from notifier.campaigns.announce import Count
from notifier.compliance.search import Event
from notifier.compliance.words import said
from notifier.pages import Pages
from notifier.web.console.counts import left_out, planned_levels, tables
from notifier.web.console.funnel import levels
from notifier.web.console.progress import Counter, Planned, progress_of
from notifier.web.console.saying import moments, say
from notifier.web.public.contents import compared, readable
from notifier.web.standing import in_force, standing_of

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)


def test_each_bar_spreads_out_its_part_of_the_bar_above() -> None:
    first, second = levels(
        100,
        {"population": {"in_scope": 80, "excluded": 20}, "in_scope": {"told": 80}},
        {"in_scope": 80},
        {"told": "/t"},
    )
    assert (first.join, second.join) == (None, (0.0, 800.0))
    assert [(s.x, s.width) for s in first.segments] == [(0.0, 800.0), (800.0, 200.0)]
    assert second.segments[0].href == "/t"
    assert first.adds_up
    assert second.adds_up


def test_a_part_of_one_in_a_million_can_still_be_seen_and_the_bar_stays_as_wide() -> None:
    (level,) = levels(1_000_001, {"population": {"in_scope": 1_000_000, "excluded": 1}}, {}, {})
    assert level.segments[1].width >= 2
    assert sum(segment.width for segment in level.segments) == pytest.approx(1000, abs=0.2)


def test_a_bar_whose_parts_do_not_make_the_whole_says_so() -> None:
    (level,) = levels(10, {"population": {"in_scope": 8, "excluded": 1}}, {}, {})
    assert not level.adds_up


def test_nobody_at_all_is_no_division_by_zero() -> None:
    (level,) = levels(0, {"population": {"in_scope": 0, "excluded": 0}}, {}, {})
    assert level.adds_up
    assert all(segment.width == 0 for segment in level.segments)


def test_a_plan_shows_who_is_left_out_and_who_cannot_be_reached() -> None:
    reasons = {"in_scope": 7, "unreachable": 1, "suppressed": 2, "closed": 3, "erased": 4}
    population, scope = planned_levels(reasons)
    assert (population.total, scope.total) == (17, 10)
    assert {s.name: s.count for s in scope.segments} == {"pending": 7, "unreachable": 1, "suppressed": 2}
    assert left_out(reasons) == [("erased", 4), ("closed", 3)]


def test_a_long_table_keeps_the_frequent_values_and_sums_the_rest() -> None:
    counts = [Count("country", f"C{n:02}", "in_scope", 100 - n) for n in range(20)]
    country, *others = tables(counts, lambda _, value: value, "All others")
    assert [row.words for row in country.rows] == [*(f"C{n:02}" for n in range(11)), "All others"]
    assert sum(row.in_scope for row in country.rows) == sum(100 - n for n in range(20))
    assert country.most == sum(100 - n for n in range(11, 20))
    assert all(table.rows == () for table in others)


def test_progress_counts_each_planned_letter_once() -> None:
    planned = [Planned(1, "email", 10), Planned(1, "inbox", 5), Planned(2, "email", 99)]
    heard = [
        ("email", "accepted_by_relay", 6),
        ("email", "deferred", 9),
        ("email", "refused", 2),
        ("inbox", "placed", 2),
    ]
    counters = [*(Counter(1, *row) for row in heard), Counter(2, "email", "refused", 9)]
    progress = progress_of(1, planned, counters, there=True)
    assert (progress.planned, progress.settled, progress.failed) == (15, 8 + 5, 2)
    assert progress.kinds == ["accepted_by_relay", "placed", "deferred", "refused"]


def test_a_letter_sent_twice_because_its_fate_was_unknown_does_not_count_twice() -> None:
    progress = progress_of(1, [Planned(1, "email", 2)], [Counter(1, "email", "accepted_by_relay", 3)], there=True)
    assert progress.settled == 2


def _version(number: int, days: int | None) -> Any:
    effective = None if days is None else NOW + timedelta(days=days)
    return SimpleNamespace(version_id=number, ordinal=number, effective_at=effective)


def test_the_version_in_force_is_the_one_that_took_effect_last() -> None:
    versions = [_version(4, None), _version(3, 5), _version(2, -1), _version(1, -90)]
    assert in_force(versions, NOW) is versions[2]
    assert [standing_of(v, versions, NOW) for v in versions] == ["version_pending", "upcoming", "in_force", "past"]
    assert in_force(versions[:2], NOW) is None


def test_a_fact_is_said_with_names_and_times_in_the_reader_s_language_and_nothing_runs() -> None:
    pages = Pages()
    fact = said("attempt.failed", attempt=1, channel="email", failed_at=NOW, class_="<script>")
    japanese = say(pages.tongue("ja", "Asia/Tokyo"), fact, {})
    assert "メールでの 1 回目は" in japanese
    assert 'title="2026-03-01 09:00:00 UTC">2026/03/01 18:00</time>' in japanese
    assert "&lt;script&gt;" in say(pages.tongue("en"), fact, {})


def test_a_timeline_begins_with_the_newest_fact_and_leaves_out_what_is_empty() -> None:
    events = [
        Event(NOW - timedelta(days=9), "registered", None, None, None, None, None, None, {"version": None}),
        Event(
            NOW, "refused", "privacy", "2", 7, None, "email", 2, {"class": "bad_address", "reply": "550 <b>", "via": ""}
        ),
    ]
    newest, oldest = moments(Pages().tongue("en"), events, {"privacy": "Privacy Policy"})
    assert (newest.words, newest.tone) == ("Refused: Address does not exist", "bad")
    assert newest.about == "Privacy Policy 2 · Email · attempt 2"
    assert newest.details == (("Class", "Address does not exist"), ("Answer", "550 <b>"))
    assert (oldest.words, oldest.details) == ("Registered", ())


def test_a_day_of_which_no_time_is_known_is_shown_without_one_and_in_every_zone_the_same() -> None:
    midnight = NOW.replace(hour=0)
    events = [Event(midnight, "last_seen", None, None, None, None, None, None, {})]
    for zone in ("Asia/Tokyo", "America/Los_Angeles"):
        (shown,) = moments(Pages().tongue("en", zone), events, {})
        assert ">Mar 1, 2026</time>" in shown.when


def test_a_long_text_has_a_table_of_contents_below_its_title_and_a_short_one_has_none() -> None:
    long = readable("text/markdown", b"# Title\n\n## A & B\n\n### deeper\n\n#### too deep\n\n## C <i>\n\n## D\n")
    assert [(h.words, h.deeper) for h in long.contents] == [
        ("A & B", False), ("deeper", True), ("C", False), ("D", False),
    ]  # fmt: skip
    assert all(f'id="{heading.anchor}"' in long.html for heading in long.contents)
    assert readable("text/markdown", b"# Title\n\n## A\n").contents == ()
    assert readable("text/markdown", b"no heading at all").contents == ()


def test_changed_sections_are_those_of_the_newer_text() -> None:
    old, new = b"# A\n\nold\n\n# B\n\nb", b"# A\n\nnew\n\n# C\n\nc"
    found = compared("text/markdown", old, "text/markdown", new, "en")
    assert {(c.section, c.change) for c in found.changes} == {("A", "edited"), ("C", "added"), ("B", "removed")}
