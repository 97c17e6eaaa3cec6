"""Limits hold in every window, whoever takes and however clocks differ; days are calendar days; levels recover."""

from bisect import bisect_left
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.delivery.bucket import (
    DOUBLING,
    LEAST,
    LONG,
    START,
    Bucket,
    Terms,
    available,
    booked,
    level_at,
    new,
    next_at,
    next_day,
    recovered,
    refreshed,
    slowed,
    taken,
)

NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)
TOKYO, BERLIN, UTC_ZONE = ZoneInfo("Asia/Tokyo"), ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")


def asked(bucket: Bucket, terms: Terms, now: datetime, wanted: int) -> tuple[Bucket, int]:
    """What one worker does under the row's lock."""
    bucket = refreshed(bucket, terms, now)
    count = int(min(wanted, available(bucket, terms)))
    return taken(bucket, terms, count), count


def most_in_a_window(grants: list[tuple[datetime, int]], window: timedelta) -> int:
    times = [at for at, _ in grants]
    return max(
        (sum(count for _, count in grants[n : bisect_left(times, at + window)]) for n, at in enumerate(times)),
        default=0,
    )


@given(
    st.integers(1, 300),
    st.sampled_from([1, 60, 3600]),
    st.lists(st.tuples(st.floats(0, 0.3), st.integers(1, 200), st.floats(-0.05, 0.05)), max_size=120),
    st.sampled_from(["full", "slow start", "slowed"]),
)
def test_no_window_sees_one_letter_more_than_the_limit_whatever_the_workers_clocks_and_wishes(
    count, seconds, asks, how
):
    terms = Terms(UTC_ZONE, count, seconds, slow_start=how == "slow start")
    bucket, now = new("site", terms, NOON), NOON
    grants: list[tuple[datetime, int]] = []
    for gap, wanted, skew in asks:
        now += timedelta(seconds=gap * seconds)
        if how == "slowed" and wanted % 7 == 0:
            bucket = slowed(refreshed(bucket, terms, now), now)
        bucket, got = asked(bucket, terms, now + timedelta(seconds=skew * seconds), wanted)
        # By the row's own clock, which no worker turns back.
        grants.append((bucket.at, got))
    assert most_in_a_window(grants, timedelta(seconds=seconds)) <= count


@given(st.integers(1, 2000), st.sampled_from([1, 60, 3600]))
def test_who_asks_whenever_it_is_worth_while_gets_nearly_all_of_the_limit(count, seconds):
    terms = Terms(UTC_ZONE, count, seconds)
    bucket, now, total = new("site", terms, NOON), NOON, 0
    while now < NOON + timedelta(seconds=3 * seconds):
        bucket, got = asked(bucket, terms, now, 10_000)
        total += got
        now = next_at(bucket, terms)
    assert 3 * count * 0.94 - 1 <= total <= 3 * count


@given(st.integers(1, 100), st.lists(st.tuples(st.floats(0, 8), st.integers(1, 60)), max_size=60))
def test_a_day_sees_no_letter_more_than_its_cap_also_when_clocks_are_changed(cap, asks):
    terms = Terms(BERLIN, per_day=cap)
    bucket, now = new("site", terms, NOON), NOON
    days: dict[date, int] = {}
    for hours, wanted in asks:
        now += timedelta(hours=hours)
        bucket, got = asked(bucket, terms, now, wanted)
        day = now.astimezone(BERLIN).date()
        days[day] = days.get(day, 0) + got
    assert all(count <= cap for count in days.values())


def test_the_day_on_which_clocks_go_forward_is_over_after_23_hours():
    start = next_day(date(2026, 3, 28), BERLIN)
    assert next_day(date(2026, 3, 29), BERLIN) - start == timedelta(hours=23)
    assert next_day(date(2026, 10, 25), BERLIN) - next_day(date(2026, 10, 24), BERLIN) == timedelta(hours=25)
    assert next_day(date(2026, 3, 28), TOKYO) == datetime(2026, 3, 28, 15, tzinfo=UTC)


def test_a_relay_that_is_warmed_up_takes_more_on_each_day_of_use_up_to_its_cap():
    terms = Terms(TOKYO, per_day=500, warm_up=(100, 2.0))
    bucket, now, days = new("relay", terms, NOON), NOON, []
    for gap in (0, 1, 5, 1, 1):  # the days on which nothing is sent do not warm it up
        now += timedelta(days=gap)
        bucket, got = asked(bucket, terms, now, 10_000)
        days.append(got)
    assert days == [100, 200, 400, 500, 500]
    assert next_at(bucket, terms) == next_day(bucket.day, TOKYO)


def test_a_new_and_a_long_idle_bucket_start_slowly_and_double_until_they_are_at_full_speed():
    terms = Terms(UTC_ZONE, 100, slow_start=True)
    bucket = new("relay", terms, NOON)
    levels = [level_at(bucket, NOON + n * DOUBLING) for n in range(7)]
    assert levels == [START, 2 * START, 4 * START, 8 * START, 1, 1, 1]
    busy = refreshed(bucket, terms, NOON + 6 * DOUBLING)
    assert level_at(refreshed(busy, terms, busy.at + LONG / 2), busy.at + LONG / 2) == 1
    assert level_at(refreshed(busy, terms, busy.at + 2 * LONG), busy.at + 2 * LONG) == START


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 5000)), max_size=40))
def test_the_level_only_falls_when_we_are_told_to_slow_down_and_stays_in_its_bounds(steps):
    bucket, now = new("provider", Terms(UTC_ZONE, 20), NOON), NOON
    for slow, seconds in steps:
        before = level_at(bucket, now)
        now += timedelta(seconds=seconds)
        later = level_at(bucket, now)
        assert before <= later <= 1
        if slow:
            bucket = slowed(bucket, now)
            assert LEAST <= level_at(bucket, now) <= max(later, LEAST)
    assert recovered(bucket, now + 7 * DOUBLING)


def test_many_letters_that_are_told_to_slow_down_at_once_halve_the_speed_once():
    bucket = slowed(new("provider", Terms(UTC_ZONE, 20), NOON), NOON)
    again = slowed(bucket, NOON + timedelta(seconds=5))
    assert again.level == bucket.level == 0.5
    assert slowed(bucket, NOON + timedelta(seconds=31)).level == pytest.approx(0.25, rel=0.05)


@given(st.integers(1, 400), st.integers(1, 60), st.integers(1, 60))
def test_who_is_booked_comes_behind_who_was_booked_before_and_no_faster_than_the_limit(count, first, second):
    terms = Terms(UTC_ZONE, count)
    bucket = refreshed(new("provider", terms, NOON), terms, NOON)
    dues, bucket = booked(bucket, terms, first)
    more, bucket = booked(bucket, terms, second)
    assert [*dues, *more] == sorted([*dues, *more])
    assert more[0] >= dues[-1]
    assert most_in_a_window([(due, 1) for due in dues], timedelta(seconds=1)) <= count + terms.burst
