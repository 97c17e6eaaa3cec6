"""One draft: how far it has come, what it hints at, what people will read, and the next steps."""

from typing import Any

from aiohttp import web

from notifier.errors import Conflict, Fault, Invalid, NotFound, NotifierError
from notifier.letters.preview import preview_letters
from notifier.policies.authoring import draft_of, history, review, write
from notifier.policies.draft import NewDraft, incomplete
from notifier.policies.publish import Version, find_version, latest_of, load_version
from notifier.policies.scheduling import schedule, unschedule
from notifier.sites.site import Site, load_site
from notifier.web.auth import grant_of
from notifier.web.changes import changes_of, proposed, shown_text
from notifier.web.console.frame import desk
from notifier.web.context import SERVICE
from notifier.web.page import language_of
from notifier.web.public.texts import show_foreseen
from notifier.web.reading import read_form


async def show_draft(request: web.Request) -> web.Response:
    """The page."""
    grant_of(request).demand(request.match_info["site"], "read")
    return await _page(request)


async def take_step(request: web.Request) -> web.Response:
    """Review it, schedule it, or take the time back."""
    db, name = request.app[SERVICE].db, request.match_info["site"]
    grant_of(request).demand(name, "publish")
    site, version_id = await load_site(db, name), int(request.match_info["version_id"])
    form, who, now = await read_form(request), grant_of(request).name, request.app[SERVICE].clock.now()
    try:
        if request.match_info["step"] == "review":
            await review(db, site, version_id, _digest(str(form.get("sha256", ""))), who, "", now)
        elif request.match_info["step"] == "schedule":
            await schedule(db, site, version_id, str(form.get("publish_at", "")), who, now)
        else:
            await unschedule(db, site, version_id, who, "", now)
    except (Invalid, Conflict) as problem:
        return await _page(request, problem)
    raise web.HTTPSeeOther(f"/console/sites/{name}/versions/{version_id}")


async def begin(request: web.Request) -> web.Response:
    """A draft that says what the newest version says: to be changed, or to mend a typing mistake in it."""
    db, name, policy = request.app[SERVICE].db, request.match_info["site"], request.match_info["policy"]
    grant_of(request).demand(name, "draft")
    site = await load_site(db, name)
    latest = await latest_of(db, name, policy)
    if latest is None:
        raise NotFound(f"{name} has published no version of {policy!r} to begin with")
    newest = await draft_of(db, await find_version(db, name, policy, latest.label))
    texts = {locale: text.model_copy(update={"summary": ""}) for locale, text in newest.texts.items()}
    mends = request.match_info["what"] == "correction"
    more: dict[str, Any] = {"materiality": "editorial", "corrects": latest.label} if mends else {}
    new = NewDraft(policy=policy, texts=dict(texts), untranslated=newest.untranslated, **more)
    draft = await write(db, site, new, grant_of(request).name, request.app[SERVICE].clock.now())
    raise web.HTTPSeeOther(f"/console/sites/{name}/versions/{draft.version_id}")


async def show_page(request: web.Request) -> web.Response:
    """The public page of a draft, as it will be."""
    at = request.match_info
    grant_of(request).demand(at["site"], "read")
    return await show_foreseen(request, at["site"], int(at["version_id"]), at["locale"])


def _digest(given: str) -> bytes:
    try:
        return bytes.fromhex(given)
    except ValueError:
        raise Invalid("nothing was reviewed", [Fault("/sha256", "not a SHA-256 in hex")]) from None


async def _page(request: web.Request, problem: NotifierError | None = None) -> web.Response:
    service, language = request.app[SERVICE], language_of(request)
    site = await load_site(service.db, request.match_info["site"])
    version = await load_version(service.db, site.site, int(request.match_info["version_id"]))
    values = {
        "version": version,
        "site": site.site,
        "policy": version.policy,
        "site_name": site.name(language),
        "title": site.title(version.policy, language),
        "problem": problem,
        "events": await history(service.db, version.version_id),
        **await _what_it_says(request, site, version),
    }
    response = desk(request, "draft", "overview", values, time_zone=site.time_zone)
    response.set_status(problem.status if problem else 200)
    return response


async def _what_it_says(request: web.Request, site: Site, version: Version) -> dict[str, Any]:
    service = request.app[SERVICE]
    waits = version.state == "pending"
    changes = await changes_of(service.db, version) if waits else []
    latest = await latest_of(service.db, site.site, version.policy)
    draft = await draft_of(service.db, version)
    return {
        "locales": list(draft.texts),
        "missing": list(incomplete(draft, site, latest)) if waits else [],
        "hints": [hint for change in changes for hint in change.hints],
        "proposal": proposed(changes),
        "texts": [await shown_text(change) for change in changes],
        "letters": await preview_letters(
            service.db, service.keys, service.settings.public_url, site, version.version_id, service.clock.now()
        ) if waits else [],
    }  # fmt: skip
