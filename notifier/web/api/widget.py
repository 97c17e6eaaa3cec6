"""What the widget on a site's own pages asks with a person token: what to show, that it was shown, an act."""

from typing import Literal

from pydantic import Field

from notifier.errors import Conflict, NotFound
from notifier.keys import ActLink, PersonToken
from notifier.lanes import new_id
from notifier.presenting.act import Shown, act
from notifier.presenting.pending import Pending, load_pending
from notifier.presenting.present import Show
from notifier.presenting.shown import record_shown
from notifier.web.api.login import PendingAnswer, ShownAnswer, ShownBody, pending_answer, what_was_shown
from notifier.web.cors import PREFIX
from notifier.web.endpoint import PERSON, Call, Endpoint

VIA = "the site's page, by the widget"


class WidgetAct(ShownBody):
    """What a person says about exactly the version whose words were on their screen."""

    act: Literal["accept", "object"]
    words: str = Field("", max_length=5000, description="Their own words, of an objection.")


class WidgetActed(ShownAnswer):
    """That it is on record."""

    act: Literal["accept", "object"]


async def my_pending(call: Call, person: PersonToken) -> PendingAnswer:
    """Ask what to show oneself: nothing, a banner, a page, or a gate that wants an act.

    As `GET …/people/{external_id}/pending`, asked by the person's browser.
    """
    return await pending_answer(call, await _found(call, person))


async def my_shown(call: Call, person: PersonToken, body: ShownBody) -> ShownAnswer:
    """Record that the words were on one's own screen. The first time counts.

    As `POST …/people/{external_id}/shown`: words that are no longer the ones to show are refused.
    """
    found = await _found(call, person)
    one, letter = await what_was_shown(call, found, body.policy, body.version, body.locale, body.statement)
    news = await record_shown(call.db, one, letter, call.now)
    return ShownAnswer(**body.model_dump(), news=news)


async def my_act(call: Call, person: PersonToken, body: WidgetAct) -> WidgetActed:
    """Accept exactly this version, or object to it.

    The words that the act was on are recorded with it; words that are no longer the ones to show are refused. An
    acceptance is a fact about a contract. It is not consent to any processing of data.
    """
    found = await _found(call, person)
    one, _ = await what_was_shown(call, found, body.policy, body.version, body.locale, body.statement)
    if one.presentation.show is Show.NOTHING:
        raise Conflict(
            f"nothing was recorded: there is nothing to say of {body.version!r} now ({one.presentation.why})"
        )
    link = ActLink(person.site, person.lane, person.person_id, one.version_id, new_id(), person.expires)
    shown = Shown(body.locale, body.statement)
    _, news = await act(call.db, link, body.policy, body.act, shown, body.words, call.now, via=VIA)
    return WidgetActed(**body.model_dump(exclude={"words"}), news=news)


async def _found(call: Call, person: PersonToken) -> list[Pending]:
    external_id = await call.db.value("presenting.external_id", lane=person.lane, person_id=person.person_id)
    if external_id is None:
        raise NotFound("there is nobody with this token any more")
    return list(await load_pending(call.db, call.service.keys, person.site, external_id, call.now))


ENDPOINTS = (
    Endpoint("GET", PREFIX + "/pending", my_pending, PERSON, refusals=(NotFound,)),
    Endpoint("POST", PREFIX + "/pending/shown", my_shown, PERSON, refusals=(NotFound, Conflict)),
    Endpoint("POST", PREFIX + "/pending/acts", my_act, PERSON, refusals=(NotFound, Conflict)),
)
