"""What a look at a source amounts to."""

from dataclasses import replace

import pytest

from notifier.policies.capture import Finding, Known, doubt, goes_back_and_forth, judge, mark
from notifier.policies.extract import Reading
from notifier.policies.sources import same_meaning

CLAUSE = "We keep what you give us for as long as you are with us, and delete it when you leave us. "
TEXT = "# Privacy\n\nLast updated: 1 March 2026\n\n" + CLAUSE * 20 + "\n"
CHANGED = TEXT.replace("delete it when", "delete it thirty days after").replace("1 March", "2 April")
BEFORE = Reading(TEXT, "Privacy Policy", "en")


def judged(text: str, known: Known, agree: int = 3) -> Finding:
    return judge(Reading(text, "Privacy Policy", "en"), known, agree, same_meaning)


def test_a_first_sight_is_a_baseline() -> None:
    assert judged(TEXT, Known()) == Finding("first")


def test_the_same_text_and_another_spelling_of_it_are_silent() -> None:
    assert judged(TEXT, Known(BEFORE)) == Finding("same")
    assert judged(TEXT.replace("# Privacy", "Privacy\n======="), Known(BEFORE)) == Finding("technical")


def test_a_change_counts_when_it_was_seen_often_enough_in_a_row() -> None:
    candidate = replace(BEFORE, text=CHANGED)
    assert judged(CHANGED, Known(BEFORE)) == Finding("waiting", 1)
    assert judged(CHANGED, Known(BEFORE, candidate, 1)) == Finding("waiting", 2)
    assert judged(CHANGED, Known(BEFORE, candidate, 2)) == Finding("changed", 3)
    assert judged(CHANGED, Known(BEFORE), agree=1) == Finding("changed", 1)


def test_another_change_begins_the_count_anew() -> None:
    assert judged(CHANGED + "\nMore.\n", Known(BEFORE, replace(BEFORE, text=CHANGED), 2)) == Finding("waiting", 1)


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (Reading("# Moved\n\nYou are being redirected to our new site.\n"), "stands in"),
        (Reading("このサービスはお住まいの国ではご利用いただけません。\n"), "stands in"),
        (Reading(CLAUSE * 5, "Log in", asks_for_password=True), "login"),
        (Reading(CLAUSE * 3, "404 Not Found"), "error page"),
        (Reading("# お探しのページは見つかりませんでした\n\n" + "トップへ戻る。" * 40), "error page"),
        (Reading("# Privacy\n"), "only 9 characters"),
        (Reading(""), "only 0 characters"),
        (Reading(TEXT[: len(TEXT) // 3]), "characters, where it had"),
        (
            Reading("# 方針\n\n" + "お預かりした情報は、ご利用のあいだ保管し、退会のときに削除します。" * 60),
            "Japanese letters",
        ),
        (Reading(TEXT, "", "de-DE"), "says that it is in de-DE"),
        (
            Reading("# Datenschutz\n\n" + "Wir bewahren auf, was Sie uns geben, solange Sie bei uns sind. " * 30),
            "hardly",
        ),
        (Reading(TEXT.replace("1 March 2026", "5 June 2025")), "date runs backwards"),
    ],
)
def test_what_is_perhaps_not_the_policy_is_doubted(reading: Reading, reason: str) -> None:
    assert reason in str(doubt(reading, BEFORE))


def test_a_real_policy_may_speak_of_logins_redirects_and_errors() -> None:
    words = TEXT + "When you log in you may be redirected. Pages that were not found are logged as 404 errors.\n" * 3
    assert doubt(Reading(words + CLAUSE * 20, "Privacy"), BEFORE) is None


def test_going_back_and_forth_is_doubted_and_a_plain_return_is_not() -> None:
    there, back = mark(Reading(CHANGED), "waiting"), mark(BEFORE, "same")
    assert not goes_back_and_forth([back, there, back])
    assert goes_back_and_forth([back, there, back, there])
    assert judged(CHANGED, Known(BEFORE, seen=[back, there, back])).verdict == "doubtful"
    assert judged(TEXT, Known(BEFORE, seen=[back, there, back, there])) == Finding("same")
