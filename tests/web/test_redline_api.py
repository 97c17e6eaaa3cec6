"""What changed between any two versions, for whoever writes and reviews them."""

from collections.abc import Awaitable, Callable

import pytest

from notifier.compose import Service
from notifier.policies.pending import submit_pending
from notifier.policies.publish import publish
from notifier.policies.version import Submission, Text
from notifier.sites.site import Site
from tests.web.asking import Api, Client

PATH = "/v1/sites/kumo/policies/privacy/redline"


@pytest.fixture
async def published(service: Service, site: Site) -> None:
    for label, days in (("one", "30"), ("two", "60")):
        texts = {
            "en": {"body": f"# Privacy\n\n## Keeping\n\nWe keep letters for {days} days."},
            "ja": {"body": f"# プライバシー\n\n## 保存\n\n手紙を{days}日間保存します。"},
        }
        body = {"policy": "privacy", "label": label, "materiality": "material", "texts": texts}
        await publish(service.db, site, Submission.model_validate(body), "command", service.clock.now())


async def answer(api: Api, query: str, accept: str) -> tuple[str, str]:
    async with api.client.get(f"{PATH}?{query}", headers=api.headers | {"Accept": accept}) as found:
        assert found.status == 200
        assert found.headers["Cache-Control"] == "no-store"
        return found.content_type, await found.text()


async def test_two_versions_are_compared_as_json_html_or_markdown(api: Api, published: None) -> None:
    found = await api.get(f"{PATH}?from=one&to=two")
    assert (found["old"], found["new"], found["locale"], found["meaning_changed"]) == ("one", "two", "en", True)
    (section,) = [section for section in found["sections"] if section["change"] == "edited"]
    assert section["section"] == "Keeping"
    pieces = [(piece["op"], piece["text"]) for piece in section["clauses"][0]["pieces"]]
    assert ("removed", "30") in pieces
    assert ("added", "60") in pieces
    kind, page = await answer(api, "from=one&to=two&locale=ja", "text/html")
    assert (kind, '<html lang="ja">' in page, "<script" in page) == ("text/html", True, False)
    assert "60" in page
    kind, words = await answer(api, "from=two&to=one", "text/markdown")
    assert kind == "text/markdown"
    assert "~~60~~ **30**" in words or "~~60~~**30**" in words


async def test_a_pending_version_is_compared_before_anybody_confirms_it(
    api: Api, client: Client, service: Service, site: Site, published: None, token: Callable[..., Awaitable[str]]
) -> None:
    texts = {"en": Text(media_type="text/markdown", body="# Privacy\n\n## Keeping\n\nWe keep letters for ever.")}
    version = await submit_pending(service.db, site, "privacy", texts, "folder", service.clock.now())
    assert version is not None
    for name in ("pending", f"@{version.version_id}"):
        found = await api.get(f"{PATH}?from=two&to={name}")
        assert found["meaning_changed"]
    async with client.get("/p/kumo/privacy/pending/en/since/two") as public:
        assert public.status == 404
    stranger = Api(client, await token("send", site="kumo"))
    assert (await stranger.ask("GET", f"{PATH}?from=one&to=two"))[0] == 403


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("from=one&to=nine", 404),
        ("from=one&to=pending", 404),
        ("from=one&to=@99999", 404),
        ("from=one&to=two&locale=fr", 404),
        ("from=one", 422),
        ("from=one&to=%00", 422),
        ("from=one&to=two&more=1", 422),
    ],
)
async def test_what_cannot_be_compared_is_said(api: Api, published: None, query: str, status: int) -> None:
    code, said = await api.ask("GET", f"{PATH}?{query}")
    assert (code, bool(said["detail"])) == (status, True)
    assert (await api.ask("GET", "/v1/sites/kumo/policies/nothing/redline?from=one&to=two"))[0] == 404
