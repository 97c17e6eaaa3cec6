"""Acceptances from before our record: taken in once, by whatever way, and what they change."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from notifier.acceptance.accept import accept
from notifier.acceptance.baseline import csv_lines, import_baselines
from notifier.activity.record import record
from notifier.compliance.explain import explain
from notifier.compliance.search import timeline
from notifier.db import Db
from notifier.errors import Invalid
from notifier.keys import Keys
from notifier.people.erase import erase_person
from notifier.people.roster import ImportReport, get_person
from notifier.policies.publish import find_version
from tests.flow.story import DAY, HOUR, POSTED, RULE, Story, activity, begin, lines
from tests.office import Office, open_office
from tests.sites import a_site

NOW = POSTED + 60 * DAY


def said(who: str, version: str = "v1", proof: str = "imported", **more: Any) -> bytes:
    """One line of an import."""
    return orjson.dumps({"external_id": who, "policy": "privacy", "version": version, "proof": proof} | more)


PROOF = {"accepted_at": "2024-05-01T00:00:00Z", "reference": "archive 7"}


async def take(story: Story, *given: bytes, now: datetime = NOW) -> ImportReport:
    return await import_baselines(story.db, "kumo", lines(*given), now)


async def two_versions(db: Db, **rule: Any) -> Story:
    """v1, which nobody had to be told of, and v2, which is told."""
    await begin(db, label="v1")
    return await begin(db, RULE.model_copy(update=rule), label="v2")


async def test_baselines_are_taken_in_once_and_another_word_is_the_next_revision(db: Db) -> None:
    story = await two_versions(db)
    for name in ("aoi", "ben", "cho"):
        await story.person(name)
    given = [said("aoi", proof="proved", **PROOF), said("ben"), said("cho", proof="unknown")]
    report = await take(story, *given)
    assert (report.read, report.kept, report.created) == (3, 3, 3)
    again = await take(story, *given)
    assert (again.created, again.changed, again.unchanged) == (0, 0, 3)
    other = await take(story, said("ben", accepted_at="2024-06-01"), said("ben", proof="unknown"))
    assert (other.changed, other.repeated) == (1, 1), "the last line about somebody counts"
    kept = await story.rows("SELECT external_id, revision, proof FROM baseline JOIN person USING (lane, person_id)"
                            " ORDER BY 1, 2")  # fmt: skip
    assert [tuple(row.values()) for row in kept] == [
        ("aoi", 1, "proved"), ("ben", 1, "imported"), ("ben", 2, "unknown"), ("cho", 1, "unknown"),
    ]  # fmt: skip
    assert await story.acceptances() == [], "the site's word is no acceptance on our record"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "JSON"),
        (said("nobody"), "there is no such person"),
        (said("aoi", "v9"), "no published version of this label"),
        (said("aoi", proof="proved"), "proved needs accepted_at"),
        (said("aoi", proof="proved", accepted_at="2024-05-01"), "a reference or the sha256"),
        (said("aoi", proof="unknown", accepted_at="2024-05-01"), "no unknown"),
        (said("aoi", accepted_at="2026-06-01T00:00:00Z"), "lies in the future"),
        (said("aoi", proof="certain"), "proof"),
        (said("aoi", colour="red"), "colour"),
        (b'{"external_id": "' + b"x" * 70_000 + b'"}', "longer than 64 KiB"),
    ],
)
async def test_a_bad_line_is_refused_by_number_and_the_good_ones_are_kept(db: Db, line: bytes, reason: str) -> None:
    story = await two_versions(db)
    await story.person("aoi")
    report = await take(story, b"", line, said("aoi"))
    assert (report.read, report.refused, report.created) == (2, 1, 1)
    (fault,) = report.faults
    assert fault.pointer == "line 2"
    assert reason in fault.detail


async def test_a_table_is_read_line_by_line_with_quoted_cells_over_two_lines(db: Db) -> None:
    story = await two_versions(db)
    for name in ("aoi", "ben"):
        await story.person(name)
    table = [
        "\ufeffexternal_id;policy;version;proof;accepted_at;reference".encode(),
        b'aoi;privacy;v1;proved;2024-05-01;"box 7; shelf ""B"""\r',
        b"",
        b"ben;privacy;v1;imported;;",
        b'ben;privacy;v1;imported;;"two',
        b'lines"',
        b"ben;privacy;v1;imported;;;seven",
    ]
    report = await import_baselines(db, "kumo", csv_lines(lines(*table)), NOW)
    assert (report.read, report.created) == (4, 2)
    assert [fault.pointer for fault in report.faults] == ["line 6", "line 7"], "control characters; too many cells"
    assert await story.sql("SELECT reference FROM baseline WHERE proof = 'proved'") == 'box 7; shelf "B"'
    for broken in ([b"external_id,colour"], [b"external_id", b'"open'], [b"\xff\xfe"]):
        with pytest.raises(Invalid):
            await import_baselines(db, "kumo", csv_lines(lines(*broken)), NOW)


