"""Publishing versions on a real database."""

import asyncio
import base64
import hashlib
from datetime import datetime, timedelta
from typing import Any

import pytest

from notifier.db import Db
from notifier.errors import Conflict, Invalid, NotFound
from notifier.policies.publish import find_version, list_versions, publish, texts_of
from notifier.policies.version import Submission
from notifier.sites.apply import apply
from notifier.sites.site import Site
from tests.sites import a_site

MONTH = timedelta(days=30)


def submission(label: str = "1", text: str = "# Privacy\n\nWho we are.", **other: Any) -> Submission:
    texts = {"en": {"body": text, "summary": "What changed."}}
    return Submission.model_validate({"policy": "privacy", "label": label, "texts": texts, **other})


def pointers(error: pytest.ExceptionInfo[Invalid]) -> list[str]:
    return [fault.pointer for fault in error.value.faults]


async def test_the_first_version_is_a_baseline_in_effect_at_once(db: Db, site: Site, now: datetime) -> None:
    version, is_new = await publish(db, site, submission(), "webhook", now)
    assert is_new
    assert (version.ordinal, version.previous_id, version.is_told) == (1, None, False)
    assert (version.published_at, version.effective_at) == (now, now)


async def test_a_baseline_may_have_taken_effect_long_ago(db: Db, site: Site, now: datetime) -> None:
    version, _ = await publish(db, site, submission(effective_at=now - MONTH), "webhook", now)
    assert version.effective_at == now - MONTH


async def test_the_next_version_follows_it_after_the_notice_period(db: Db, site: Site, now: datetime) -> None:
    first, _ = await publish(db, site, submission(), "webhook", now)
    second, _ = await publish(db, site, submission("2", "# New"), "webhook", now)
    assert (second.ordinal, second.previous_id, second.is_told) == (2, first.version_id, True)
    assert now + MONTH + timedelta(days=1) < second.effective_at <= now + MONTH + timedelta(days=2)
    assert await list_versions(db, "kumo", "privacy") == [second, first]
    assert await find_version(db, "kumo", "privacy", "2") == second


async def test_an_editorial_version_tells_nobody_and_waits_for_nothing(db: Db, site: Site, now: datetime) -> None:
    await publish(db, site, submission(), "webhook", now)
    version, _ = await publish(db, site, submission("1a", "# Typo", materiality="editorial"), "webhook", now)
    assert not version.is_told
    assert version.effective_at == now


async def test_a_correction_of_a_coming_version_comes_with_it_and_not_before(db: Db, site: Site, now: datetime) -> None:
    await publish(db, site, submission(), "webhook", now)
    await publish(db, site, submission("2", "# New"), "webhook", now)
    version, _ = await publish(db, site, submission("2a", "# New!", materiality="editorial"), "webhook", now)
    assert now + MONTH + timedelta(days=1) < version.effective_at <= now + MONTH + timedelta(days=2)


async def test_the_same_again_is_the_same_version_even_when_it_would_be_too_late_now(
    db: Db, site: Site, now: datetime
) -> None:
    await publish(db, site, submission(), "webhook", now)
    again = submission("2", "# New", effective_at=now + MONTH, flags=["retention", "new_purpose"])
    version, _ = await publish(db, site, again, "webhook", now)
    reordered = again.model_copy(update={"flags": ["new_purpose", "retention"]})
    assert await publish(db, site, reordered, "command", now + 2 * MONTH) == (version, False)


@pytest.mark.parametrize(
    "other",
    [
        {"text": "# Other"},
        {"materiality": "editorial"},
        {"flags": ["new_purpose"]},
        {"texts": {"en": {"body": "# Privacy\n\nWho we are.", "summary": "Another."}}},
    ],
)
async def test_a_label_with_other_content_is_a_conflict(
    db: Db, site: Site, now: datetime, other: dict[str, Any]
) -> None:
    version, _ = await publish(db, site, submission(), "webhook", now)
    with pytest.raises(Conflict, match="'1' is already published with other content"):
        await publish(db, site, submission(**other), "webhook", now)
    assert await list_versions(db, "kumo") == [version]


async def test_ten_who_publish_the_same_at_once_make_one_version(db: Db, site: Site, now: datetime) -> None:
    found = await asyncio.gather(*(publish(db, site, submission(), "webhook", now) for _ in range(10)))
    assert sorted(is_new for _, is_new in found) == [False] * 9 + [True]
    assert len({version.version_id for version, _ in found}) == 1


async def test_ten_who_publish_different_texts_under_one_label_make_one_version(
    db: Db, site: Site, now: datetime
) -> None:
    found = await asyncio.gather(
        *(publish(db, site, submission(text=f"# {n}"), "webhook", now) for n in range(10)), return_exceptions=True
    )
    assert sum(isinstance(one, Conflict) for one in found) == 9
    assert len(await list_versions(db, "kumo")) == 1


async def test_ten_different_labels_at_once_are_numbered_one_after_the_other(db: Db, site: Site, now: datetime) -> None:
    await asyncio.gather(*(publish(db, site, submission(str(n)), "webhook", now) for n in range(10)))
    versions = await list_versions(db, "kumo")
    assert sorted(version.ordinal or 0 for version in versions) == list(range(1, 11))
    by_id = {version.version_id: version for version in versions}
    assert all(by_id[v.previous_id].ordinal == (v.ordinal or 0) - 1 for v in versions if v.previous_id is not None)


