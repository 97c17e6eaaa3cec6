"""Every version of a folder of real policies, published in order and read back byte for byte."""

import hashlib
import json
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from notifier.db import Db
from notifier.policies.authoring import confirm
from notifier.policies.draft import Amendment
from notifier.policies.publish import find_version, list_versions, publish, texts_of
from notifier.policies.sources import look_at_sources
from notifier.policies.version import Submission
from notifier.sites.apply import apply
from notifier.sites.site import Policy, Site, Watch
from tests.flow.far_pages import far_pages

pytestmark = pytest.mark.long

CORPUS = Path(os.environ.get("NOTIFIER_CORPUS") or Path(__file__).parents[2].parent / "shared" / "corpus")


@pytest.mark.skipif(not (CORPUS / "index.json").is_file(), reason="no folder of real policies (NOTIFIER_CORPUS)")
async def test_real_versions_are_published_in_order_and_read_back_byte_for_byte(
    db: Db, site: Site, now: datetime
) -> None:
    documents = json.loads((CORPUS / "index.json").read_text("utf-8"))
    names = {Path(document["versions"][0]["file"]).parent.name: document for document in documents}
    policies = {name: Policy(titles={"en": document["document"]}) for name, document in names.items()}
    corpus = site.model_copy(update={"site": "corpus", "policies": policies})
    await apply(db, corpus, now)
    published = 0
    for policy, document in names.items():
        for number, version in enumerate(document["versions"], 1):
            body = (CORPUS / version["file"]).read_bytes()
            submission = Submission.model_validate(
                {"policy": policy, "label": str(number), "texts": {"en": {"body": body.decode("utf-8")}}}
            )
            found, is_new = await publish(db, corpus, submission, "webhook", now + timedelta(days=published))
            assert (is_new, found.ordinal) == (True, number)
            [text] = await texts_of(db, (await find_version(db, "corpus", policy, str(number))).version_id)
            assert text.body == body
            assert text.sha256 == hashlib.sha256(body).digest()
            published += 1
    assert published == sum(len(document["versions"]) for document in documents)
    assert len(await list_versions(db, "corpus")) == published


@pytest.mark.skipif(not (CORPUS / "index.json").is_file(), reason="no folder of real policies (NOTIFIER_CORPUS)")
async def test_real_pages_that_change_over_time_open_versions_for_changes_of_meaning_alone(
    db: Db, site: Site, now: datetime
) -> None:
    """Every document of the folder is a page of a real web server, which shows one version after the other."""
    documents = {}
    for document in json.loads((CORPUS / "index.json").read_text("utf-8")):
        files = [CORPUS / version["file"] for version in document["versions"]]
        documents[files[0].parent.name] = files
    async with far_pages() as pages:
        sources = [{"policy": name, "locale": "en", "page": f"{pages.url}/{name}"} for name in documents]
        policies = {name: Policy(titles={"en": name}) for name in documents}
        watch = Watch.model_validate({"sources": sources, "agree": 1})
        watched = site.model_copy(update={"site": "corpus", "policies": policies, "locales": ["en"], "watch": watch})
        await apply(db, watched, now)
        opened = dict.fromkeys(documents, 0)
        for turn in range(max(len(files) for files in documents.values())):
            for name, files in documents.items():
                if turn < len(files):
                    pages.bodies[f"/{name}"] = files[turn].read_bytes()
            pages.headers["Content-Type"] = "text/markdown; charset=utf-8"
            now += timedelta(hours=2)
            while await look_at_sources(db, ("127.0.0.1",), now):
                pass
            pending = {v.policy: v for v in await list_versions(db, "corpus") if v.state == "pending"}
            for state in await db.many(dict, "watch.sources", site="corpus"):
                name = state["policy"]
                assert (name in pending) == (state["verdict"] in ("first", "changed")), (name, turn, state)
                if name in pending:
                    opened[name] += 1
                    await confirm(
                        db,
                        watched,
                        pending[name].version_id,
                        Amendment(label=str(turn), materiality="editorial"),
                        "mai",
                        now,
                    )
        assert all(opened.values()), opened
