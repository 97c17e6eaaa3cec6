"""Drafts on their way: written, reviewed, scheduled and published exactly once, whatever races and whatever crashes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from notifier.campaigns.scheduled import publish_due
from notifier.db import Db, open_database
from notifier.errors import Conflict, Invalid, NotFound
from notifier.policies.authoring import (
    amend,
    confirm,
    discard,
    draft_of,
    history,
    review,
    submit,
    write,
)
from notifier.policies.draft import Amendment, NewDraft
from notifier.policies.pending import submit_pending
from notifier.policies.publish import Version, find_version, list_versions, load_version, publish, texts_of
from notifier.policies.scheduling import schedule, unschedule
from notifier.policies.version import Submission, Text
from notifier.sites.apply import apply
from notifier.sites.site import Site
from tests.sites import a_site

MONTH = timedelta(days=30)
BOTH = {
    "en": {"body": "# Privacy\n\nWe keep letters for two years.", "summary": "Letters are kept for two years."},
    "ja": {"body": "# プライバシー\n\nお手紙は2年間保管します。", "summary": "保管期間を2年にしました。"},
}


def a_draft(**said: Any) -> NewDraft:
    return NewDraft.model_validate({"policy": "privacy", "label": "2", "texts": BOTH} | said)


def say(**said: Any) -> Amendment:
    return Amendment.model_validate(said)


@pytest.fixture
async def published(db: Db, site: Site, now: datetime) -> Version:
    """A first version, so that the next one is told."""
    texts = {"en": {"body": "# Privacy"}, "ja": {"body": "# プライバシー"}}
    submission = Submission.model_validate({"policy": "privacy", "label": "1", "texts": texts})
    version, _ = await publish(db, site, submission, "webhook", now - MONTH)
    return version


async def reviewed(db: Db, site: Site, now: datetime, **said: Any) -> Version:
    """A draft that somebody wrote and somebody else reviewed."""
    draft = await write(db, site, a_draft(**said), "aya", now)
    return await review(db, site, draft.version_id, draft.sha256, "ben", "read it twice", now)


def pointers(error: pytest.ExceptionInfo[Invalid]) -> list[str]:
    return [fault.pointer for fault in error.value.faults]


async def actions(db: Db, version_id: int) -> list[tuple[str, str]]:
    return [(event.actor, event.action) for event in await history(db, version_id)]


async def campaigns(db: Db) -> int:
    async with db.connection() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM campaign")
    return count


# ---------------------------------------------------------------- writing


async def test_a_draft_begins_with_nothing_but_its_policy_and_grows(db: Db, site: Site, now: datetime) -> None:
    draft = await write(db, site, NewDraft(policy="privacy"), "aya", now)
    assert (draft.stage, draft.label, draft.source, draft.authors) == ("draft", "", "author", ["aya"])
    await amend(db, site, draft.version_id, say(texts=BOTH), "ben", now)
    later = await amend(db, site, draft.version_id, say(label="1", summaries={"ja": "別の言葉"}), "aya", now)
    assert (later.label, later.authors) == ("1", ["aya", "ben"])
    assert [(text.locale, text.summary) for text in await texts_of(db, draft.version_id)] == [
        ("en", "Letters are kept for two years."), ("ja", "別の言葉"),
    ]  # fmt: skip
    await amend(db, site, draft.version_id, say(texts={"ja": None}), "aya", now)
    assert [text.locale for text in await texts_of(db, draft.version_id)] == ["en"]
    assert await actions(db, draft.version_id) == [
        ("aya", "opened"), ("ben", "amended"), ("aya", "amended"), ("aya", "amended"),
    ]  # fmt: skip


async def test_a_draft_keeps_the_exact_bytes(db: Db, site: Site, now: datetime) -> None:
    words = "\ufeffHostile\r\n\u202ertl {{ x }} <script>\u2028\t \n"
    draft = await write(db, site, a_draft(texts={"en": {"body": words}}), "aya", now)
    assert (await draft_of(db, draft)).texts["en"].content == words.encode()


async def test_authors_may_write_at_several_drafts_of_one_policy(db: Db, site: Site, now: datetime) -> None:
    one, two = [await write(db, site, a_draft(label=label), "aya", now) for label in ("2", "3")]
    assert {version.version_id for version in await list_versions(db, "kumo")} == {one.version_id, two.version_id}


async def test_what_is_wrong_already_is_refused_and_what_is_missing_may_follow(
    db: Db, site: Site, now: datetime
) -> None:
    with pytest.raises(Invalid) as error:
        await write(db, site, a_draft(flags=["urgent"], texts={"fr": {"body": "x"}}), "aya", now)
    assert pointers(error) == ["/flags/0", "/texts/fr"]
    draft = await write(db, site, NewDraft(policy="privacy"), "aya", now)
    with pytest.raises(Invalid) as error:
        await amend(db, site, draft.version_id, say(summaries={"en": "x"}), "aya", now)
    assert pointers(error) == ["/summaries/en"]
    with pytest.raises(Conflict, match="says something else by now"):
        await amend(db, site, draft.version_id, say(label="9"), "aya", now, sha256=b"x" * 32)
    assert await load_version(db, "kumo", draft.version_id) == draft


# ---------------------------------------------------------------- reviewing


async def test_a_review_is_of_exactly_one_draft_and_any_change_undoes_it(db: Db, site: Site, now: datetime) -> None:
    draft = await write(db, site, a_draft(), "aya", now)
    with pytest.raises(Conflict, match="says something else by now"):
        await review(db, site, draft.version_id, b"x" * 32, "ben", "", now)
    done = await review(db, site, draft.version_id, draft.sha256, "ben", "fine", now)
    assert (done.stage, done.reviewed_by, done.reviewed_at) == ("reviewed", "ben", now)
    same = await amend(db, site, draft.version_id, say(label="2", flags=[]), "aya", now)
    assert same.stage == "reviewed"
    changed = await amend(db, site, draft.version_id, say(summaries={"en": "Another."}), "aya", now)
    assert (changed.stage, changed.reviewed_by) == ("draft", None)
    events = await history(db, draft.version_id)
    assert [(event.action, event.sha256 == draft.sha256) for event in events] == [
        ("opened", True), ("reviewed", True), ("amended", False),
    ]  # fmt: skip
    assert events[-1].detail == {"undone": ["review"]}


async def test_the_database_itself_holds_no_review_of_another_text(db: Db, site: Site, now: datetime) -> None:
    draft = await reviewed(db, site, now)
    with pytest.raises(asyncpg.CheckViolationError):
        async with db.connection() as connection:
            await connection.execute(
                "UPDATE version SET sha256 = 'x', label = 'other' WHERE version_id = $1", draft.version_id
            )


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"label": None}, ["/label"]),
        ({"texts": {"en": BOTH["en"]}}, ["/texts/ja"]),
        ({"texts": {"ja": BOTH["ja"]}}, ["/texts/en"]),
        ({"summaries": {"en": " ", "ja": ""}}, ["/summaries/en", "/summaries/ja"]),
        ({"texts": {"en": BOTH["en"]}, "untranslated": ["fr"]}, ["/untranslated", "/texts/ja"]),
        ({"untranslated": ["ja"]}, ["/untranslated"]),
    ],
)
async def test_a_material_version_that_lacks_something_is_stopped_by_name(
    db: Db, site: Site, now: datetime, published: Version, said: dict[str, Any], expected: list[str]
) -> None:
    draft = await write(db, site, a_draft(**said), "aya", now)
    with pytest.raises(Invalid) as error:
        await review(db, site, draft.version_id, draft.sha256, "ben", "", now)
    assert pointers(error) == expected
    with pytest.raises(Invalid) as error:
        await confirm(db, site, draft.version_id, Amendment(), "ben", now)
    assert pointers(error) == expected


async def test_a_locale_may_have_no_text_on_purpose(db: Db, site: Site, now: datetime, published: Version) -> None:
    draft = await reviewed(db, site, now, texts={"en": BOTH["en"]}, untranslated=["ja"])
    assert draft.stage == "reviewed"


async def test_an_editorial_version_wants_no_summaries(db: Db, site: Site, now: datetime, published: Version) -> None:
    draft = await reviewed(db, site, now, texts={"en": {"body": "# Privacy."}}, materiality="editorial")
    version, _ = await confirm(db, site, draft.version_id, Amendment(), "aya", now)
    assert (version.state, version.is_told) == ("published", False)


@pytest.fixture
async def strict(db: Db, now: datetime) -> Site:
    """A site that wants somebody else's review."""
    described = a_site(review={"by": "another"})
    await apply(db, described, now)
    return described


