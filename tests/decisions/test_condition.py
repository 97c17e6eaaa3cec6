"""Conditions about people: what is read, what is refused, and where the fault is."""

from typing import Any

import pytest

from notifier.errors import Invalid
from notifier.sites.choice import Audience
from notifier.sites.condition import GROUPS, Every, Test, Unclear, read_condition
from notifier.sites.file import read_site
from tests.decisions.test_site_file import GOOD


@pytest.mark.parametrize(
    ("given", "at", "words"),
    [
        ({}, (), "must hold a comparison"),
        ("country = 'DE'", (), "must hold a comparison"),
        ({"all": []}, ("all",), "must be a list"),
        ({"any": {"country": "DE"}}, ("any",), "must be a list"),
        ({"all": [{"country": "DE"}, 5]}, ("all", 1), "must hold a comparison"),
        ({"not": []}, ("not",), "must hold a comparison"),
        ({"site": "another"}, ("site",), "there is no such field; known are country"),
        ({"email": "a@b.example"}, ("email",), "there is no such field"),
        ({"attributes": {"x": 1}}, ("attributes",), "there is no such field"),
        ({"attributes.": 1}, ("attributes.",), "there is no such field"),
        ({"country": "Germany"}, ("country",), "'Germany' is no country"),
        ({"country": ["DE", "de"]}, ("country", 1), "'de' is no country"),
        ({"country": 5}, ("country",), "must be text; put it in quotes"),
        ({"country": []}, ("country",), "needs 1 to 500 values"),
        ({"country": {"like": "D%"}}, ("country", "like"), "cannot be compared so; use one of is, in, is_not, not_in"),
        ({"country": {"in": "DE"}}, ("country", "in"), "in and not_in take a list"),
        ({"country": {"is": ["DE"]}}, ("country", "is"), "in and not_in take a list"),
        ({"country": {}}, ("country",), "compares to nothing"),
        ({"locale": "Japanese"}, ("locale",), "'Japanese' is not a locale; write a language"),
        ({"locale": ["ja", "jp_JPN"]}, ("locale", 1), "'jp_JPN' is not a locale"),
        ({"role": {"at_least": 5}}, ("role", "at_least"), "cannot be compared so"),
        ({"role": None}, ("role",), "must be a word"),
        ({"role": "x" * 201}, ("role",), "at most 200 characters"),
        ({"role": "a\0b"}, ("role",), "must be a word"),
        ({"registered_at": "2026-01-01"}, ("registered_at",), "say before or since when"),
        ({"registered_at": {"before": "soon"}}, ("registered_at", "before"), "'soon' is no day like 2026-01-01"),
        ({"registered_at": {"before": "2026-01-01T09:00:00"}}, ("registered_at", "before"), "is no day"),
        ({"last_seen_on": {"since": 5}}, ("last_seen_on", "since"), "5 is no day"),
        ({"attributes.n": {"at_least": "5"}}, ("attributes.n", "at_least"), "'5' is no number"),
        ({"attributes.n": {"at_least": True}}, ("attributes.n", "at_least"), "True is no number"),
        ({"attributes.n": {"x": {}}}, ("attributes.n", "x"), "cannot be compared so"),
        ({"attributes.n": [[1]]}, ("attributes.n",), "must be a word"),
        ({"any": [{"not": {"all": [{"role": {"or": 1}}]}}]}, ("any", 0, "not", "all", 0, "role", "or"), "cannot be"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place(given: Any, at: tuple[str | int, ...], words: str) -> None:
    with pytest.raises(Unclear) as error:
        read_condition(given)
    assert error.value.at == at
    assert words in str(error.value)


def test_depth_and_number_of_comparisons_are_bounded() -> None:
    deep: Any = {"country": "DE"}
    for _ in range(9):
        deep = {"not": deep}
    with pytest.raises(Unclear, match="nested more than 8 deep"):
        read_condition(deep)
    with pytest.raises(Unclear, match="compares more than 100 times"):
        read_condition({"any": [{"role": str(n)} for n in range(101)]})


def test_groups_stand_for_their_countries() -> None:
    read = read_condition({"country": ["EEA", "CH"], "role": "seller"})
    assert read == Every((Test("country", "in", (*GROUPS["EEA"], "CH")), Test("role", "in", ("seller",))))
    assert len(GROUPS["EU"]) == 27
    assert len(GROUPS["EEA"]) == 30


def test_locales_are_compared_in_the_form_in_which_peoples_are_kept() -> None:
    read = read_condition({"locale": ["ja_JP", "DE", "zh-hant-tw", ""]})
    assert read == Test("locale", "in", ("ja-JP", "de", "zh-Hant-TW", ""))


def test_the_lists_of_an_audience_are_a_condition() -> None:
    audience = Audience.model_validate({
        "countries": ["DE"], "locales": ["de_at"], "attributes": {"tier": "pro"}, "where": {"role": "seller"},
    })  # fmt: skip
    assert audience.condition == Every((
        Test("country", "in", ("DE",)), Test("locale", "in", ("de-AT",)), Test("attributes.tier", "in", ("pro",)),
        Test("role", "in", ("seller",)),
    ))  # fmt: skip
    assert Audience(dormant=False).condition is None


RULE = "rule:\n  preset: pop-japan\n  notice_days: 45\n"


@pytest.mark.parametrize(
    ("rule", "line", "words"),
    [
        ("rule:\n  preset: pop-japan\n  notice_days: 14\n", 16,
         "rule.notice_days: less than pop-japan asks for (30); add `reason:` beside it with why"),
        ("rule:\n  preset: us-contract\n  grade_at_least: D\n", 16,
         "rule.grade_at_least: less than us-contract asks for (C)"),
        ("rule:\n  preset: us-contract\n  evidence: relay\n", 16, "rule.evidence: less than us-contract asks for"),
        ("rule:\n  preset: pop-japan\n  channels: [inbox]\n", 16,
         "rule.channels: less than pop-japan asks for (email)"),
        ("rule:\n  preset: de-consumer-terms\n  durable: false\n", 16, "rule.durable: less than de-consumer-terms"),
        ("rule:\n  preset: de-consumer-terms\n  deemed_acceptance: true\n", 16,
         "rule.deemed_acceptance: less than de-consumer-terms asks for (never)"),
        ("rule:\n  preset: jp-appi-notice\n  new_purpose: at_effect\n", 16, "rule.new_purpose: less than"),
        ("rule:\n  preset: imacocokara\n  nudge_unread_days: 0\n", 16, "rule.nudge_unread_days: less than imacocokara"),
        ("rule:\n  preset: imacocokara\n  bounce_window_hours: 1\n", 16, "rule.bounce_window_hours: less than"),
        (RULE + "  also:\n    - preset: eu-gdpr-notice\n    - preset: eu-p2b-terms\n      notice_days: 14\n", 20,
         "rule.also.1.notice_days: less than eu-p2b-terms asks for (15)"),
        (RULE + "  also:\n    - preset: us-contract\n      applies_to:\n        all:\n          - country: US\n"
         "          - roles: x\n", 22, "rule.also.0.applies_to.all.1.roles: there is no such field; known are country"),
        (RULE + "  audience:\n    where:\n      country: [DE,\n        Germany]\n", 20,
         "rule.audience.where.country.1: 'Germany' is no country"),
        (RULE + "  audience:\n    where:\n      locale: [ja,\n        Japanese]\n", 20,
         "rule.audience.where.locale.1: 'Japanese' is not a locale"),
        (RULE + "  audience:\n    locales:\n      - ja\n      - Japanese\n", 20,
         "rule.audience.locales.1: not a locale; write a language"),
        (RULE + "  also:\n" + "    - preset: us-contract\n" * 5, 17, "rule.also: List should have at most 4 items"),
    ],
)  # fmt: skip
def test_faults_of_a_rule_are_said_with_file_line_and_place(rule: str, line: int, words: str) -> None:
    with pytest.raises(Invalid) as error:
        read_site(GOOD.replace(RULE, rule))
    found = [(fault.pointer, fault.detail) for fault in error.value.faults]
    assert [pointer for pointer, detail in found if detail.startswith(words)] == [f"site.yaml:{line}"], found


def test_less_is_taken_with_a_reason() -> None:
    site = read_site(GOOD.replace("  notice_days: 45\n", "  notice_days: 7\n  reason: our lawyers said so\n"))
    assert (site.notice_days(), site.rule.reason) == (7, "our lawyers said so")
