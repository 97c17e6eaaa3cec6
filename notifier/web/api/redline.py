"""What changed between any two versions of a policy, also pending ones, for whoever writes and reviews them."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Literal

import css_inline
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from notifier.errors import NotFound
from notifier.pages import LANGUAGES
from notifier.policies.diff import Comparison
from notifier.policies.publish import Version, VersionText, list_versions, texts_of
from notifier.policies.redline import shown, to_json, to_markdown, verdict
from notifier.resources import resource
from notifier.sites.site import Locale, load_site
from notifier.web.api.paths import PolicyPath
from notifier.web.context import PAGES
from notifier.web.endpoint import Call, Endpoint
from notifier.web.public.contents import compared
from notifier.web.public.texts import text_in

PENDING = "pending"
Which = Annotated[str, StringConstraints(pattern=r"^(?:[A-Za-z0-9][A-Za-z0-9._-]{0,63}|@[1-9][0-9]{0,8})$")]


class Between(BaseModel):
    """Which two versions, and in which locale."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    old: Which = Field(alias="from", description="A label; `pending`; or `@` and the id of a version.")
    new: Which = Field(alias="to", description="Likewise.")
    locale: Locale | None = Field(None, description="Left out: the first of the site's that both have a text in.")


class RedlinePiece(BaseModel):
    """Words that stayed, went or came."""

    op: Literal["same", "removed", "added"]
    text: str


class RedlineLink(BaseModel):
    """Words whose link leads to another site."""

    words: str
    old: str
    new: str


class RedlineClause(BaseModel):
    """One clause in which something changed."""

    change: str
    moved: bool
    kind: str = Field(description="heading, text, item or cell.")
    pieces: list[RedlinePiece]
    links: list[RedlineLink]


class RedlineSection(BaseModel):
    """One section, by its name in the newer text."""

    section: str
    change: Literal["added", "removed", "moved", "renamed", "edited", "same"]
    was: str | None = Field(description="What it was called, where that was another name.")
    moved: bool
    words_added: int
    words_removed: int
    clauses: list[RedlineClause]


class Redline(BaseModel):
    """What changed, section by section and word by word; and what differs and is no change."""

    old: str
    new: str
    locale: str
    meaning_changed: bool
    words_added: int
    words_removed: int
    sections: list[RedlineSection]
    noise: dict[str, int] = Field(description="Step → how often: docs/comparing.md has the steps.")


async def compare_versions(call: Call, path: PolicyPath, query: Between) -> Redline | web.Response:
    """Compare two versions of a policy; `pending` is the one that waits to be published.

    As JSON, or with `Accept: text/html` a page that needs nothing else, or with `Accept: text/markdown`. Published
    versions can be compared without a token, on their public pages.
    """
    site = await load_site(call.db, path.site)
    if path.policy not in site.policies:
        raise NotFound(f"{path.site} has no policy {path.policy!r}")
    versions = await list_versions(call.db, path.site, path.policy)
    older = await texts_of(call.db, _named(versions, query.old).version_id)
    newer = await texts_of(call.db, _named(versions, query.new).version_id)
    locale = query.locale or _common(site.locales, older, newer)
    before, after = text_in(older, locale), text_in(newer, locale)
    found = await asyncio.to_thread(compared, before.media_type, before.body, after.media_type, after.body, locale)
    wanted = call.request.headers.get("Accept", "")
    if "text/html" in wanted:
        return web.Response(text=_page(call, query, locale, found), content_type="text/html", headers=_VARY)
    if "text/markdown" in wanted:
        words = to_markdown(found, call.request.app[PAGES].tongue(_language(locale)).t)
        return web.Response(text=words, content_type="text/markdown", headers=_VARY)
    return Redline(old=query.old, new=query.new, locale=locale, **to_json(found))


_VARY = {"Vary": "Accept"}


def _named(versions: Sequence[Version], which: str) -> Version:
    """The version that is called so: the pending one, the one with an id, or the published one with a label."""
    for version in versions:
        if which == f"@{version.version_id}":
            return version
        if version.state == "published" and which == version.label:
            return version
    for version in versions:
        if which == PENDING == version.state:
            return version
    raise NotFound(f"this policy has no version {which!r}; name a label, `pending`, or `@` and a version's id")


def _common(order: Sequence[str], older: Sequence[VersionText], newer: Sequence[VersionText]) -> str:
    """The first locale that both have a text in, by the site's order. Raises NotFound."""
    both = {text.locale for text in older} & {text.locale for text in newer}
    for locale in [*order, *sorted(both)]:
        if locale in both:
            return locale
    raise NotFound("these two versions have no locale in common")


def _page(call: Call, query: Between, locale: str, found: Comparison) -> str:
    """A page that stands alone; its styles lie in the page."""
    pages = call.request.app[PAGES]
    language = _language(locale)
    said = verdict(found, pages.tongue(language).t)
    page = pages.render(
        "diff/redline.html.j2", language,
        old=query.old, new=query.new, locale=locale, verdict=said, sections=shown(found), noise=found.noise,
    )  # fmt: skip
    css = (resource("templates") / "diff" / "redline.css").read_text("utf-8")
    return css_inline.CSSInliner(extra_css=css, load_remote_stylesheets=False).inline(page)


def _language(locale: str) -> str:
    return locale if locale in LANGUAGES else locale.partition("-")[0]


ENDPOINTS = (
    Endpoint(
        "GET", "/v1/sites/{site}/policies/{policy}/redline", compare_versions, "read",
        also={"text/html": "A page that stands alone.", "text/markdown": "~~Removed~~ and **added**."},
    ),
)  # fmt: skip
