"""Every version of a folder of real policies, published in order and read back byte for byte."""

import hashlib
import json
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from notifier.db import Db
from notifier.policies.publish import find_version, list_versions, publish, texts_of
from notifier.policies.version import Submission
from notifier.sites.apply import apply
from notifier.sites.site import Policy, Site

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