async def test_where_somebody_else_must_review_no_author_can(
    db: Db, strict: Site, now: datetime, published: Version
) -> None:
    draft = await write(db, strict, a_draft(), "aya", now)
    draft = await amend(db, strict, draft.version_id, say(label="2026-04"), "ben", now)
    for author in ("aya", "ben"):
        with pytest.raises(Conflict, match=f"{author} wrote at this draft"):
            await review(db, strict, draft.version_id, draft.sha256, author, "", now)
        with pytest.raises(Conflict, match=f"{author} wrote at this draft"):
            await confirm(db, strict, draft.version_id, Amendment(), author, now)
    await review(db, strict, draft.version_id, draft.sha256, "chiyo", "", now)
    with pytest.raises(Conflict, match="aya wrote at this draft"):
        await confirm(db, strict, draft.version_id, say(flags=["retention"]), "aya", now)
    version, _ = await confirm(db, strict, draft.version_id, Amendment(), "aya", now)
    assert (version.state, version.reviewed_by) == ("published", "chiyo")
    assert version.sha256 == draft.sha256


async def test_a_submission_to_be_reviewed_is_one_draft_however_often_it_comes(
    db: Db, strict: Site, now: datetime
) -> None:
    submission = Submission.model_validate({"policy": "privacy", "label": "1", "texts": BOTH})
    drafts = await asyncio.gather(*(submit(db, strict, submission, "webhook", now) for _ in range(5)))
    assert len({draft.version_id for draft in drafts}) == 1
    assert (drafts[0].stage, drafts[0].authors) == ("draft", ["webhook"])
    version, _ = await confirm(db, strict, drafts[0].version_id, Amendment(), "ben", now)
    assert await submit(db, strict, submission, "webhook", now) == version
    with pytest.raises(Conflict, match="other content"):
        await submit(db, strict, submission.model_copy(update={"flags": ["retention"]}), "webhook", now)


