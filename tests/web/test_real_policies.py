"""Every version of a folder of real policies goes in by signed webhook and comes out byte for byte."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier.clock import MovableClock
from notifier.compose import Service
from notifier.sites.apply import apply
from notifier.sites.site import Policy, Site
from tests.flow.test_corpus import CORPUS
from tests.web.asking import Client


@pytest.mark.skipif(not (CORPUS / "index.json").is_file(), reason="no folder of real policies (NOTIFIER_CORPUS)")
async def test_real_versions_are_published_by_webhook_and_read_back_at_their_permanent_address(
    client: Client,
    service: Service,
    clock: MovableClock,
    site: Site,
    send_version: Callable[..., Awaitable[tuple[int, Any]]],
) -> None:
    documents = json.loads((CORPUS / "index.json").read_text("utf-8"))
    names = {Path(document["versions"][0]["file"]).parent.name: document for document in documents}
    policies = {name: Policy(titles={"en": document["document"]}) for name, document in names.items()}
    await apply(service.db, site.model_copy(update={"site": "corpus", "policies": policies}), clock.now())
    sent = {}
    for policy, document in names.items():
        for number, version in enumerate(document["versions"], 1):
            body = (CORPUS / version["file"]).read_bytes()
            text = {"media_type": "text/markdown", "body": body.decode("utf-8"), "summary": "It changed."}
            given = {"policy": policy, "label": str(number), "materiality": "material", "texts": {"en": text}}
            status, answer = await send_version("corpus", given, webhook_id=f"{policy}-{number}")
            assert status == 202
            assert (answer["campaign"] is None) == (number == 1), (
                "the first version is a baseline, nobody is told of it"
            )
            sent[f"/p/corpus/{policy}/{number}/en/raw"] = body
            clock.move(timedelta(days=1))
    for address, body in sent.items():
        async with client.get(address) as answer:
            assert (answer.status, await answer.read()) == (200, body)
