"""The published texts: permanent pages, the current one, the history, and the exact bytes."""

import asyncio
from collections.abc import Mapping, Sequence

from aiohttp import web

from notifier.errors import NotFound
from notifier.pages import LANGUAGES, best_locale
from notifier.policies.authoring import foresee
from notifier.policies.diff import Change
from notifier.policies.publish import Version, VersionText, find_version, list_versions, load_version, texts_of
from notifier.sites.site import Site, load_site
from notifier.web.context import PAGES, SERVICE
from notifier.web.page import language_of, page, wishes_of
from notifier.web.public.contents import compared, readable
from notifier.web.standing import in_force, standing_of

MINUTES = {"Cache-Control": "public, max-age=300"}
# What is shown in the reader's own language.
BY_LANGUAGE = MINUTES | {"Vary": "Accept-Language, Cookie"}
_SUFFIXES = {"text/markdown": "md", "text/html": "html"}


async def show_policies(request: web.Request) -> web.Response:
    """The policies of a site."""
    site = await load_site(request.app[SERVICE].db, request.match_info["site"])
    language = language_of(request)
    versions, now = await list_versions(request.app[SERVICE].db, site.site), request.app[SERVICE].clock.now()
    policies = [
        {
            "policy": policy,
            "title": site.title(policy, language),
            "coming": [v for v in versions if v.policy == policy and standing_of(v, versions, now) == "upcoming"],
        }
        for policy in site.policies
    ]
    return page(
        request, "public/policies.html.j2", {**frame(site, language), "policies": policies},
        time_zone=site.time_zone, headers=BY_LANGUAGE,
    )  # fmt: skip


async def show_history(request: web.Request) -> web.Response:
    """Every published version of a policy."""
    service = request.app[SERVICE]
    site = await load_site(service.db, request.match_info["site"])
    policy = policy_of(request, site)
    published = await _published(request, site)
    now, language = service.clock.now(), language_of(request)
    texts = {v.version_id: [text.locale for text in await texts_of(service.db, v.version_id)] for v in published}
    versions = [
        {
            "label": version.label,
            "standing": standing_of(version, published, now),
            "published_at": version.published_at,
            "effective_at": version.effective_at,
            "locales": texts[version.version_id],
            "corrects": version.corrects,
            "corrected_by": next((v.label for v in published if v.corrects_id == version.version_id), None),
            "before": _before(version, published),
            "compared": [at for at in texts[version.version_id] if at in texts.get(version.previous_id or 0, ())],
        }
        for version in published
    ]
    locales = list(dict.fromkeys(locale for some in texts.values() for locale in some))
    values = {"versions": versions, "locales": locales, "policy": policy, "title": site.title(policy, language)}
    return page(
        request, "public/history.html.j2", {**frame(site, language), **values},
        time_zone=site.time_zone, headers=BY_LANGUAGE,
    )  # fmt: skip


async def show_current(request: web.Request) -> web.Response:
    """The text in force (or, before the first takes effect, the newest one) in the reader's language."""
    service = request.app[SERVICE]
    site = await load_site(service.db, request.match_info["site"])
    policy_of(request, site)
    published = await _published(request, site)
    if not published:
        return await show_history(request)
    version = in_force(published, service.clock.now()) or published[0]
    texts = await texts_of(service.db, version.version_id)
    locale = best_locale(wishes_of(request), [text.locale for text in texts], site.locales[0])
    response = await _show(request, site, version, published, locale, texts)
    response.headers["Vary"] = "Accept-Language, Cookie"
    return response


async def show_version(request: web.Request) -> web.Response:
    """The permanent page of one version in one locale."""
    service = request.app[SERVICE]
    site = await load_site(service.db, request.match_info["site"])
    version = await find_version(service.db, site.site, policy_of(request, site), request.match_info["label"])
    published = await _published(request, site)
    texts = await texts_of(service.db, version.version_id)
    return await _show(request, site, version, published, request.match_info["locale"], texts)


