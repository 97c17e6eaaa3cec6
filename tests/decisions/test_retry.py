"""When to try again, and what a batch of tries leaves."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.delivery.retry import GIVE_UP_AFTER, again
from notifier.delivery.settle import Tried, settle

OPENED = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
PERSON = UUID(int=7)
KINDS = (
    "accepted_by_relay", "accepted_by_recipient", "placed", "deferred", "unknown", "refused", "withheld",
)  # fmt: skip


@pytest.mark.parametrize(
    ("class_", "failures", "asked", "wait", "counted"),
    [
        ("network", 0, None, timedelta(minutes=1), 1),
        ("network", 1, None, timedelta(minutes=5), 2),
        ("network", 6, None, timedelta(hours=4), 7),
        ("network", 60, None, timedelta(hours=4), 61),
        ("greylisted", 0, None, timedelta(minutes=5), 1),
        ("greylisted", 1, None, timedelta(minutes=10), 2),
        ("greylisted", 0, 1800.0, timedelta(minutes=30), 1),
        ("greylisted", 0, 10.0, timedelta(minutes=5), 1),
        ("mailbox_full", 0, None, timedelta(days=1), 1),
        ("mailbox_full", 3, None, timedelta(days=1), 4),
        ("throttled", 0, None, timedelta(minutes=15), 0),
        ("session", 2, None, timedelta(minutes=15), 2),
        ("policy", 0, None, timedelta(hours=1), 0),
        ("endpoint", 0, None, timedelta(seconds=5), 1),
        ("endpoint", 1, None, timedelta(minutes=5), 2),
        ("endpoint", 6, None, timedelta(hours=10), 7),
        ("endpoint", 0, 60.0, timedelta(minutes=1), 1),
        ("unknown", 2, None, timedelta(minutes=30), 2),
        ("something new", 0, None, timedelta(minutes=1), 1),
    ],
)
def test_the_wait_follows_the_class_and_honours_what_the_server_asked(
    class_: str, failures: int, asked: float | None, wait: timedelta, counted: int
) -> None:
    next_try = again(class_, failures, asked, 0.0, OPENED, OPENED, 1800)
    assert next_try is not None
    assert (next_try.due_at - OPENED, next_try.failures) == (wait, counted)


@given(
    class_=st.sampled_from(["network", "greylisted", "mailbox_full", "throttled", "unknown", "policy"]),
    failures=st.integers(0, 200),
    asked=st.none() | st.floats(0, 1e6),
    jitter=st.floats(0, 1),
    age=st.timedeltas(timedelta(), timedelta(days=10)),
)
def test_no_try_is_ever_due_in_the_past_or_beyond_the_deadline(
    class_: str, failures: int, asked: float | None, jitter: float, age: timedelta
) -> None:
    now = OPENED + age
    next_try = again(class_, failures, asked, jitter, now, OPENED, 1800)
    if next_try is not None:
        assert now < next_try.due_at < OPENED + GIVE_UP_AFTER
    if age >= GIVE_UP_AFTER:
        assert next_try is None


@given(kinds=st.lists(st.sampled_from(KINDS), max_size=30), late=st.booleans())
def test_every_try_is_recorded_and_then_either_final_or_tried_again(kinds: list[str], late: bool) -> None:
    now = OPENED + (GIVE_UP_AFTER if late else timedelta())
    tried = [Tried(1, UUID(int=n), 1, 0, kind, "network", since=OPENED) for n, kind in enumerate(kinds)]
    rows = settle(tried, now, 1800, lambda: 0.5)
    assert [o for o in rows.outcomes if o.kind != "expired"] == tried
    again_, final = {t.person_id for t, _ in rows.later}, {t.person_id for t in rows.final}
    assert again_ | final == {t.person_id for t in tried}
    assert not again_ & final
    passing = {t.person_id for t in tried if t.kind in ("deferred", "unknown")}
    assert again_ == (set() if late else passing)
    assert {t.person_id for t in rows.failed} == {
        t.person_id for t in tried if t.kind == "refused" or (late and t.person_id in passing)
    }


def test_a_try_that_expires_keeps_what_was_observed_and_says_that_it_expired() -> None:
    one = Tried(1, PERSON, 4, 3, "deferred", "greylisted", "451 4.7.1 later", "relay", since=OPENED)
    rows = settle([one], OPENED + GIVE_UP_AFTER, 1800, lambda: 0.0)
    assert [(o.kind, o.reply) for o in rows.outcomes] == [("deferred", one.reply), ("expired", one.reply)]


PASSING_CLASSES = st.sampled_from([
    "network", "greylisted", "mailbox_full", "throttled", "session", "policy", "content", "unknown", "endpoint", "new",
])  # fmt: skip


@given(
    class_=PASSING_CLASSES.filter(lambda name: name != "unknown"),
    failures=st.integers(0, 300),
    asked=st.floats(0, 20 * 86400),
    jitter=st.floats(0, 1),
    age=st.timedeltas(timedelta(), timedelta(days=6)),
)
def test_nobody_is_asked_again_earlier_than_they_said(
    class_: str, failures: int, asked: float, jitter: float, age: timedelta
) -> None:
    now = OPENED + age
    next_try = again(class_, failures, asked, jitter, now, OPENED, 1800)
    unasked = again(class_, failures, None, jitter, now, OPENED, 1800)
    if next_try is not None:
        assert next_try.due_at >= now + timedelta(seconds=asked)
        assert unasked is not None
        assert next_try.due_at >= unasked.due_at
        assert next_try.failures == unasked.failures


@given(class_=PASSING_CLASSES, failures=st.integers(0, 20), more=st.integers(0, 20), jitter=st.floats(0, 1))
def test_who_failed_more_often_never_waits_less(class_: str, failures: int, more: int, jitter: float) -> None:
    sooner, later = (again(class_, f, None, jitter, OPENED, OPENED, 1800) for f in (failures, failures + more))
    if later is not None:
        assert sooner is not None
        assert sooner.due_at <= later.due_at


@given(classes=st.lists(PASSING_CLASSES, min_size=1, max_size=12), jitter=st.floats(0, 1))
def test_whatever_a_server_answers_tries_end_before_the_deadline_and_are_not_too_many(
    classes: list[str], jitter: float
) -> None:
    now, failures, tries = OPENED, 0, 1
    while (next_try := again(classes[tries % len(classes)], failures, None, jitter, now, OPENED, 1800)) is not None:
        assert next_try.due_at > now
        assert next_try.failures in (failures, failures + 1)
        now, failures, tries = next_try.due_at, next_try.failures, tries + 1
        assert now < OPENED + GIVE_UP_AFTER
    # Every 15 minutes for five days, and the short waits that every schedule begins with.
    assert tries <= 5 * 24 * 4 + 8
