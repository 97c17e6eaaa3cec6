"""What is kept of a use, and what is no use."""

from datetime import UTC, datetime, timedelta

import pytest

from notifier.activity.activity import Use, as_use, first_of_each_day, is_use, read_activity, why_ignored
from notifier.campaigns.rule import NEVER_USE
from notifier.errors import Invalid

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)


def line(**more: str) -> bytes:
    fields = {"external_id": "u1", "occurred_at": "2026-03-01T08:00:00Z", "kind": "login"} | more
    return ("{" + ",".join(f'"{name}": "{value}"' for name, value in fields.items()) + "}").encode()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://kumo.example/basket/42?card=4111#top", "/basket/42"),
        ("/orders?name=Ann", "/orders"),
        ("https://kumo.example", ""),
        ("https://kumo.example/" + "a" * 1000, "/" + "a" * 299),
        ("/" + "a" * 1000, "/" + "a" * 299),
        ("//kumo.example/basket", "/basket"),
    ],
)
def test_of_an_address_only_the_path_is_kept(given: str, kept: str) -> None:
    assert read_activity(line(url=given)).url == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("255.249.199.9", "255.249.199.0/24"),
    ],
)
def test_of_an_ip_address_only_the_network_is_kept(given: str, kept: str) -> None:
    assert read_activity(line(ip=given)).ip == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge"),
        ("Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 Version/18.0 Mobile Safari/604.1", "Safari"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1)", "robot"),
        ("curl/8.5.0", "robot"),
        ("KumoApp/3.1", "other"),
        ("", ""),
    ],
)
def test_of_a_user_agent_only_the_family_is_kept(given: str, kept: str) -> None:
    assert read_activity(line(user_agent=given)).user_agent == kept


@pytest.mark.parametrize(
    ("bad", "pointer"),
    [
        (line(occurred_at="2026-03-01T08:00:00"), "/occurred_at"),
        (line(occurred_at="yesterday"), "/occurred_at"),
        (line(kind="Log in"), "/kind"),
        (line(ip="300.1.1.1"), "/ip"),
        (line(ip="203.0.113.256"), "/ip"),
        (line(ip="203.0.113.077"), "/ip"),
        (line(url="http://[oops"), "/url"),
        (line(external_id=""), "/external_id"),
        (line(colour="red"), "/colour"),
        (b"[1, 2]", ""),
        (b"{broken", ""),
        (b"\xff\xfe", ""),
    ],
)
def test_a_bad_activity_is_refused_by_field(bad: bytes, pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_activity(bad)
    assert [fault.pointer for fault in refused.value.faults] == [pointer]


def test_what_is_never_use_is_ignored_even_if_the_site_lists_it() -> None:
    for kind in NEVER_USE:
        assert not is_use(kind, None)
        assert not is_use(kind, [kind])


def test_an_allow_list_leaves_everything_else_out() -> None:
    assert is_use("purchase", ["purchase"])
    assert not is_use("login", ["purchase"])
    assert why_ignored(read_activity(line()), ["purchase"], NOW) == "excluded_kind"


def test_a_robot_is_nobodys_use() -> None:
    assert why_ignored(read_activity(line(user_agent="Googlebot/2.1")), None, NOW) == "robot"


def test_a_time_ahead_of_ours_is_ours_within_five_minutes_and_ignored_beyond() -> None:
    soon = read_activity(line(occurred_at="2026-03-01T09:05:00Z"))
    assert why_ignored(soon, None, NOW) is None
    assert as_use(soon, NOW).occurred_at == NOW
    late = read_activity(line(occurred_at="2026-03-01T09:05:01Z"))
    assert why_ignored(late, None, NOW) == "in_the_future"


def test_the_first_use_of_a_day_stands_for_the_day_whatever_the_order() -> None:
    uses = [(place, "u1", Use(NOW + timedelta(hours=h), NOW, "login")) for place, h in enumerate((5, -3, 2, 20))]
    days = first_of_each_day(uses)
    assert [(day.use.occurred_at.hour, day.places) for day in days] == [(6, (1, 0, 2)), (5, (3,))]
    assert {day.use for day in days} == {day.use for day in first_of_each_day(reversed(uses))}
