"""What other systems tell us: reports of a channel about letters it handed over."""

import asyncio

from pydantic import BaseModel

from notifier.errors import NotFound, Unauthenticated, Unavailable
from notifier.outcomes.hear import hear
from notifier.web.api.paths import ChannelPath, ProviderPath
from notifier.web.context import PROVIDERS
from notifier.web.endpoint import ANYONE, ANYTHING, Call, Endpoint


class Heard(BaseModel):
    """How many reports changed something; a report that came before changes nothing."""

    news: int


async def hear_channel(call: Call, path: ChannelPath, raw: bytes) -> Heard:
    """Report what became of letters.

    The body is what the channel's other end sends: for `email` a bounce or a complaint as the mail it is
    (`message/rfc822`). The channel verifies it; what it did not send itself changes nothing.
    """
    channel = call.service.channels.get(path.channel)
    if channel is None:
        raise NotFound(f"no channel {path.channel!r} is switched on here")
    # Off the event loop: anybody may send a message that takes long to read.
    feedback = await asyncio.to_thread(channel.hear, call.request.headers, raw)
    return Heard(news=await hear(call.db, feedback, call.now))


async def hear_provider(call: Call, path: ProviderPath, raw: bytes) -> Heard:
    """Report what became of letters, as a mail service posts it: `ses`, `sendgrid`, `postmark` or `mailgun`.

    Each signs in its own way, and is heard where its key is in the settings. Events that say nothing of a letter of
    ours are taken and change nothing.
    """
    provider = call.request.app[PROVIDERS].get(path.provider)
    if provider is None or path.channel != "email":
        raise NotFound(f"no service {path.provider!r} is set up for the channel {path.channel!r} here")
    feedback = await provider.hear(call.request.headers, raw, call.service.clock.real())
    return Heard(news=await hear(call.db, feedback, call.now))


ENDPOINTS = (
    Endpoint("POST", "/hooks/{channel}", hear_channel, ANYONE, takes=ANYTHING, refusals=(Unauthenticated,)),
    Endpoint(
        "POST", "/hooks/{channel}/{provider}", hear_provider, ANYONE, takes=ANYTHING,
        refusals=(Unauthenticated, Unavailable),
    ),
)  # fmt: skip
