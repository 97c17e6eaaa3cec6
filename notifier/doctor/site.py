"""What a site says of itself that would not work: locales, keys, addresses, clocks."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from shutil import which
from urllib.parse import urlsplit

from yarl import URL

from notifier.campaigns.lint import before_a_version
from notifier.campaigns.rule import rules_of
from notifier.campaigns.stop import said, stops
from notifier.campaigns.warn import warnings_of
from notifier.channels.signing import read_signer
from notifier.channels.webhook import endpoint_of
from notifier.compliance.coverage import coverage_of
from notifier.db import Db
from notifier.doctor.finding import Finding, fail, look, ok
from notifier.letters.render import catalogues
from notifier.letters.sign import Signer
from notifier.outward import lies_outside, objection_to
from notifier.policies.posting import HOSTED, alarms
from notifier.policies.publish import list_versions
from notifier.settings import Settings
from notifier.sites.site import Site

_SKEW_SEEN, _SKEW_HARMS = 2.0, 60.0  # seconds


@dataclass(frozen=True)
class LastTexts:
    """The locales that a policy's last published version has texts in."""

    policy: str
    label: str
    locales: list[str]


def channels_of(site: Site) -> tuple[str, ...]:
    """The channels by which the site may tell somebody, also by a preset that is for some people only."""
    return rules_of(site.rule, "material", (), is_terms=False).channels


async def read_keys(site: Site) -> tuple[list[Signer], list[Finding]]:
    """The site's DKIM keys, and what is wrong with those that cannot be read."""
    signers, findings = [], []
    for key in site.dkim:
        try:
            signers.append(await asyncio.to_thread(read_signer, key))
        except (OSError, ValueError) as error:
            what = f"DKIM key {key.selector} of {key.domain}"
            findings.append(fail(what, str(error), "no letter leaves unsigned: put the key where site.yaml says it is"))
    return signers, findings


def examine_settings(site: Site, settings: Settings) -> list[Finding]:
    """Addresses, channels and the folder."""
    findings: list[Finding] = []
    host = urlsplit(settings.public_url).hostname or ""
    if host == "localhost" or (host.replace(".", "").isdigit() and not lies_outside(host)):
        found = f"{settings.public_url} leads nowhere for the people who get letters"
        findings.append(look("public address", found, "set NOTIFIER_PUBLIC_URL to what people can reach"))
    on = {module.rpartition(".")[2] for module in settings.channels}
    off = [name for name in channels_of(site) if name not in on]
    findings += [fail(f"channel {name}", "is not switched on", "add its module to NOTIFIER_CHANNELS") for name in off]
    if site.webhook and (problem := objection_to(URL(site.webhook.url), frozenset(settings.webhook_hosts))):
        findings.append(fail("webhook", problem, "mend webhook.url, or name its host in NOTIFIER_WEBHOOK_HOSTS"))
    if site.watch and site.watch.folder and not Path(site.watch.folder).is_dir():
        findings.append(look("watched folder", f"{site.watch.folder} is none here", "make it where the workers run"))
    for source in site.watch.sources if site.watch else ():
        if problem := objection_to(URL(source.address), frozenset(settings.watch_hosts)):
            remedy = "mend the address under watch.sources, or name its host in NOTIFIER_WATCH_HOSTS"
            findings.append(fail(f"source of {source.policy} in {source.locale}", problem, remedy))
        if source.git and which("git") is None:
            findings.append(look(f"source of {source.policy} in {source.locale}", "needs git", "install git"))
    return findings


async def examine_gone(db: Db, site: Site) -> list[Finding]:
    """Whether the webhook said that it is gone for good."""
    if site.webhook is None:
        return []
    at: datetime | None = await db.value(
        "delivery.gone", site=site.site, channel="webhook", endpoint=endpoint_of(site.webhook)
    )
    if at is None:
        return []
    remedy = "nothing is sent there: put another webhook.url into site.yaml, or raise webhook.generation"
    return [fail("webhook", f"it said on {at:%Y-%m-%d} that it is gone (410)", remedy)]


