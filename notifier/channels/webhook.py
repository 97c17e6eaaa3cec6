"""The site's own private messages: signed batches to the site's endpoint, with a result per person (Standard Webhooks).

The same batch carries the same ``webhook-id`` on every try, and every letter its own constant ``id``: an endpoint that
saw either before has nothing more to do. What may have arrived is ``unknown``, and is sent again by the endpoint's own
schedule, whatever the site decides about letters: that id makes no second message of it.
"""

import asyncio
import hashlib
import io
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import aiohttp
from pydantic import BaseModel, ValidationError
from standardwebhooks import Webhook as Signer
from yarl import URL

from notifier.channels.channel import Feedback, Permit, Ready, Sent, SentKind, held
from notifier.errors import Unauthenticated
from notifier.keys import Keys
from notifier.letters.letter import Letter
from notifier.outward import OutwardResolver, objection_to
from notifier.settings import Settings
from notifier.sites.site import Site, Webhook

MOST_IN_A_BATCH = 500
_LONGEST_ANSWER = 1024 * 1024
_KEPT_ANSWER = 200
_TIME = aiohttp.ClientTimeout(total=30, sock_connect=10)
_LONGEST_WAIT = 10 * 86400.0  # seconds: longer than anything is tried
_SECONDS = re.compile("[0-9]{1,6}")
# Said by who stands before the endpoint: it gave no answer, or none that was understood (RFC 9110, 15.6).
_NO_ANSWER = (502, 504)


class Result(BaseModel):
    """What the endpoint says of one person. ``reason`` is kept as evidence."""

    external_id: str
    result: Literal["accepted", "refused", "deferred"]
    reason: str = ""


class Answer(BaseModel):
    """An endpoint's answer. Whoever is not named was accepted, where it names nobody else than was asked about."""

    results: list[Result] = []


@dataclass(frozen=True)
class _Said:
    """What an endpoint answered to a whole batch, before anybody is looked at."""

    kind: SentKind
    class_: str | None
    reply: str
    retry_after: float | None = None
    results: Sequence[Result] = ()


_BY_RESULT: Mapping[str, tuple[SentKind, str | None]] = {
    "accepted": ("placed", None),
    "refused": ("refused", "declined"),
    "deferred": ("deferred", "endpoint"),
}


class WebhookChannel:
    """Private messages in the site's own inbox, handed over by a webhook. What the site accepted is placed."""

    name = "webhook"
    paced = True
    batch = MOST_IN_A_BATCH

    def __init__(self, keys: Keys, session: aiohttp.ClientSession, inside: frozenset[str]) -> None:
        self._keys, self._session, self._inside = keys, session, inside

    async def ready(self, site: Site) -> Ready:
        """Always: an endpoint that takes nothing now says so of each letter."""
        return Ready()

    async def send(self, site: Site, letters: Sequence[Letter], permit: Permit | None = None) -> AsyncIterator[Sent]:
        """One POST for every 500 letters."""
        for start in range(0, len(letters), MOST_IN_A_BATCH):
            batch = letters[start : start + MOST_IN_A_BATCH]
            if permit is not None and permit.withdrawn:
                for letter in batch:
                    yield held(letter, permit.withdrawn)
                continue
            said = await self._hand_over(site, batch)
            via = "" if site.webhook is None else URL(site.webhook.url).host or ""
            for one in _per_person(said, batch, via):
                yield one

    def endpoint(self, site: Site) -> str:
        """The site's webhook, as it is now."""
        return "" if site.webhook is None else endpoint_of(site.webhook)

    async def _hand_over(self, site: Site, batch: Sequence[Letter]) -> _Said:
        webhook = site.webhook
        if webhook is None:
            return _Said("deferred", "endpoint", "the site names no webhook")
        url = URL(webhook.url)
        if problem := objection_to(url, self._inside):
            return _Said("deferred", "endpoint", problem)
        body = b'{"type":"policy.notices","letters":[' + b",".join(letter.body for letter in batch) + b"]}"
        headers, begun = self._headers(site.site, webhook, batch, body), asyncio.Event()
        try:
            async with self._session.post(
                url, data=io.BytesIO(body), headers=headers, allow_redirects=False, trace_request_ctx=begun
            ) as answer:
                return await _read(answer)
        except TimeoutError:
            problem = "no answer in time"
        except (aiohttp.ClientError, OSError) as error:
            problem = _words(str(error)) or "connection lost"
        return _Said("unknown" if begun.is_set() else "deferred", "endpoint", problem)

    def _headers(self, site: str, webhook: Webhook, batch: Sequence[Letter], body: bytes) -> dict[str, str]:
        """Signed with the secret of this generation and the one before, so that the site can move over in between."""
        # Whoever is in it makes the batch: their ids are constant, and so is what each letter says.
        batch_id = "batch_" + hashlib.sha256("".join(one.message_id for one in batch).encode()).hexdigest()[:32]
        at = datetime.now(UTC)
        generations = [webhook.generation, *([webhook.generation - 1] if webhook.generation > 1 else [])]
        signers = [Signer(self._keys.message_secret(site, generation)) for generation in generations]
        return {
            "Content-Type": "application/json",
            "webhook-id": batch_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(signer.sign(batch_id, at, body.decode()) for signer in signers),
        }

    def hear(self, headers: Mapping[str, str], body: bytes) -> list[Feedback]:
        """The endpoint answers at once; there are no later reports. Raises Unauthenticated."""
        raise Unauthenticated("the webhook has no later reports: the site's answer to it says what came of each letter")


