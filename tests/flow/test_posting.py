"""The site's own pages are looked at on a real web server: the posting record, and alarms when they change."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from notifier.acceptance.accept import accept
from notifier.activity.record import record
from notifier.db import Db
from notifier.policies import fetch, posting
from notifier.policies.posting import alarms, look_at_postings
from notifier.policies.publish import publish
from notifier.policies.version import Submission
from notifier.sites.apply import apply
from notifier.sites.site import Site
from tests.flow.far_pages import Pages, far_pages
from tests.flow.story import RULE, Story, activity, begin, lines
from tests.sites import KUMO, a_site

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
CLAUSE = "We keep what you give us for as long as you are with us, and delete it when you leave us for good. "
OLD = "# Privacy\n\n" + CLAUSE * 5 + "\n"
NEW = OLD.replace("when you leave", "a month after you leave")
INSIDE = ("127.0.0.1",)
NOWHERE = "https://notices.example"


def html(text: str) -> str:
    """The text as a site's own page would have it."""
    title, words = text.removeprefix("# ").split("\n\n", 1)
    return f"<h1 class=x>{title}</h1><p>{words}</p>"


@dataclass
class Posting:
    """A site that names its page, and a clock that the test moves."""

    db: Db
    site: Site
    pages: Pages
    now: datetime

    async def describe(self, **urls: Any) -> None:
        """Apply a site.yaml that names these pages."""
        policy = KUMO["policies"]["privacy"] | {"posted_at_url": urls}
        self.site = a_site(policies={"privacy": policy})
        await apply(self.db, self.site, self.now)

    async def publish(self, label: str, text: str, **more: str) -> int:
        """Publish in English, and in Japanese where ``ja`` says what. Returns the version's id."""
        texts = {"en": {"body": text}, **{locale: {"body": body} for locale, body in more.items()}}
        submission = Submission.model_validate({"policy": "privacy", "label": label, "texts": texts})
        version, _ = await publish(self.db, self.site, submission, "command", self.now)
        return version.version_id

    async def look(self, wait: timedelta = timedelta()) -> int:
        """Let time pass, and do what a worker does."""
        self.now += wait
        return await look_at_postings(self.db, INSIDE, NOWHERE, self.now)

    async def state(self, locale: str = "en") -> dict[str, Any]:
        rows = await self.db.many(dict, "posting.pages", site="kumo")
        return next(row for row in rows if row["locale"] == locale)

    async def looks(self, locale: str = "en") -> list[dict[str, Any]]:
        return await self.db.many(dict, "posting.looks", site="kumo", policy="privacy", locale=locale, limit=100)

    async def events(self) -> list[str]:
        return [row["kind"] for row in await self.rows("SELECT kind FROM posting_event ORDER BY at, kind")]

    async def posted_at(self, version_id: int) -> datetime | None:
        rows = await self.rows("SELECT version_id, posted_at FROM posted")
        return {row["version_id"]: row["posted_at"] for row in rows}[version_id]

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        async with self.db.connection() as connection:
            return [dict(row) for row in await connection.fetch(sql)]


@pytest.fixture
async def page(db: Db, now: datetime) -> AsyncIterator[Posting]:
    """A page that shows the first version, which is published."""
    async with far_pages() as pages:
        posting = Posting(db, a_site(), pages, now)
        pages.page(html(OLD))
        await posting.describe(en=f"{pages.url}/privacy")
        await posting.publish("1", OLD)
        yield posting


async def test_a_version_counts_as_posted_from_the_first_look_that_saw_it(page: Posting) -> None:
    assert await page.look(MINUTE) == 1
    second = await page.publish("2", NEW)
    assert await page.posted_at(second) is None
    assert await page.look(5 * MINUTE) == 1
    state = await page.state()
    assert (state["verdict"], state["reason"], state["alarm"]) == ("earlier", "it shows 1, and not 2", None)
    page.pages.page(html(NEW))
    assert await page.look(5 * MINUTE) == 1
    assert await page.posted_at(second) == page.now
    seen = page.now
    assert await page.look(DAY) == 1
    assert await page.posted_at(second) == seen
    assert await page.events() == ["posted", "posted"]
    assert [(look["expected"], look["shows"], look["verdict"]) for look in await page.looks()] == [
        ("2", "2", "shown"), ("2", "2", "shown"), ("2", "1", "earlier"), ("1", "1", "shown"),
    ]  # fmt: skip


