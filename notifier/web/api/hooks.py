"""What other systems tell us: reports of a channel about letters it handed over."""

from pydantic import BaseModel

from notifier.errors import NotFound, Unauthenticated
from notifier.outcomes.hear import hear
from notifier.web.api.paths import ChannelPath
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
    return Heard(news=await hear(call.db, channel.hear(call.request.headers, raw), call.now))


ENDPOINTS = (Endpoint("POST", "/hooks/{channel}", hear_channel, ANYONE, takes=ANYTHING, refusals=(Unauthenticated,)),)
