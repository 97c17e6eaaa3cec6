"""Who of a batch goes now, who waits, and for what."""

from datetime import UTC, datetime, timedelta
from math import inf
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from notifier.delivery.bucket import Bucket, Terms, available, new, refreshed
from notifier.delivery.pace import Ask, Way, asked_to_slow, provider_of, quiet_until, share_out, terms_of, ways_of
from notifier.sites.pace import Pace
from tests.sites import a_site

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ZONE = ZoneInfo("UTC")


def full(terms: dict[str, Terms]) -> dict[str, Bucket]:
    late = NOW + timedelta(hours=2)
    return {name: refreshed(new(name, one, NOW), one, late) for name, one in terms.items()}


@given(
    st.lists(st.sampled_from(["", "provider/gmail", "provider/au"]), max_size=60),
    st.tuples(*[st.integers(1, 400)] * 5),
    st.booleans(),
)
def test_no_bucket_gives_more_than_it_has_and_everybody_goes_waits_or_is_booked(providers, counts, fresh):
    names = ["site", "relay/a:25", "relay/b:25", "provider/gmail", "provider/au"]
    terms = {name: Terms(ZONE, count) for name, count in zip(names, counts, strict=True)}
    buckets = full(terms)
    ways = [Way("a:25", 0.75, "relay/a:25"), Way("b:25", 0.25, "relay/b:25")]
    shares = share_out(
        [Ask(p) for p in providers], fresh=fresh, whole=["site"], ways=ways, buckets=buckets, terms=terms
    )
    for name, bucket in buckets.items():
        used = bucket.tokens - shares.buckets[name].tokens
        assert 0 <= used <= available(bucket, terms[name])
    assert sum(shares.granted.values()) == len(shares.now)
    seen = sorted([*shares.now, *(number for number, _ in shares.later)])
    assert seen == list(range(shares.looked))
    assert (shares.wait is None) == (shares.looked == len(providers))
    assert all(due > NOW for _, due in shares.later)


def test_without_limits_everybody_goes_at_once():
    shares = share_out([Ask()] * 7, fresh=True, whole=[], ways=[Way("a:25", 1, None)], buckets={}, terms={})
    assert (shares.now, shares.later, shares.wait, shares.granted) == ([0, 1, 2, 3, 4, 5, 6], [], None, {})


def test_a_provider_without_tokens_holds_up_nobody_else():
    terms = {"provider/gmail": Terms(ZONE, 20)}
    asks = [Ask("provider/gmail"), Ask("provider/other"), Ask("provider/gmail"), Ask("provider/gmail")]
    shares = share_out(asks, fresh=True, whole=[], ways=[], buckets=full(terms), terms=terms)
    assert shares.now == [0, 1]
    assert [number for number, _ in shares.later] == [2, 3]
    behind = share_out(asks, fresh=True, whole=[], ways=[], buckets=shares.buckets, terms=terms)
    assert behind.now == [1], "who comes fresh waits behind who waits already"
    assert min(due for _, due in behind.later) >= max(due for _, due in shares.later)


def test_a_relay_without_a_limit_takes_what_another_may_not():
    terms = {"relay/a:25": Terms(ZONE, 40)}
    ways = [Way("a:25", 0.5, "relay/a:25"), Way("b:25", 0.5, None)]
    shares = share_out([Ask()] * 30, fresh=True, whole=[], ways=ways, buckets=full(terms), terms=terms)
    assert len(shares.now) == 30
    assert shares.granted == {"a:25": 2}


def test_letters_go_by_the_weighted_relays_that_take_some_and_else_by_the_first_that_stands_by():
    relays = [{"host": "a", "weight": 3}, {"host": "b", "weight": 1, "limit": "10/s"}, {"host": "c"}]
    site = a_site(relays=relays)
    terms = terms_of(site, 7)
    assert ways_of(site, ["a:25", "b:25", "c:25"], terms) == [
        Way("a:25", 0.75, None), Way("b:25", 0.25, "relay/b:25"),
    ]  # fmt: skip
    assert ways_of(site, ["c:25"], terms) == [Way("c:25", 1, None)]


@pytest.mark.parametrize(
    ("hour", "zone", "until"),
    [
        (11, "Asia/Tokyo", None),  # 20:00 there
        (12, "Asia/Tokyo", "2026-03-01T23:00"),  # 21:00, until 8:00 the next morning
        (22, "Asia/Tokyo", "2026-03-01T23:00"),
        (23, "Asia/Tokyo", None),
        (6, "Europe/Berlin", "2026-03-01T07:00"),
        (7, "Europe/Berlin", None),
    ],
)
def test_quiet_hours_reach_over_midnight_by_the_persons_clock(hour, zone, until):
    end = quiet_until(datetime(2026, 3, 1, hour, tzinfo=UTC), ZoneInfo(zone), "21:00-08:00")
    assert (end and f"{end:%Y-%m-%dT%H:%M}") == until


@given(
    st.integers(0, 365 * 24 * 60).map(lambda minutes: NOW + timedelta(minutes=minutes)),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Cairo"]),
    st.sampled_from(["21:00-08:00", "13:00-15:30", "00:00-06:00", "22:15-00:00"]),
)
def test_quiet_hours_end_within_a_day_and_nobody_is_disturbed_in_them(now, zone, hours):
    end = quiet_until(now, ZoneInfo(zone), hours)
    if end is not None:
        assert now < end <= now + timedelta(hours=25)
        assert quiet_until(end, ZoneInfo(zone), hours) is None


def test_providers_are_known_by_domain_and_by_the_domains_above():
    groups = Pace.model_validate({"providers": {"shop-mail": {"domains": ["shop.example"]}}}).groups
    assert provider_of("a@GoogleMail.com", groups) == "provider/gmail"
    assert provider_of("a@t.vodafone.ne.jp", groups) == "provider/softbank"
    assert provider_of("a@eu.shop.example", groups) == "provider/shop-mail"
    assert provider_of("a@elsewhere.example", groups) == "provider/elsewhere.example"


def test_421_slows_the_relay_and_other_words_the_recipients_provider():
    site = a_site(relays=[{"host": "mx"}])
    said = [
        ("throttled", "421 4.7.0 too fast", "mx:25", "a@x.example"),
        ("throttled", "450 4.7.28 rate limit", "mx:25", "a@gmail.com"),
        ("greylisted", "451 4.7.1 later", "mx:25", "a@au.com"),
    ]
    assert asked_to_slow(site, site.pace.groups, said) == {"relay/mx:25", "provider/gmail"}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("limit", "10", "is not a rate"),
        ("limit", 10, "is not a rate"),
        ("limit", "0/s", "is not a rate"),
        ("limit", "500/day", "per_day: 500"),
        ("quiet_hours", "21-8", "are no hours"),
        ("quiet_hours", "21:00-21:00", "are no hours"),
        ("providers", {"nobody": {"limit": "1/s"}}, "needs its domains"),
        ("providers", {"a": {"domains": ["x.example"]}, "b": {"domains": ["x.example"]}}, "stands under a and under b"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_write_instead(field, value, words):
    with pytest.raises(ValidationError, match=words):
        Pace.model_validate({field: value})


def test_a_bucket_that_is_not_limited_has_room_for_everybody():
    assert available(new("x", Terms(ZONE), NOW), Terms(ZONE)) == inf