async def test_an_import_killed_between_two_statements_leaves_whole_batches_and_is_sent_again(
    db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifier.acceptance.baseline.BATCH", 2)
    story = await two_versions(db)
    names = [f"p{n}" for n in range(5)]
    for name in names:
        await story.person(name)
    await db.execute(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF (SELECT count(*) FROM baseline) > 2 THEN RAISE 'killed here'; END IF; RETURN NULL; END $$;"
        " CREATE TRIGGER die AFTER INSERT ON baseline FOR EACH STATEMENT EXECUTE FUNCTION die()"
    )
    with pytest.raises(asyncpg.RaiseError):
        await take(story, *map(said, names))
    assert await story.sql("SELECT count(*) FROM baseline") == 2
    await db.execute("DROP FUNCTION die CASCADE")
    report = await take(story, *map(said, names))
    assert (report.created, report.unchanged) == (3, 2)


async def test_imports_that_meet_leave_every_word_once(db: Db) -> None:
    story = await two_versions(db)
    names = [f"p{n}" for n in range(40)]
    for name in names:
        await story.person(name)
    reports = await asyncio.gather(*(take(story, *map(said, order)) for order in (names, names[::-1], names)))
    assert sum(report.created for report in reports) == 40
    assert await story.sql("SELECT count(*) FROM baseline") == 40


async def uses(story: Story, *names: str) -> None:
    await record(story.db, "kumo", lines(*(activity(name, NOW - DAY) for name in names)), NOW)
    while await accept(story.db, NOW):
        pass


@pytest.mark.parametrize(
    ("wanted", "deemed"),
    [
        ("unknown", "none unknown imported proved own"),
        ("imported", "imported proved own"),
        ("proved", "proved own"),
    ],
)
async def test_what_must_be_known_of_an_earlier_acceptance_is_for_the_rule_to_say(
    db: Db, keys: Keys, wanted: str, deemed: str
) -> None:
    story = await two_versions(db, baseline_at_least=wanted)
    names = ("none", "unknown", "imported", "proved", "own")
    people = [await story.person(name) for name in names]
    await story.told(*people)
    await take(story, said("unknown", proof="unknown"), said("imported"), said("proved", proof="proved", **PROOF))
    await story.sql(
        "INSERT INTO acceptance SELECT lane, person_id, (SELECT min(version_id) FROM version), 1, 'registration', 'A',"
        " $1, NULL, '{}', $1 FROM person WHERE external_id = 'own'",
        POSTED - DAY,
    )
    await uses(story, *names)
    found = {row["external_id"] for row in await story.acceptances() if row["kind"] == "deemed"}
    assert found == set(deemed.split())
    if wanted == "proved":
        version = await find_version(db, "kumo", "privacy", "v2")
        answer = await explain(db, people[0], version, NOW)
        assert answer.decision is not None
        assert (answer.decision.reason, "it is not" in answer.words[-1]) == ("unknown_baseline", True)


async def test_a_baseline_of_the_version_itself_is_no_earlier_acceptance(db: Db) -> None:
    story = await two_versions(db, baseline_at_least="imported")
    who = await story.person("aoi")
    await story.told(who)
    await take(story, said("aoi", "v2"))
    await uses(story, "aoi")
    assert await story.acceptances() == []


@pytest.fixture
async def office(db: Db, keys: Keys) -> AsyncIterator[Office]:
    async with open_office(db, keys, a_site()) as opened:
        yield opened


async def test_an_audience_leaves_out_who_is_known_to_have_accepted_the_version_already(office: Office) -> None:
    for name in ("older", "same", "doubtful", "corrected"):
        await office.person(name)
    await office.publish("one", {"en": {"body": "# one"}})
    second = await office.publish("two", {"en": {"body": "# two"}})
    now = office.clock.now()
    first = [said("older", "one"), said("same", "two"), said("doubtful", "two", "unknown"), said("corrected", "two")]
    await import_baselines(office.db, "kumo", lines(*first), now)
    await import_baselines(office.db, "kumo", lines(said("corrected", "two", "unknown")), now)
    await office.tell(second)
    reasons = await office.rows("SELECT external_id, reason::text FROM notice JOIN person USING (lane, person_id)")
    assert dict(reasons) == {
        "older": "in_scope", "same": "already_accepted", "doubtful": "in_scope", "corrected": "in_scope",
    }  # fmt: skip


async def test_an_erased_persons_baseline_keeps_the_digest_and_loses_the_words(db: Db, keys: Keys) -> None:
    story = await two_versions(db)
    await story.person("aoi")
    await take(story, said("aoi", proof="proved", via="Aoi's own letter", sha256="ab" * 32, **PROOF))
    events = [event.words.text for event in await timeline(db, await get_person(db, keys, "kumo", "aoi"))]
    assert any("names proof" in words for words in events)
    await erase_person(db, keys, "kumo", "aoi", NOW)
    (row,) = await story.rows("SELECT via, reference, sha256 FROM baseline")
    assert row == {"via": "", "reference": "", "sha256": bytes.fromhex("ab" * 32)}


async def test_an_import_of_any_length_commits_batch_by_batch(db: Db) -> None:
    story = await two_versions(db)
    await story.sql(
        "INSERT INTO person (lane, site, external_id, person_id, registered_at, changed_at)"
        " SELECT (hashtext(n::text) & 1023)::smallint, 'kumo', 'x' || n, gen_random_uuid(), $1, $1"
        " FROM generate_series(1, 10) n",
        POSTED - timedelta(days=9) + HOUR,
    )
    report = await take(story, *(said(f"y{n}") for n in range(5000)))
    assert (report.read, report.refused, len(report.faults)) == (5000, 5000, 1000)
