"""What letters say: dates, what continued use means under each rule, and never consent."""

import re
from datetime import timedelta
from email import message_from_bytes
from email.utils import parsedate_to_datetime

import pytest
from babel import Locale

from notifier.keys import Keys
from notifier.letters.letter import Message, Since, Words
from notifier.letters.render import catalogues, summary_html
from notifier.letters.sheet import sheet_of
from notifier.letters.write import Writer
from notifier.policies.digest import Changed, Digest
from notifier.policies.pieces import Piece
from tests.sites import a_site
from tests.telling import KNEW, PUBLISHED, a_recipient, a_telling

KEYS = Keys(b"a secret that only tests know and that is long enough")


def message(locale: str = "en", zone: str = "Asia/Tokyo", **telling) -> Message:
    return Writer(a_telling(**telling), KEYS, "https://notices.example/").message(locale, zone, KNEW)


def test_every_language_has_the_same_words_with_the_same_slots():
    english = catalogues()["en"]
    for language, words in catalogues().items():
        assert Locale.parse(language)
        assert words.keys() == english.keys()
        for key, text in words.items():
            slots = set(re.findall(r"{(\w+)}", text))
            allowed = set(re.findall(r"{(\w+)}", english[key])) | {"site", "policy", "label"}
            assert slots <= allowed, (language, key)


def test_no_wording_calls_acceptance_consent_or_says_bound_or_read():
    for word in ("consent", "bound", "you have read", "delivered"):
        assert word not in " ".join(catalogues()["en"].values()).lower()
    for word in ("同意", "拘束", "お読みになった"):
        assert word not in " ".join(catalogues()["ja"].values())


@pytest.mark.parametrize(
    ("locale", "zone", "moment"),
    [
        ("en", "Asia/Tokyo", "April 1, 2026, 11:30\u00a0AM (Japan Standard Time)"),
        ("en", "America/New_York", "March 31, 2026, 10:30\u00a0PM (Eastern Daylight Time)"),
        ("en", "UTC", "April 1, 2026, 2:30\u00a0AM (Coordinated Universal Time)"),
        ("ja", "Asia/Tokyo", "2026年4月1日 11:30（日本標準時）"),
        ("ja", "Asia/Kolkata", "2026年4月1日 8:00（GMT+05:30）"),
        ("en", "", "April 1, 2026, 11:30\u00a0AM (Japan Standard Time)"),
        ("en", "No/Where", "April 1, 2026, 11:30\u00a0AM (Japan Standard Time)"),
    ],
)
def test_dates_are_the_persons_own_with_the_zone_named(locale, zone, moment):
    words = message(locale, zone)
    assert moment in words.text
    assert moment in words.html


def test_a_locale_without_wording_gets_english_with_the_right_dates_and_its_own_summary():
    words = {"fr": Words("Nous gardons moins.", "/p/fr"), "en-GB": Words("Less.", "/p/en-GB")}
    french = message("fr", "Europe/Paris", texts=words)
    assert "April 1, 2026, 4:30\u00a0AM (Central European Summer Time)" in french.text
    assert '<div class="quote" lang="fr" dir="auto">\n<p>Nous gardons moins.</p>' in french.html
    assert "1 April 2026, 04:30 (Central European Summer Time)" in message("en-GB", "Europe/Paris", texts=words).text


def test_deemed_acceptance_is_announced_with_its_notice_period():
    words = message().text
    assert "that use will be deemed your acceptance of the new version" in words
    assert "sooner than 30 days after this notice was sent to you does not count" in words
    assert "not deemed acceptance" in words
    japanese = message("ja").text
    assert "承諾いただいたものとみなします" in japanese
    assert "送信後30日を経過する前" in japanese


def test_without_a_notice_period_none_is_promised():
    assert "sooner than" not in message(rule={"notice_days": 0}).text
    assert "1 day after" in message(rule={"notice_days": 1}).text


@pytest.mark.parametrize("rule", [{"explicit": True}, {"explicit": True, "deems": False}])
def test_where_an_act_is_needed_use_is_said_to_amount_to_nothing(rule):
    words = message(rule=rule).text
    assert "needs an act of your own" in words
    assert "deemed" not in words
    japanese = message("ja", rule=rule).text
    assert "お客様ご自身によるお手続き" in japanese
    assert "承諾いただいたものとみなします" not in japanese


def test_where_the_rule_does_not_deem_nothing_needs_doing():
    words = message(rule={"deems": False}).text
    assert "does not amount to acceptance" in words
    assert "deemed" not in words
    assert "承諾いただいたものとみなします" not in message("ja", rule={"deems": False}).text


def test_the_way_to_object_whom_to_ask_and_both_addresses_of_the_text_are_there():
    words = message()
    for part in (words.text, words.html):
        assert "privacy@kumo.example" in part
        assert "https://notices.example/p/kumo/privacy/2026-04/en" in part
        assert "https://kumo.example/privacy" in part


def test_a_policy_page_that_is_no_web_address_is_left_out():
    site = a_site(policies={"privacy": {"titles": {"en": "Privacy"}, "url": "javascript:alert(1)"}})
    assert "javascript" not in message(site=site).html


def test_what_changed_is_listed_by_kind_with_a_few_words_and_the_rest_counted():
    quote = (Piece("same", "We keep it for "), Piece("removed", "30"), Piece("added", "60"), Piece("same", " days."))
    changed = Changed("Storage", "edited", "Keeping", (quote,), 2), Changed("", "removed")
    words = message(texts={"en": Words("", "/p", {KNEW: Since("2025-01", Digest(changed, 5))})})
    for text in (words.text, words.html):
        assert "What changed since version 2025-01" in text
        assert "(formerly: Keeping)" in text
        assert "and more in this section: 2" in text
        assert "and more sections: 5" in text
        assert "(without a heading)" in text
        assert "https://notices.example/p/since/2025-01" in text
        assert text.index("Changed") < text.index("Removed")
    assert "    We keep it for [-30-]{+60+} days." in words.text
    assert "[-These words went-], {+these came+}." in words.text
    assert "We keep it for <del>30</del><ins>60</ins> days." in words.html


