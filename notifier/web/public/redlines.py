"""What changed between any two published versions of a policy: a page, the same as JSON, and the way to choose them."""

import asyncio
from typing import NamedTuple

from aiohttp import web
from yarl import URL

from notifier.errors import NotFound
from notifier.pages import LANGUAGES
from notifier.policies.diff import Comparison
from notifier.policies.publish import Version, VersionText, find_version, texts_of
from notifier.policies.redline import shown, to_json, verdict
from notifier.sites.site import Site, load_site
from notifier.web.context import PAGES, SERVICE
from notifier.web.page import page
from notifier.web.public.contents import compared
from notifier.web.public.texts import MINUTES, frame, policy_of, text_in


class _Redline(NamedTuple):
    site: Site
    old: Version
    new: Version
    locales: list[str]
    found: Comparison


async def show_redline(request: web.Request) -> web.Response:
    """The page: the changed sections with every word that came or went."""
    redline = await _redline(request)
    site, new, locale = redline.site, redline.new, request.match_info["locale"]
    language = locale if locale in LANGUAGES else locale.partition("-")[0]
    tongue = request.app[PAGES].tongue(language)
    values = {
        "old": redline.old,
        "new": new,
        "title": site.title(new.policy, locale),
        "locale": locale,
        "locales": redline.locales,
        "own_names": {other: tongue.own_name(other) for other in redline.locales},
        "base": f"/p/{site.site}/{new.policy}",
        "verdict": verdict(redline.found, tongue.t),
        "sections": shown(redline.found),
        "noise": redline.found.noise,
        **frame(site, locale),
    }
    return page(request, "public/redline.html.j2", values, language=language, time_zone=site.time_zone, headers=MINUTES)


async def send_redline(request: web.Request) -> web.Response:
    """The same as JSON."""
    redline = await _redline(request)
    both = {"old": redline.old.label, "new": redline.new.label, "locale": request.match_info["locale"]}
    return web.json_response(both | to_json(redline.found), headers=MINUTES)


async def choose_versions(request: web.Request) -> web.Response:
    """Where the form of the history leads: to the page of the two versions that were chosen in it."""
    given, at = request.query, request.match_info
    try:
        old, new, locale = given["old"], given["new"], given["locale"]
    except KeyError as error:
        raise NotFound("choose two versions and a language") from error
    path = f"/p/{at['site']}/{at['policy']}"
    return web.Response(status=303, headers={"Location": str(URL(path) / new / locale / "since" / old)})


async def _redline(request: web.Request) -> _Redline:
    db, at = request.app[SERVICE].db, request.match_info
    site = await load_site(db, at["site"])
    policy = policy_of(request, site)
    versions = [await find_version(db, site.site, policy, at[name]) for name in ("old", "label")]
    texts = [await texts_of(db, version.version_id) for version in versions]
    old, new = (text_in(of, at["locale"]) for of in texts)
    here = {text.locale for text in texts[0]}
    locales = [text.locale for text in texts[1] if text.locale in here]
    found = await asyncio.to_thread(_compared, old, new)
    return _Redline(site, versions[0], versions[1], locales, found)


def _compared(old: VersionText, new: VersionText) -> Comparison:
    return compared(old.media_type, old.body, new.media_type, new.body, new.locale)