async def send_bytes(request: web.Request) -> web.Response:
    """The exact bytes of a text, as they were published; a browser must not run anything in them."""
    db, at = request.app[SERVICE].db, request.match_info
    version = await find_version(db, at["site"], at["policy"], at["label"])
    text = text_in(await texts_of(db, version.version_id), at["locale"])
    suffix = _SUFFIXES[text.media_type]
    response = web.Response(
        body=text.body,
        content_type=text.media_type,
        charset="utf-8",
        headers={
            "Cache-Control": "public, max-age=31536000, immutable",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Content-Disposition": f'inline; filename="{version.policy}-{version.label}-{text.locale}.{suffix}"',
        },
    )
    response.last_modified = version.published_at
    response.etag = text.sha256.hex()
    return response


async def show_foreseen(request: web.Request, name: str, version_id: int, locale: str) -> web.Response:
    """The page of a draft as it will be once it is published at its time, or now. For those who may see drafts."""
    service = request.app[SERVICE]
    site = await load_site(service.db, name)
    draft = await load_version(service.db, name, version_id)
    version = await foresee(service.db, site, draft, service.clock.now())
    texts = await texts_of(service.db, version_id)
    others = [v for v in await list_versions(service.db, name, version.policy) if v.state == "published"]
    published = others if draft.state == "published" else [version, *others]
    response = await _show(request, site, version, published, locale, texts)
    response.headers["Cache-Control"] = "no-store"
    return response


async def _show(
    request: web.Request,
    site: Site,
    version: Version,
    published: Sequence[Version],
    locale: str,
    texts: Sequence[VersionText],
) -> web.Response:
    service = request.app[SERVICE]
    text = text_in(texts, locale)
    shown = await asyncio.to_thread(readable, text.media_type, text.body)
    base = f"/p/{site.site}/{version.policy}"
    language = locale if locale in LANGUAGES else locale.partition("-")[0]
    now = max(service.clock.now(), version.published_at or service.clock.now())
    coming = [other for other in published if standing_of(other, published, now) == "upcoming"]
    values = {
        "version": version,
        "standing": standing_of(version, published, now),
        "coming": coming,
        "title": site.title(version.policy, locale),
        "contact": site.contact,
        "locale": locale,
        "locales": [other.locale for other in texts],
        "own_names": {other.locale: request.app[PAGES].tongue(language).own_name(other.locale) for other in texts},
        "base": base,
        "address": f"{service.settings.public_url.rstrip('/')}{base}/{version.label}/{locale}",
        "summary": text.summary,
        "changes": await _changes(request, version, text),
        "before": _before(version, published),
        "contents": shown.contents,
        "html": shown.html,
        "sha256": text.sha256.hex(),
        **frame(site, locale),
    }
    return page(request, "public/version.html.j2", values, language=language, time_zone=site.time_zone, headers=MINUTES)


async def _changes(request: web.Request, version: Version, text: VersionText) -> tuple[Change, ...]:
    """Which sections changed since the version before, where that had a text in this locale."""
    if version.previous_id is None:
        return ()
    earlier = await texts_of(request.app[SERVICE].db, version.previous_id)
    for old in earlier:
        if old.locale == text.locale:
            found = await asyncio.to_thread(compared, old.media_type, old.body, text.media_type, text.body, text.locale)
            return found.changes
    return ()


def _before(version: Version, published: Sequence[Version]) -> str | None:
    """The label of the version that this one followed."""
    return next((other.label for other in published if other.version_id == version.previous_id), None)


def frame(site: Site, language: str) -> Mapping[str, object]:
    """What the frame of every public page says."""
    feed_locale = f"?locale={language}" if language in site.locales else ""
    return {
        "site": site.site, "site_name": site.name(language), "home_url": site.home_url, "feed_locale": feed_locale,
    }  # fmt: skip


def policy_of(request: web.Request, site: Site) -> str:
    """The policy in the address. Raises NotFound when the site has none of that name."""
    policy = request.match_info["policy"]
    if policy not in site.policies:
        raise NotFound(f"{site.site} has no policy {policy!r}")
    return policy


async def _published(request: web.Request, site: Site) -> list[Version]:
    versions = await list_versions(request.app[SERVICE].db, site.site, request.match_info["policy"])
    return [version for version in versions if version.state == "published"]


def text_in(texts: Sequence[VersionText], locale: str) -> VersionText:
    """The text in a locale. Raises NotFound, naming those there are."""
    for text in texts:
        if text.locale == locale:
            return text
    raise NotFound(f"this version has no text in {locale!r}; it has {', '.join(text.locale for text in texts)}")