def test_readers_in_japanese_are_told_the_same_with_their_own_words_around_it():
    quote = (Piece("removed", "30日"), Piece("added", "60日"), Piece("same", "間保存します。"))
    changed = Digest((Changed("保存", "edited", None, (quote,), 1),), 3)
    words = message("ja", texts={"ja": Words("", "/p", {KNEW: Since("2025-01", changed)})})
    for part in ("2025-01版からの変更箇所", "この節にほか1か所", "ほか3節", "https://notices.example/p/since/2025-01"):
        assert part in words.text
        assert part in words.html
    assert "[-30日-]{+60日+}間保存します。" in words.text


def test_who_last_knew_no_version_or_another_one_reads_of_no_changes_or_of_their_own():
    since = {
        3: Since("2025-01", Digest((Changed("Parcels", "added"),))),
        4: Since("2025-07", Digest((Changed("Returns", "added"),))),
    }
    writer = Writer(a_telling(texts={"en": Words("", "/p", since)}), KEYS, "https://notices.example/")
    third, fourth, none = (writer.message("en", "", knew).text for knew in (3, 4, None))
    assert ("Parcels" in third, "Returns" in third) == (True, False)
    assert ("Parcels" in fourth, "Returns" in fourth) == (False, True)
    assert "What changed" not in none
    assert writer.message("en", "", 99).text == none, "a version without a text in this locale"
    assert writer.changes_since("en", 4) == ("2025-07", "https://notices.example/p/since/2025-07")
    assert writer.changes_since("en", None) == writer.changes_since("en", 99) == (None, None)


def test_without_summary_and_changes_their_headings_are_left_out():
    text = message(texts={"en": Words("", "/p")}).text
    assert "In short" not in text
    assert "section by section" not in text


def test_the_subject_carries_the_day_in_the_persons_time_zone():
    assert message(zone="America/New_York").subject == "Changes to our Privacy Policy, effective March 31, 2026"
    assert message("ja").subject == "【くもストア】プライバシーポリシー改定のお知らせ（2026年4月1日適用）"


def test_a_version_effective_at_once_has_two_equal_dates():
    text = message(effective_at=PUBLISHED, opened_at=PUBLISHED + timedelta(minutes=1)).text
    assert text.count("March 1, 2026, 11:30\u00a0AM (Japan Standard Time)") >= 3


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("**bold** and *thin*", "<p><strong>bold</strong> and <em>thin</em></p>"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
        ("one\ntwo", "<p>one<br>\ntwo</p>"),
        ("# not a heading", "<p># not a heading</p>"),
        ("<b>x</b> & y", "<p>&lt;b&gt;x&lt;/b&gt; &amp; y</p>"),
        ("![x](https://x.example/i.png)", '<p>!<a href="https://x.example/i.png" rel="noopener noreferrer">x</a></p>'),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
        ("", ""),
    ],
)
def test_summaries_keep_simple_markup_and_everything_else_as_words(markdown, html):
    assert summary_html(markdown).strip() == html


@pytest.mark.parametrize(
    ("locale", "purpose", "subject", "words"),
    [
        (
            "en",
            "reminder-7",
            "Reminder: changes to our Privacy Policy",
            "This is a reminder of our notice of March 1, 2026:",
        ),
        ("en", "nudge-3", "Reminder: changes to our Privacy Policy", "which had not been opened"),
        (
            "ja",
            "reminder-7",
            "プライバシーポリシー改定の再度のお知らせ",
            "2026年3月1日付のお知らせについて、再度ご案内いたします",
        ),
        ("ja", "nudge-3", "プライバシーポリシー改定の再度のお知らせ", "まだ開かれておりませんでした"),
    ],
)
def test_a_reminder_says_of_which_notice_from_when_and_what_going_on_means(locale, purpose, subject, words):
    writer = Writer(a_telling(), KEYS, "https://notices.example/")
    notice = writer.message(locale, "Asia/Tokyo", KNEW)
    reminder = writer.reminding(purpose).message(locale, "Asia/Tokyo", KNEW)
    assert subject in reminder.subject
    for form in (reminder.text, reminder.html):
        assert words in form.replace("<strong>", "").replace("</strong>", "")
    assert "/p/kumo/privacy/2026-04/" in reminder.text
    assert len(reminder.text) < len(notice.text)
    assert ("will be deemed" in reminder.text) or ("みなします" in reminder.text)


def test_a_reminder_is_dated_when_it_is_due_and_is_another_letter_of_the_same_campaign():
    writer = Writer(a_telling(), KEYS, "https://notices.example/")
    letters = {
        purpose: writer.write("email", [a_recipient(purpose=purpose)])[0]
        for purpose in ("notice", "reminder-7", "nudge-3")
    }
    dates = {purpose: parsedate_to_datetime(message_from_bytes(one.body)["Date"]) for purpose, one in letters.items()}
    telling = writer.telling
    assert dates["notice"] == telling.opened_at
    assert dates["reminder-7"] == telling.effective_at - timedelta(days=7)
    assert dates["nudge-3"] == telling.opened_at + timedelta(days=3)
    assert len({one.message_id for one in letters.values()}) == 3
    kept = {purpose: sheet_of(7, "email", "en", "Europe/Berlin", one.sheet.kept()) for purpose, one in letters.items()}
    assert {purpose: one.purpose for purpose, one in kept.items()} == {p: p for p in letters}
