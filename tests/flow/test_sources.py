"""Sources: pages, feeds and repositories that are looked at for changes, and what they may do to us."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier.db import Db
from notifier.errors import Conflict
from notifier.policies import fetch, sources
from notifier.policies.authoring import amend, confirm, history, review
from notifier.policies.draft import Amendment
from notifier.policies.places import fetch_source
from notifier.policies.publish import Version, list_versions, texts_of
from notifier.policies.sources import look_at_sources
from notifier.sites.apply import apply
from notifier.sites.site import Site, Source
from tests.flow.far_pages import Pages, far_pages, git_is_here
from tests.sites import a_site

CLAUSE = "<p>We keep what you give us for as long as you are with us, and delete it when you leave us for good.</p>"
TEXT = "<h1>Privacy</h1>" + CLAUSE * 10
CHANGED = TEXT.replace("when you leave", "a month after you leave")
INSIDE = ("127.0.0.1",)


@dataclass
class Watched:
    """A site with sources, and a clock that goes an hour ahead at each look."""

    db: Db
    site: Site
    pages: Pages
    now: datetime

    async def look(self, times: int = 1) -> list[Version]:
        """Look so often; the pending versions there are then."""
        for _ in range(times):
            self.now += timedelta(hours=1)
            await look_at_sources(self.db, INSIDE, self.now)
        return [version for version in await list_versions(self.db, "kumo") if version.state == "pending"]

    async def publish(self, label: str) -> None:
        """A person confirms what is pending."""
        [version] = [version for version in await list_versions(self.db, "kumo") if version.state == "pending"]
        await confirm(
            self.db, self.site, version.version_id, Amendment(label=label, materiality="editorial"), "mai", self.now
        )

    async def texts(self, version: Version) -> dict[str, str]:
        return {text.locale: text.body.decode() for text in await texts_of(self.db, version.version_id)}

    async def state(self, locale: str = "en") -> dict[str, Any]:
        rows = await self.db.many(dict, "watch.sources", site="kumo")
        return next(row for row in rows if row["locale"] == locale)

    async def snapshots(self, locale: str = "en") -> list[dict[str, Any]]:
        return await self.db.many(dict, "watch.snapshots", site="kumo", policy="privacy", locale=locale, limit=100)

    async def describe(self, *sources: dict[str, Any], agree: int = 3) -> None:
        """Apply a site.yaml with these sources."""
        given = [{"policy": "privacy", "locale": "en", **source} for source in sources]
        self.site = a_site(watch={"sources": given, "agree": agree})
        await apply(self.db, self.site, self.now)


@pytest.fixture
async def watched(db: Db, now: datetime) -> AsyncIterator[Watched]:
    async with far_pages() as pages:
        watched = Watched(db, a_site(), pages, now)
        await watched.describe({"page": f"{pages.url}/privacy"})
        pages.page(TEXT)
        yield watched


async def test_the_first_sight_of_an_unpublished_policy_offers_it_as_the_baseline(watched: Watched) -> None:
    [version] = await watched.look()
    assert (await watched.texts(version))["en"].startswith("# Privacy\n\nWe keep what you give us")
    assert "Menu" not in (await watched.texts(version))["en"]
    assert version.source == "source"
    assert [v.version_id for v in await watched.look(3)] == [version.version_id]
    [snapshot] = await watched.snapshots()
    assert (snapshot["times"], snapshot["verdict"]) == (4, "first")


async def test_a_change_opens_a_version_when_three_looks_in_a_row_agree(watched: Watched) -> None:
    await watched.look()
    await watched.publish("1")
    watched.pages.page(CHANGED)
    assert await watched.look(2) == []
    assert (await watched.state())["agreed"] == 2
    [version] = await watched.look()
    assert "a month after you leave" in (await watched.texts(version))["en"]
    assert [v.version_id for v in await watched.look(4)] == [version.version_id]


JAPANESE = (
    "<h1>プライバシー</h1>" + "<p>お預かりした情報は、ご利用の間だけ保管し、退会されたときに削除します。</p>" * 12
)
JAPANESE_CHANGED = JAPANESE.replace("退会されたときに", "退会の一か月後に")


@pytest.fixture
async def two(watched: Watched) -> Watched:
    """The policy is shown in two places, and published as both show it."""
    watched.pages.bodies["/ja"] = JAPANESE.encode()
    await watched.describe(
        {"page": f"{watched.pages.url}/privacy"}, {"page": f"{watched.pages.url}/ja", "locale": "ja"}, agree=1
    )
    await watched.look(2)
    await watched.publish("1")
    return watched


async def test_the_same_change_seen_later_in_another_place_joins_the_version_that_waits(two: Watched) -> None:
    two.pages.page(CHANGED)
    [first] = await two.look()
    assert "退会されたときに" in (await two.texts(first))["ja"]
    await amend(
        two.db, two.site, first.version_id, Amendment(label="2", summaries={"en": "A month later."}), "aya", two.now
    )
    two.pages.bodies["/ja"] = JAPANESE_CHANGED.encode()
    [joined] = await two.look()
    assert (joined.version_id, joined.label, joined.authors) == (first.version_id, "2", ["aya"])
    texts = {text.locale: text for text in await texts_of(two.db, joined.version_id)}
    assert "退会の一か月後に" in texts["ja"].body.decode()
    assert ("a month after" in texts["en"].body.decode(), texts["en"].summary) == (True, "A month later.")
    events = await history(two.db, joined.version_id)
    assert [(event.actor, event.action) for event in events] == [
        ("source", "opened"), ("aya", "amended"), ("source", "joined"),
    ]  # fmt: skip
    assert events[-1].detail["locales"] == ["ja"]
    assert [v.version_id for v in await two.look(2)] == [first.version_id]


async def test_nobody_publishes_a_text_that_joined_after_they_had_read_the_version(two: Watched) -> None:
    two.pages.page(CHANGED)
    [read] = await two.look()
    said = Amendment(label="2", materiality="editorial")
    two.pages.bodies["/ja"] = JAPANESE_CHANGED.encode()
    await two.look()
    with pytest.raises(Conflict, match="says something else by now"):
        await confirm(two.db, two.site, read.version_id, said, "mai", two.now, read.sha256)
    await two.publish("2")


async def test_what_was_reviewed_without_the_text_that_joins_is_void(two: Watched) -> None:
    two.pages.page(CHANGED)
    [version] = await two.look()
    version = await amend(
        two.db, two.site, version.version_id, Amendment(label="2", materiality="editorial"), "aya", two.now
    )
    await review(two.db, two.site, version.version_id, version.sha256, "ben", "", two.now)
    two.pages.bodies["/ja"] = JAPANESE_CHANGED.encode()
    [version] = await two.look()
    assert (version.stage, version.reviewed_by) == ("draft", None)
    assert (await history(two.db, version.version_id))[-1].detail["undone"] == ["review"]


async def test_a_change_of_what_waits_already_is_a_version_of_its_own(two: Watched) -> None:
    two.pages.page(CHANGED)
    [first] = await two.look()
    two.pages.bodies["/ja"] = JAPANESE_CHANGED.encode()
    await two.look()
    two.pages.page(TEXT.replace("when you leave", "a year after you leave"))
    [second] = await two.look()
    assert second.version_id != first.version_id
    assert "a year after" in (await two.texts(second))["en"]
    assert "退会の一か月後に" in (await two.texts(second))["ja"]


async def test_when_one_place_goes_back_what_the_other_shows_is_a_version_of_its_own(two: Watched) -> None:
    two.pages.page(CHANGED)
    [first] = await two.look()
    two.pages.bodies["/ja"] = JAPANESE_CHANGED.encode()
    await two.look()
    two.pages.page(TEXT)
    [second] = await two.look()
    assert second.version_id != first.version_id
    assert "when you leave" in (await two.texts(second))["en"]
    two.pages.bodies["/ja"] = JAPANESE.encode()
    assert await two.look() == []


async def test_what_is_unchanged_by_its_etag_agrees_as_well(watched: Watched) -> None:
    await watched.look()
    await watched.publish("1")
    watched.pages.page(CHANGED)
    watched.pages.headers["ETag"] = '"2"'
    assert len(await watched.look(3)) == 1
    assert [request.headers.get("If-None-Match") for request in watched.pages.asked[-2:]] == ['"2"', '"2"']


async def test_changes_of_nothing_but_surroundings_and_spelling_are_silent(watched: Watched) -> None:
    await watched.look()
    await watched.publish("1")
    for number in range(30):
        text = TEXT.replace("<p>", f'<p class="c{number}">').replace("<h1>", f"<h1 id=x{number}>  ")
        watched.pages.page(f"<script>var token = {number}</script>{text}")
        assert await watched.look() == []
    assert (await watched.state())["verdict"] in ("same", "technical")
    assert len(await watched.snapshots()) <= 3


async def test_other_selectors_are_no_change(watched: Watched) -> None:
    watched.pages.page(f"{TEXT}<div class=share>Share this page with all your friends</div>")
    await watched.look()
    await watched.publish("1")
    await watched.describe({"page": f"{watched.pages.url}/privacy", "drop": [".share"]})
    watched.pages.page(f"{TEXT}<div class=share>Share this page with your family</div>")
    assert await watched.look(4) == []


async def test_a_page_that_goes_back_and_forth_is_doubtful_and_opens_nothing(watched: Watched) -> None:
    await watched.look()
    await watched.publish("1")
    for _ in range(5):
        watched.pages.page(CHANGED)
        assert await watched.look(2) == []
        watched.pages.page(TEXT)
        assert await watched.look(2) == []
    watched.pages.page(CHANGED)
    assert await watched.look(5) == []
    assert (await watched.state())["reason"] == "the page goes back and forth between editions"
    watched.now += timedelta(days=31)
    assert len(await watched.look(3)) == 1


async def test_a_revert_is_a_version_of_its_own(watched: Watched) -> None:
    await watched.look()
    await watched.publish("1")
    watched.pages.page(CHANGED)
    await watched.look(3)
    await watched.publish("2")
    watched.pages.page(TEXT)
    [version] = await watched.look(3)
    assert "a month after" not in (await watched.texts(version))["en"]


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("", "only 0 characters"),
        ("<h1>Log in</h1><form><input type=password></form><p>Please sign in to go on.</p>" + CLAUSE, "login"),
        ("<h1>404</h1><p>This page could not be found.</p>", "error page"),
        ("<p>This service is not available in your country.</p>", "stands in"),
        ("<h1>Privacy</h1>" + CLAUSE * 3, "where it had"),
        (
            "<h1>方針</h1>" + "<p>お預かりした情報は、ご利用のあいだ保管し、退会のときに削除します。</p>" * 30,
            "Japanese",
        ),
    ],
)
async def test_doubtful_pages_are_kept_and_open_nothing(watched: Watched, page: str, reason: str) -> None:
    await watched.look()
    await watched.publish("1")
    watched.pages.page(page)
    assert await watched.look(5) == []
    state = await watched.state()
    assert (state["verdict"], reason in state["reason"]) == ("doubtful", True)
    assert "doubtful" in {snapshot["verdict"] for snapshot in await watched.snapshots()}
    watched.pages.page(TEXT)
    assert await watched.look(3) == []
    assert (await watched.state())["verdict"] in ("same", "technical")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/slow", "too long"),
        ("/endless", "more than 10 MB"),
        ("/bomb", "more than 10 MB"),
        ("/broken-gzip", "cannot be unpacked"),
        ("/half-gzip", "broke off"),
        ("/inward", "leads to another host (127.0.0.2)"),
        ("/inward6", "leads to another host (::1)"),
        ("/metadata", "leads to another host (169.254.169.254)"),
        ("/round", "leads on and on"),
        ("/busy", "answered 503"),
        ("/nothing", "answered 404"),
    ],
)
async def test_a_hostile_server_gets_nothing_out_of_us(
    watched: Watched, path: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_TIME", fetch.aiohttp.ClientTimeout(total=0.2 if path == "/slow" else 20))
    await watched.describe({"page": watched.pages.url + path})
    assert await watched.look() == []
    state = await watched.state()
    assert (state["verdict"], reason in state["reason"]) == ("failed", True), state
    assert await watched.snapshots() == []
    wait = state["due_at"] - watched.now
    assert wait == timedelta(seconds=86000) if path == "/busy" else wait >= timedelta(hours=1)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.2/privacy", "https://127.0.0.2/privacy", "https://[::1]/", "https://10.0.0.1/",
        "https://localhost/", "https://169.254.169.254/", "https://[::ffff:10.0.0.1]/", "https://[64:ff9b::a00:1]/",
    ],
)  # fmt: skip
async def test_our_own_network_is_not_asked(watched: Watched, url: str) -> None:
    await watched.describe({"page": url})
    await watched.look()
    state = await watched.state()
    assert state["verdict"] == "failed"
    assert "network" in state["reason"]


async def test_an_answer_in_another_encoding_than_it_claims_is_doubtful(watched: Watched) -> None:
    watched.pages.bodies["/privacy"] = "<main>個人情報の取扱い".encode("shift_jis")
    assert await watched.look() == []
    assert "encoding" in (await watched.state())["reason"]


async def test_a_redirect_on_the_same_host_is_followed(watched: Watched) -> None:
    await watched.describe({"page": f"{watched.pages.url}/moved"})
    assert len(await watched.look()) == 1


async def test_failures_are_asked_about_less_and_less_and_forgotten_after_one_answer(watched: Watched) -> None:
    body = watched.pages.bodies.pop("/privacy")
    waits = []
    for _ in range(7):
        await watched.look()
        state = await watched.state()
        waits.append(state["due_at"] - watched.now)
        watched.now = state["due_at"]
    assert waits == [timedelta(hours=hours) for hours in (1, 2, 4, 8, 16, 24, 24)]
    watched.pages.bodies["/privacy"] = body
    await watched.look()
    assert (await watched.state())["failures"] == 0


async def test_the_languages_of_a_policy_make_one_version(watched: Watched) -> None:
    ja = "<h1>方針</h1>" + "<p>お預かりした情報は、ご利用のあいだ保管し、退会のときに削除します。</p>" * 10
    watched.pages.page(ja, "/ja")
    await watched.describe(
        {"page": f"{watched.pages.url}/privacy"}, {"locale": "ja", "page": f"{watched.pages.url}/ja"}, agree=1
    )
    [version] = await watched.look()
    assert set(await watched.texts(version)) == {"en", "ja"}
    await watched.publish("1")
    watched.pages.page(ja.replace("保管", "安全に保管"), "/ja")
    [version] = await watched.look()
    texts = await watched.texts(version)
    assert "安全に保管" in texts["ja"]
    assert "We keep what you give us" in texts["en"]


async def test_a_look_that_dies_is_a_look_that_did_not_happen(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_TIME", fetch.aiohttp.ClientTimeout(total=30))
    await watched.describe({"page": f"{watched.pages.url}/slow"})
    looking = asyncio.create_task(look_at_sources(watched.db, INSIDE, watched.now))
    while not watched.pages.asked:
        await asyncio.sleep(0.01)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert (await watched.state())["looked_at"] is None
    assert await look_at_sources(watched.db, INSIDE, watched.now) == 0
    await watched.describe({"page": f"{watched.pages.url}/privacy"})
    assert len(await watched.look()) == 1


async def test_a_source_that_we_fail_at_costs_the_others_nothing(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(fetcher: fetch.Fetcher, source: Source, last: Mapping[str, str]) -> fetch.Fetched:
        if source.locale == "ja":
            raise RuntimeError("a fault of ours")
        return await fetch_source(fetcher, source, last)

    monkeypatch.setattr(sources, "fetch_source", failing)
    await watched.describe(
        {"page": f"{watched.pages.url}/privacy"}, {"locale": "ja", "page": f"{watched.pages.url}/privacy"}
    )
    assert len(await watched.look()) == 1
    assert ((await watched.state())["verdict"], (await watched.state("ja"))["verdict"]) == ("first", None)


async def test_a_source_that_site_yaml_no_longer_names_is_not_asked(watched: Watched) -> None:
    await watched.look()
    await apply(watched.db, a_site(), watched.now)
    asked = len(watched.pages.asked)
    await watched.look(2)
    assert len(watched.pages.asked) == asked


FEED = """<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>Legal</title>
<entry><title>Old</title><updated>2025-01-01T00:00:00Z</updated><content type="html">&lt;p>old</content></entry>
<entry><title>New</title><updated>2026-01-01T00:00:00Z</updated>{content}</entry></feed>"""


async def test_the_newest_entry_of_a_feed_is_the_text(watched: Watched) -> None:
    escaped = TEXT.replace("<", "&lt;")
    watched.pages.bodies["/feed"] = FEED.format(content=f'<content type="html">{escaped}</content>').encode()
    await watched.describe({"feed": f"{watched.pages.url}/feed"})
    [version] = await watched.look()
    assert (await watched.texts(version))["en"].startswith("# Privacy\n\nWe keep")


async def test_an_entry_without_a_text_leads_to_its_page_on_the_same_host(watched: Watched) -> None:
    watched.pages.bodies["/feed"] = FEED.format(content='<link href="/privacy"/>').encode()
    await watched.describe({"feed": f"{watched.pages.url}/feed"}, agree=1)
    assert len(await watched.look()) == 1
    await watched.publish("1")
    watched.pages.page(CHANGED)  # the page changes although the feed does not
    assert len(await watched.look()) == 1
    watched.pages.bodies["/feed"] = FEED.format(content='<link href="http://127.0.0.2/privacy"/>').encode()
    await watched.look()
    assert "another host" in (await watched.state())["reason"]


@pytest.mark.parametrize(
    ("feed", "reason"),
    [
        ("<!DOCTYPE x [<!ENTITY a 'aaaa'>]><feed>&a;</feed>", "document type"),
        ("<feed xmlns='http://www.w3.org/2005/Atom'/>", "without entries"),
        ("<html>", "no Atom feed"),
    ],
)
async def test_what_is_no_feed_says_so(watched: Watched, feed: str, reason: str) -> None:
    watched.pages.bodies["/feed"] = feed.encode()
    await watched.describe({"feed": f"{watched.pages.url}/feed"})
    assert await watched.look() == []
    assert reason in (await watched.state())["reason"]


@pytest.mark.skipif(not git_is_here(), reason="git is not installed")
async def test_a_file_of_a_git_repository_is_read_and_asked_for_by_its_commit(watched: Watched, tmp_path: Path) -> None:
    work, served = tmp_path / "work", tmp_path / "legal.git"

    def git(*words: str) -> None:
        who = ("-c", "user.name=Lena", "-c", "user.email=lena@example.com")
        subprocess.run(["git", "-C", str(work), *who, *words], check=True, capture_output=True)

    work.mkdir()
    git("init", "-q", "-b", "main")
    (work / "privacy.md").write_text("# Privacy\n\n" + "We keep what you give us. " * 20)
    git("add", ".")
    git("commit", "-qm", "first")
    git("clone", "-q", "--bare", ".", str(served))
    watched.pages.repository = served
    await watched.describe({"git": f"{watched.pages.url}/legal.git", "path": "privacy.md", "branch": "main"}, agree=1)
    [version] = await watched.look()
    assert (await watched.texts(version))["en"].startswith("# Privacy\n\nWe keep what")
    await watched.publish("1")
    asked = len(watched.pages.asked)
    assert await watched.look() == []
    assert len(watched.pages.asked) - asked <= 2  # only which commit is the newest
    (work / "privacy.md").write_text("# Privacy\n\n" + "We keep what you give us for ever. " * 20)
    git("commit", "-qam", "second")
    git("push", "-q", str(served), "main")
    assert len(await watched.look()) == 1
    await watched.describe({"git": f"{watched.pages.url}/legal.git", "path": "none.md"})
    await watched.look()
    assert "git could not read it" in (await watched.state())["reason"]
