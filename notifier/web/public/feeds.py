"""Feeds of what was published, of one policy or of a whole site: Atom (RFC 4287), and the same as JSON Feed 1.1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import orjson
from aiohttp import web
from babel.dates import format_date

from notifier.errors import NotFound
from notifier.keys import Keys
from notifier.pages import Tongue
from notifier.policies.publish import Version, VersionText, list_versions, texts_of
from notifier.sites.site import Site, load_site
from notifier.web.context import PAGES, SERVICE
from notifier.web.public.texts import MINUTES, policy_of

ATOM, JSON_FEED = "application/atom+xml", "application/feed+json"
_MOST = 50
_NAMESPACE = "http://www.w3.org/2005/Atom"
_XML_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"


@dataclass(frozen=True)
class Entry:
    """One version in one locale. ``id`` never changes, whatever the address of this service."""

    id: str
    title: str
    page: str
    raw: str
    text: VersionText
    version: Version
    published_at: datetime
    summary: str


@dataclass(frozen=True)
class Feed:
    """The versions of a policy or of a site in one locale, the newest first. ``base``: where it is, without suffix."""

    id: str
    title: str
    author: str
    locale: str
    home: str
    base: str
    updated: datetime
    entries: Sequence[Entry]

    def address(self, suffix: str) -> str:
        """Where this feed is."""
        return f"{self.base}.{suffix}?locale={self.locale}"


async def send_atom(request: web.Request) -> web.Response:
    """The feed as Atom."""
    return web.Response(body=atom_of(await _feed(request)), content_type=ATOM, charset="utf-8", headers=MINUTES)


async def send_json(request: web.Request) -> web.Response:
    """The feed as JSON Feed."""
    body = orjson.dumps(json_of(await _feed(request)), option=orjson.OPT_UTC_Z)
    return web.Response(body=body, content_type=JSON_FEED, headers=MINUTES)


async def _feed(request: web.Request) -> Feed:
    service = request.app[SERVICE]
    site = await load_site(service.db, request.match_info["site"])
    policy = policy_of(request, site) if "policy" in request.match_info else None
    locale = _locale_of(request, site)
    versions = [v for v in await list_versions(service.db, site.site, policy) if v.published_at is not None][:_MOST]
    tongue = request.app[PAGES].tongue(locale.partition("-")[0], site.time_zone)
    public = service.settings.public_url.rstrip("/")
    place = f"{public}/p/{site.site}/{policy}" if policy else f"{public}/p/{site.site}"
    entries = []
    for version in versions:
        texts = [text for text in await texts_of(service.db, version.version_id) if text.locale == locale]
        entries += [_entry(service.keys, site, version, text, public, tongue) for text in texts]
    applied: datetime = await service.db.value("web.applied_at", site=site.site)
    return Feed(
        id=stable_id(service.keys, site.site, policy or "", locale),
        title=f"{site.name(locale)}: {site.title(policy, locale)}" if policy else site.name(locale),
        author=site.name(locale),
        locale=locale,
        home=place,
        base=f"{place}/feed",
        updated=max((entry.published_at for entry in entries), default=applied),
        entries=entries,
    )


def _locale_of(request: web.Request, site: Site) -> str:
    """The locale in the query, or the site's first. Raises NotFound for anything else."""
    locale = request.query.get("locale", site.locales[0])
    if locale not in site.locales or set(request.query) - {"locale"} or len(request.query) > 1:
        raise NotFound(f"{site.site} has a feed in each of {', '.join(site.locales)}: ?locale={site.locales[0]}")
    return locale


def _entry(keys: Keys, site: Site, version: Version, text: VersionText, public: str, tongue: Tongue) -> Entry:
    page = f"{public}/p/{site.site}/{version.policy}/{version.label}/{text.locale}"
    assert version.published_at is not None, "only published versions stand in a feed"
    assert version.effective_at is not None, "so does when they take effect"
    day = version.effective_at.astimezone(ZoneInfo(site.time_zone)).date()
    effect = tongue.t("feed.effective", day=format_date(day, "long", locale=tongue.locale))
    return Entry(
        id=stable_id(keys, site.site, version.policy, text.locale, version.label),
        title=f"{site.title(version.policy, text.locale)} {version.label}",
        page=page,
        raw=f"{page}/raw",
        text=text,
        version=version,
        published_at=version.published_at,
        summary="\n\n".join(part for part in (effect, text.summary) if part),
    )


def stable_id(keys: Keys, *names: str) -> str:
    """A name for ever (RFC 4287, 4.2.6): a UUID made of the installation's secret, and so of no address."""
    return UUID(bytes=keys.mac("feed", *names), version=5).urn


def atom_of(feed: Feed) -> bytes:
    """The feed as an Atom document."""
    root = ElementTree.Element("feed", {"xmlns": _NAMESPACE, _XML_LANGUAGE: feed.locale})
    _add(root, "id", feed.id)
    _add(root, "title", feed.title)
    _add(root, "updated", _moment(feed.updated))
    _add(ElementTree.SubElement(root, "author"), "name", feed.author)
    _add(root, "link", rel="self", type=ATOM, href=feed.address("atom"))
    _add(root, "link", rel="alternate", type="text/html", href=feed.home)
    for entry in feed.entries:
        one = ElementTree.SubElement(root, "entry")
        _add(one, "id", entry.id)
        _add(one, "title", entry.title)
        _add(one, "published", _moment(entry.published_at))
        _add(one, "updated", _moment(entry.published_at))  # a version never changes
        _add(one, "link", rel="alternate", type="text/html", hreflang=feed.locale, href=entry.page)
        _add(one, "link", rel="enclosure", type=entry.text.media_type, length=str(len(entry.text.body)), href=entry.raw)
        _add(one, "category", term=entry.version.policy)
        _add(one, "category", term=entry.version.materiality)
        _add(one, "summary", entry.summary)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def json_of(feed: Feed) -> Mapping[str, object]:
    """The feed as JSON Feed 1.1; what it has no field for stands under ``_policy``."""
    return {
        "version": "https://jsonfeed.org/version/1.1",
        "title": feed.title,
        "home_page_url": feed.home,
        "feed_url": feed.address("json"),
        "language": feed.locale,
        "authors": [{"name": feed.author}],
        "items": [
            {
                "id": entry.id,
                "url": entry.page,
                "title": entry.title,
                "content_text": entry.summary,
                "date_published": entry.published_at,
                "date_modified": entry.published_at,
                "language": feed.locale,
                "tags": [entry.version.policy, entry.version.materiality],
                "attachments": [
                    {"url": entry.raw, "mime_type": entry.text.media_type, "size_in_bytes": len(entry.text.body)}
                ],
                "_policy": {
                    "policy": entry.version.policy,
                    "label": entry.version.label,
                    "effective_at": entry.version.effective_at,
                    "materiality": entry.version.materiality,
                    "flags": entry.version.flags,
                    "sha256": entry.text.sha256.hex(),
                },
            }
            for entry in feed.entries
        ],
    }


def _add(parent: ElementTree.Element, name: str, text: str = "", **attributes: str) -> None:
    ElementTree.SubElement(parent, name, attributes).text = text or None


def _moment(at: datetime) -> str:
    """RFC 3339."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