# ---------------------------------------------------------------- scheduling

NINE_IN_TOKYO = "2026-04-01T09:00"
NINE = datetime(2026, 4, 1, tzinfo=UTC)


async def test_a_schedule_is_kept_in_utc_with_the_zone_it_was_said_in(db: Db, site: Site, now: datetime) -> None:
    draft = await reviewed(db, site, now)
    planned = await schedule(db, site, draft.version_id, NINE_IN_TOKYO, "chiyo", now)
    assert (planned.stage, planned.publish_at, planned.publish_zone, planned.scheduled_by) == (
        "scheduled", NINE, "Asia/Tokyo", "chiyo",
    )  # fmt: skip
    assert (await history(db, draft.version_id))[-1].detail == {"publish_at": NINE.isoformat(), "zone": "Asia/Tokyo"}
    assert await publish_due(db, NINE - timedelta(seconds=1)) == 0
    assert await publish_due(db, NINE) == 1
    version = await find_version(db, "kumo", "privacy", "2")
    assert (version.published_at, version.effective_at, version.reviewed_by) == (NINE, NINE, "ben")
    assert await actions(db, draft.version_id) == [
        ("aya", "opened"), ("ben", "reviewed"), ("chiyo", "scheduled"), ("notifier", "published"),
    ]  # fmt: skip


