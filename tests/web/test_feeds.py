"""Feeds of what was published: valid, with ids for ever, the same as Atom and as JSON Feed."""

from datetime import timedelta
from pathlib import Path

import pytest
from lxml import etree

from notifier.compose import Service
from notifier.keys import Keys
from notifier.policies.places import newest_entry
from notifier.policies.publish import publish
from notifier.sites.site import Site
from notifier.web.public.feeds import stable_id
from tests.web.asking import Client
from tests.web.scene import submission

ATOM = {"a": "http://www.w3.org/2005/Atom"}
SCHEMA = etree.RelaxNG(etree.parse(Path(__file__).with_name("atom.rng")))


@pytest.fixture(autouse=True)
async def published(service: Service, site: Site) -> None:
    """One version in effect, and one that is to come."""
    now = service.clock.now()
    before = now - timedelta(days=31)
    await publish(service.db, site, submission("2025-11", effective_at=before.isoformat()), "command", before)
    coming = now + timedelta(days=40)
    await publish(service.db, site, submission("2026-03", effective_at=coming.isoformat()), "command", now)


async def atom(client: Client, path: str) -> etree._Element:
    """A feed that keeps the rules of RFC 4287."""
    async with client.get(path) as answer:
        assert (answer.status, answer.content_type) == (200, "application/atom+xml")
        root = etree.fromstring(await answer.read())
    SCHEMA.assertValid(root)
    ids = root.xpath("//a:id/text()", namespaces=ATOM)
    assert len(ids) == len(set(ids))
    return root


def texts(root: etree._Element, path: str) -> list[str]:
    """What stands at a path."""
    found: list[str] = root.xpath(path, namespaces=ATOM)
    return [str(one) for one in found]


@pytest.mark.parametrize("path", ["/p/kumo/feed.atom", "/p/kumo/privacy/feed.atom"])
async def test_a_feed_names_every_version_with_its_permanent_page_and_when_it_takes_effect(
    client: Client, path: str
) -> None:
    root = await atom(client, path)
    assert texts(root, "//a:entry/a:title/text()") == ["Privacy Policy 2026-03", "Privacy Policy 2025-11"]
    assert texts(root, "//a:entry/a:link[@rel='alternate']/@href") == [
        "http://notices.example/p/kumo/privacy/2026-03/en", "http://notices.example/p/kumo/privacy/2025-11/en",
    ]  # fmt: skip
    assert texts(root, "//a:feed/a:link[@rel='self']/@href") == [f"http://notices.example{path}?locale=en"]
    [first, _] = texts(root, "//a:entry/a:summary/text()")
    assert first.startswith("Takes effect on ")
    assert "We keep orders for two years" in first


async def test_each_language_has_its_own_feed_and_others_have_none(client: Client) -> None:
    root = await atom(client, "/p/kumo/privacy/feed.atom?locale=ja")
    assert root.get("{http://www.w3.org/XML/1998/namespace}lang") == "ja"
    assert texts(root, "/a:feed/a:title/text()") == ["くもストア: プライバシーポリシー"]
    assert "効力が発生します" in texts(root, "//a:summary/text()")[0]
    for query in ("locale=de", "locale=ja&locale=en", "page=2"):
        async with client.get(f"/p/kumo/privacy/feed.atom?{query}") as answer:
            assert answer.status == 404


async def test_ids_stay_when_versions_come(client: Client, service: Service, site: Site) -> None:
    before = texts(await atom(client, "/p/kumo/privacy/feed.atom"), "//a:id/text()")
    later = service.clock.now() + timedelta(days=50)
    await publish(
        service.db, site, submission("2026-05", effective_at=later.isoformat()), "command", service.clock.now()
    )
    after = texts(await atom(client, "/p/kumo/privacy/feed.atom"), "//a:id/text()")
    assert [one for one in after if one in before] == before
    assert len(after) == len(before) + 1
    fixed = stable_id(Keys(b"a secret of thirty-two characters"), "kumo", "privacy", "en", "1")
    assert fixed == "urn:uuid:56ebf1e0-b988-59b7-a784-13739e9cec84"


async def test_our_own_reader_of_feeds_reads_it(client: Client) -> None:
    async with client.get("/p/kumo/privacy/feed.atom") as answer:
        entry = newest_entry(await answer.read())
    assert entry.findtext("a:title", namespaces=ATOM) == "Privacy Policy 2026-03"


async def test_the_json_says_the_same(client: Client) -> None:
    root = await atom(client, "/p/kumo/privacy/feed.atom")
    async with client.get("/p/kumo/privacy/feed.json") as answer:
        assert answer.content_type == "application/feed+json"
        feed = await answer.json(content_type=None)
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert [item["id"] for item in feed["items"]] == texts(root, "//a:entry/a:id/text()")
    assert [item["url"] for item in feed["items"]] == texts(root, "//a:entry/a:link[@rel='alternate']/@href")
    first = feed["items"][0]
    assert (first["language"], first["_policy"]["label"]) == ("en", "2026-03")
    async with client.get(first["attachments"][0]["url"].removeprefix("http://notices.example")) as answer:
        raw = await answer.read()
        assert answer.headers["ETag"].strip('"') == first["_policy"]["sha256"]
    assert len(raw) == first["attachments"][0]["size_in_bytes"]
