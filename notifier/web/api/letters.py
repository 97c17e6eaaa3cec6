"""The letter that one attempt handed over, written again and held to its recorded SHA-256."""

from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from notifier.campaigns.campaign import load_campaign
from notifier.errors import Conflict
from notifier.letters.rebuild import rebuild
from notifier.people.roster import get_person
from notifier.web.api.paths import CampaignPath, PersonPath
from notifier.web.endpoint import Call, Endpoint
from notifier.web.reading import Whole

_RAW = "Without signatures. `Letter-SHA256` is the recorded one, `Letter-Matches` whether this letter has it."


class LetterPath(CampaignPath, PersonPath):
    """One person of one campaign."""


class WhichLetter(BaseModel):
    """Which attempt. Left out: the last one."""

    model_config = ConfigDict(extra="forbid")

    channel: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,19}$")] | None = Field(
        None, description="Only by this channel, like email."
    )
    attempt: Whole | None = Field(None, ge=1, le=32767, description="The attempt's number, as in the timeline.")


async def one_letter(call: Call, path: LetterPath, query: WhichLetter) -> web.Response:
    """The exact letter of one attempt, written again from the record.

    Email is `message/rfc822`, a message by webhook `application/json`, a private message of ours `text/html`. What
    lies in the inbox from the opening of the campaign was handed over by no attempt, and is read there.
    """
    await load_campaign(call.db, path.site, path.campaign_id)
    person = await get_person(call.db, call.service.keys, path.site, path.external_id)
    found = await rebuild(
        call.db, call.service.keys, path.campaign_id, person.lane, person.person_id,
        channel=query.channel, attempt=query.attempt,
    )  # fmt: skip
    headers = {
        "Content-Type": found.media_type,
        "Content-Disposition": f'attachment; filename="campaign-{path.campaign_id}-{found.channel}-{found.attempt}"',
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Letter-SHA256": found.sha256.hex(),
        "Letter-Matches": "true" if found.matches else "false",
        "Letter-Channel": found.channel,
        "Letter-Attempt": str(found.attempt),
        "Letter-Sent": found.at.isoformat(),
    }
    return web.Response(body=found.body, headers=headers)


ENDPOINTS = (
    Endpoint(
        "GET", "/v1/sites/{site}/campaigns/{campaign_id}/people/{external_id}/letter", one_letter, "people",
        refusals=(Conflict,),
        also={"message/rfc822": _RAW, "application/json": "A message by webhook.", "text/html": "A private message."},
    ),
)  # fmt: skip
