"""Deliver one slice: intent → send → outcome, batch after batch.

The crash between each two statements, and what the next holder of the slice finds:

* after the lease: nothing was tried; it starts at the same cursor.
* after the intents: intents without outcomes; each becomes ``unknown`` and is sent again with the same Message-ID.
* after the send: the same, and the second copy is flagged by the ``unknown`` before it.
* after the outcomes: the cursor moved in the same transaction; it goes on behind it.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg

from notifier.channels.channel import Channel, Permit, Sent
from notifier.clock import Clock
from notifier.db import Db
from notifier.delivery.hold import SENDING, watched
from notifier.delivery.lease import Slice, claim, give_back, let_go, recover
from notifier.delivery.settle import Settlement, Tried, lock_onward, record, settle
from notifier.keys import Keys
from notifier.letters.gather import gather
from notifier.letters.letter import Letter, Recipient
from notifier.letters.rebuild import Sheets
from notifier.letters.write import Writer
from notifier.log import log
from notifier.settings import Settings
from notifier.sites.site import Site, load_site

# Nothing is handed over for a person who left or was shut out since the audience was frozen.
NOT_TOLD = frozenset({"closed", "erased", "suspended"})
# A worker stops well before its lease ends, whatever a slow server does.
SHARE_OF_LEASE = 0.8


class Row(NamedTuple):
    """One notice to try now, with what its letter needs of the person as they are now. Fields in the columns' order."""

    lane: int
    person_id: UUID
    locale: str
    address: str | None
    time_zone: str
    external_id: str
    status: str
    attempt: int
    failures: int
    since: datetime | None  # the first try by this channel
    suppressed: bool


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
    _writers: dict[int, Writer] = field(default_factory=dict)
    _sheets: Sheets = field(init=False)
    # Until when this worker claims nothing of a channel (site/channel), as it takes nothing.
    _resting: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._sheets = Sheets(self.db)

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
            slice_ = await recover(self.db, slice_, self.settings.unknown_retry_seconds, self.clock.now())
        try:
            due = await self._work_off(slice_, stopping)
        except Exception:
            # Whoever is next settles what was in hand at once, instead of waiting for the lease to run out.
            await let_go(self.db, slice_, self.clock.real())
            raise
        await give_back(self.db, slice_, due)
        return 1

    async def _work_off(self, slice_: Slice, stopping: Callable[[], bool]) -> datetime | None:
        """The fresh notices, then the retries that are due. Returns when to go on; None: with the first retry."""
        writer = await self._writer(slice_.campaign_id)
        site = await load_site(self.db, writer.telling.site.site)
        cursor = slice_.cursor_lane, slice_.cursor_person
        emptied = False
        while not stopping():
            if rests_until := await self._rests(site, slice_.channel):
                return rests_until
            batch = [] if emptied else await self._fresh(slice_, cursor)
            if batch:
                cursor = batch[-1].lane, batch[-1].person_id
            else:
                if not emptied:
                    await self.db.run("delivery.drop_answered", **slice_.stretch)
                emptied = True
                batch = await self._due(slice_)
            if not batch:
                return None
            if not await self._try(slice_, batch, cursor, writer, site):
                break
        return self.clock.now()

    async def _rests(self, site: Site, channel: str) -> datetime | None:
        """Until when the channel takes nothing of this site's. Nothing is written down about anybody meanwhile."""
        ready = await self.channels[channel].ready(site)
        if not ready.rests:
            return None
        log.warning("nothing is taken now", site=site.site, channel=channel, reason=ready.why)
        until = self._resting[f"{site.site}/{channel}"] = self.clock.now() + timedelta(seconds=ready.rests)
        return until

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

    async def _due(self, slice_: Slice) -> list[Row]:
        most = self._most(slice_.channel)
        return await self.db.many(Row, "delivery.due", **slice_.stretch, now=self.clock.now(), limit=most)

    def _most(self, channel: str) -> int:
        return self.channels[channel].batch or self.settings.batch_size

    async def _try(
        self, slice_: Slice, batch: Sequence[Row], cursor: tuple[int, UUID], writer: Writer, site: Site
    ) -> bool:
        """One batch: intents, letters out, outcomes. False: the campaign no longer sends, or the lease is lost."""
        tried, letters = self._write(slice_.channel, batch, writer, await self._gone(site, slice_.channel))
        if not await self._intend(slice_, letters):
            return False
        rows = {(row.lane, row.person_id): row for row in batch}
        for sent in await self._send(slice_, site, letters):
            one = sent.letter
            row = rows[one.lane, one.person_id]
            tried.append(
                Tried(
                    one.lane, one.person_id, one.attempt, row.failures,
                    sent.kind, sent.class_, sent.reply, sent.via, sent.retry_after, row.since,
                )
            )  # fmt: skip
        return await self._settle(slice_, tried, cursor)

    async def _gone(self, site: Site, channel: str) -> datetime | None:
        """When what takes the site's letters said that it is gone for good, if it did."""
        endpoint = self.channels[channel].endpoint(site)
        where = {"site": site.site, "channel": channel, "endpoint": endpoint}
        return await self.db.value("delivery.gone", **where) if endpoint else None

    def _write(
        self, channel: str, batch: Sequence[Row], writer: Writer, gone: datetime | None
    ) -> tuple[list[Tried], list[Letter]]:
        tried = [unwritten for row in batch if (unwritten := _not_written_to(row, gone))]
        recipients = [
            Recipient(row.lane, row.person_id, row.address, row.locale, row.time_zone, row.attempt, row.external_id)
            for row in batch
            if _not_written_to(row, gone) is None
        ]
        letters = []
        for recipient, letter in zip(recipients, writer.write(channel, recipients), strict=True):
            if isinstance(letter, Letter):
                letters.append(letter)
            else:
                tried.append(
                    Tried(
                        recipient.lane, recipient.person_id, recipient.attempt, 0, "refused", "unsupported", str(letter)
                    )
                )
        return tried, letters

    async def _intend(self, slice_: Slice, letters: Sequence[Letter]) -> bool:
        """Write down what is about to be tried, before a byte leaves. False: the slice or the campaign is not ours.

        Whoever takes the slice over waits for this, or comes before it: no intent is left behind its back.
        """
        now = self.clock.now()
        sheets = await self._sheets.numbers(letters)
        async with self.db.transaction() as tx:
            if await tx.value("delivery.hold", **slice_.key, epoch=slice_.epoch) not in SENDING:
                return False
            await tx.copy(
                "intent",
                ("lane", "person_id", "campaign_id", "channel", "attempt", "epoch", "at", "address", "sha256", "sheet"),
                [
                    (one.lane, one.person_id, slice_.campaign_id, slice_.channel, one.attempt, slice_.epoch,
                     now, one.address, one.sha256, sheet)
                    for one, sheet in zip(letters, sheets, strict=True)
                ],
            )  # fmt: skip
        return True

    async def _send(self, slice_: Slice, site: Site, letters: Sequence[Letter]) -> list[Sent]:
        """Hand letters to the channel. No transaction is open. What has no answer before the lease ends is unknown."""
        answered: dict[tuple[int, UUID], Sent] = {}
        permit = Permit()
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

    async def _settle(self, slice_: Slice, tried: list[Tried], cursor: tuple[int, UUID]) -> bool:
        """Outcomes and cursor in one transaction. Outcomes stay even when the lease was lost meanwhile."""
        rows = settle(tried, self.clock.now(), self.settings.unknown_retry_seconds, random.random)
        try:
            return await self._record(slice_, rows, cursor, new=True)
        except asyncpg.UniqueViolationError:  # somebody has told of one of these already
            return await self._record(slice_, rows, cursor, new=False)

    async def _record(self, slice_: Slice, rows: Settlement, cursor: tuple[int, UUID], *, new: bool) -> bool:
        now = self.clock.now()
        until = self.clock.real() + timedelta(seconds=self.settings.lease_seconds)
        async with self.db.transaction() as tx:
            await lock_onward(tx, slice_.campaign_id, slice_.channel, slice_.slice, rows.failed)
            state = await tx.value(
                "delivery.move_cursor",
                **slice_.key, epoch=slice_.epoch, cursor_lane=cursor[0], cursor_person=cursor[1], until=until,
            )  # fmt: skip
            slot, held = slice_.slice % 16, state is not None
            await record(tx, slice_.campaign_id, slice_.channel, slot, rows, now, held=held, new=new)
        self.settled()
        return state in SENDING

    async def _writer(self, campaign_id: int) -> Writer:
        writer = self._writers.get(campaign_id)
        if writer is None:
            telling = await gather(self.db, campaign_id)
            writer = self._writers[campaign_id] = Writer(telling, self.keys, self.settings.public_url)
        return writer


def _not_written_to(row: Row, gone: datetime | None) -> Tried | None:
    """Why nothing is handed over for this person now, if so: they left, or nothing may be sent where they are."""
    if row.status in NOT_TOLD:
        return Tried(row.lane, row.person_id, row.attempt, row.failures, "withheld", row.status)
    if row.suppressed:
        words = "the address came on the suppression list after the audience was frozen"
        return Tried(row.lane, row.person_id, row.attempt, row.failures, "refused", "suppressed", words)
    if gone:
        words = f"nothing was sent: the endpoint said on {gone:%Y-%m-%d} that it is gone"
        return Tried(row.lane, row.person_id, row.attempt, row.failures, "refused", "gone", words)
    return None
