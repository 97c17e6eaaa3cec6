"""Send a few people of the site the letters of a campaign, marked as a test, and say what the relay answered.

Nothing of it is a notice: there is no intent and no outcome, no return path of ours, and what bounces changes nothing.
The campaign's history says that a test was sent before the first byte leaves, and then what came of it. Addresses stand
there shortened, as the history is kept for good.
"""

import asyncio
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from notifier.campaigns.campaign import Campaign, history, lock_campaign, record_event
from notifier.campaigns.stop import refuse_if_stopped
from notifier.channels.channel import Channel, Permit, Sent, held
from notifier.db import Db
from notifier.delivery.pace import Ask, provider_of
from notifier.delivery.take import limits_of, take
from notifier.errors import Conflict, Fault, Invalid, Undeliverable
from notifier.keys import Keys
from notifier.letters.gather import gather
from notifier.letters.letter import Letter
from notifier.letters.write import Writer
from notifier.sites.site import Site, load_site

MOST_ADDRESSES = 10
# Test sends of one campaign within a while: nobody is to be flooded by way of us.
MOST_SENDS, WHILE = 10, timedelta(minutes=10)
_IN_STATES = ("planned", "approved", "sending", "paused")
_PATIENCE = 60.0  # seconds for all letters together


@dataclass(frozen=True)
class Answer:
    """What became of one test letter. ``outcome`` and ``failure`` are a kind and a class of docs/delivery.md."""

    address: str
    locale: str
    outcome: str
    failure: str | None
    reply: str
    via: str


async def send_test(
    db: Db, keys: Keys, email: Channel | None, public_url: str, site: str, campaign_id: int,
    addresses: Sequence[str], locales: Sequence[str], actor: str, now: datetime,
) -> list[Answer]:  # fmt: skip
    """Send every address the letter in each locale (none named: in all). Answers one by one what the relay said.

    Raises NotFound, Conflict when the campaign or the stop switch does not allow it or too many were sent just now,
    Invalid for a locale that the version has no text in. ``email`` is None where that channel is not switched on.
    """
    if email is None:
        raise Conflict("letters by email are not switched on here; add the channel to NOTIFIER_CHANNELS")
    async with db.transaction() as tx:
        campaign = await lock_campaign(tx, site, campaign_id)
        await refuse_if_stopped(tx, site)
        await _check(tx, campaign, now)
        known = [row["locale"] for row in await tx.many(dict, "campaigns.text_locales", version_id=campaign.version_id)]
        if strange := [locale for locale in locales if locale not in known]:
            faults = [Fault("/locales", f"the version has no text in {locale!r}") for locale in strange]
            raise Invalid("nothing was sent", faults)
        chosen = list(dict.fromkeys(locales)) or known
        shortened = [_shortened(address) for address in addresses]
        await record_event(tx, campaign_id, now, actor, "test", addresses=shortened, locales=chosen)
    answers = await _send(db, keys, email, public_url, campaign, addresses, chosen, now)
    action = "test_sent" if any(one.outcome == "accepted_by_relay" for one in answers) else "test_failed"
    await record_event(db, campaign_id, now, actor, action, "; ".join(map(_said, answers)))
    return answers


async def _check(tx: Db, campaign: Campaign, now: datetime) -> None:
    if campaign.state not in _IN_STATES:
        raise Conflict(f"campaign {campaign.campaign_id} is {campaign.state}; nothing of it is sent any more")
    if "email" not in campaign.rules.channels:
        raise Conflict(f"campaign {campaign.campaign_id} tells nobody by email; only letters can be tested")
    sends = [e for e in await history(tx, campaign.campaign_id) if e.action == "test" and e.at > now - WHILE]
    if len(sends) >= MOST_SENDS:
        wait = (sends[0].at + WHILE - now) // timedelta(minutes=1) + 1
        raise Conflict(f"{len(sends)} test sends within ten minutes are the most; wait {wait} minutes")


async def _send(
    db: Db, keys: Keys, email: Channel, public_url: str, campaign: Campaign,
    addresses: Sequence[str], locales: Sequence[str], now: datetime,
) -> list[Answer]:  # fmt: skip
    site = await load_site(db, campaign.site)
    amended_by = await db.value("campaigns.amended_by", campaign_id=campaign.campaign_id)
    telling = replace(await gather(db, campaign.campaign_id, amended_by), opened_at=now)
    writer = Writer(telling, keys, public_url)
    macs = {address: keys.address_mac(campaign.site, address) for address in addresses}
    rows = await db.many(dict, "delivery.suppressed", site=campaign.site, macs=list(macs.values()), now=now)
    suppressed = {row["email_mac"] for row in rows}
    answers: list[Answer] = []
    letters: dict[str, tuple[str, Letter]] = {}
    for address in dict.fromkeys(addresses):
        for locale in locales:
            if macs[address] in suppressed:
                words = "nothing was sent: this address is on the suppression list"
                answers.append(Answer(address, locale, "refused", "suppressed", words, ""))
                continue
            try:
                letter = writer.test_letter(address, locale, secrets.token_hex(12))
            except Undeliverable as problem:
                answers.append(Answer(address, locale, "refused", "unsupported", str(problem), ""))
                continue
            letters[letter.message_id] = address, letter
    going, permit, told = await _paced(db, email, site, campaign.campaign_id, [one for _, one in letters.values()], now)
    try:
        async with asyncio.timeout(_PATIENCE):
            async for sent in email.send(site, going, permit):
                told[sent.letter.message_id] = sent
    except TimeoutError:
        pass  # said below, letter by letter
    for message_id, (address, letter) in letters.items():
        one = told.get(message_id) or Sent(letter, "unknown", "unknown", "no answer within a minute", "")
        answers.append(Answer(address, letter.sheet.locale, one.kind, one.class_, one.reply, one.via))
    order = {address: place for place, address in enumerate(addresses)}
    return sorted(answers, key=lambda one: (order[one.address], one.locale))


async def _paced(
    db: Db, email: Channel, site: Site, campaign_id: int, letters: Sequence[Letter], now: datetime
) -> tuple[list[Letter], Permit, dict[str, Sent]]:
    """Those that may go now by the limits that all letters share, leave for them, and what the others are told."""
    limits = await limits_of(db, site, campaign_id, now)
    if not limits.terms:
        return list(letters), Permit(), {}
    routes = (await email.ready(site)).routes
    by_provider = limits.by_provider and bool(routes)
    asks = [Ask(provider_of(one.address, limits.groups) if by_provider else "") for one in letters]
    shares = await take(db, limits, asks, routes, now, fresh=False)
    going = [letters[number] for number in shares.now]
    words = "nothing was sent: the limits of the site's pace let no more go now; try again later"
    waiting = {one.message_id: held(one, words) for one in letters if one not in going}
    return going, Permit(shares.granted), waiting


def _said(one: Answer) -> str:
    """What became of one letter, for the record. Relays quote the address."""
    short = _shortened(one.address)
    reply = re.sub(re.escape(one.address), short, one.reply, flags=re.IGNORECASE)
    return f"{short} ({one.locale}): {one.outcome} {reply}".strip()


def _shortened(address: str) -> str:
    """Enough to know one's own address again."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}"
