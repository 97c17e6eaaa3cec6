"""A person's own messages, for the site's pages. Asked with a person token, by the browser or by the site."""

from datetime import datetime

import orjson
from aiohttp import web
from aiohttp_sse import sse_response
from pydantic import BaseModel, Field

from notifier.compose import Service
from notifier.errors import NotFound, Undeliverable
from notifier.keys import PersonToken
from notifier.letters.gather import gather
from notifier.letters.letter import Message
from notifier.letters.write import Writer
from notifier.outcomes.inbox import Mark, Placed, list_messages, load_message, mark
from notifier.web.api.paths import InboxPath
from notifier.web.endpoint import PERSON, Call, Endpoint
from notifier.web.live import LIVE

# Campaigns whose words are kept at hand; the latest are the ones that people read.
MOST_WRITERS = 64


class InboxEntry(BaseModel):
    """One message, without its words."""

    campaign_id: int = Field(description="The message's number.")
    corrects: int | None = Field(description="The message that this one corrects.")
    site: str
    policy: str
    label: str
    locale: str
    subject: str
    effective_at: datetime
    placed_at: datetime = Field(description="Since when it is there.")
    shown_at: datetime | None
    acknowledged_at: datetime | None
    changes_since: str | None = Field(
        description="The version that this person last knew, by its label: the message lists what changed since."
    )
    redline_url: str | None = Field(description="The page with every word that changed since that version.")


class InboxMessage(InboxEntry):
    """One message with its words."""

    html: str = Field(description="A harmless fragment that can stand inside any page.")
    text: str


class InboxList(BaseModel):
    """All messages, the newest first."""

    unread: int = Field(description="How many were not shown yet.")
    messages: list[InboxEntry]


class Words:
    """Finds the words of messages: written once per campaign, locale and time zone, for everybody."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._writers: dict[tuple[int, int | None], Writer] = {}

    async def of(self, placed: Placed) -> Message:
        """The words of one message. Raises NotFound when its version has no such text."""
        try:
            writer = await self.writer(placed.campaign_id, placed.amended_by)
            return writer.message(placed.locale, placed.time_zone, placed.since, placed.overlays)
        except Undeliverable as error:
            raise NotFound(str(error)) from error

    async def writer(self, campaign_id: int, amended_by: int | None) -> Writer:
        """Who writes the words of a campaign, as they are since a correction."""
        key = campaign_id, amended_by
        writer = self._writers.get(key)
        if writer is None:
            telling = await gather(self._service.db, *key)
            writer = Writer(telling, self._service.keys, self._service.settings.public_url)
            if len(self._writers) >= MOST_WRITERS:
                del self._writers[next(iter(self._writers))]
            self._writers[key] = writer
        return writer


WORDS = web.AppKey("words", Words)


async def my_messages(call: Call, person: PersonToken) -> InboxList:
    """List one's messages, the newest first."""
    placed = await list_messages(call.db, person.lane, person.person_id)
    words = call.request.app[WORDS]
    entries = [await _entry(words, one, await words.of(one)) for one in placed]
    return InboxList(unread=sum(one.shown_at is None for one in placed), messages=entries)


async def my_message(call: Call, person: PersonToken, path: InboxPath) -> InboxMessage:
    """Read one message.

    Reading through the API is not yet showing: say so with `POST …/shown` once it is on the screen.
    """
    return await _message(call, await load_message(call.db, person.lane, person.person_id, path.campaign_id))


async def message_shown(call: Call, person: PersonToken, path: InboxPath) -> InboxMessage:
    """Record that a message was on the person's screen. The first time counts."""
    return await _mark(call, person, path, "shown")


async def message_acknowledged(call: Call, person: PersonToken, path: InboxPath) -> InboxMessage:
    """Record that the person acknowledged a message.

    It says that they saw it, nothing more: it is not an acceptance of the version.
    """
    return await _mark(call, person, path, "acknowledged")


async def _mark(call: Call, person: PersonToken, path: InboxPath, what: Mark) -> InboxMessage:
    marked = await mark(call.db, person.lane, person.person_id, path.campaign_id, what, call.now)
    return await _message(call, marked)


async def _message(call: Call, placed: Placed) -> InboxMessage:
    words = call.request.app[WORDS]
    message = await words.of(placed)
    entry = await _entry(words, placed, message)
    return InboxMessage(**entry.model_dump(), html=message.html, text=message.text)


async def _entry(words: Words, placed: Placed, message: Message) -> InboxEntry:
    since, redline = (await words.writer(placed.campaign_id, placed.amended_by)).changes_since(
        placed.locale, placed.since
    )
    return InboxEntry(
        campaign_id=placed.campaign_id,
        corrects=placed.corrects,
        site=placed.site,
        policy=placed.policy,
        label=placed.label,
        locale=placed.locale,
        subject=message.subject,
        effective_at=placed.effective_at,
        placed_at=placed.placed_at,
        shown_at=placed.shown_at,
        acknowledged_at=placed.acknowledged_at,
        changes_since=since,
        redline_url=redline,
    )


async def live_messages(call: Call, person: PersonToken) -> web.StreamResponse:
    """Follow one's messages live, as server-sent events.

    An event `inbox` with `{"unread": n, "newest": campaign_id}` comes at once and whenever that changes. Read it with
    `fetch`, which can send the token in a header; a token in an address would end up in logs.
    """
    live = call.request.app[LIVE]
    said = None
    async with sse_response(call.request) as events:
        while events.is_connected() and not live.closed and person.expires > call.service.clock.now():
            placed = await list_messages(call.db, person.lane, person.person_id)
            newest = placed[0].campaign_id if placed else None
            state = {"unread": sum(one.shown_at is None for one in placed), "newest": newest}
            if state != said:
                await events.send(orjson.dumps(state).decode(), event="inbox")
                said = state
            await live.wait()
    return events


_ONE = "/v1/inbox/{campaign_id}"

ENDPOINTS = (
    Endpoint("GET", "/v1/inbox", my_messages, PERSON),
    Endpoint("GET", "/v1/inbox/live", live_messages, PERSON, also={"text/event-stream": "Events named `inbox`."}),
    Endpoint("GET", _ONE, my_message, PERSON),
    Endpoint("POST", _ONE + "/shown", message_shown, PERSON),
    Endpoint("POST", _ONE + "/acknowledged", message_acknowledged, PERSON),
)