async def test_texts_are_kept_as_exactly_the_bytes_that_came(db: Db, site: Site, now: datetime) -> None:
    raw = "\ufeffHostile\r\n\u202ertl\u202c 👩‍👩‍👧 {{ x }} <script>alert(1)</script>\u2028\ttab  \n".encode()
    texts = {
        "en": {"body_base64": base64.b64encode(raw).decode(), "media_type": "text/html"},
        "ja": {"body": raw.decode()},
    }
    version, _ = await publish(db, site, submission(texts=texts), "webhook", now)
    en, ja = await texts_of(db, version.version_id)
    assert (en.locale, en.media_type, en.body) == ("en", "text/html", raw)
    assert (ja.locale, ja.media_type, ja.body) == ("ja", "text/markdown", raw)
    assert en.sha256 == ja.sha256 == hashlib.sha256(raw).digest()


async def test_ten_megabytes_are_taken_and_a_byte_more_is_not(db: Db, site: Site, now: datetime) -> None:
    words = "a" * (10 * 1024 * 1024)
    version, _ = await publish(db, site, submission(text=words), "webhook", now)
    assert len((await texts_of(db, version.version_id))[0].body) == len(words)
    with pytest.raises(ValueError, match="more than 10 MB"):
        submission(text=words + "a")


async def test_everything_wrong_is_named_at_once_and_nothing_is_kept(db: Db, site: Site, now: datetime) -> None:
    await publish(db, site, submission(), "webhook", now)
    wrong = submission(
        "2", flags=["new_purpose", "urgent"], effective_at=now + timedelta(days=29), texts={"jp": {"body": "x"}}
    )
    with pytest.raises(Invalid) as error:
        await publish(db, site, wrong, "webhook", now)
    assert pointers(error) == ["/flags/1", "/texts/jp", "/texts/en", "/effective_at"]
    assert len(await list_versions(db, "kumo")) == 1


async def test_an_unknown_policy_is_named(db: Db, site: Site, now: datetime) -> None:
    with pytest.raises(Invalid) as error:
        await publish(db, site, submission(policy="terms"), "webhook", now)
    assert pointers(error) == ["/policy"]
    assert error.value.faults[0].detail == "kumo has no policy 'terms'; it has privacy"


async def test_what_is_not_there_is_not_found(db: Db, site: Site, now: datetime) -> None:
    with pytest.raises(NotFound, match="no version '9'"):
        await find_version(db, "kumo", "privacy", "9")


async def test_people_who_were_shown_the_label_when_they_registered_get_a_registration(
    db: Db, site: Site, now: datetime
) -> None:
    await db.execute(
        "INSERT INTO person"
        " (lane, site, external_id, person_id, status, registered_at, registration_version, changed_at)"
        " SELECT n, 'kumo', n::text, gen_random_uuid(), CASE n WHEN 3 THEN 'erased' ELSE 'active' END::person_status,"
        " '2026-02-01Z', CASE WHEN n < 4 THEN '2' END, '2026-02-01Z' FROM generate_series(1, 5) n"
    )
    await publish(db, site, submission("1"), "webhook", now)
    version, _ = await publish(db, site, submission("2"), "webhook", now)
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT lane, version_id, at::text FROM registration ORDER BY lane")
    assert [tuple(row) for row in rows] == [(n, version.version_id, "2026-02-01 00:00:00+00") for n in (1, 2)]


async def test_a_version_that_people_are_told_of_wants_every_locale_and_a_summary_for_each(
    db: Db, now: datetime
) -> None:
    strict = a_site(review={})
    await apply(db, strict, now)
    await publish(db, strict, submission(), "webhook", now)  # the first one tells nobody
    bare = {"en": {"body": "# New"}}
    with pytest.raises(Invalid) as error:
        await publish(db, strict, submission("2", texts=bare), "webhook", now)
    assert pointers(error) == ["/texts/en/summary", "/texts/ja"]
    with pytest.raises(Invalid) as error:
        await publish(db, strict, submission("2", "# New"), "command", now)
    assert pointers(error) == ["/texts/ja"]
    left_out, _ = await publish(db, strict, submission("2", "# New", untranslated=["ja"]), "webhook", now)
    assert left_out.is_told
    await publish(db, strict, submission("2a", texts=bare, materiality="editorial"), "webhook", now)


async def test_a_site_may_let_people_read_the_next_language_of_the_chain(db: Db, now: datetime) -> None:
    lenient = a_site(review={"incomplete": "fall_back"})
    await apply(db, lenient, now)
    await publish(db, lenient, submission(), "webhook", now)
    version, _ = await publish(db, lenient, submission("2", texts={"en": {"body": "# New"}}), "webhook", now)
    assert version.is_told
    with pytest.raises(Invalid) as error:
        await publish(db, lenient, submission("3", texts={"ja": {"body": "# 新", "summary": "新"}}), "webhook", now)
    assert pointers(error) == ["/texts/en"]
