"""Deliver one slice, batch after batch: what is fresh, then the retries that are due."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from notifier.channels.channel import Channel
from notifier.clock import Clock
from notifier.db import Db
from notifier.delivery.batch import Batches, not_written_to
from notifier.delivery.hand import FIRST_BATCH, Hand, Later, Next, Row, next_size
from notifier.delivery.hold import SENDING
from notifier.delivery.lease import Slice, claim, give_back, let_go, recover
from notifier.delivery.pace import Shares
from notifier.delivery.relays import REST, Refusing, without
from notifier.delivery.retry import after_unknown
from notifier.delivery.take import limits_of, take
from notifier.keys import Keys
from notifier.letters.gather import gather
from notifier.letters.write import Writer
from notifier.log import log
from notifier.settings import Settings
from notifier.sites.site import Site, load_site

# Seconds for which it stays with a slice that has to wait, and the share of a lease that is waited away altogether.
STAY, SHARE_WAITED = 1.0, 0.25
# Campaigns whose writers are kept, with all that hangs on their sheets: those that were sent from last.
MOST_WRITERS = 64


@dataclass
class Delivery:
    """All that delivering needs, opened once per worker. Writers are kept for a while: a version is immutable."""

    db: Db
    clock: Clock
    keys: Keys
    channels: Mapping[str, Channel]
    settings: Settings
    worker: str
    settled: Callable[[], None] = lambda: None  # called when outcomes were committed
    _writers: dict[tuple[int, int | None], Writer] = field(default_factory=dict)
    _gathering: asyncio.Lock = field(default_factory=asyncio.Lock)
    _refusing: Refusing = field(init=False)
    _batches: Batches = field(init=False)
    # How many letters a batch has by now, by channel (site/channel).
    _sizes: dict[str, int] = field(default_factory=dict)
    # Until when this worker claims nothing of a channel (site/channel), as it takes nothing.
    _resting: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._refusing = Refusing(self.db)
        self._batches = Batches(
            self.db, self.clock, self.channels, self.settings, self._refusing, self.settled
        )  # fmt: skip

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
            if batch := await self._fresh(hand):
                return batch
            hand.emptied = True
            if not await self.db.value("delivery.any_retry", **hand.slice.stretch):
                return []  # nearly always, and a tenth of what the two questions cost that follow
            await self.db.run("delivery.drop_answered", **hand.slice.stretch)
        return await self._due(hand)

    async def _next_retry(self, hand: Hand) -> datetime | None:
        """When the next retry of a slice without anything else to do is due, if that is worth staying for."""
        if hand.limits is None or not hand.limits.by_provider:
            return None
        due: datetime | None = await self.db.value("delivery_pace.next_retry", **hand.slice.stretch)
        return due if due and due <= self.clock.now() + timedelta(seconds=STAY) else None

    async def _fresh(self, hand: Hand) -> list[Row]:
        slice_, cursor = hand.slice, hand.cursor
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
            limit=self._size(hand),
        )

    async def _due(self, hand: Hand) -> list[Row]:
        slice_ = hand.slice
        size = self._size(hand)
        rows = await self.db.many(Row, "delivery.due", **slice_.stretch, now=self.clock.now(), limit=size)
        if any(row.purpose != "notice" for row in rows) and await self.db.run(
            "delivery_remind.drop_settled", **slice_.stretch, now=self.clock.now()
        ):
            return await self._due(hand)
        return rows

    def _size(self, hand: Hand) -> int:
        """How many letters the next batch has."""
        fixed = self.channels[hand.slice.channel].batch
        return fixed or self._sizes.get(hand.site_channel) or min(FIRST_BATCH, self.settings.batch_size)

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
        size, loop = self._size(hand), asyncio.get_running_loop()
        began = loop.time()
        rows = [batch[number] for number in shares.now]
        going = await self._batches.carry_out(hand, rows, later, gone, shares.granted)
        if len(rows) == size:  # fewer say nothing of how quick it is
            self._sizes[hand.site_channel] = next_size(size, loop.time() - began, self.settings.batch_size)
        return going, None

    async def _share(self, hand: Hand, batch: Sequence[Row], gone: datetime | None) -> Shares:
        """What of the batch may go now."""
        if hand.limits is None or not hand.limits.any:
            return Shares(now=list(range(len(batch))), looked=len(batch))
        now = self.clock.now()
        asks = [hand.ask(row, now, sent=not_written_to(row, gone) is None) for row in batch]
        return await take(self.db, hand.limits, asks, hand.routes, now, fresh=not hand.emptied)

    async def _gone(self, site: Site, channel: str) -> datetime | None:
        """When what takes the site's letters said that it is gone for good, if it did."""
        endpoint = self.channels[channel].endpoint(site)
        where = {"site": site.site, "channel": channel, "endpoint": endpoint}
        return await self.db.value("delivery.gone", **where) if endpoint else None

    async def _writer(self, campaign_id: int, amended_by: int | None = None) -> Writer:
        key = campaign_id, amended_by
        async with self._gathering:  # slices are begun several at a time: one gathers what all of them need
            writer = self._writers.pop(key, None)
            # Who joins late may know another version than anybody did: what changed since is listed for them too.
            compared = await self.db.value("letters.compared", campaign_id=campaign_id)
            if writer is None or writer.telling.compared != compared:
                writer = Writer(await gather(self.db, *key), self.keys, self.settings.public_url)
            self._writers[key] = writer
            if len(self._writers) > MOST_WRITERS:
                del self._writers[next(iter(self._writers))]
            return writer