def examine_locales(site: Site, last: list[LastTexts]) -> list[Finding]:
    """What people in each locale of the site will not get in their language."""
    findings: list[Finding] = []
    for locale in site.locales:
        lacking = [
            *([] if locale.partition("-")[0] in catalogues() else ["the wording of letters"]),
            *([] if locale in site.names else ["names"]),
            *([] if locale in site.senders else ["senders"]),
            *(f"the title of {name}" for name, policy in site.policies.items() if locale not in policy.titles),
            *(f"{one.policy} {one.label}" for one in last if locale not in one.locales),
        ]
        if lacking:
            remedy = f"people get these in {site.locales[0]} (the wording in English): add what should be theirs"
            findings.append(look(f"locale {locale}", "lacks " + ", ".join(lacking), remedy))
        else:
            findings.append(ok(f"locale {locale}", "complete"))
    return findings


async def examine_rule(db: Db, site: Site) -> list[Finding]:
    """What a careful reader would stumble over in the rule, and in the newest texts where there are some."""
    seen: dict[tuple[str, str, str], Finding] = {}  # what a rule has against one policy it has against the next
    for policy, described in site.policies.items():
        versions = [v for v in await list_versions(db, site.site, policy) if v.state == "published"]
        rules = rules_of(site.rule, "material", (), is_terms=described.is_terms)
        for one in await warnings_of(db, site, versions[0]) if versions else before_a_version(site, rules):
            what = f"{policy} {versions[0].label}" if one.about != "rule" else "rule"
            seen.setdefault((what, one.code, one.place), look(f"{what}, {one.place}", one.found, one.remedy))
    return list(seen.values())


async def examine_posting(db: Db, site: Site, settings: Settings) -> list[Finding]:
    """Whether the site's own pages may be asked, and show what was published."""
    findings: list[Finding] = []
    for policy, described in site.policies.items():
        for locale, page in described.posted_at_url.items():
            hosts = frozenset(settings.watch_hosts)
            if page.url != HOSTED and (problem := objection_to(URL(page.url), hosts)):
                remedy = "mend posted_at_url, or name its host in NOTIFIER_WATCH_HOSTS"
                findings.append(look(f"page of {policy} in {locale}", problem, remedy))
    for one in await alarms(db, site.site):
        found = f"{one.label} is not posted: {one.reason}" if one.alarm == "missing" else f"changed: {one.reason}"
        remedy = "publish what it shows as a version, or have the page show the version: notifier posting list"
        findings.append(look(f"page of {one.policy} in {one.locale}", found, f"{remedy} {site.site}"))
    return findings


async def examine_stops(db: Db, site: Site) -> list[Finding]:
    """Whether somebody stopped sending."""
    found = await stops(db, site.site)
    commands = {True: "notifier go", False: f"notifier go {site.site}"}
    return [fail("sending", said(one), f"let it go on: {commands[one.site is None]}") for one in found]


_UNCOVERED = {
    "no_campaign": ("no campaign tells of it", "publish it again, or tell people yourself"),
    "not_begun": ("its campaign has not begun", "approve it"),
    "no_notice": ("{n} people have no notice", "workers look again within the hour; if it stays so, report it"),
    "untold": ("{n} people are not told yet", "look at the campaign's page for what holds it back"),
    "too_little_evidence": (
        "{n} people are told with less evidence than their rule asks for",
        "have the relay's log or its events taken in, or ask for less in `evidence`",
    ),
    "unreachable": ("{n} people could not be reached", "show it at their next login, or tell them by other means"),
}


async def examine_coverage(db: Db, site: Site) -> list[Finding]:
    """Whether everybody whom a version concerns is told of it, as of the last look."""
    findings: list[Finding] = []
    for look_ in await coverage_of(db, site.site):
        for gap, people in look_.gaps.items():
            found, remedy = _UNCOVERED[gap]
            judge = look if gap in ("untold", "too_little_evidence", "unreachable") else fail
            findings.append(judge(f"{look_.policy} {look_.label}", found.format(n=f"{people:,}"), remedy))
    return findings


async def examine_clocks(db: Db, real: datetime) -> Finding:
    """Leases and signatures run on the real time of each machine."""
    there: datetime = await db.value("doctor.clock")
    skew = abs((there - real).total_seconds())
    if skew < _SKEW_SEEN:
        return ok("clocks", "this machine and the database agree")
    found = f"this machine and the database differ by {skew:.0f} s"
    judge = fail if skew > _SKEW_HARMS else look
    return judge("clocks", found, "run NTP on both: leases, signatures and dates rest on the time")