async def test_only_what_was_reviewed_as_it_stands_is_scheduled(db: Db, site: Site, now: datetime) -> None:
    draft = await write(db, site, a_draft(), "aya", now)
    with pytest.raises(Conflict, match="was not reviewed as it stands"):
        await schedule(db, site, draft.version_id, NINE_IN_TOKYO, "aya", now)
    draft = await review(db, site, draft.version_id, draft.sha256, "ben", "", now)
    await schedule(db, site, draft.version_id, NINE_IN_TOKYO, "aya", now)
    changed = await amend(db, site, draft.version_id, say(flags=["retention"]), "aya", now)
    assert (changed.stage, changed.publish_at) == ("draft", None)
    assert (await history(db, draft.version_id))[-1].detail == {"undone": ["review", "schedule"]}
    assert await publish_due(db, NINE) == 0


async def test_what_could_not_take_effect_by_then_is_not_scheduled(
    db: Db, site: Site, now: datetime, published: Version
) -> None:
    draft = await reviewed(db, site, now, effective_at=(now + MONTH).isoformat())
    with pytest.raises(Invalid) as error:
        await schedule(db, site, draft.version_id, NINE_IN_TOKYO, "aya", now)
    assert pointers(error) == ["/effective_at"]
    with pytest.raises(Invalid) as error:
        await schedule(db, site, draft.version_id, "2026-02-01T09:00", "aya", now)
    assert pointers(error) == ["/publish_at"]
    assert (await load_version(db, "kumo", draft.version_id)).stage == "reviewed"


async def test_a_schedule_is_taken_back_and_set_again(db: Db, site: Site, now: datetime) -> None:
    draft = await reviewed(db, site, now)
    await schedule(db, site, draft.version_id, NINE_IN_TOKYO, "aya", now)
    for _ in range(2):
        back = await unschedule(db, site, draft.version_id, "ben", "counsel asked", now)
        assert (back.stage, back.publish_zone, back.reviewed_by) == ("reviewed", None, "ben")
    assert await publish_due(db, NINE) == 0
    await schedule(db, site, draft.version_id, "2026-04-02T09:00", "aya", now)
    assert await publish_due(db, NINE) == 0
    assert await publish_due(db, NINE + timedelta(days=1)) == 1
    assert [action for _, action in await actions(db, draft.version_id)] == [
        "opened", "reviewed", "scheduled", "unscheduled", "scheduled", "published",
    ]  # fmt: skip


async def test_ten_schedulers_at_once_publish_once_and_plan_one_telling(
    db: Db, site: Site, now: datetime, published: Version
) -> None:
    draft = await reviewed(db, site, now)
    await schedule(db, site, draft.version_id, NINE_IN_TOKYO, "aya", now)
    assert sum(await asyncio.gather(*(publish_due(db, NINE) for _ in range(10)))) == 1
    assert await campaigns(db) == 1
    assert [a for _, a in await actions(db, draft.version_id)].count("published") == 1
    assert [version.label for version in await list_versions(db, "kumo")] == ["2", "1"]


async def test_whoever_is_first_wins_between_publishing_discarding_and_the_schedule(
    db: Db, site: Site, now: datetime, published: Version
) -> None:
    for n in range(6):
        draft = await reviewed(db, site, now, label=f"v{n}")
        await schedule(db, site, draft.version_id, NINE_IN_TOKYO, "aya", now)
        at_once = [
            publish_due(db, NINE),
            confirm(db, site, draft.version_id, Amendment(), "ben", NINE),
            discard(db, site, draft.version_id, "chiyo", "", NINE),
            amend(db, site, draft.version_id, say(flags=["retention"]), "aya", NINE),
        ]
        await asyncio.gather(*(at_once[n % 4 :] + at_once[: n % 4]), return_exceptions=True)
        ended = [a for _, a in await actions(db, draft.version_id) if a in ("published", "discarded")]
        assert len(ended) <= 1
        state = (await load_version(db, "kumo", draft.version_id)).state
        assert state == (ended[0] if ended else "pending")