async def test_without_a_page_of_the_sites_own_a_version_is_posted_by_ours_when_it_is_published(
    page: Posting,
) -> None:
    await page.describe()
    version = await page.publish("2", NEW)
    assert await page.posted_at(version) == page.now
    assert await page.look() == 0


async def test_a_page_is_looked_at_soon_then_daily_and_when_the_version_takes_effect(page: Posting) -> None:
    assert await page.look() == 1
    assert await page.look(DAY - MINUTE) == 0
    assert await page.look(MINUTE) == 1
    await page.publish("2", NEW)
    [row] = await page.rows("SELECT effective_at FROM version WHERE label = '2'")
    page.pages.page(html(NEW))
    assert await page.look() == 1
    page.now = row["effective_at"] - HOUR
    assert await page.look() == 1
    assert (await page.state())["due_at"] == row["effective_at"]


async def test_a_page_that_changes_without_a_version_raises_an_alarm_once_and_tells_nobody(page: Posting) -> None:
    await page.look()
    page.pages.page(html(OLD) + "<p>We also sell what you give us.</p>")
    await page.look(DAY)
    await page.look(15 * MINUTE)
    assert await page.events() == ["posted"]
    await page.look(15 * MINUTE)
    await page.look(HOUR)
    assert await page.events() == ["posted", "drift"]
    [alarm] = await alarms(page.db, "kumo")
    assert (alarm.policy, alarm.locale, alarm.label, alarm.alarm) == ("privacy", "en", "1", "drift")
    assert "no version: 1 sections differ from 1" in alarm.reason
    assert await page.rows("SELECT FROM version WHERE label <> '1'") == []
    assert await page.rows("SELECT FROM campaign") == []
    page.pages.page(html(OLD))
    await page.look(HOUR)
    assert await page.events() == ["posted", "drift", "mended"]
    assert await alarms(page.db, None) == []


@pytest.mark.parametrize(
    ("body", "verdict"), [(None, "failed"), ("<h1>Log in</h1><form><input type=password></form>", "doubtful")]
)
async def test_a_page_that_no_longer_shows_the_version_raises_an_alarm(
    page: Posting, body: str | None, verdict: str
) -> None:
    await page.look()
    if body is None:
        page.pages.bodies.clear()
    else:
        page.pages.page(body)
    for wait in (DAY, 15 * MINUTE, 15 * MINUTE):
        assert await page.look(wait) == 1
    state = await page.state()
    assert (state["verdict"], state["alarm"], state["alarm_at"]) == (verdict, "missing", page.now)
    assert await page.events() == ["posted", "missing"]


async def test_every_language_that_has_a_page_must_be_seen(page: Posting) -> None:
    japanese = "# 方針\n\n" + "お預かりした情報は、ご利用のあいだ保管し、退会のときに削除します。" * 10 + "\n"
    await page.describe(en=f"{page.pages.url}/privacy", ja={"url": f"{page.pages.url}/ja", "keep": ["article"]})
    version = await page.publish("2", NEW, ja=japanese)
    page.pages.page(html(NEW))
    page.pages.bodies["/ja"] = f"<meta charset=utf-8><p>メニュー</p><article>{html(japanese)}</article>".encode()
    english = page.now
    page.pages.bodies["/ja"], kept = b"", page.pages.bodies["/ja"]
    assert await page.look() == 2
    assert await page.posted_at(version) is None
    page.pages.bodies["/ja"] = kept
    await page.look(5 * MINUTE)
    assert await page.posted_at(version) == page.now > english


async def test_the_selectors_of_the_source_are_used_where_the_page_names_none(page: Posting) -> None:
    page.pages.page(f"<div class=share>Tell everybody you know of this page</div>{html(OLD)}")
    assert (await page.look(), (await page.state())["verdict"]) == (1, "other")
    source = {"policy": "privacy", "locale": "en", "page": f"{page.pages.url}/privacy", "drop": [".share"]}
    site = page.site.model_dump() | {"watch": {"sources": [source]}}
    await apply(page.db, Site.model_validate(site), page.now)
    assert (await page.look(15 * MINUTE), (await page.state())["verdict"]) == (1, "shown")


