"""Deliver one slice: under way → send → outcome, batch after batch.

The crash between each two statements, and what the next holder of the slice finds:

* after the lease: nothing was tried; it starts at the same cursor.
* after the row that says what is under way: each of its letters becomes ``unknown``, and is sent again with the same
  Message-ID.
* after the send: the same, and the second copy is flagged by the ``unknown`` before it.
* after the outcomes: the cursor moved and that row went in the same transaction; it goes on behind it.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from notifier.channels.channel import Channel, Permit, Sent
from notifier.clock import Clock
from notifier.db import Db
from notifier.delivery.hand import Hand, Later, Next, Row, queue
from notifier.delivery.hold import SENDING, watched
from notifier.delivery.lease import Slice, claim, give_back, let_go, recover
from notifier.delivery.pace import Shares, asked_to_slow
from notifier.delivery.relays import REST, Refusing, elsewhere, without
from notifier.delivery.retry import after_unknown
from notifier.delivery.settle import SLOTS, Made, Settlement, Tried, lock_onward, record, settle
from notifier.delivery.take import limits_of, slow_down, take
from notifier.keys import Keys
from notifier.letters.gather import gather
from notifier.letters.letter import Letter
from notifier.letters.rebuild import Sheets
from notifier.letters.write import Writer
from notifier.log import log
from notifier.settings import Settings
from notifier.sites.site import Site, load_site

# Nothing is handed over for a person who left or was shut out since the audience was frozen.
NOT_TOLD = frozenset({"closed", "erased", "suspended"})
# A worker stops well before its lease ends, whatever a slow server does.
SHARE_OF_LEASE = 0.8
# Seconds for which it stays with a slice that has to wait, and the share of a lease that is waited away altogether.
STAY, SHARE_WAITED = 1.0, 0.25


@dataclass
class Delivery:
    """All that delivering needs, opened once per worker. Writers are kept per campaign: a version is immutable."""

    db: Db
    clock: Clock
    keys: Keys
    channels: Mapping[str, Channel]
    settings: Settings
    worker: str
    settled: Callable[[], None] = lambda: None  # called when outcomes were committed
    _writers: dict[tuple[int, int | None], Writer] = field(default_factory=dict)
    _gathering: asyncio.Lock = field(default_factory=asyncio.Lock)
    _sheets: Sheets = field(init=False)
    _refusing: Refusing = field(init=False)
    # Until when this worker claims nothing of a channel (site/channel), as it takes nothing.
    _resting: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._sheets, self._refusing = Sheets(self.db), Refusing(self.db)

    async def deliver_next(self, stopping: Callable[[], bool]) -> int:
        """Lease one slice that has work due and work it off. Returns 0 when none is due."""
        lease = timedelta(seconds=self.settings.lease_seconds)
        now = self.clock.now()
        self._resting = {name: until for name, until in self._resting.items() if until > now}
        slice_ = await claim(self.db, self.worker, lease, now, self.clock.real(), list(self._resting))
        if slice_ is None:
            return 0
        if slice_.taken_over:
            log.warning("slice taken over", campaign=slice_.campaign_id, channel=slice_.channel, slice=slice_.slice)
        try:
            if slice_.taken_over:
                slice_ = await recover(self.db, slice_, await self._unknown_after(slice_), self.clock.now())
            going = slice_.state in SENDING
            next_ = await self._work_off(slice_, stopping) if going else Next(due=self.clock.now())
        except Exception:
            # Whoever is next settles what was in hand at once, instead of waiting for the lease to run out.
            await let_go(self.db, slice_, self.clock.real())
            raise
        await give_back(self.db, slice_, next_.due, next_.fresh)
        return 1

    async def _work_off(self, slice_: Slice, stopping: Callable[[], bool]) -> Next:
        """The fresh notices, then the retries that are due. Returns when to go on."""
        hand = await self._take_in_hand(slice_)
        patience = self.settings.lease_seconds * SHARE_WAITED
        while not stopping():
            pause = self._paused(hand) or await self._rests(hand)
            if pause is None:
                batch = await self._next(hand)
                if not batch:
                    pause = await self._next_retry(hand)
                    if pause is None:
                        return Next(fresh=hand.fresh_at)
                else:
                    going, pause = await self._try(hand, batch)
                    if not going:
                        break
            if pause is not None:
                seconds = (pause - self.clock.now()).total_seconds()
                if seconds > min(STAY, patience):
                    return Next(due=pause)
                patience -= max(seconds, 0)
                await asyncio.sleep(max(seconds, 0))
        return Next(due=self.clock.now())

    async def _take_in_hand(self, slice_: Slice) -> Hand:
        writer = await self._writer(slice_.campaign_id, slice_.amended_by)
        site = await load_site(self.db, writer.telling.site.site)
        paced = self.channels[slice_.channel].paced
        limits = await limits_of(self.db, site, slice_.campaign_id, self.clock.now()) if paced else None
        return Hand(slice_, writer, site, (slice_.cursor_lane, slice_.cursor_person), limits)

    async def _unknown_after(self, slice_: Slice) -> float | None:
        writer = await self._writer(slice_.campaign_id, slice_.amended_by)
        site = await load_site(self.db, writer.telling.site.site)
        return after_unknown(site.unknown, self.settings.unknown_retry_seconds)

    def _paused(self, hand: Hand) -> datetime | None:
        """Until when nothing of this goes, as far as this worker knows without asking."""
        now = self.clock.now()
        untils = [
            until
            for name in (hand.site_channel, hand.campaign_channel)
            if (until := self._resting.get(name)) and until > now
        ]
        return max(untils, default=None)

    async def _rests(self, hand: Hand) -> datetime | None:
        """Until when the channel takes nothing of this site's. Nothing is written down about anybody meanwhile."""
        now = self.clock.now()
        paused = await self._refusing.paused(hand.site, now)
        hand.open = without(hand.site, paused) if paused else hand.site
        ready = await self.channels[hand.slice.channel].ready(hand.open)
        hand.routes = ready.routes
        if not ready.rests:
            return None
        rests, why = ready.rests, ready.why
        if paused and not hand.open.relays:
            rests, why = REST, f"all relays are paused: {paused[0].relay}: {paused[0].reason}"
        log.warning("nothing is taken now", site=hand.site.site, channel=hand.slice.channel, reason=why)
        until = self._resting[hand.site_channel] = now + timedelta(seconds=max(rests, 2 * STAY))
        return until

    async def _next(self, hand: Hand) -> list[Row]:
        """The next batch: what is fresh, and then the retries that are due."""
        if not hand.emptied:
            if batch := await self._fresh(hand.slice, hand.cursor):
                return batch
            await self.db.run("delivery.drop_answered", **hand.slice.stretch)
            hand.emptied = True
        return await self._due(hand)

    async def _next_retry(self, hand: Hand) -> datetime | None:
        """When the next retry of a slice without anything else to do is due, if that is worth staying for."""
        if hand.limits is None or not hand.limits.by_provider:
            return None
        due: datetime | None = await self.db.value("delivery_pace.next_retry", **hand.slice.stretch)
        return due if due and due <= self.clock.now() + timedelta(seconds=STAY) else None

    async def _fresh(self, slice_: Slice, cursor: tuple[int, UUID]) -> list[Row]:
        return await self.db.many(
            Row,
            "delivery.fresh",
            campaign_id=slice_.campaign_id,
            channel=slice_.channel,
            cursor_lane=cursor[0],
            cursor_person=cursor[1],
            to_lane=slice_.to_lane,
            to_person=slice_.to_person,
            now=self.clock.now(),
            limit=self._most(slice_.channel),
        )

    async def _due(self, hand: Hand) -> list[Row]:
        slice_ = hand.slice
        most = self._most(slice_.channel)
        rows = await self.db.many(Row, "delivery.due", **slice_.stretch, now=self.clock.now(), limit=most)
        if any(row.purpose != "notice" for row in rows) and await self.db.run(
            "delivery_remind.drop_settled", **slice_.stretch, now=self.clock.now()
        ):
            return await self._due(hand)
        return rows

    def _most(self, channel: str) -> int:
        return self.channels[channel].batch or self.settings.batch_size

    async def _try(self, hand: Hand, batch: Sequence[Row]) -> tuple[bool, datetime | None]:
        """As much of a batch as may go: under way, out, outcomes.

        Returns whether to go on (else the campaign no longer sends, or the lease is lost), and until when to wait
        before.
        """
        gone = await self._gone(hand.site, hand.slice.channel)
        shares = await self._share(hand, batch, gone)
        if not hand.emptied and batch and not shares.now and shares.quiet:
            # Fresh people of whom none is awake: they stay where they are, until the first of them is.
            hand.fresh_at, hand.emptied = shares.quiet, True
            await self.db.run("delivery.drop_answered", **hand.slice.stretch)
            return True, None
        if shares.wait and not shares.looked:
            name = hand.site_channel if shares.by_site else hand.campaign_channel
            self._resting[name] = shares.wait
            return True, shares.wait
        if not hand.emptied:
            hand.cursor = batch[shares.looked - 1].lane, batch[shares.looked - 1].person_id
        later = [Later(batch[number], due) for number, due in shares.later]
        return await self._carry_out(hand, [batch[number] for number in shares.now], later, gone, shares.granted), None

    async def _share(self, hand: Hand, batch: Sequence[Row], gone: datetime | None) -> Shares:
        """What of the batch may go now."""
        if hand.limits is None or not hand.limits.any:
            return Shares(now=list(range(len(batch))), looked=len(batch))
        now = self.clock.now()
        asks = [hand.ask(row, now, sent=_not_written_to(row, gone) is None) for row in batch]
        return await take(self.db, hand.limits, asks, hand.routes, now, fresh=not hand.emptied)

    async def _carry_out(
        self,
        hand: Hand,
        batch: Sequence[Row],
        later: Sequence[Later],
        gone: datetime | None,
        granted: Mapping[str, int],
    ) -> bool:
        tried, rows, letters = _write(hand, batch, gone)
        now, sheets = self.clock.now(), await self._sheets.numbers(letters)
        if letters and not await self._set_out(hand, letters, sheets, now):
            return False
        sents = await self._send(hand.slice, hand.open, letters, Permit(granted)) if letters else []
        tried += [
            Tried(
                row.lane, row.person_id, row.attempt, row.failures,
                sent.kind, sent.class_, sent.reply, sent.via, sent.retry_after, row.since, row.purpose,
                Made(now, sheet, letter.address, letter.sha256),
            )
            for row, letter, sheet, sent in zip(rows, letters, sheets, sents, strict=True)
        ]  # fmt: skip
        if hand.limits is not None and (slower := _too_fast(hand, sents)):
            await slow_down(self.db, hand.limits, slower, self.clock.now())
        paused = await self._refusing.note(hand.site, sents, self.clock.now())
        others = paused if any(relay.name not in paused for relay in hand.open.relays) else frozenset[str]()
        return await self._settle(hand, tried, later, others)

    async def _gone(self, site: Site, channel: str) -> datetime | None:
        """When what takes the site's letters said that it is gone for good, if it did."""
        endpoint = self.channels[channel].endpoint(site)
        where = {"site": site.site, "channel": channel, "endpoint": endpoint}
        return await self.db.value("delivery.gone", **where) if endpoint else None

    async def _set_out(self, hand: Hand, letters: Sequence[Letter], sheets: Sequence[int], now: datetime) -> bool:
        """Write down what is about to be tried, before a byte leaves. False: the slice or the campaign is not ours."""
        lane, person_id = hand.cursor
        found = await self.db.value(
            "delivery.set_out",
            **hand.slice.key, epoch=hand.slice.epoch, now=now, cursor_lane=lane, cursor_person=person_id,
            lanes=[one.lane for one in letters], people=[one.person_id for one in letters],
            attempts=[one.attempt for one in letters], addresses=[one.address for one in letters],
            digests=[one.sha256 for one in letters], sheets=sheets, purposes=[one.sheet.purpose for one in letters],
        )  # fmt: skip
        return found is not None

    async def _send(self, slice_: Slice, site: Site, letters: Sequence[Letter], permit: Permit) -> list[Sent]:
        """Hand letters to the channel. No transaction is open. What has no answer before the lease ends is unknown."""
        answered: dict[tuple[int, UUID], Sent] = {}
        try:
            async with asyncio.timeout(self.settings.lease_seconds * SHARE_OF_LEASE), watched(self.db, slice_, permit):
                async for sent in self.channels[slice_.channel].send(site, letters, permit):
                    answered[sent.letter.lane, sent.letter.person_id] = sent
        except TimeoutError:
            log.warning("no answer before the lease ends", channel=slice_.channel, count=len(letters) - len(answered))
        endpoint = self.channels[slice_.channel].endpoint(site)
        if endpoint and any(one.class_ == "gone" for one in answered.values()):
            await self.db.run(
                "delivery.add_gone", site=site.site, channel=slice_.channel, endpoint=endpoint, now=self.clock.now()
            )
            log.warning("the endpoint is gone for good", site=site.site, channel=slice_.channel)
        return [
            answered.get((one.lane, one.person_id))
            or Sent(one, "unknown", "unknown", "no answer before the lease ended", "", None)
            for one in letters
        ]

    async def _settle(self, hand: Hand, tried: list[Tried], later: Sequence[Later], paused: frozenset[str]) -> bool:
        """Outcomes and cursor in one transaction. Outcomes stay even when the lease was lost meanwhile."""
        unknown_after = after_unknown(hand.site.unknown, self.settings.unknown_retry_seconds)
        rows = settle(tried, self.clock.now(), unknown_after, random.random)
        if paused:
            rows.later = elsewhere(rows.later, paused, self.clock.now())
        try:
            return await self._record(hand, rows, later, new=True)
        except asyncpg.UniqueViolationError:  # somebody has told of one of these already
            return await self._record(hand, rows, later, new=False)

    async def _record(self, hand: Hand, rows: Settlement, later: Sequence[Later], *, new: bool) -> bool:
        now, slice_, (lane, person_id) = self.clock.now(), hand.slice, hand.cursor
        until = self.clock.real() + timedelta(seconds=self.settings.lease_seconds)
        async with self.db.transaction() as tx:
            await lock_onward(tx, slice_.campaign_id, slice_.channel, slice_.slice, rows.failed)
            state = await tx.value(
                "delivery.come_back",
                **slice_.key, epoch=slice_.epoch, cursor_lane=lane, cursor_person=person_id, until=until,
            )  # fmt: skip
            slot, held = slice_.slice % SLOTS, state is not None
            await record(
                tx, slice_.campaign_id, slice_.channel, slot, rows, now, held=held, queued=hand.emptied, new=new
            )
            if later and held:
                await queue(tx, slice_, later)
        self.settled()
        return state in SENDING

    async def _writer(self, campaign_id: int, amended_by: int | None = None) -> Writer:
        key = campaign_id, amended_by
        async with self._gathering:  # slices are begun several at a time: one gathers what all of them need
            writer = self._writers.get(key)
            # Who joins late may know another version than anybody did: what changed since is listed for them too.
            compared = await self.db.value("letters.compared", campaign_id=campaign_id)
            if writer is None or writer.telling.compared != compared:
                telling = await gather(self.db, *key)
                writer = self._writers[key] = Writer(telling, self.keys, self.settings.public_url)
            return writer