class Mortal:
    """A pool whose connection the server ends before a chosen statement: the process is gone as far as it can tell."""

    def __init__(self, db: Db, killer: Db, before: int) -> None:
        self.db, self.killer, self.left = db, killer, before

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db.pool, name)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        async with self.db.pool.acquire() as connection:
            yield _Dying(connection, self)

    async def step(self, connection: Any) -> None:
        self.left -= 1
        if self.left == 0:
            async with self.killer.connection() as other:
                await other.execute("SELECT pg_terminate_backend($1, 5000)", connection.get_server_pid())


class _Dying:
    def __init__(self, connection: Any, mortal: Mortal) -> None:
        self._connection, self._mortal = connection, mortal

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._connection, name)
        if name not in ("fetch", "fetchrow", "fetchval", "execute", "copy_records_to_table"):
            return found

        async def run(*args: Any, **more: Any) -> Any:
            await self._mortal.step(self._connection)
            return await found(*args, **more)

        return run


async def test_a_crash_between_any_two_statements_leaves_it_due_and_it_is_published_once(
    db: Db, database_url: str, site: Site, now: datetime, published: Version
) -> None:
    draft = await reviewed(db, site, now)
    await schedule(db, site, draft.version_id, NINE_IN_TOKYO, "aya", now)
    crashes = 0
    for before in range(1, 100):
        async with open_database(database_url, 2) as short_lived:
            mortal = Mortal(short_lived, db, before)
            try:
                done = await publish_due(Db(mortal), NINE)  # type: ignore[arg-type] # it looks like a pool
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                crashes += 1
                assert (await load_version(db, "kumo", draft.version_id)).stage == "scheduled"
                assert await campaigns(db) == 0
                continue
            assert mortal.left > 0
            break
    assert (done, crashes > 10) == (1, True)
    assert await campaigns(db) == 1
    assert [a for _, a in await actions(db, draft.version_id)] == ["opened", "reviewed", "scheduled", "published"]


async def test_one_that_cannot_be_published_at_its_time_waits_for_a_person_and_costs_the_others_nothing(
    db: Db, site: Site, now: datetime
) -> None:
    french = a_site(locales=["en", "ja", "fr"])
    await apply(db, french, now)
    texts = BOTH | {"fr": {"body": "# Confidentialité"}}
    gone = await reviewed(db, french, now, label="gone", texts=texts)
    await schedule(db, french, gone.version_id, NINE_IN_TOKYO, "aya", now)
    await apply(db, site, now)  # which does not use French any more
    fine = await reviewed(db, site, now, label="fine")
    await schedule(db, site, fine.version_id, "2026-04-01T09:01", "aya", now)
    assert await publish_due(db, NINE + timedelta(hours=1)) == 1
    waits = await load_version(db, "kumo", gone.version_id)
    assert (waits.state, waits.publish_at) == ("pending", None)
    [event] = [event for event in await history(db, gone.version_id) if event.action == "not_published"]
    assert "/texts/fr" in event.reason
    assert await publish_due(db, NINE + timedelta(hours=2)) == 0


async def test_another_version_published_since_voids_the_review_of_every_draft_of_the_policy(
    db: Db, site: Site, now: datetime
) -> None:
    first, second = [await reviewed(db, site, now, label=label) for label in ("a", "b")]
    await schedule(db, site, second.version_id, NINE_IN_TOKYO, "aya", now)
    await confirm(db, site, first.version_id, Amendment(), "ben", now)
    waits = await load_version(db, "kumo", second.version_id)
    assert (waits.stage, waits.publish_at) == ("draft", None)
    last = (await history(db, second.version_id))[-1]
    assert (last.actor, last.action, last.reason) == ("notifier", "review_void", "a was published since")


# ---------------------------------------------------------------- giving up, and what is watched


