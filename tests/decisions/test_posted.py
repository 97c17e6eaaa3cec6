"""What a look at a page that must show a version amounts to."""

from datetime import UTC, datetime, timedelta

import pytest

from notifier.policies.extract import Reading, read_answer
from notifier.policies.posted import DAILY, SURE, Edition, Follows, Sight, Stands, follow, recognise

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
PUBLISHED = datetime(2026, 3, 1, 9, tzinfo=UTC)
EFFECT = PUBLISHED + 30 * DAILY
NEW = Stands(PUBLISHED, EFFECT)
SEEN = Stands(PUBLISHED, EFFECT, posted=True)

CLAUSE = "We keep what you give us for as long as you are with us, and delete it when you leave us. "
OLD = "# Privacy\n\n" + CLAUSE * 5 + "\n\n## Contact\n\nWrite to [us](https://kumo.example/contact?utm_source=x).\n"
TEXT = OLD.replace("when you leave", "a month after you leave")
EXPECTED = Edition(2, "2026-03", "text/markdown", TEXT.encode())
EARLIER = Edition(1, "2025-11", "text/markdown", OLD.encode())


def sight(text: str) -> tuple[Sight, int | None]:
    seen = recognise(Reading(text), EXPECTED, [EARLIER])
    return seen.sight, seen.shows


def test_a_page_shows_the_version_whatever_its_spelling() -> None:
    page = (
        "<main><h1 id=top>Privacy</h1><p>Last updated: 1 March 2026</p><p>{}</p><p><b>Contact</b></p>"
        '<p>Write to <a href="https://kumo.example/contact">us</a>.</p><p>Share this</p></main>'
    ).format((CLAUSE * 5).replace("when you leave", "a month after you leave"))
    assert sight(TEXT) == ("shown", 2)
    assert sight(read_answer(page.encode(), "text/html").text) == ("shown", 2)


def test_an_earlier_version_is_known_by_its_text() -> None:
    seen = recognise(Reading(OLD), EXPECTED, [EARLIER])
    assert (seen.sight, seen.shows) == ("earlier", 1)
    assert str(seen.reason) == "it shows 2025-11, and not 2026-03"


def test_one_sentence_more_is_another_text_and_so_is_a_link_that_leads_elsewhere() -> None:
    assert sight(TEXT + "\nWe also sell it.\n") == ("other", None)
    assert sight(TEXT.replace("kumo.example/contact", "elsewhere.example/contact")) == ("other", None)
    seen = recognise(Reading(TEXT + "\nWe also sell it.\n"), EXPECTED, [EARLIER])
    assert "1 sections differ from 2026-03" in str(seen.reason)


@pytest.mark.parametrize("text", ["", "# 404\n\nPage not found.\n", "Please enable JavaScript.\n"])
def test_what_is_no_policy_at_all_is_doubtful_and_no_change(text: str) -> None:
    assert sight(text) == ("doubtful", None)


def test_the_first_sight_is_posted_and_looked_at_again_daily_and_at_the_effect() -> None:
    assert follow("shown", NEW, PUBLISHED) == Follows(PUBLISHED + DAILY, 0, None, ("posted",))
    assert follow("shown", SEEN, PUBLISHED) == Follows(PUBLISHED + DAILY, 0, None)
    assert follow("shown", SEEN, EFFECT - HOUR).due_at == EFFECT
    assert follow("shown", SEEN, EFFECT).due_at == EFFECT + DAILY


@pytest.mark.parametrize(("age", "wait"), [(0 * HOUR, 5 * MINUTE), (HOUR, HOUR), (3 * DAILY, DAILY)])
def test_an_earlier_text_is_in_order_before_the_effect_and_waited_for_less_and_less(
    age: timedelta, wait: timedelta
) -> None:
    now = PUBLISHED + age
    assert follow("earlier", NEW, now) == Follows(now + wait, 0, None)


@pytest.mark.parametrize(
    ("found", "stands", "now", "alarm"),
    [
        ("other", SEEN, PUBLISHED + DAILY, "drift"),
        ("other", NEW, PUBLISHED + HOUR, "drift"),
        ("earlier", SEEN, PUBLISHED + DAILY, "missing"),
        ("earlier", NEW, EFFECT, "missing"),
        ("failed", SEEN, PUBLISHED + DAILY, "missing"),
        ("doubtful", NEW, PUBLISHED + DAILY, "missing"),
    ],
)
def test_an_alarm_wants_three_looks_in_a_row_and_is_raised_once(
    found: Sight, stands: Stands, now: datetime, alarm: str
) -> None:
    for odd in range(1, SURE):
        assert follow(found, stands, now) == Follows(now + 15 * MINUTE, odd, None)
        stands = Stands(PUBLISHED, EFFECT, stands.posted, odd)
    raised = follow(found, stands, now)
    assert (raised.alarm, raised.happenings) == (alarm, (alarm,))
    stands = Stands(PUBLISHED, EFFECT, stands.posted, raised.odd, raised.alarm)
    assert follow(found, stands, now) == Follows(now + HOUR, SURE + 1, raised.alarm)


def test_an_alarm_ends_when_the_version_is_seen_and_changes_its_kind_when_what_is_seen_does() -> None:
    alarmed = Stands(PUBLISHED, EFFECT, posted=True, odd=5, alarm="missing")
    assert follow("shown", alarmed, PUBLISHED) == Follows(PUBLISHED + DAILY, 0, None, ("mended",))
    assert follow("other", alarmed, PUBLISHED).happenings == ("drift",)
