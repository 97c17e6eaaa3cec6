"""When a campaign pauses by itself."""

from decimal import Decimal

import pytest

from notifier.campaigns.breaker import LATELY, Tally, Trip, judge, judge_lately, moves_on
from notifier.sites.site import Breaker

LIMITS = Breaker()


def email(**counts: int) -> list[Tally]:
    """Counters of email: ``refused_bad_address=3`` is a kind and a class."""
    kinds = ("accepted_by_relay", "deferred", "refused", "bounced", "complained", "unknown", "expired", "under_way")
    found = []
    for name, count in counts.items():
        kind = next(kind for kind in kinds if name.startswith(kind))
        found.append(Tally("email", kind, name.removeprefix(kind).removeprefix("_"), count))
    return found


def rate_of(trip: Trip | None) -> str | None:
    return trip and trip.rate


@pytest.mark.parametrize(
    ("counts", "rate"),
    [
        ({"accepted_by_relay": 95, "refused_bad_address": 5}, None),  # at the limit is not over it
        ({"accepted_by_relay": 94, "refused_bad_address": 6}, "bounces"),
        ({"accepted_by_relay": 94, "refused_bad_domain": 3, "refused_mailbox_disabled": 3}, "bounces"),
        ({"accepted_by_relay": 100, "bounced_bad_address": 6}, "bounces"),  # bounced later: taken over before
        ({"accepted_by_relay": 93, "refused_bad_address": 6}, None),  # 99 letters mean nothing yet
        ({"accepted_by_relay": 100, "refused_suppressed": 90}, None),  # nothing was sent to them
        ({"accepted_by_relay": 100, "refused_unsupported": 90, "expired_network": 90, "bounced_expired": 90}, None),
        ({"accepted_by_relay": 999, "complained_complaint": 2}, None),  # one or two are no rate
        ({"accepted_by_relay": 999, "complained_complaint": 3}, "complaints"),
        ({"accepted_by_relay": 3000, "complained_complaint": 3}, None),
        ({"accepted_by_relay": 100, "deferred_greylisted": 100}, None),
        ({"accepted_by_relay": 100, "deferred_greylisted": 60, "deferred_mailbox_full": 41}, "deferrals"),
        ({"accepted_by_relay": 100, "deferred_policy": 500}, None),  # the relay is paused, not the campaign
        (
            {"deferred_network": 5000, "deferred_session": 5000, "deferred_throttled": 5000, "unknown_unknown": 500},
            None,
        ),
        ({"accepted_by_relay": 94, "deferred_content": 6}, "content"),
        ({"accepted_by_relay": 50, "under_way": 100, "bounced_bad_address": 6}, None),  # they may be of those out
        ({"accepted_by_relay": 50, "under_way": 50, "bounced_bad_address": 6}, "bounces"),
        ({"accepted_by_relay": 500, "under_way": 3000, "complained_complaint": 3}, None),
        ({"accepted_by_relay": 10, "under_way": 500, "deferred_greylisted": 50}, None),  # too few were answered
        ({"accepted_by_relay": 50, "under_way": 500, "deferred_greylisted": 60}, "deferrals"),
    ],
)
def test_only_what_speaks_of_the_list_or_the_content_is_a_reason(counts: dict[str, int], rate: str | None) -> None:
    assert rate_of(judge(email(**counts), [], LIMITS, LIMITS.after)) == rate


def test_what_was_counted_before_the_last_resume_is_no_reason_any_more() -> None:
    before = email(accepted_by_relay=94, refused_bad_address=6)
    assert judge(before, before, LIMITS, 100) is None
    more = email(accepted_by_relay=188, refused_bad_address=12)
    trip = judge(more, before, LIMITS, 100)
    assert trip == Trip("bounces", "email", 6, 100, Decimal("0.05"))


def test_what_turns_bad_in_the_middle_is_seen_by_the_last_tries() -> None:
    earlier = email(accepted_by_relay=500_000)
    now = email(accepted_by_relay=509_000, deferred_content=1_000)
    assert judge(now, [], LIMITS, 100) is None, "a five-hundredth of all"
    trip = judge_lately(now, earlier, LIMITS, 100)
    assert trip is not None
    assert (
        str(trip) == "paused by the breaker: 10 % of the last 10,000 letters were refused for their content; limit 5 %"
    )


def test_reports_of_letters_that_left_long_ago_say_nothing_of_the_last_tries() -> None:
    earlier, now = email(accepted_by_relay=500_000), email(accepted_by_relay=500_200, bounced_bad_address=100)
    assert judge_lately(now, earlier, LIMITS, 100) is None
    assert rate_of(judge_lately(email(accepted_by_relay=500_200, refused_bad_address=100), earlier, LIMITS, 100))


def test_what_is_lately_moves_on_with_enough_tries() -> None:
    lately = email(accepted_by_relay=50_000, bounced_bad_address=100)
    assert not moves_on(email(accepted_by_relay=50_000 + LATELY - 1, bounced_bad_address=9_000), lately)
    assert moves_on(email(accepted_by_relay=50_000 + LATELY // 2, deferred_greylisted=LATELY // 2), lately)


def test_channels_are_judged_apart() -> None:
    quiet = [Tally("webhook", "placed", "", 10_000)]
    assert rate_of(judge([*quiet, *email(accepted_by_relay=94, refused_bad_address=6)], [], LIMITS, 100)) == "bounces"


def test_a_limit_of_all_is_no_limit_and_another_limit_counts() -> None:
    tallies = email(accepted_by_relay=50, refused_bad_address=50)
    assert judge(tallies, [], Breaker(bounces="100%"), 100) is None
    assert (
        rate_of(judge(email(accepted_by_relay=99, refused_bad_address=3), [], Breaker(bounces="1%"), 10)) == "bounces"
    )


def test_a_trip_says_what_it_saw() -> None:
    trip = Trip("bounces", "email", 87, 1204, Decimal("0.05"))
    assert str(trip) == "paused by the breaker: 7.2 % of 1,204 letters bounced; limit 5 %"
    assert str(Trip("complaints", "email", 3, 1500, Decimal("0.001"))).endswith(
        "0.2 % of 1,500 letters were complained about; limit 0.1 %"
    )