async def test_what_is_published_or_given_up_is_a_draft_no_more(db: Db, site: Site, now: datetime) -> None:
    draft = await write(db, site, a_draft(), "aya", now)
    await discard(db, site, draft.version_id, "ben", "not now", now)
    for step in (
        amend(db, site, draft.version_id, say(label="3"), "aya", now),
        review(db, site, draft.version_id, draft.sha256, "ben", "", now),
        schedule(db, site, draft.version_id, NINE_IN_TOKYO, "aya", now),
        unschedule(db, site, draft.version_id, "aya", "", now),
        confirm(db, site, draft.version_id, Amendment(), "aya", now),
    ):
        with pytest.raises(Conflict, match="was discarded"):
            await step
    event = (await history(db, draft.version_id))[-1]
    assert (event.actor, event.action, event.reason) == ("ben", "discarded", "not now")
    with pytest.raises(NotFound):
        await amend(db, site, 999, say(label="3"), "aya", now)


async def test_what_was_said_of_a_watched_text_is_said_of_the_next_one_but_for_its_review(
    db: Db, site: Site, now: datetime
) -> None:
    seen = await submit_pending(db, site, "privacy", {"en": Text(body="# One")}, "folder", now)
    assert seen is not None
    said = say(label="2026-04", summaries={"en": "New."}, texts={"ja": {"body": "# 一"}}, flags=["retention"])
    draft = await amend(db, site, seen.version_id, said, "aya", now)
    await review(db, site, draft.version_id, draft.sha256, "ben", "", now)
    await schedule(db, site, draft.version_id, NINE_IN_TOKYO, "aya", now)
    assert await submit_pending(db, site, "privacy", {"en": Text(body="# One")}, "folder", now) is None
    after = await submit_pending(db, site, "privacy", {"en": Text(body="# Two")}, "folder", now)
    assert after is not None
    assert (after.stage, after.label, after.flags, after.authors) == ("draft", "2026-04", ["retention"], ["aya"])
    assert [(t.locale, t.body, t.summary) for t in await texts_of(db, after.version_id)] == [
        ("en", b"# Two", "New."), ("ja", "# 一".encode(), ""),
    ]  # fmt: skip
    assert (await load_version(db, "kumo", seen.version_id)).state == "withdrawn"
    assert await publish_due(db, NINE) == 0


# ---------------------------------------------------------------- corrections


async def test_a_typo_is_mended_by_an_editorial_version_linked_to_the_one_it_mends(
    db: Db, site: Site, now: datetime, published: Version
) -> None:
    draft = await reviewed(db, site, now, label="1a", materiality="editorial", corrects="1")
    version, _ = await confirm(db, site, draft.version_id, Amendment(), "aya", now)
    assert (version.corrects, version.corrects_id, version.is_told) == ("1", published.version_id, False)
    assert (await texts_of(db, published.version_id))[0].body == b"# Privacy"


async def test_only_the_newest_version_is_corrected_and_only_editorially(
    db: Db, site: Site, now: datetime, published: Version
) -> None:
    with pytest.raises(Invalid) as error:
        await write(db, site, a_draft(corrects="1"), "aya", now)
    assert pointers(error) == ["/materiality"]
    with pytest.raises(Invalid, match="mending") as error:
        await write(db, site, a_draft(corrects="0", materiality="editorial"), "aya", now)
    assert error.value.faults[0].detail == "only the newest version can be corrected; the newest is '1'"


async def test_a_correction_may_come_by_webhook_and_the_same_again_is_the_same(
    db: Db, site: Site, now: datetime, published: Version
) -> None:
    body = {"policy": "privacy", "label": "1a", "texts": BOTH, "materiality": "editorial", "corrects": "1"}
    submission = Submission.model_validate(body)
    version, _ = await publish(db, site, submission, "webhook", now)
    assert version.corrects == "1"
    assert await publish(db, site, submission, "webhook", now) == (version, False)
    with pytest.raises(Conflict):
        await publish(db, site, submission.model_copy(update={"corrects": None}), "webhook", now)
