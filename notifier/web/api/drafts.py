"""Drafts of versions: written, changed, reviewed, scheduled."""

from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from notifier.errors import Conflict
from notifier.letters.preview import Foreseen, preview_letters
from notifier.policies.authoring import amend, review, write
from notifier.policies.draft import Amendment, NewDraft
from notifier.policies.scheduling import schedule, unschedule
from notifier.sites.site import Locale, load_site
from notifier.web.api.campaigns import Step
from notifier.web.api.paths import Meant, Sha256, SitePath, VersionPath
from notifier.web.api.versions import VersionDetail, detail_of
from notifier.web.auth import Grant
from notifier.web.endpoint import Call, Endpoint
from notifier.web.public.texts import show_foreseen


class Reviewed(Step):
    """What was reviewed: exactly the draft with this digest."""

    sha256: Sha256 = Field(description="The version's `sha256`, as it was when it was read.")


class Schedule(BaseModel):
    """When a draft is published by itself."""

    model_config = ConfigDict(extra="forbid")

    publish_at: Annotated[str, StringConstraints(min_length=1, max_length=40)] = Field(
        description="A time on the site's clocks, or with an offset of its own.", examples=["2026-07-01T09:00"]
    )


class Which(BaseModel):
    """Which locale."""

    model_config = ConfigDict(extra="forbid")

    locale: Locale | None = Field(None, description="Only what people of this locale read.")


class WhichPage(BaseModel):
    """Which page."""

    model_config = ConfigDict(extra="forbid")

    locale: Locale


class LetterPreview(BaseModel):
    """What people of one locale of the site will read."""

    locale: str
    text_locale: str = Field(description="Another one where the draft has no text in theirs.")
    sender: str
    subject: str
    text: str = Field(description="The letter as plain text.")
    html: str = Field(description="The letter as HTML.")
    message_text: str = Field(description="The private message as plain text.")
    message_html: str = Field(description="The private message as HTML.")


class DraftPreview(BaseModel):
    """What will be read of a draft."""

    version_id: int
    told: bool = Field(description="Whether people are told at all: not of a first or an editorial version.")
    letters: list[LetterPreview]


async def write_draft(call: Call, path: SitePath, grant: Grant, body: NewDraft) -> VersionDetail:
    """Begin a draft. Nothing but its policy need be known yet; nobody sees it and nobody is told."""
    site = await load_site(call.db, path.site)
    return await detail_of(call, await write(call.db, site, body, grant.name, call.now))


async def amend_draft(call: Call, path: VersionPath, query: Meant, grant: Grant, body: Amendment) -> VersionDetail:
    """Change a draft. What is left out stays; any change undoes its review and its schedule."""
    site = await load_site(call.db, path.site)
    return await detail_of(call, await amend(call.db, site, path.version_id, body, grant.name, call.now, query.digest))


async def review_draft(call: Call, path: VersionPath, grant: Grant, body: Reviewed) -> VersionDetail:
    """Record your review of exactly this draft.

    Refused when it could not be published so: a version that people are told of wants a text in every locale of the
    site and a summary for each. Where the site says so, nobody who wrote at it can review it.
    """
    site = await load_site(call.db, path.site)
    sha256 = bytes.fromhex(body.sha256)
    version = await review(call.db, site, path.version_id, sha256, grant.name, body.reason, call.now)
    return await detail_of(call, version)


async def schedule_draft(call: Call, path: VersionPath, grant: Grant, body: Schedule) -> VersionDetail:
    """Have a reviewed draft published at an instant.

    A time that the site's clocks skip or show twice is refused, with what to say instead. Publishing sends nothing: its
    campaign waits for approval.
    """
    site = await load_site(call.db, path.site)
    return await detail_of(call, await schedule(call.db, site, path.version_id, body.publish_at, grant.name, call.now))


async def unschedule_draft(call: Call, path: VersionPath, grant: Grant) -> VersionDetail:
    """Take the time back. The draft stays reviewed."""
    site = await load_site(call.db, path.site)
    return await detail_of(call, await unschedule(call.db, site, path.version_id, grant.name, "", call.now))


async def preview_draft(call: Call, path: VersionPath, query: Which) -> DraftPreview:
    """Read the letters and private messages of a draft before it is published, in every locale of the site.

    Word for word as they will be if it is published at its time, or now; whoever has no text in their own locale
    reads the next one. Nothing is sent.
    """
    site = await load_site(call.db, path.site)
    service = call.service
    found = await preview_letters(call.db, service.keys, service.settings.public_url, site, path.version_id, call.now)
    letters = [_letter(one) for one in found if query.locale in (None, one.requested)]
    return DraftPreview(version_id=path.version_id, told=bool(found), letters=letters)


def _letter(one: Foreseen) -> LetterPreview:
    made = one.preview
    return LetterPreview(
        locale=one.requested, text_locale=made.locale, sender=made.sender, subject=made.subject,
        text=made.text, html=made.html, message_text=made.message.text, message_html=made.message.html,
    )  # fmt: skip


async def preview_page(call: Call, path: VersionPath, query: WhichPage) -> web.Response:
    """See the public page of a draft in one locale, exactly as it will be."""
    return await show_foreseen(call.request, path.site, path.version_id, query.locale)


_ALL = "/v1/sites/{site}/versions"
_ONE = _ALL + "/{version_id}"

ENDPOINTS = (
    Endpoint("POST", _ALL, write_draft, "draft", 201, once=True),
    Endpoint("PATCH", _ONE, amend_draft, "draft", refusals=(Conflict,)),
    Endpoint("POST", _ONE + "/review", review_draft, "publish", refusals=(Conflict,), once=True),
    Endpoint("POST", _ONE + "/schedule", schedule_draft, "publish", refusals=(Conflict,), once=True),
    Endpoint("GET", _ONE + "/preview", preview_draft, "read"),
    Endpoint(
        "GET", _ONE + "/preview/page", preview_page, "read",
        also={"text/html": "The page; nothing in it runs."},
    ),
    Endpoint("DELETE", _ONE + "/schedule", unschedule_draft, "publish", refusals=(Conflict,)),
)  # fmt: skip