async def test_a_page_that_is_named_no_longer_lets_the_version_count_from_then_on(page: Posting) -> None:
    await page.look()
    version = await page.publish("2", NEW)
    await page.look()
    page.now += DAY
    await page.describe()
    assert await page.posted_at(version) is None
    await page.look()
    assert await page.posted_at(version) == page.now


async def test_the_bytes_are_kept_once_and_only_those_that_something_happened_by(page: Posting) -> None:
    for number in range(5):
        page.pages.page(f"<script>token = {number // 2}</script>{html(OLD)}")
        await page.look(DAY)
    assert len(await page.looks()) == 5
    assert [look["kept"] for look in await page.looks()] == [True, False, False, True, True]
    assert len(await page.rows("SELECT FROM posting_body")) == 2


async def test_of_two_workers_only_one_looks(page: Posting) -> None:
    assert sorted(await asyncio.gather(page.look(), page.look())) == [0, 1]
    assert len(page.pages.asked) == 1


async def test_a_look_that_dies_is_a_look_that_did_not_happen(page: Posting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "_tell", None)  # dies after everything else was written
    await page.look()
    assert (await page.looks(), await page.events()) == ([], [])
    assert await page.rows("SELECT FROM posting WHERE posted_at IS NOT NULL") == []
    assert await page.look(9 * MINUTE) == 0
    monkeypatch.undo()
    assert await page.look(MINUTE) == 1
    assert await page.events() == ["posted"]


async def test_whoever_lost_a_page_while_looking_writes_nothing(page: Posting, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slowly(*given: Any) -> Any:
        fetched = await fetched_from(*given)
        await page.publish("2", NEW)  # from now on the page must show another one
        await page.db.run("posting.follow_settings", now=page.now)
        return fetched

    fetched_from = fetch.Fetcher.get
    monkeypatch.setattr(fetch.Fetcher, "get", slowly)
    await page.look()
    assert (await page.looks(), await page.events()) == ([], [])
    monkeypatch.undo()
    await page.look()
    assert [look["verdict"] for look in await page.looks()] == ["earlier"]


async def test_our_own_network_is_not_asked_and_a_busy_server_not_too_soon(page: Posting) -> None:
    await page.describe(en="https://10.0.0.1/privacy")
    await page.look()
    assert (await page.state())["reason"] == "10.0.0.1 lies in our own network"
    await page.describe(en=f"{page.pages.url}/busy")
    await page.look()
    assert (await page.state())["due_at"] == page.now + timedelta(seconds=86000)


# ---------------------------------------------------------------- what rests on it


async def _told_and_used(db: Db) -> tuple[Story, datetime]:
    """Somebody who was told when the version was published, and used the site after their date: with a page to see."""
    story = await begin(db, RULE.model_copy(update={"notice_days": 0, "bounce_window_hours": 0}))
    await story.sql("INSERT INTO posting (version_id, locale) VALUES ($1, 'en')", story.version_id)
    ann = await story.person("ann")
    await story.told(ann)
    [row] = await story.rows("SELECT effective_at FROM version WHERE version_id = $1", story.version_id)
    date: datetime = row["effective_at"] + DAY
    await record(db, story.site, lines(activity(ann, date)), date)
    return story, date


async def test_use_of_what_was_not_seen_posted_amounts_to_nothing(db: Db) -> None:
    story, date = await _told_and_used(db)
    assert await accept(db, date) == 1
    assert await story.acceptances() == []


async def test_use_counts_from_the_posting_where_that_comes_last(db: Db) -> None:
    story, date = await _told_and_used(db)
    posted = date + DAY
    await story.sql("UPDATE posting SET posted_at = $1", posted)
    await accept(db, posted)
    assert await story.acceptances() == []
    await record(db, story.site, lines(activity("ann", posted + DAY)), posted + DAY)
    await accept(db, posted + DAY)
    [acceptance] = await story.acceptances()
    assert (acceptance["counts_from"], acceptance["accepted_at"]) == (posted, posted + DAY)
    assert datetime.fromisoformat(acceptance["evidence"]["posted_at"]) == posted
