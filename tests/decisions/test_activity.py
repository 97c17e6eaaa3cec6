"""What is kept of a use, and what is no use."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.activity.activity import (
    Activity,
    ActivityInput,
    is_use,
    not_after,
    pack,
    read_activity,
    read_quickly,
    read_slowly,
    unpack,
    why_ignored,
)
from notifier.activity.record import first_of_each_day
from notifier.campaigns.rule import NEVER_USE
from notifier.errors import Invalid
from notifier.web.reading import read_json

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)


def line(**more: str) -> bytes:
    fields = {"external_id": "u1", "occurred_at": "2026-03-01T08:00:00Z", "kind": "login"} | more
    return ("{" + ",".join(f'"{name}": "{value}"' for name, value in fields.items()) + "}").encode()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("https://kumo.example/basket/42?card=4111#top", "/basket/42"),
        ("/orders?name=Ann", "/orders"),
        ("https://kumo.example", ""),
        ("https://kumo.example/" + "a" * 1000, "/" + "a" * 299),
        ("/" + "a" * 1000, "/" + "a" * 299),
        ("//kumo.example/basket", "/basket"),
    ],
)
def test_of_an_address_only_the_path_is_kept(sent: str, kept: str) -> None:
    assert read_activity(line(url=sent)).url_path == kept


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("255.249.199.9", "255.249.199.0/24"),
    ],
)
def test_of_an_ip_address_only_the_network_is_kept(sent: str, kept: str) -> None:
    assert read_activity(line(ip=sent)).ip_prefix == kept


@pytest.mark.parametrize(
    ("sent", "kept"),
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
def test_of_a_user_agent_only_the_family_is_kept(sent: str, kept: str) -> None:
    assert read_activity(line(user_agent=sent)).user_agent == kept


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
    assert not_after(soon.occurred_at, NOW) == NOW
    late = read_activity(line(occurred_at="2026-03-01T09:05:01Z"))
    assert why_ignored(late, None, NOW) == "in_the_future"


def test_what_is_packed_is_unpacked_as_it_was() -> None:
    uses = [
        Activity(
            '\u3042 "\\', datetime(2026, 3, 1, 9, 30, 0, 5, UTC), "login", "/\u3042?", "203.0.113.0/24", "Firefox"
        ),
        Activity("b", datetime(2026, 3, 1, tzinfo=UTC), "page_viewed"),
    ]
    assert unpack(pack(uses)) == uses


def test_the_first_use_of_a_day_stands_for_the_day_whatever_the_order() -> None:
    asked = [
        (5, "u1", (at := NOW + timedelta(hours=h)).date(), False, at, place) for place, h in enumerate((5, -3, 2, 20))
    ]
    firsts, others = first_of_each_day([*asked, (5, "u2", NOW.date(), False, NOW, 4)])
    assert [(who, at.hour, place) for _, who, _, _, at, place in firsts] == [("u1", 6, 1), ("u1", 5, 3), ("u2", 9, 4)]
    assert others == [(2, 0), (0, 0)]
    assert first_of_each_day(asked[::-1]) == (firsts[:2], others)


def test_what_only_some_rules_count_stands_for_a_day_only_where_nothing_is_that_all_count() -> None:
    early, late = (5, "u1", NOW.date(), True, NOW, 0), (5, "u1", NOW.date(), False, NOW + timedelta(hours=2), 1)
    assert first_of_each_day([early, late]) == ([late], [(0, 0)])
    assert first_of_each_day([early]) == ([early], [])


ODD = st.sampled_from([
    "", " ", "u1", "Ünï", "a\u0000b", "a\u2028b", "x" * 201, "2026-03-01T08:00:00Z", "2026-03-01T24:00:00Z",
    "2026-03-01T08:00:60Z", "2026-02-30T08:00:00Z", "2026-03-01T08:00:00,5Z", "2026-03-01T08:00:00.1234567+09:00",
    "2026-03-01T08:00:00.25-23:59", "2026-03-01 08:00:00Z", "2026-03-01T08:00Z", "20260301T080000Z",
    "2026-W09-7T08:00:00Z",
    "1969-12-31T23:59:59Z", "2999-01-01T00:00:00Z", "2026-03-01T08:00:00-00:00", "login", "log_in", "Login", "l" * 41,
    "/a?b", "//host/a", "http://[oops", "https://a/b#c", "/\u200b", "192.0.2.1", "::1", "192.0.2.01", "curl/8", 5, None,
    True, 1.5, [], {}, 1772352000,
])  # fmt: skip


@given(st.dictionaries(st.sampled_from([*ActivityInput.model_fields, "more"]), ODD), st.booleans())
def test_what_is_read_quickly_is_exactly_what_the_model_reads(fields: dict[str, Any], mended: bool) -> None:
    plain = {"external_id": "u1", "occurred_at": "2026-03-01T08:00:00Z", "kind": "login"}
    given_line = orjson.dumps((plain if mended else {}) | fields)
    quick = read_quickly(given_line)
    if quick is not None:
        assert quick == read_slowly(given_line).activity
        assert quick == read_json(ActivityInput, given_line).activity  # as a request of one is read


def test_what_sites_send_every_day_is_read_quickly() -> None:
    for more in ({}, {"url": "https://kumo.example/basket?x=1", "ip": "2001:db8::1", "user_agent": "Firefox/140.0"}):
        assert read_quickly(line(**more)) is not None
