"""Examine one site: everything that can be seen before the first letter leaves."""

import asyncio
from datetime import datetime

from notifier.db import Db
from notifier.doctor.finding import Finding, fail
from notifier.doctor.names import Names, examine_domain
from notifier.doctor.relays import examine_relay
from notifier.doctor.site import (
    LastTexts,
    channels_of,
    examine_clocks,
    examine_coverage,
    examine_gone,
    examine_locales,
    examine_posting,
    examine_rule,
    examine_settings,
    examine_stops,
    read_keys,
)
from notifier.settings import Settings
from notifier.sites.site import Site


async def examine(db: Db, settings: Settings, site: Site, names: Names, real: datetime) -> list[Finding]:
    """All findings, in the order in which a letter meets what they are about. Nothing is sent, nothing changed."""
    signers, findings = await read_keys(site)
    last = await db.many(LastTexts, "doctor.last_texts", site=site.site)
    findings = [
        await examine_clocks(db, real),
        *await examine_stops(db, site),
        *await examine_coverage(db, site),
        *examine_settings(site, settings),
        *await examine_gone(db, site),
        *await examine_posting(db, site, settings),
        *examine_locales(site, last),
        *await examine_rule(db, site),
        *findings,
    ]
    if "email" not in channels_of(site):
        return findings
    domains = sorted({sender.address.rpartition("@")[2] for sender in site.senders.values()})
    looked_up = await asyncio.gather(*(examine_domain(names, _ascii(domain), signers) for domain in domains))
    reached = await asyncio.gather(*(examine_relay(relay, real) for relay in site.relays))
    findings += [finding for some in (*looked_up, *reached) for finding in some]
    if not site.relays:
        findings.append(fail("relays", "none", "letters by email cannot leave: name a relay in site.yaml"))
    return findings


def _ascii(domain: str) -> str:
    return domain if domain.isascii() else domain.encode("idna").decode()
