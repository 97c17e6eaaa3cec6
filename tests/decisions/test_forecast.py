"""When the last person will be told, and how many too late."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.compliance.forecast import Ceiling, Sofar, ceilings, forecast, pace_of
from tests.sites import a_site

NOW = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ZONE = ZoneInfo("UTC")
LONG = NOW + 400 * DAY


def last(count: int, ceiling: Ceiling, pace: float | None = None) -> timedelta:
    seen = forecast([(count, ceiling)], Sofar(pace), LONG, 30, NOW)
    assert seen is not None
    assert seen.notice_ends_at == seen.last_told_at + 30 * DAY
    return seen.last_told_at - NOW


def test_it_goes_on_at_the_pace_so_far():
    assert last(36, Ceiling(ZONE), 30 / 3600) == 1.2 * HOUR
    assert last(36, Ceiling(ZONE, per_second=1 / 3600), 30 / 3600) == 36 * HOUR


def test_when_nobody_is_pending_it_is_what_happened():
    seen = forecast([(0, Ceiling(ZONE))], Sofar(1.0, NOW, 3), NOW + 10 * DAY, 30, NOW + 9 * DAY)
    assert seen is not None
    assert (seen.last_told_at, seen.late, seen.too_late) == (NOW, True, 3)


def test_where_nothing_is_limited_and_nobody_was_told_it_says_nothing():
    assert forecast([(5, Ceiling(ZONE))], Sofar(), LONG, 30, NOW) is None
    assert forecast([(0, Ceiling(ZONE))], Sofar(), LONG, 30, NOW) is None


def test_caps_per_day_count_what_is_left_of_today_first():
    assert last(250, Ceiling(ZONE, caps=(50, 100))) == 2 * DAY
    assert last(251, Ceiling(ZONE, caps=(50, 100))) == 3 * DAY


def test_quiet_hours_stop_it_every_night():
    slow = Ceiling(ZONE, per_second=1 / 3600, quiet_hours="20:00-08:00")
    assert last(12, slow) == 20 * HOUR
    assert last(13, slow) == 33 * HOUR


def test_a_slow_start_takes_longer_than_the_full_speed_and_not_much():
    fast, slow = Ceiling(ZONE, per_second=1), Ceiling(ZONE, per_second=1, level=1 / 16)
    assert last(36_000, fast) == 10 * HOUR
    assert 10.5 * HOUR < last(36_000, slow) < 11.1 * HOUR


def test_who_is_told_after_the_last_moment_for_the_notice_period_is_counted():
    ceiling = Ceiling(ZONE, per_second=1 / 36)
    seen = forecast([(1000, ceiling)], Sofar(too_late=7), NOW + 30 * DAY + 6 * HOUR, 30, NOW)
    assert seen is not None
    assert (seen.late, seen.too_late) == (True, 407)
    relaxed = forecast([(1000, ceiling)], Sofar(), NOW + 30 * DAY + 10 * HOUR, 30, NOW)
    assert relaxed is not None
    assert (relaxed.late, relaxed.too_late) == (False, 0)


@given(st.integers(1, 100_000), st.floats(0.01, 100), st.integers(1, 5000), st.sampled_from([None, "21:00-08:00"]))
def test_a_tighter_limit_never_tells_the_last_person_earlier(count, speed, cap, quiet):
    free = last(count, Ceiling(ZONE, per_second=speed))
    assert free == pytest.approx(timedelta(seconds=count / speed), abs=timedelta(seconds=1))
    assert last(count, Ceiling(ZONE, per_second=speed, quiet_hours=quiet)) >= free - timedelta(seconds=1)
    assert last(count, Ceiling(ZONE, per_second=speed, caps=(cap,))) >= free - timedelta(seconds=1)


def test_the_limits_of_a_site_are_what_all_relays_carry_and_what_everybody_shares():
    relays = [{"host": "a", "weight": 1, "limit": "40/s"}, {"host": "b", "weight": 1, "limit": "20/s", "per_day": 900}]
    pace = {"limit": "100/s", "per_day": 5000, "providers": {"gmail": {"per_day": 10}}, "slow_start": False}
    found = ceilings(a_site(relays=relays, pace=pace), 7, 1000, {"provider/gmail": 30}, {}, NOW)
    (everybody, whole), (some, gmail) = found
    assert (everybody, some) == (1000, 30)
    assert whole.per_second == 39 + 20
    assert whole.caps[0] == 5000
    assert gmail.caps[0] == 10
    one = ceilings(a_site(relays=[*relays, {"host": "c", "weight": 1}]), 7, 1, {}, {}, NOW)
    assert not one[0][1].limited, "a relay without a limit carries the rest"


def test_the_pace_so_far_leaves_out_the_nights_in_which_nothing_may_leave():
    assert pace_of(3600, NOW, NOW + HOUR, None) == 1
    assert pace_of(3600, NOW, NOW + 2 * DAY, "20:00-08:00") == 3600 / 86400


def test_the_holds_of_a_canary_come_before_everybody_else():
    waiting, soon = [(36, Ceiling(ZONE, per_second=1 / 3600))], NOW + 32 * DAY
    at_once = forecast(waiting, Sofar(), soon, 30, NOW)
    held = forecast(waiting, Sofar(), soon, 30, NOW, 20 * HOUR)
    assert at_once is not None
    assert held is not None
    assert held.last_told_at - at_once.last_told_at == 20 * HOUR
    assert (at_once.too_late, held.too_late) == (0, 8)


def test_where_nothing_was_promised_nobody_is_told_too_late():
    seen = forecast([(36, Ceiling(ZONE, per_second=1 / 3600))], Sofar(), NOW, 0, NOW)
    assert seen is not None
    assert (seen.late, seen.too_late) == (False, 0)
