"""The versions of a policy, and the word that a pending one waits for."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web
from multidict import MultiDictProxy
from pydantic import ValidationError

from notifier.campaigns.announce import announce
from notifier.errors import Conflict, Fault, Invalid, NotFound, faults_of
from notifier.policies.authoring import amend, confirm, discard, draft_of
from notifier.policies.draft import Amendment
from notifier.policies.override import overrides
from notifier.policies.publish import Version, list_versions, load_version
from notifier.policies.version import FLAGS, Draft
from notifier.sites.site import Site, load_site
from notifier.web.auth import grant_of
from notifier.web.changes import changes_of, proposed, shown_text
from notifier.web.console.frame import desk
from notifier.web.context import SERVICE
from notifier.web.page import language_of
from notifier.web.reading import read_form
from notifier.web.standing import standing_of


async def show_policy(request: web.Request) -> web.Response:
    """Every version of a policy with its campaign, and the change that waits."""
    return await policy_page(request, {"label": "", "effective_at": "", "reason": ""}, [])


async def policy_page(
    request: web.Request, given: Mapping[str, str], faults: Sequence[Fault], *, status: int = 200
) -> web.Response:
    """The page of a policy. ``given``: what was asked for as an earlier date, with what is wrong with it."""
    service, name, policy = request.app[SERVICE], request.match_info["site"], request.match_info["policy"]
    grant_of(request).demand(name, "read")
    site = await load_site(service.db, name)
    if policy not in site.policies:
        raise NotFound(f"{name} has no policy {policy!r}")
    versions = await list_versions(service.db, name, policy)
    published = [version for version in versions if version.state == "published"]
    more = {row["version_id"]: row for row in await service.db.many(dict, "pages.texts", site=name, policy=policy)}
    now, language = service.clock.now(), language_of(request)
    values = {
        "site": name,
        "policy": policy,
        "site_name": site.name(language),
        "title": site.title(policy, language),
        "pending": [version for version in versions if version.state == "pending"],
        "versions": [
            {**vars(version), **more[version.version_id], "standing": standing_of(version, published, now)}
            for version in published
        ],
        "pages": [p for p in await service.db.many(dict, "posting.pages", site=name) if p["policy"] == policy],
        "overrides": [one for one in await overrides(service.db, name) if one.policy == policy],
        "given": given,
        "faults": faults,
        "me": grant_of(request).name,
        "sources": [s for s in await service.db.many(dict, "watch.sources", site=name) if s["policy"] == policy],
    }
    response = desk(request, "policy", "overview", values, time_zone=site.time_zone)
    response.set_status(status)
    return response


async def ask_word(request: web.Request) -> web.Response:
    """The pending version with its texts, and the form that changes, publishes or discards it."""
    site, version = await _pending(request, "read")
    draft = await draft_of(request.app[SERVICE].db, version)
    return await _form(request, site, version, _as_given(draft, site), [])


def _as_given(draft: Draft, site: Site) -> dict[str, Any]:
    """What a draft says, as the form has it."""
    at = draft.effective_at
    return {
        "label": draft.label,
        "materiality": draft.materiality,
        "flags": draft.flags,
        "effective_at": at.astimezone(ZoneInfo(site.time_zone)).strftime("%Y-%m-%dT%H:%M") if at else "",
        "summaries": {locale: text.summary for locale, text in draft.texts.items()},
        "untranslated": draft.untranslated,
    }


async def take_word(request: web.Request) -> web.Response:
    """Publish the pending version as described, or discard it."""
    service = request.app[SERVICE]
    site, version = await _pending(request, "publish")
    now = service.clock.now()
    if request.match_info["word"] == "discard":
        await discard(service.db, site, version.version_id, grant_of(request).name, "", now)
        raise web.HTTPSeeOther(f"/console/sites/{site.site}/policies/{version.policy}")
    given = _given(await read_form(request))
    try:
        details, meant = _details(given, site), _meant(given)
        if request.match_info["word"] == "save":
            await amend(service.db, site, version.version_id, details, grant_of(request).name, now, meant)
            raise web.HTTPSeeOther(f"/console/sites/{site.site}/versions/{version.version_id}")
        async with service.db.transaction() as tx:
            published, _ = await confirm(tx, site, version.version_id, details, grant_of(request).name, now, meant)
            campaign = None
            if published.is_told:
                campaign = await announce(tx, site, published.version_id, now, grant_of(request).name)
    except (Invalid, Conflict) as error:
        return await _form(request, site, version, given, error.faults or (Fault("", error.detail),), status=422)
    if campaign is not None:
        raise web.HTTPSeeOther(f"/console/campaigns/{campaign}")
    raise web.HTTPSeeOther(f"/console/sites/{site.site}/policies/{version.policy}")


async def _pending(request: web.Request, scope: str) -> tuple[Site, Version]:
    db, name = request.app[SERVICE].db, request.match_info["site"]
    grant_of(request).demand(name, scope)
    version = await load_version(db, name, int(request.match_info["version_id"]))
    if version.state != "pending":
        raise Conflict(f"version {version.version_id} is {version.state}; only a pending one waits for a word")
    return await load_site(db, name), version


async def _form(
    request: web.Request,
    site: Site,
    version: Version,
    given: Mapping[str, Any],
    faults: object,
    *,
    status: int = 200,
) -> web.Response:
    language = language_of(request)
    word = "discard" if request.match_info["word"] == "discard" else "confirm"
    changes = await changes_of(request.app[SERVICE].db, version) if word == "confirm" else []
    texts = [await shown_text(change) for change in changes]
    values = {
        "step": word,
        "site": site.site,
        "policy": version.policy,
        "site_name": site.name(language),
        "title": site.title(version.policy, language),
        "given": given,
        "faults": faults,
        "texts": texts,
        "locales": [text["locale"] for text in texts],
        "version": version,
        "flags": sorted(FLAGS),
        "hints": [hint for change in changes for hint in change.hints],
        "proposal": proposed(changes),
        "missing": [locale for locale in site.locales if locale not in {text["locale"] for text in texts}],
    }
    response = desk(request, "confirm", "overview", values, time_zone=site.time_zone)
    response.set_status(status)
    return response


def _given(form: MultiDictProxy[Any]) -> dict[str, Any]:
    summaries = {
        name.partition(".")[2]: str(value).replace("\r\n", "\n")
        for name, value in form.items()
        if name.startswith("summary.")
    }
    fields = {name: str(form.get(name, "")).strip() for name in ("label", "materiality", "effective_at", "sha256")}
    several = {name: [str(one) for one in form.getall(name, [])] for name in ("untranslated", "flags")}
    return {**fields, **several, "summaries": summaries}


def _meant(given: Mapping[str, Any]) -> bytes | None:
    """The digest of the draft that the form was about, however it changed meanwhile."""
    try:
        return bytes.fromhex(given["sha256"]) or None
    except ValueError:
        raise Invalid("nothing was done", [Fault("/sha256", "not a SHA-256 in hex")]) from None


def _details(given: Mapping[str, Any], site: Site) -> Amendment:
    """What the form says, read as the API would. A time without a zone is one of the site's."""
    at = given["effective_at"]
    try:
        when = datetime.fromisoformat(at).replace(tzinfo=ZoneInfo(site.time_zone)) if at else None
        said = {name: value for name, value in given.items() if name != "sha256"}
        return Amendment.model_validate({**said, "label": given["label"] or None, "effective_at": when})
    except ValidationError as error:
        raise Invalid("the version was not published", faults_of(error)) from error
    except ValueError as error:
        raise Invalid("the version was not published", [Fault("/effective_at", "not a date and time")]) from error
