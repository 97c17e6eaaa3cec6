"""People come, change and go, on a real database."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifier.db import Db
from notifier.errors import Conflict, Invalid, NotFound
from notifier.keys import Keys
from notifier.lanes import lane_of
from notifier.people import roster
from notifier.people.erase import erase_person
from notifier.people.person import PersonInput
from notifier.people.roster import ImportReport, get_person, import_people, put_person
from notifier.policies.publish import publish
from notifier.policies.version import Submission
from notifier.sites.site import Site

LATER = timedelta(days=1)


async def lines(given: Iterable[bytes | dict[str, Any]]) -> AsyncIterator[bytes]:
    for line in given:
        yield line if isinstance(line, bytes) else json.dumps(line).encode()


def some(count: int, **other: Any) -> Iterable[dict[str, Any]]:
    for n in range(count):
        yield {"external_id": f"user-{n}", "email": f"user-{n}@kumo.example", **other}


def said(external_id: str = "42", **other: Any) -> PersonInput:
    return PersonInput.model_validate_json(json.dumps({"external_id": external_id, **other}))


def counts(report: ImportReport) -> tuple[int, ...]:
    return (report.read, report.created, report.changed, report.unchanged, report.repeated, report.refused)


async def test_people_come_are_unchanged_and_change(db: Db, keys: Keys, site: Site, now: datetime) -> None:
    assert counts(await import_people(db, keys, "kumo", lines(some(5000)), now)) == (5000, 5000, 0, 0, 0, 0)
    assert counts(await import_people(db, keys, "kumo", lines(some(5000)), now + LATER)) == (5000, 0, 0, 5000, 0, 0)
    report = await import_people(db, keys, "kumo", lines(some(10, country="JP")), now + LATER)
    assert counts(report) == (10, 0, 10, 0, 0, 0)
    changed, same = await get_person(db, keys, "kumo", "user-0"), await get_person(db, keys, "kumo", "user-4999")
    assert (changed.country, changed.changed_at, changed.registered_at) == ("JP", now + LATER, now)
    assert (same.country, same.changed_at) == ("", now)


async def test_every_field_is_kept(db: Db, keys: Keys, site: Site, now: datetime) -> None:
    everything = said(
        "花子👩‍👩‍👧",
        email="hanako@kumo.example",
        locale="ja_JP",
        time_zone="Asia/Tokyo",
        country="jp",
        roles=["buyer", "seller"],
        channels=["inbox", "email"],
        attributes={"tier": "金", "age": 33, "vip": True, "score": 1.5, "none": None},
        registered_at="2024-05-01T09:00:00+09:00",
        registration_version="2024-04",
        status="dormant",
    )
    person, happened = await put_person(db, keys, "kumo", everything, now)
    assert happened == "created"
    assert person.lane == lane_of("kumo", "花子👩‍👩‍👧")
    assert person.registered_at == datetime(2024, 5, 1, tzinfo=UTC)
    for name in (
        "external_id", "email", "locale", "time_zone", "country", "roles", "channels", "attributes",
        "registered_at", "registration_version", "status",
    ):  # fmt: skip
        assert getattr(person, name) == getattr(everything, name), name


async def test_a_person_is_replaced_as_a_whole_but_for_what_registration_said(
    db: Db, keys: Keys, site: Site, now: datetime
) -> None:
    first = said(country="JP", roles=["buyer"], registered_at="2024-05-01", registration_version="1")
    before, _ = await put_person(db, keys, "kumo", first, now)
    after, happened = await put_person(db, keys, "kumo", said(email="a@kumo.example"), now + LATER)
    assert happened == "changed"
    assert (after.country, after.roles, after.email) == ("", [], "a@kumo.example")
    assert after.registered_at == before.registered_at
    assert after.registration_version == "1"
    assert after.person_id == before.person_id
    again, happened = await put_person(db, keys, "kumo", said(email="a@kumo.example"), now + 2 * LATER)
    assert (again, happened) == (after, "unchanged")


async def test_closing_an_account_is_dated_once_and_undone_by_reopening(
    db: Db, keys: Keys, site: Site, now: datetime
) -> None:
    closed, _ = await put_person(db, keys, "kumo", said(status="closed"), now)
    assert closed.closed_at == now
    still, _ = await put_person(db, keys, "kumo", said(status="closed", country="JP"), now + LATER)
    assert still.closed_at == now
    open_again, _ = await put_person(db, keys, "kumo", said(), now + LATER)
    assert open_again.closed_at is None


async def test_of_several_words_about_a_closing_the_earliest_stands_until_the_account_is_open_again(
    db: Db, keys: Keys, site: Site, now: datetime
) -> None:
    async def put(at: datetime | None) -> datetime | None:
        given = said(status="closed", **({} if at is None else {"closed_at": at.isoformat()}))
        return (await put_person(db, keys, "kumo", given, now))[0].closed_at

    before = now - timedelta(days=9)
    await put_person(db, keys, "kumo", said(registered_at="2020-01-01"), now)
    assert [await put(at) for at in (None, before, now - LATER, None)] == [now, before, before, before]
    await put_person(db, keys, "kumo", said(), now)
    assert await put(None) == now


async def test_a_closing_in_the_future_or_of_an_open_account_is_refused(
    db: Db, keys: Keys, site: Site, now: datetime
) -> None:
    late = {"status": "closed", "closed_at": (now + timedelta(days=1)).isoformat()}
    for given in (late, {"closed_at": "2025-01-01"}):
        with pytest.raises(Invalid) as refused:
            await put_person(db, keys, "kumo", said(**given), now)
        assert [fault.pointer for fault in refused.value.faults] == ["/closed_at"]


async def test_bad_lines_are_reported_with_number_and_reason_and_the_good_ones_kept(
    db: Db, keys: Keys, site: Site, now: datetime
) -> None:
    given: list[bytes] = [
        b'\xef\xbb\xbf{"external_id": "first"}',
        b"",
        b'{"external_id": "cut',
        b'{"external_id": "\xff\xfe"}',
        b'{"external_id": "\\ud800"}',
        b'{"external_id": "a\\u0000b"}',
        b'{"external_id": "nul\0"}',
        b"[" * 60_000,
        b'{"external_id": "long", "email": "' + b"x" * 10_000_000 + b'"}',
        b'{"external_id": "bad", "email": "nowhere", "country": "Japan"}',
        b'{"external_id": "later", "registered_at": "2027-01-01T00:00:00Z"}',
        b"null",
        b"  \r",
        '{"external_id": "\u202eرلا👩‍👩‍👧", "roles": ["بائع"]}'.encode(),
        b'{"external_id": "last"}\r',
    ]
    report = await import_people(db, keys, "kumo", lines(given), now)
    assert counts(report) == (13, 3, 0, 0, 0, 10)
    said_of = {fault.pointer: fault.detail for fault in report.faults}
    assert list(said_of) == [f"line {n}" for n in (3, 4, 5, 6, 7, 8, 9, 10, 11, 12)]
    assert said_of["line 3"].startswith("Invalid JSON: EOF")
    assert said_of["line 6"] == "external_id: contains a control character; remove it"
    assert "recursion limit" in said_of["line 8"]
    assert said_of["line 9"] == "longer than 64 KiB"
    assert said_of["line 10"].startswith("email: not an email address")
    assert "; country: not a country; write its two letters, like JP" in said_of["line 10"]
    assert said_of["line 11"] == "registered_at: lies in the future"
    for kept in ("first", "\u202eرلا👩‍👩‍👧", "last"):
        assert (await get_person(db, keys, "kumo", kept)).external_id == kept


async def test_a_thousand_faults_are_named_and_the_others_counted(
    db: Db, keys: Keys, site: Site, now: datetime
) -> None:
    report = await import_people(db, keys, "kumo", lines([b"?"] * 1500), now)
    assert (report.refused, len(report.faults), report.kept) == (1500, 1000, 0)


async def test_of_a_person_who_comes_twice_the_last_line_counts(
    db: Db, keys: Keys, site: Site, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [{"external_id": "a", "country": country} for country in ("JP", "DE", "FR")]
    assert counts(await import_people(db, keys, "kumo", lines(given), now)) == (3, 1, 0, 0, 2, 0)
    assert (await get_person(db, keys, "kumo", "a")).country == "FR"
    monkeypatch.setattr(roster, "BATCH", 1)
    assert counts(await import_people(db, keys, "kumo", lines(given), now)) == (3, 0, 3, 0, 0, 0)
    assert (await get_person(db, keys, "kumo", "a")).country == "FR"


async def test_imports_that_meet_wait_for_each_other(db: Db, keys: Keys, site: Site, now: datetime) -> None:
    forth = [*some(3000, country="JP")]
    back = [*reversed([*some(3000, country="DE")])]
    found = await asyncio.gather(
        *(import_people(db, keys, "kumo", lines(given), now) for given in (forth, back, forth, back))
    )
    assert [report.kept for report in found] == [3000] * 4
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM person") == 3000


@pytest.mark.long
async def test_an_import_holds_a_batch_and_not_the_list(
    db: Db, keys: Keys, site: Site, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "BATCH", 200)
    tracemalloc.start()
    await import_people(db, keys, "kumo", lines(some(10_000)), now)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000  # the whole list takes 15 MB; 1 MB of this is pydantic's cache of strings


async def test_what_breaks_off_keeps_the_batches_before_and_can_be_sent_again(
    db: Db, keys: Keys, site: Site, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "BATCH", 100)

    async def broken() -> AsyncIterator[bytes]:
        async for line in lines(some(450)):
            yield line
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await import_people(db, keys, "kumo", broken(), now)
    report = await import_people(db, keys, "kumo", lines(some(450)), now)
    assert report.created + report.unchanged == 450
    assert report.unchanged >= 300


async def test_progress_is_reported_batch_by_batch(
    db: Db, keys: Keys, site: Site, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "BATCH", 100)
    seen: list[int] = []
    await import_people(db, keys, "kumo", lines(some(250)), now, lambda report: seen.append(report.read))
    assert seen == [100, 200, 250, 250]


async def test_a_registration_that_showed_a_version_leaves_a_row_whichever_came_first(
    db: Db, keys: Keys, site: Site, now: datetime
) -> None:
    def version(label: str) -> Submission:
        return Submission.model_validate({"policy": "privacy", "label": label, "texts": {"en": {"body": label}}})

    one, _ = await publish(db, site, version("1"), "webhook", now)
    given = [
        {"external_id": "a", "registered_at": "2026-02-01", "registration_version": "1"},
        {"external_id": "b", "registered_at": "2026-02-02", "registration_version": "2"},
        {"external_id": "c", "registration_version": "no such label"},
        {"external_id": "d"},
    ]
    for _ in range(2):
        await import_people(db, keys, "kumo", lines(given), now)
    two, _ = await publish(db, site, version("2"), "webhook", now)
    a, b = await get_person(db, keys, "kumo", "a"), await get_person(db, keys, "kumo", "b")
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT person_id, version_id, at FROM registration ORDER BY at")
    assert [tuple(row) for row in rows] == [
        (a.person_id, one.version_id, a.registered_at),
        (b.person_id, two.version_id, b.registered_at),
    ]


async def test_registering_while_the_version_is_published_is_not_missed(
    db: Db, keys: Keys, site: Site, now: datetime
) -> None:
    for n in range(10):
        version = Submission.model_validate({"policy": "privacy", "label": f"v{n}", "texts": {"en": {"body": f"{n}"}}})
        await asyncio.gather(
            publish(db, site, version, "webhook", now),
            put_person(db, keys, "kumo", said(f"user-{n}", registration_version=f"v{n}"), now),
        )
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM registration") == 10


async def test_what_is_not_there_or_not_possible_is_said(db: Db, keys: Keys, site: Site, now: datetime) -> None:
    with pytest.raises(NotFound, match="kumo has no such person"):
        await get_person(db, keys, "kumo", "nobody")
    with pytest.raises(NotFound):
        await erase_person(db, keys, "kumo", "nobody", now)
    with pytest.raises(Invalid) as error:
        await put_person(db, keys, "kumo", said(registered_at="2027-01-01"), now)
    assert error.value.faults[0].pointer == "/registered_at"


async def test_erasing_leaves_that_there_was_somebody_and_no_more(
    db: Db, keys: Keys, site: Site, now: datetime
) -> None:
    whole = said(
        email="kasumi@kumo.example", country="JP", locale="ja", time_zone="Asia/Tokyo", roles=["kasumi"],
        channels=["email"], attributes={"name": "kasumi"}, registered_at="2024-05-01",
    )  # fmt: skip
    before, _ = await put_person(db, keys, "kumo", whole, now)
    other, _ = await put_person(db, keys, "kumo", said("43", email="other@kumo.example"), now)
    await leave_traces(db, before)
    erased = await erase_person(db, keys, "kumo", "42", now + LATER)
    assert (erased.lane, erased.person_id, erased.registered_at) == (
        before.lane, before.person_id, before.registered_at,
    )  # fmt: skip
    assert (erased.external_id, erased.status) == (keys.pseudonym("kumo", "42"), "erased")
    assert (erased.closed_at, erased.email, erased.attributes) == (now + LATER, None, {})
    assert await everything(db, "kasumi") == []
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM retry") == 1  # withheld when it is due
        assert await connection.fetchval("SELECT count(*) FROM intent") == 1
        assert await connection.fetchval("SELECT class FROM outcome WHERE kind = 'refused'") == "bad_address"
        assert await connection.fetchval("SELECT max(via) FROM outcome") == "mx.kumo.example"
        assert await connection.fetchval("SELECT count(*) FROM objection") == 1
        evidence = await connection.fetch("SELECT evidence FROM acceptance ORDER BY version_id")
        assert [row[0] for row in evidence] == [{"use": {"kind": "login"}}, {"reason": "it"}]
    assert await erase_person(db, keys, "kumo", "42", now + 2 * LATER) == erased
    assert await get_person(db, keys, "kumo", "43") == other


async def test_a_stale_list_brings_nobody_back(db: Db, keys: Keys, site: Site, now: datetime) -> None:
    await import_people(db, keys, "kumo", lines(some(3)), now)
    await erase_person(db, keys, "kumo", "user-1", now)
    report = await import_people(db, keys, "kumo", lines(some(4)), now)
    assert counts(report) == (4, 1, 0, 2, 0, 1)
    assert report.faults[0].pointer == "line 2"
    assert "was erased" in report.faults[0].detail
    with pytest.raises(Conflict, match="was erased"):
        await put_person(db, keys, "kumo", said("user-1"), now)
    assert (await get_person(db, keys, "kumo", "user-1")).status == "erased"


async def test_an_import_that_meets_an_erasure_does_not_undo_it(db: Db, keys: Keys, site: Site, now: datetime) -> None:
    await import_people(db, keys, "kumo", lines(some(200)), now)
    await asyncio.gather(
        import_people(db, keys, "kumo", lines(some(200, country="JP")), now),
        *(erase_person(db, keys, "kumo", f"user-{n}", now) for n in range(50)),
    )
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM person WHERE status = 'erased'") == 50
        assert await connection.fetchval("SELECT count(*) FROM person") == 200


async def leave_traces(db: Db, person: roster.Person) -> None:
    """What later stages keep of somebody."""
    key = f"{person.lane}, '{person.person_id}'"
    await db.execute(f"""
        INSERT INTO outcome (lane, person_id, campaign_id, channel, attempt, kind, at, class, reply,
                             tried_at, address, sha256)
        VALUES ({key}, 1, 'email', 1, 'refused', '2026-03-01Z', 'bad_address', '550 <kasumi@kumo.example> unknown',
                '2026-03-01Z', 'kasumi@kumo.example', '');
        INSERT INTO outcome (lane, person_id, campaign_id, channel, attempt, kind, at, via)
        VALUES ({key}, 1, 'email', 1, 'accepted_by_relay', '2026-03-01Z', 'mx.kumo.example'),
               ({key}, 1, 'email', 1, 'accepted_by_recipient', '2026-03-01Z', 'mail.kasumi.example');
        INSERT INTO retry VALUES ({key}, 1, 'email', 2, 1, '2026-03-01Z');
        INSERT INTO activity (lane, person_id, day, occurred_at, received_at, kind, url_path, due_at)
        VALUES ({key}, '2026-03-01', '2026-03-01Z', '2026-03-01Z', 'login', '/kasumi', '2026-03-01Z');
        INSERT INTO acceptance (lane, person_id, version_id, kind, grade, accepted_at, evidence, recorded_at)
        VALUES ({key}, 1, 'deemed', 'C', '2026-03-01Z',
                '{{"use": {{"kind": "login", "url_path": "/kasumi", "ip_prefix": "192.0.2.0/24"}}}}', '2026-03-01Z'),
               ({key}, 2, 'explicit', 'A', '2026-03-01Z', '{{"reason": "it", "via": "call by kasumi"}}', '2026-03-01Z');
        INSERT INTO objection (lane, person_id, version_id, at, via, statement, recorded_at)
        VALUES ({key}, 1, '2026-03-01Z', 'letter of kasumi', 'I, kasumi, object', '2026-03-01Z');
    """)  # noqa: S608 - a number and a UUID of ours


async def everything(db: Db, word: str) -> list[str]:
    """The tables in which a word still stands."""
    found = []
    async with db.connection() as connection:
        tables = await connection.fetch(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        )
        for (table,) in tables:
            question = f"SELECT EXISTS (SELECT FROM {table} t WHERE t::text LIKE $1)"  # noqa: S608 - our own tables
            if await connection.fetchval(question, f"%{word}%"):
                found.append(table)
    return found
