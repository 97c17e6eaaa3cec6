"""The same request again gets the same answer, and nothing happens twice.

A receipt keeps what was answered to a request that named itself: a webhook by its ``webhook-id``, any other by the
header ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header). Only success is kept: a refused request may be
mended and sent again under its name. What is done under a receipt is also safe against two at once on its own, so a
receipt need not be written before the work. The kept answers name no person.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from notifier.db import Db
from notifier.errors import Conflict, Invalid
from notifier.web.context import SERVICE

KEY = "Idempotency-Key"
LONGEST_KEY = 200


@dataclass(frozen=True)
class Receipt:
    """The name of a request, and the digest of what it said."""

    site: str
    name: str
    sha256: bytes


@dataclass(frozen=True)
class _Kept:
    sha256: bytes
    status: int
    answer: Any


def receipt_by_key(request: web.Request, body: bytes, actor: str) -> Receipt | None:
    """The receipt that the header Idempotency-Key asks for. Raises Invalid for a key that is too long."""
    key = request.headers.get(KEY)
    if not key:
        return None
    if len(key) > LONGEST_KEY:
        raise Invalid(f"the header Idempotency-Key has over {LONGEST_KEY} characters; a UUID does well")
    # Hashed, as the path may name a person and the receipt outlives them.
    named = f"{request.method} {request.path} {actor} {key}"
    name = hashlib.sha256(named.encode("utf-8", "replace")).hexdigest()
    return Receipt(request.match_info["site"], f"key:{name}", hashlib.sha256(body).digest())


async def answered(db: Db, receipt: Receipt) -> web.Response | None:
    """What was answered before. Raises Conflict when the same name came with another body."""
    kept = await db.first(_Kept, "web.receipt", site=receipt.site, webhook_id=receipt.name)
    if kept is None:
        return None
    if kept.sha256 != receipt.sha256:
        raise Conflict("this id came before with another body, which stands; send new content under a new id")
    return web.Response(body=orjson.dumps(kept.answer), status=kept.status, content_type="application/json")


async def keep(request: web.Request, receipt: Receipt, status: int, answer: bytes) -> None:
    """Keep an answer for the next time."""
    service = request.app[SERVICE]
    await service.db.run(
        "web.keep_receipt",
        site=receipt.site,
        webhook_id=receipt.name,
        sha256=receipt.sha256,
        status=status,
        answer=orjson.loads(answer),
        now=service.clock.now(),
    )
