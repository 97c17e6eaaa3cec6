"""What can be submitted, and when it may take effect."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifier.errors import Invalid, Malformed
from notifier.policies.version import Latest, Submission, check_submission, read_submission
from notifier.sites.site import Site

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
LATEST = Latest(1, 1, "1", NOW - timedelta(days=400))
DAY = timedelta(days=1)


def body(**changed: Any) -> dict[str, Any]:
    return {"policy": "privacy", "label": "2", "texts": {"en": {"body": "# Privacy"}}, **changed}


def site(notice_days: int | None = None) -> Site:
    return Site.model_validate({
        "site": "kumo", "names": {"en": "Kumo"}, "home_url": "https://kumo.example/", "contact": "a@kumo.example",
        "time_zone": "Asia/Tokyo", "locales": ["en", "ja"],
        "senders": {"en": {"name": "Kumo", "address": "a@kumo.example"}},
        "policies": {"privacy": {"titles": {"en": "Privacy"}}},
        "rule": {"preset": "pop-japan", "notice_days": notice_days, "reason": "as posted"},
    })  # fmt: skip


def effective(latest: Latest | None = LATEST, notice_days: int | None = None, **changed: Any) -> datetime:
    return check_submission(Submission.model_validate(body(**changed)), site(notice_days), latest, NOW)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, datetime(2026, 4, 1, 15, tzinfo=UTC)),  # midnight in Tokyo, 31 to 32 days on
        ({"effective_at": NOW + 30 * DAY}, NOW + 30 * DAY),
        ({"effective_at": NOW + 90 * DAY}, NOW + 90 * DAY),
        ({"effective_at": NOW + 30 * DAY - timedelta(minutes=5)}, NOW + 30 * DAY - timedelta(minutes=5)),
        ({"effective_at": "2026-03-31T18:00:00+09:00"}, NOW + 30 * DAY),
        ({"notice_days": 0}, NOW),
        ({"notice_days": 0, "effective_at": NOW - timedelta(minutes=4)}, NOW - timedelta(minutes=4)),
        ({"materiality": "editorial"}, NOW),
        ({"materiality": "editorial", "effective_at": NOW + DAY}, NOW + DAY),
        ({"latest": None}, NOW),
        ({"latest": None, "effective_at": NOW - 400 * DAY}, NOW - 400 * DAY),
    ],
)
def test_when_a_version_takes_effect(given: dict[str, Any], expected: datetime) -> None:
    assert effective(**given) == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"effective_at": NOW + 29 * DAY}, "too soon: people are promised 30 days; the earliest is 2026-03-31T09:00"),
        ({"effective_at": NOW - DAY}, "lies in the past; the earliest is 2026-03-31T09:00"),
        ({"materiality": "explicit", "effective_at": NOW + 29 * DAY}, "too soon"),
        ({"notice_days": 0, "effective_at": NOW - timedelta(minutes=6)}, "lies in the past"),
        ({"materiality": "editorial", "effective_at": NOW - DAY}, "lies in the past"),
    ],
)
def test_when_it_may_not(given: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid) as error:
        effective(**given)
    [fault] = error.value.faults
    assert fault.pointer == "/effective_at"
    assert words in fault.detail


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"label": "a/b"}, "/label"),
        ({"label": "x\r\nBcc: a"}, "/label"),
        ({"label": "2026-03\n"}, "/label"),
        ({"label": ""}, "/label"),
        ({"effective_at": "2026-03-31T09:00:00"}, "/effective_at"),
        ({"effective_at": "soon"}, "/effective_at"),
        ({"materiality": "huge"}, "/materiality"),
        ({"texts": {}}, "/texts"),
        ({"texts": {"EN us": {"body": "x"}}}, "/texts/EN us"),
        ({"texts": {"en": {}}}, "/texts/en"),
        ({"texts": {"en": {"body": "x", "body_base64": "eA=="}}}, "/texts/en"),
        ({"texts": {"en": {"body_base64": "*"}}}, "/texts/en"),
        ({"texts": {"en": {"body_base64": "/w=="}}}, "/texts/en"),
        ({"texts": {"en": {"body": "a\0b"}}}, "/texts/en"),
        ({"texts": {"en": {"body": " \n\t"}}}, "/texts/en"),
        ({"texts": {"en": {"body": "<div>" * 10_001, "media_type": "text/html"}}}, "/texts/en"),
        ({"texts": {"en": {"body": "<i>" * 10_001}}}, "/texts/en"),
        ({"texts": {"en": {"body": "x\n\n" + "![" * 2001}}}, "/texts/en"),
        ({"texts": {"en": {"body": "x", "media_type": "text/plain"}}}, "/texts/en/media_type"),
        ({"texts": {"en": {"body": "x", "summary": "a\0b"}}}, "/texts/en/summary"),
        ({"flags": "new_purpose"}, "/flags"),
        ({"lable": "2"}, "/lable"),
    ],
)
def test_what_cannot_be_read_is_named(changed: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Invalid) as error:
        read_submission(json.dumps(body(**changed)).encode())
    assert [fault.pointer for fault in error.value.faults] == [pointer]


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff\xfe", b'{"label": "\\ud800"}', b"[" * 100_000, b'{"policy": "\xff"}']
)
def test_what_is_no_json_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed, match="not JSON in UTF-8"):
        read_submission(raw)


def test_the_digest_knows_the_same_content_however_it_is_written() -> None:
    one = body(effective_at="2026-03-31T09:00:00Z", flags=["retention", "beneficial"])
    same = body(
        effective_at="2026-03-31T18:00:00+09:00",
        flags=["beneficial", "retention"],
        texts={"en": {"body_base64": "IyBQcml2YWN5", "media_type": "text/markdown"}},
    )
    assert Submission.model_validate(one).sha256 == Submission.model_validate(same).sha256
    assert Submission.model_validate(one).sha256 != Submission.model_validate(body()).sha256
