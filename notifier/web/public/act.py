"""A person's own page: a link that is good for one act on one version. Looking changes nothing, only the button does.

No cookie and no session: whoever has the link is the person. So it expires, it is never indexed or handed on as a
referrer, and mail scanners that follow it change nothing.
"""

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from notifier.campaigns.plan import choose_locale
from notifier.compose import Service
from notifier.errors import Malformed, NotFound, Unauthenticated
from notifier.keys import ActLink
from notifier.pages import LANGUAGES, Tongue
from notifier.policies.publish import Version, VersionText, load_version, texts_of
from notifier.presenting.act import KINDS, Actor, Done, Kind, Overtaken, Shown, act, done_by, load_actor
from notifier.sites.site import Site, load_site
from notifier.web.context import PAGES, SERVICE
from notifier.web.page import LANGUAGE_COOKIE, page
from notifier.web.reading import read_form

LONGEST_WORDS = 5000
_HEADERS = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow", "Referrer-Policy": "no-referrer"}


@dataclass(frozen=True)
class _View:
    """What one link shows in one locale."""

    link: ActLink
    site: Site
    actor: Actor
    version: Version
    texts: list[VersionText]
    locale: str
    tongue: Tongue
    since: str | None  # the label of the version that they last knew

    @property
    def language(self) -> str:
        """Of the page around the text."""
        return self.tongue.language

    def statement(self, kind: Kind) -> str:
        """The words that an act agrees to."""
        title = self.site.title(self.version.policy, self.locale)
        return self.tongue.t(
            f"act.{kind}.statement", title=title, label=self.version.label, site=self.site.name(self.locale)
        )


async def show(request: web.Request) -> web.Response:
    """The page: what it is about, and the buttons. Changes nothing."""
    view = await _view(request)
    done = await done_by(request.app[SERVICE].db, view.link)
    if done is not None:
        return _page(request, view, done=done)
    return _page(request, view, **_bars(request, view, []))


async def submit(request: web.Request) -> web.Response:
    """A button was pressed."""
    form = await read_form(request)
    kind, words = str(form.get("act", "")), str(form.get("words", "")).replace("\0", "").strip()[:LONGEST_WORDS]
    if kind not in KINDS:
        raise Malformed("this form names no act; go back and press one of its buttons")
    view = await _view(request, str(form.get("locale", "")))
    service = request.app[SERVICE]
    done = await done_by(service.db, view.link)
    if done is not None:
        return _page(request, view, done=done)
    if bars := _bars(request, view, [kind]):
        return _page(request, view, **bars)
    shown = Shown(view.locale, view.statement(kind))
    if form.get("statement") != shown.statement:
        return _page(request, view, status=409, bar="changed", may=view.actor.may())
    try:
        done, _ = await act(service.db, view.link, view.version.policy, kind, shown, words, service.clock.now())
    except Overtaken:
        return _page(request, view, status=409, bar="overtaken")
    return _page(request, view, done=done)


def _bars(request: web.Request, view: _View, wanted: list[Kind]) -> dict[str, Any]:
    """What speaks against acting, as values of the page; without ``wanted``, also what may be done."""
    may = view.actor.may()
    if view.link.expires <= request.app[SERVICE].clock.now():
        return {"status": 410, "bar": "expired"}
    if not may:
        return {"status": 409, "bar": "closed"}
    if wanted:
        return {} if wanted[0] in may else {"status": 409, "bar": "changed", "may": may}
    return {"may": may}


async def _view(request: web.Request, locale: str = "") -> _View:
    service = request.app[SERVICE]
    try:
        link = ActLink.open(request.match_info["token"], service.keys)
    except Unauthenticated as error:
        raise NotFound("this link leads nowhere: perhaps a part of it is missing") from error
    actor = await load_actor(service.db, link)
    site = await load_site(service.db, link.site)
    version = await load_version(service.db, link.site, link.version_id)
    texts = await texts_of(service.db, link.version_id)
    available = [text.locale for text in texts]
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    wanted = locale or (chosen if chosen in LANGUAGES else actor.locale)
    used = choose_locale(wanted, available, site.locales)
    tongue = request.app[PAGES].tongue(used.partition("-")[0], actor.time_zone or site.time_zone)
    since = await _knew(service, link.site, actor, used)
    return _View(link, site, actor, version, texts, used, tongue, since)


async def _knew(service: Service, site: str, actor: Actor, locale: str) -> str | None:
    """The version that they last knew, where it has a text to compare with."""
    if actor.since is None or locale not in {text.locale for text in await texts_of(service.db, actor.since)}:
        return None
    return (await load_version(service.db, site, actor.since)).label


def _page(
    request: web.Request, view: _View, *, status: int = 200, done: Done | None = None, bar: str = "",
    may: list[Kind] | None = None,
) -> web.Response:  # fmt: skip
    site, version = view.site, view.version
    url = f"/p/{site.site}/{version.policy}/{version.label}/{view.locale}"
    text = next(text for text in view.texts if text.locale == view.locale)
    values = {
        "site_name": site.name(view.locale),
        "home_url": site.home_url,
        "contact": site.contact,
        "title": site.title(version.policy, view.locale),
        "version": version,
        "locale": view.locale,
        "summary": text.summary,
        "url": url,
        "since": view.since,
        "redline": f"{url}/since/{view.since}" if view.since else "",
        "current": f"/p/{site.site}/{version.policy}",
        "done": done,
        "bar": bar,
        "acts": [(kind, view.statement(kind)) for kind in may or []],
        "objected": view.actor.objected,
        "longest": LONGEST_WORDS,
        "expires": view.link.expires,
    }
    zone = view.actor.time_zone or site.time_zone
    return page(
        request, "public/act.html.j2", values,
        language=view.language, time_zone=zone, status=status, headers=_HEADERS,
    )  # fmt: skip