def endpoint_of(webhook: Webhook) -> str:
    """What a 410 ends: the address with the generation of its secret, which a site raises to come back to it."""
    return f"{webhook.url} {webhook.generation}"


def _per_person(said: _Said, batch: Sequence[Letter], via: str) -> Iterator[Sent]:
    """What an answer says of each letter. One that contradicts itself, or speaks of others, vouches for nobody."""
    named: dict[str, Result] = {}
    torn = set[str]()
    for result in said.results:
        if named.setdefault(result.external_id, result).result != result.result:
            torn.add(result.external_id)
    strangers = len(named.keys() - {letter.address for letter in batch})
    for letter in batch:
        mine = named.get(letter.address)
        if said.kind != "placed" or (mine is None and not strangers):
            yield Sent(letter, said.kind, said.class_, said.reply, via, said.retry_after)
        elif mine is None:
            reply = f"{said.reply} with results for {strangers} who were not asked about, and none for this person"
            yield Sent(letter, "unknown", "endpoint", reply, via)
        elif letter.address in torn:
            yield Sent(letter, "unknown", "endpoint", f"{said.reply} with several results for this person", via)
        else:
            kind, class_ = _BY_RESULT[mine.result]
            yield Sent(letter, kind, class_, f"{said.reply} {mine.result} {_words(mine.reason)}".strip(), via)


async def _read(answer: aiohttp.ClientResponse) -> _Said:
    """What a status and a body come to. A body that is too long or not as documented vouches for nobody."""
    reply = str(answer.status)
    if answer.status == 410:
        return _Said("refused", "gone", reply)
    if not 200 <= answer.status < 300:
        try:
            head = await answer.content.read(_KEPT_ANSWER)
        except (aiohttp.ClientError, OSError):
            head = b""  # the status says enough
        words = f"{reply} {_words(head.decode('utf-8', 'replace'))}".strip()
        kind: SentKind = "unknown" if answer.status in _NO_ANSWER else "deferred"
        return _Said(kind, "endpoint", words, seconds_asked(answer.headers.get("Retry-After", "")))
    body = bytearray()
    async for piece in answer.content.iter_chunked(64 * 1024):
        body += piece
        if len(body) > _LONGEST_ANSWER:
            return _Said("unknown", "endpoint", f"{reply} and an answer of more than {_LONGEST_ANSWER} bytes")
    if not body.strip() or answer.content_type != "application/json":
        return _Said("placed", None, reply)
    try:
        return _Said("placed", None, reply, results=Answer.model_validate_json(bytes(body)).results)
    except ValidationError as error:
        return _Said("unknown", "endpoint", f"{reply} and an answer that cannot be read: {_words(str(error))}")


def seconds_asked(value: str) -> float | None:
    """The seconds of a Retry-After (RFC 9110, 10.2.3), as a number or a date; None when there is none."""
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        return min(max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()), _LONGEST_WAIT)
    except (TypeError, ValueError, OverflowError):
        return None


def _words(text: str) -> str:
    """Somebody else's words in one printable line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_KEPT_ANSWER]


async def _begun(session: aiohttp.ClientSession, context: Any, parameters: object) -> None:
    """A connection is there, and the first bytes of a request are on their way: from now on it may arrive."""
    context.trace_request_ctx.set()


@asynccontextmanager
async def open_channel(settings: Settings, keys: Keys) -> AsyncIterator[WebhookChannel]:
    """Opens no connection yet: the first letter does. No cookies, no proxy, no redirects."""
    inside = frozenset(settings.webhook_hosts)
    connector = aiohttp.TCPConnector(resolver=OutwardResolver(inside), limit=16)
    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(_begun)
    async with aiohttp.ClientSession(
        connector=connector, timeout=_TIME, cookie_jar=aiohttp.DummyCookieJar(), max_line_size=8190,
        trace_configs=[tracing],
    ) as session:  # fmt: skip
        yield WebhookChannel(keys, session, inside)
