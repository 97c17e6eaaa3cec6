"""For the site's own login flow: what to show a person who signs in, and that it was shown."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from notifier.errors import Conflict
from notifier.letters.letter import Letter, Message
from notifier.letters.render import address_of
from notifier.policies.version import Label
from notifier.presenting.pending import Pending, load_pending
from notifier.presenting.present import Show
from notifier.presenting.shown import notice_of, record_shown
from notifier.sites.site import Locale, Slug
from notifier.web.api.inbox import WORDS
from notifier.web.api.paths import PersonPath
from notifier.web.endpoint import Call, Endpoint

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_ORDER = [Show.NOTHING, Show.BANNER, Show.PAGE, Show.GATE]


class Notice(BaseModel):
    """The words to show, in the person's locale. Show exactly these: `statement` names them."""

    locale: str
    subject: str
    html: str = Field(description="A harmless fragment that can stand inside any page.")
    text: str
    url: str = Field(description="The permanent address of the version's text in this locale.")
    changes_since: str | None = Field(
        description="The version that this person last knew, by its label: the words list what changed since."
    )
    redline_url: str | None = Field(description="The page with every word that changed since that version.")
    statement: str = Field(description="SHA-256 of `html`, in hex: what was shown is recorded under it.")


class PendingVersion(BaseModel):
    """The newest version of one policy that this person was considered for, or found when they registered."""

    policy: str
    version: str
    show: Show
    reason: str = Field(description="Why it is shown so, or not at all: docs/login.md lists the reasons.")
    published_at: datetime
    effective_at: datetime
    counts_from: datetime | None = Field(
        description="The person's own date: as told, or if this is shown now. Absent where use amounts to nothing."
    )
    new_purpose: bool
    processing_not_before: datetime | None = Field(
        description="For a new purpose: from when the notice allows it. Null: not (yet), or there is no new purpose."
    )
    notice: Notice | None = Field(description="What to show; null when that is nothing.")


class PendingAnswer(BaseModel):
    """What to show now. `show` is the strictest of the versions'."""

    show: Show
    versions: list[PendingVersion]


class ShownBody(BaseModel):
    """Exactly what was on the person's screen."""

    model_config = ConfigDict(extra="forbid")

    policy: Slug
    version: Label = Field(description="The version's label.")
    locale: Locale
    statement: Digest = Field(description="As `pending` gave it with the words.", examples=["0123456789abcdef" * 4])


class ShownAnswer(BaseModel):
    """That it is on record."""

    policy: str
    version: str
    locale: str
    statement: str
    news: bool = Field(description="False: it was on record already, and the first time counts.")


async def pending(call: Call, path: PersonPath) -> PendingAnswer:
    """Ask what to show a person who signs in: nothing, a banner, a page, or a gate that wants an act.

    With the words in their locale. Say `shown` once these were on the screen.
    """
    return await pending_answer(
        call, await load_pending(call.db, call.service.keys, path.site, path.external_id, call.now)
    )


async def pending_answer(call: Call, found: Sequence[Pending]) -> PendingAnswer:
    """What there is to show, with its words."""
    versions = [await _version(call, one) for one in found]
    return PendingAnswer(
        show=max((v.show for v in versions), key=_ORDER.index, default=Show.NOTHING), versions=versions
    )


async def shown(call: Call, path: PersonPath, body: ShownBody) -> ShownAnswer:
    """Record that a notice was shown to the signed-in person. It counts as told, and the first time counts.

    Name the words as `pending` gave them. Words that are no longer the ones to show are refused: ask `pending` again.
    """
    found = await load_pending(call.db, call.service.keys, path.site, path.external_id, call.now)
    one, letter = await what_was_shown(call, found, body.policy, body.version, body.locale, body.statement)
    news = await record_shown(call.db, one, letter, call.now)
    return ShownAnswer(**body.model_dump(), news=news)


async def what_was_shown(
    call: Call, found: Sequence[Pending], policy: str, label: str, locale: str, statement: str
) -> tuple[Pending, Letter]:
    """The version and the words that a caller says were shown. Raises Conflict unless they are those to show now."""
    one = next((one for one in found if one.policy == policy and one.locale), None)  # whom there are words for
    if one is None:
        raise Conflict(f"nothing was recorded: nobody had to tell this person of {policy!r}")
    if one.label != label or one.standing.newer:
        raise Conflict(
            f"nothing was recorded: {label!r} is not, or no longer, the version of {policy!r} to show this person; "
            "ask for what is pending again and show that"
        )
    letter = notice_of(await call.request.app[WORDS].writer(one.campaign_id, one.amended_by), one)
    if (one.locale, letter.sha256.hex()) != (locale, statement):
        raise Conflict(
            f"nothing was recorded: these are not the words of {label!r} for this person, whose locale is {one.locale};"
            " ask for what is pending again and show that"
        )
    return one, letter


async def _version(call: Call, one: Pending) -> PendingVersion:
    show = one.presentation.show
    return PendingVersion(
        policy=one.policy,
        version=one.label,
        show=show,
        reason=one.presentation.why,
        published_at=one.published_at,
        effective_at=one.effective_at,
        counts_from=one.counts_from,
        new_purpose=one.new_purpose,
        processing_not_before=one.processing_not_before,
        notice=None if show is Show.NOTHING else await _notice(call, one),
    )


async def _notice(call: Call, one: Pending) -> Notice:
    writer = await call.request.app[WORDS].writer(one.campaign_id, one.amended_by)
    letter = notice_of(writer, one)
    message: Message = writer.message(one.locale, one.time_zone, one.since, one.overlays)
    since, redline = writer.changes_since(one.locale, one.since)
    return Notice(
        locale=one.locale,
        subject=message.subject,
        html=message.html,
        text=message.text,
        url=address_of(writer.telling.texts[one.locale], call.service.settings.public_url),
        changes_since=since,
        redline_url=redline,
        statement=letter.sha256.hex(),
    )


_ONE = "/v1/sites/{site}/people/{external_id}"

ENDPOINTS = (
    Endpoint("GET", _ONE + "/pending", pending, "activity"),
    Endpoint("POST", _ONE + "/shown", shown, "activity", refusals=(Conflict,)),
)
