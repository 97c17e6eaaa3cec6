"""Find a person by the site's own id, and everything that is on record about them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from aiohttp import web
from markupsafe import Markup

from notifier.compliance.answer import text_in_force
from notifier.compliance.explain import explain
from notifier.compliance.search import notices, timeline, told_before, validly_told
from notifier.errors import NotFound
from notifier.pages import Tongue
from notifier.people.roster import Person, get_person
from notifier.policies.publish import find_version
from notifier.sites.site import Site, load_site
from notifier.web.auth import grant_of
from notifier.web.console.frame import desk
from notifier.web.console.overview import visible_sites
from notifier.web.console.saying import moments, say
from notifier.web.context import PAGES, SERVICE
from notifier.web.page import language_of


@dataclass(frozen=True)
class Answer:
    """Whether the person was told of one version, and what follows, in words."""

    href: str
    title: str
    status: str
    words: list[Markup]


async def show_people(request: web.Request) -> web.Response:
    """The search form, or the person that it found. Ids stand in the query: a path would swallow ``.`` and ``..``."""
    site, external_id = request.query.get("site", ""), request.query.get("id", "").strip()
    if not (site and external_id):
        return await _form(request, site, None)
    grant_of(request).demand(site, "read")
    service = request.app[SERVICE]
    described = await load_site(service.db, site)
    try:
        person = await get_person(service.db, service.keys, site, external_id)
    except NotFound:
        response = await _form(request, site, external_id)
        response.set_status(404)
        return response
    return await _show(request, described, person)


async def _form(request: web.Request, chosen: str, missing: str | None) -> web.Response:
    language = language_of(request)
    sites = [(site.site, site.name(language)) for site in await visible_sites(request)]
    return desk(request, "people", "people", {"sites": sites, "chosen": chosen, "missing": missing})


async def _show(request: web.Request, site: Site, person: Person) -> web.Response:
    service, language = request.app[SERVICE], language_of(request)
    tongue = request.app[PAGES].tongue(language, site.time_zone)
    titles = {policy: site.title(policy, language) for policy in site.policies}
    day, on = _day_asked(request, site)
    values = {
        "person": person,
        "whole": "people" in grant_of(request).scopes,
        "site_name": site.name(language),
        "answers": await _answers(request, tongue, site, person, titles),
        "on_day": day.isoformat(),
        "in_force": await _in_force(request, tongue, site, person, titles, on),
        "validly_told": await _validly_told(request, tongue, site, person, titles, on),
        "timeline": moments(tongue, await timeline(service.db, person), titles),
    }
    return desk(request, "person", "people", values, time_zone=site.time_zone)


def _day_asked(request: web.Request, site: Site) -> tuple[date, datetime]:
    """The day that is asked about, and its end on the site's clocks (today: now)."""
    now, zone = request.app[SERVICE].clock.now(), ZoneInfo(site.time_zone)
    try:
        day = date.fromisoformat(request.query.get("on", ""))
    except ValueError:
        day = now.astimezone(zone).date()
    return day, min(now, datetime.combine(day, time.max, zone))


async def _in_force(
    request: web.Request, tongue: Tongue, site: Site, person: Person, titles: Mapping[str, str], on: datetime
) -> list[Answer]:
    """Which text of each policy was in force at a moment, with its address."""
    db = request.app[SERVICE].db
    answers = [await text_in_force(db, site, person, policy, on) for policy in site.policies]
    return [
        Answer(
            href=answer.text.path if answer.text else "",
            title=titles[answer.policy] + (f" {answer.found.version.label}" if answer.found else ""),
            status="",
            words=[say(tongue, fact, titles) for fact in answer.facts],
        )
        for answer in answers
    ]


async def _validly_told(
    request: web.Request, tongue: Tongue, site: Site, person: Person, titles: Mapping[str, str], before: datetime
) -> list[Answer]:
    """Of each version that a campaign told of by then, whether the person was validly told of it before a moment."""
    db = request.app[SERVICE].db
    answers = []
    for notice in await notices(db, person):
        if notice.corrects is not None or notice.published_at >= before:
            continue
        version = await find_version(db, site.site, notice.policy, notice.label)
        told = await told_before(db, person, version.version_id, before)
        fact = validly_told(notice.policy, notice.label, before, told)
        title = f"{titles[notice.policy]} {notice.label}"
        answers.append(Answer(f"/console/campaigns/{notice.campaign_id}", title, "", [say(tongue, fact, titles)]))
    return answers


async def _answers(
    request: web.Request, tongue: Tongue, site: Site, person: Person, titles: Mapping[str, str]
) -> list[Answer]:
    service = request.app[SERVICE]
    answers = []
    for notice in await notices(service.db, person):
        if notice.corrects is not None:
            continue  # its version's answer says so
        version = await find_version(service.db, site.site, notice.policy, notice.label)
        found = await explain(service.db, person, version, service.clock.now())
        answers.append(
            Answer(
                href=f"/console/campaigns/{notice.campaign_id}",
                title=f"{titles[notice.policy]} {notice.label}",
                status=notice.status,
                words=[say(tongue, fact, titles) for fact in found.facts],
            )
        )
    return answers
