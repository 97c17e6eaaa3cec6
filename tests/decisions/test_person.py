"""What a site may say of a person, and the one form into which it is brought."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from notifier.errors import Invalid, Malformed, faults_of
from notifier.people.person import PersonInput, read_person


def person(**said: Any) -> PersonInput:
    return PersonInput.model_validate_json(json.dumps({"external_id": "42", **said}))


def faults(**said: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as error:
        person(**said)
    return {fault.pointer: fault.detail for fault in faults_of(error.value)}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("ja", "ja"), ("ja_JP", "ja-JP"), ("JA-jp", "ja-JP"), ("zh_hant_tw", "zh-Hant-TW"), ("es-419", "es-419"),
        ("en_US.UTF-8", "en-US"), ("de_DE@euro", "de-DE"), ("", ""), (None, ""),
    ],
)  # fmt: skip
def test_locales_are_written_one_way(said: str | None, kept: str) -> None:
    assert person(locale=said).locale == kept


@pytest.mark.parametrize("said", ["japanese please", "C", "j", "ja-JP-", "../ja", "ja\r\nX: y"])
def test_what_is_no_locale_is_refused(said: str) -> None:
    assert "write a language" in faults(locale=said)["/locale"]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("", None),
        (None, None),
        (" aki@kumo.example ", "aki@kumo.example"),
        ("Aki.O'Neil+x@KUMO.Example", "Aki.O'Neil+x@kumo.example"),
        ("josé@kumo.example", "josé@kumo.example"),
        ("aki@くも.example", "aki@xn--y8j8e.example"),
        ("aki@XN--y8j8e.example", "aki@xn--y8j8e.example"),
    ],
)
def test_addresses_are_kept_as_they_can_be_written_to(said: str | None, kept: str | None) -> None:
    assert person(email=said).email == kept


@pytest.mark.parametrize(
    "said",
    [
        "aki", "aki@", "@kumo.example", "aki@localhost", "a..b@kumo.example", ".a@kumo.example", "a@b@kumo.example",
        "aki@-kumo.example", "aki@kumo..example", "aki@kumo.example\r\nBcc: all@kumo.example", "aki@kumo.example\0",
        "aki kumo@kumo.example", "<aki@kumo.example>", "x" * 65 + "@kumo.example", "a@" + "b." * 130 + "example",
        "aki@[127.0.0.1]", "\u202eaki@kumo.example", '"a\nb"@kumo.example',
    ],
)  # fmt: skip
def test_what_cannot_be_written_to_is_refused(said: str) -> None:
    assert list(faults(email=said)) == ["/email"]


@given(st.emails(domains=st.sampled_from(["kumo.example", "a-b.kumo.example"])))
def test_an_address_that_was_kept_is_kept_the_same_again(address: str) -> None:
    try:
        kept = person(email=address).email
    except ValidationError:
        return
    assert kept is not None
    assert not set(kept) & set("\r\n\0 <>")
    assert person(email=kept).email == kept


@pytest.mark.parametrize(
    ("field", "said", "words"),
    [
        ("external_id", "", "at least 1 character"),
        ("external_id", "x" * 201, "at most 200"),
        ("external_id", " 42", "begins or ends with a space"),
        ("external_id", "42\n", "begins or ends with a space"),
        ("external_id", "4\n2", "control character"),
        ("external_id", "4\u00002", "control character"),
        ("external_id", "erased:0f", "pseudonyms"),
        ("external_id", 42, "valid string"),
        ("time_zone", "Mars/Olympus", "not a time zone"),
        ("country", "JPN", "two letters"),
        ("roles", ["buyer\n"], "control character"),
        ("roles", "buyer", "valid array"),
        ("channels", ["E-Mail"], "pattern"),
        ("status", "erased", "'active', 'dormant', 'suspended' or 'closed'"),
        ("registered_at", "2026-03-01T09:00:00", "timezone"),
        ("registered_at", 1700000000, "like 2024-05-01T09:00:00Z"),
        ("registered_at", "0001-01-01T00:00:00Z", "outside the years"),
        ("registered_at", "9999-12-31T23:59:59-14:00", "outside the years"),
        ("e_mail", "x", "not permitted"),
    ],
)
def test_what_is_wrong_is_named(field: str, said: Any, words: str) -> None:
    assert words in next(iter(faults(**{field: said}).values()))


@pytest.mark.parametrize(
    ("value", "words"),
    [([1], "give a string"), ({"a": 1}, "give a string"), (2**60, "2^53"), ("x" * 501, "500"), ("a\0b", "no NUL")],
)
def test_attributes_are_small_plain_values(value: Any, words: str) -> None:
    assert words in faults(attributes={"tier": value})["/attributes/tier"]
    assert person(attributes={"tier": "gold", "age": 33, "vip": True, "x": None, "y": 1.5}).attributes["age"] == 33


def test_names_in_any_script_are_kept_as_they_are() -> None:
    for name in ("花子", "שלום", "👩‍👩‍👧", "a\u202eb", "{{ 7*7 }}", "<script>", "Robert'); DROP TABLE person;--", "é"):
        assert person(external_id=name, roles=[name], attributes={name: name}).external_id == name


def test_a_date_means_its_first_moment() -> None:
    assert person(registered_at="2024-05-01") == person(registered_at="2024-05-01T00:00:00Z")


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'"\\ud800"', b"[" * 100_000])
def test_what_is_no_json_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        read_person(raw, "42")


def test_a_person_of_a_request_is_the_one_of_its_address() -> None:
    assert read_person(b'{"country": "jp"}', "42").external_id == "42"
    for raw, pointer in ((b'{"external_id": "43"}', "/external_id"), (b"[]", ""), (b'{"country": "x"}', "/country")):
        with pytest.raises(Invalid) as error:
            read_person(raw, "42")
        assert [fault.pointer for fault in error.value.faults] == [pointer]