def _write(hand: Hand, batch: Sequence[Row], gone: datetime | None) -> tuple[list[Tried], list[Row], list[Letter]]:
    """What is not tried, and why; and the rows that are, with the letter of each."""
    untried, rows = [], []
    for row in batch:
        if why_not := _not_written_to(row, gone):
            untried.append(why_not)
        else:
            rows.append(row)
    written, letters = [], []
    for row, letter in zip(rows, hand.writer.write(hand.slice.channel, rows), strict=True):
        if isinstance(letter, Letter):
            written.append(row)
            letters.append(letter)
        else:
            unsent = Tried(row.lane, row.person_id, row.attempt, 0, "refused", "unsupported", str(letter))
            untried.append(unsent._replace(purpose=row.purpose))
    return untried, written, letters


def _too_fast(hand: Hand, sents: Sequence[Sent]) -> set[str]:
    """Which buckets have to slow down for what was answered."""
    if hand.limits is None:
        return set()
    answers = ((one.class_, one.reply, one.via, one.letter.address) for one in sents if one.class_ == "throttled")
    return asked_to_slow(hand.site, hand.limits.groups, answers)


def _not_written_to(row: Row, gone: datetime | None) -> Tried | None:
    """Why nothing is handed over for this person now, if so: they left, or nothing may be sent where they are."""
    if row.status not in NOT_TOLD and not row.suppressed and not gone:
        return None  # nearly everybody

    def not_sent(kind: str, class_: str, words: str = "") -> Tried:
        return Tried(row.lane, row.person_id, row.attempt, row.failures, kind, class_, words, purpose=row.purpose)

    if row.status in NOT_TOLD:
        return not_sent("withheld", row.status)
    if row.suppressed:
        return not_sent(
            "refused", "suppressed", "the address came on the suppression list after the audience was frozen"
        )
    return not_sent("refused", "gone", f"nothing was sent: the endpoint said on {gone:%Y-%m-%d} that it is gone")
