"""Asking the API in tests."""

import json
from io import BytesIO
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient

Client = TestClient[web.Request, web.Application]


class Api:
    """Asks with a token, and gives back the status and the JSON."""

    def __init__(self, client: Client, token: str) -> None:
        self.client = client
        self.headers = {"Authorization": f"Bearer {token}"}

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        headers = self.headers | more.pop("headers", {})
        if isinstance(body, bytes):
            more["data"] = BytesIO(body)
            headers.setdefault("Content-Type", "application/x-ndjson")
        elif body is not None:
            more["json"] = body
        async with self.client.request(method, path, headers=headers, **more) as answer:
            kind = answer.content_type
            return answer.status, await answer.json(content_type=kind) if "json" in kind else await answer.text()

    async def get(self, path: str, **more: Any) -> Any:
        status, answer = await self.ask("GET", path, **more)
        assert status == 200, answer
        return answer

    async def post(self, path: str, body: Any = None, expect: int = 200, **more: Any) -> Any:
        status, answer = await self.ask("POST", path, body, **more)
        assert status == expect, answer
        return answer


def submission(label: str, words: str = "We keep your address.", **more: Any) -> dict[str, Any]:
    """The body of a publishing webhook."""
    texts = {"en": {"media_type": "text/markdown", "body": f"# Privacy\n\n{words}", "summary": f"Now: {words}"}}
    return {"policy": "privacy", "label": label, "texts": texts} | more


def ndjson(*documents: Any) -> bytes:
    """Documents as NDJSON."""
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)
