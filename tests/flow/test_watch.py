"""Watched folders and the versions that wait for a person's word."""

import asyncio
import os
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from notifier.db import Db
from notifier.errors import Conflict, Invalid, NotFound
from notifier.policies.authoring import confirm, discard
from notifier.policies.draft import Amendment
from notifier.policies.publish import Version, find_version, list_versions, load_version, publish, texts_of
from notifier.policies.version import Submission
from notifier.policies.watch import watch_folders
from notifier.sites.apply import apply
from notifier.sites.site import Site, Watch


@pytest.fixture
async def watched(db: Db, site: Site, now: datetime, tmp_path: Path) -> Site:
    described = site.model_copy(update={"watch": Watch(folder=str(tmp_path))})
    await apply(db, described, now)
    return described


def write(folder: Path, name: str, text: str | bytes, seconds_ago: float = 60) -> None:
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    then = time.time() - seconds_ago
    os.utime(file, (then, then))


async def pending(db: Db) -> Version:
    [version] = [version for version in await list_versions(db, "kumo") if version.state == "pending"]
    return version


async def test_the_first_look_opens_a_pending_version_and_the_next_looks_nothing(
    db: Db, watched: Site, now: datetime, tmp_path: Path
) -> None:
    write(tmp_path, "privacy.en.md", "# Privacy\r\n")
    write(tmp_path, "privacy.ja.html", "<h1>方針</h1>")
    write(tmp_path, "notes.txt", "not a policy")
    assert [await watch_folders(db, now) for _ in range(3)] == [1, 0, 0]
    version = await pending(db)
    assert (version.source, version.label, version.published_at) == ("folder", "", None)
    assert [(text.locale, text.media_type, text.body) for text in await texts_of(db, version.version_id)] == [
        ("en", "text/markdown", b"# Privacy\r\n"),
        ("ja", "text/html", "<h1>方針</h1>".encode()),
    ]


async def test_two_who_look_at_once_open_one(db: Db, watched: Site, now: datetime, tmp_path: Path) -> None:
    write(tmp_path, "privacy.en.md", "# Privacy")
    assert sum(await asyncio.gather(*(watch_folders(db, now) for _ in range(5)))) == 1


async def test_a_file_that_was_written_a_moment_ago_is_left_until_it_rests(
    db: Db, watched: Site, now: datetime, tmp_path: Path
) -> None:
    write(tmp_path, "privacy.en.md", "# Priv", seconds_ago=0)
    assert await watch_folders(db, now) == 0
    write(tmp_path, "privacy.en.md", "# Privacy", seconds_ago=3)
    assert await watch_folders(db, now) == 1


async def test_what_was_published_already_opens_nothing(db: Db, watched: Site, now: datetime, tmp_path: Path) -> None:
    texts = {"en": {"body": "# Privacy"}, "ja": {"body": "# 方針"}}
    submission = Submission.model_validate({"policy": "privacy", "label": "1", "texts": texts})
    await publish(db, watched, submission, "webhook", now)
    write(tmp_path, "privacy.en.md", "# Privacy")
    assert await watch_folders(db, now) == 0
    write(tmp_path, "privacy.en.md", "# Privacy!")
    assert await watch_folders(db, now) == 1


async def test_a_file_that_changes_again_replaces_the_pending_version_under_a_new_id(
    db: Db, watched: Site, now: datetime, tmp_path: Path
) -> None:
    write(tmp_path, "privacy.en.md", "# One")
    await watch_folders(db, now)
    first = await pending(db)
    write(tmp_path, "privacy.en.md", "# Two")
    assert await watch_folders(db, now) == 1
    second = await pending(db)
    assert second.version_id != first.version_id
    with pytest.raises(Conflict, match="changed again; look at the new one"):
        await confirm(db, watched, first.version_id, Amendment(label="1"), "mai", now)
    assert (await texts_of(db, second.version_id))[0].body == b"# Two"


async def test_a_file_that_goes_back_withdraws_the_pending_version(
    db: Db, watched: Site, now: datetime, tmp_path: Path
) -> None:
    for text in ("# One", "# Two", "# One"):
        write(tmp_path, "privacy.en.md", text)
        await watch_folders(db, now)
        if text == "# One" and not [v for v in await list_versions(db, "kumo") if v.state == "published"]:
            await confirm(db, watched, (await pending(db)).version_id, Amendment(label="1"), "mai", now)
    assert [version.state for version in await list_versions(db, "kumo")] == ["published"]


async def test_confirming_publishes_it_as_described_and_once(
    db: Db, watched: Site, now: datetime, tmp_path: Path
) -> None:
    write(tmp_path, "privacy.en.md", "# One")
    await watch_folders(db, now)
    first = await pending(db)
    details = Amendment(label="2026-03", summaries={"en": "All new."})
    done = await asyncio.gather(*(confirm(db, watched, first.version_id, details, "mai", now) for _ in range(3)))
    assert sorted(did_it for _, did_it in done) == [False, False, True]
    version = done[0][0]
    assert (version.version_id, version.state, version.label, version.ordinal) == (
        first.version_id, "published", "2026-03", 1,
    )  # fmt: skip
    assert (await texts_of(db, version.version_id))[0].summary == "All new."
    assert await find_version(db, "kumo", "privacy", "2026-03") == version
    with pytest.raises(Conflict, match="other content"):
        await confirm(db, watched, first.version_id, Amendment(label="2026-04"), "mai", now)
    assert await watch_folders(db, now) == 0


async def test_confirming_is_checked_like_publishing_and_leaves_it_pending(
    db: Db, watched: Site, now: datetime, tmp_path: Path
) -> None:
    write(tmp_path, "privacy.en.md", "# One")
    await watch_folders(db, now)
    await confirm(db, watched, (await pending(db)).version_id, Amendment(label="1"), "mai", now)
    write(tmp_path, "privacy.en.md", "# Two")
    await watch_folders(db, now)
    version_id = (await pending(db)).version_id
    with pytest.raises(Invalid) as error:
        await confirm(db, watched, version_id, Amendment(label="2", flags=["?"], effective_at=now), "mai", now)
    assert [fault.pointer for fault in error.value.faults] == [
        "/flags/0", "/summaries/en", "/texts/ja", "/effective_at",
    ]  # fmt: skip
    said = Amendment(label="1", summaries={"en": "All new."}, untranslated=["ja"])
    with pytest.raises(Conflict, match="choose another label"):
        await confirm(db, watched, version_id, said, "mai", now)
    assert (await load_version(db, "kumo", version_id)).state == "pending"
    said = Amendment(label="2", summaries={"en": "All new."}, untranslated=["ja"])
    version, _ = await confirm(db, watched, version_id, said, "mai", now)
    assert version.ordinal == 2
    assert timedelta(days=31) < version.effective_at - now <= timedelta(days=32)


async def test_a_no_is_remembered_for_these_files_and_not_for_others(
    db: Db, watched: Site, now: datetime, tmp_path: Path
) -> None:
    write(tmp_path, "privacy.en.md", "# One")
    await watch_folders(db, now)
    version_id = (await pending(db)).version_id
    await discard(db, watched, version_id, "mai", "", now)
    await discard(db, watched, version_id, "mai", "", now)
    assert await watch_folders(db, now) == 0
    with pytest.raises(Conflict, match="was discarded"):
        await confirm(db, watched, version_id, Amendment(label="1"), "mai", now)
    write(tmp_path, "privacy.en.md", "# Two")
    assert await watch_folders(db, now) == 1
    confirmed, _ = await confirm(db, watched, (await pending(db)).version_id, Amendment(label="1"), "mai", now)
    with pytest.raises(Conflict, match="is published and stays"):
        await discard(db, watched, confirmed.version_id, "mai", "", now)
    with pytest.raises(NotFound):
        await discard(db, watched.model_copy(update={"site": "tsubame"}), confirmed.version_id, "mai", "", now)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("privacy.en.md", b""),
        ("privacy.en.md", b" \n"),
        ("privacy.en.md", b"\xff\xfe"),
        ("privacy.en.md", b"a\0b"),
        ("privacy.en.md", b"x" * (10 * 1024 * 1024 + 1)),
        ("privacy.fr.md", b"# Vie"),
        ("terms.en.md", b"# Terms"),
        ("../privacy.en.md", b"# Elsewhere"),
    ],
)
async def test_a_folder_in_disorder_opens_nothing(
    db: Db, watched: Site, now: datetime, tmp_path: Path, name: str, content: bytes
) -> None:
    write(tmp_path, name, content)
    assert await watch_folders(db, now) == 0
    assert await list_versions(db, "kumo") == []


async def test_two_files_for_one_locale_open_nothing(db: Db, watched: Site, now: datetime, tmp_path: Path) -> None:
    write(tmp_path, "privacy.en.md", "# One")
    write(tmp_path, "privacy.en.html", "<h1>Two</h1>")
    assert await watch_folders(db, now) == 0


async def test_a_folder_that_is_gone_holds_up_no_other_site(
    db: Db, watched: Site, now: datetime, tmp_path: Path
) -> None:
    gone = watched.model_copy(update={"site": "aaa", "watch": Watch(folder=str(tmp_path / "gone"))})
    await apply(db, gone, now)
    write(tmp_path, "privacy.en.md", "# One")
    assert await watch_folders(db, now) == 1


async def test_a_link_out_of_the_folder_and_what_is_no_file_open_nothing(
    db: Db, watched: Site, now: datetime, tmp_path: Path
) -> None:
    elsewhere = tmp_path.parent / f"{tmp_path.name}-secret"
    elsewhere.write_text("# A secret")
    os.utime(elsewhere, (1, 1))
    (tmp_path / "privacy.en.md").symlink_to(elsewhere)
    assert await watch_folders(db, now) == 0
    (tmp_path / "privacy.en.md").unlink()
    os.mkfifo(tmp_path / "privacy.en.md")
    os.utime(tmp_path / "privacy.en.md", (1, 1))
    assert await asyncio.wait_for(watch_folders(db, now), 5) == 0
    (tmp_path / "privacy.en.md").unlink()
    data = tmp_path / "..data"  # as Kubernetes mounts a ConfigMap: the links stay inside
    data.mkdir()
    write(data, "privacy.en.md", "# Privacy")
    (tmp_path / "privacy.en.md").symlink_to(data / "privacy.en.md")
    assert await watch_folders(db, now) == 1
