"""One batch of letters: under way → send → outcome.

The crash between each two statements, and what the next holder of the slice finds:

* before the row that says what is under way: nothing was tried; it starts at the same cursor.
* after it: each of its letters becomes ``unknown``, and is sent again with the same Message-ID.
* after the send: the same, and the second copy is flagged by the ``unknown`` before it.
* after the outcomes: the cursor moved and that row went in the same transaction; it goes on behind it.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

import asyncpg
from msgspec.structs import replace

from notifier.channels.channel import Channel, Permit, Sent
from notifier.clock import Clock
from notifier.db import AWAY, Db, is_away
from notifier.delivery.hand import Hand, Later, Row, queue
from notifier.delivery.hold import SENDING, watched
from notifier.delivery.lease import Slice
from notifier.delivery.pace import asked_to_slow
from notifier.delivery.relays import Refusing
from notifier.delivery.retry import after_unknown
from notifier.delivery.settle import SLOTS, Made, Settlement, Tried, lock_onward, record, settle
from notifier.delivery.take import slow_down
from notifier.errors import Undeliverable
from notifier.letters.letter import Letter
from notifier.letters.rebuild import Sheets
from notifier.letters.sheet import Sheet
from notifier.log import log, where
from notifier.settings import Settings
from notifier.sites.site import Site

# Nothing is handed over for a person who left or was shut out since the audience was frozen.
NOT_TOLD = frozenset({"closed", "erased", "suspended"})
# A worker stops well before its lease ends, whatever a slow server does; before that it begins no more letters.
SHARE_OF_LEASE, SHARE_BEGUN = 0.8, 0.6
# Letters that are written while the sessions of the worker's other slices wait: a fraction of a millisecond.
WRITTEN_AT_ONCE = 32
# Seconds between two tries to record outcomes while the database is away.
RECORD_AGAIN = 0.5

T = TypeVar("T")


@dataclass
class Batches:
    """What carrying out a batch needs, opened once per worker."""

    db: Db
    clock: Clock
    channels: Mapping[str, Channel]
    settings: Settings
    refusing: Refusing
    settled: Callable[[], None]  # called when outcomes were committed
    _sheets: Sheets = field(init=False)

    def __post_init__(self) -> None:
        self._sheets = Sheets(self.db)

    async def carry_out(
        self,
        hand: Hand,
        batch: Sequence[Row],
        later: Sequence[Later],
        gone: datetime | None,
        granted: Mapping[str, int],
    ) -> bool:
        """Write, send and record. ``gone``: since when the site's endpoint takes nothing; ``granted``: by each route.

        Returns whether to go on: False when the campaign no longer sends, or the lease is lost.
        """
        again = await self._sheets.of([row.sheet for row in batch])
        tried, rows, letters = await _write(hand, batch, again, gone)
        now, sheets = self.clock.now(), await self._sheets.numbers(letters)
        lease_ends = asyncio.get_running_loop().time() + self.settings.lease_seconds
        if letters and not await self._set_out(hand, letters, sheets, now):
            return False
        sents = await self._send(hand.slice, hand.open, letters, Permit(granted)) if letters else []
        tried += [
            Tried(
                row.lane, row.person_id, row.attempt, row.failures,
                sent.kind, sent.class_, sent.reply, sent.via, sent.retry_after, row.since, row.purpose,
                Made(now, sheet, letter.address, letter.sha256), sent.phase,
            )
            for row, letter, sheet, sent in zip(rows, letters, sheets, sents, strict=True)
        ]  # fmt: skip
        going = await self._settle(hand, tried, later, lease_ends)
        await self._heed(hand, sents)
        return going

    async def _set_out(self, hand: Hand, letters: Sequence[Letter], sheets: Sequence[int], now: datetime) -> bool:
        """Write down what is about to be tried, before a byte leaves. False: the slice or the campaign is not ours."""
        lane, person_id = hand.cursor
        found = await self.db.value(
            "delivery.set_out",
            **hand.slice.key, epoch=hand.slice.epoch, now=now, until=self._lease_end(),
            cursor_lane=lane, cursor_person=person_id,
            lanes=[one.lane for one in letters], people=[one.person_id for one in letters],
            addresses=[one.address for one in letters], digests=[one.sha256 for one in letters],
            attempts=_shared([one.attempt for one in letters]), sheets=_shared(sheets),
            purposes=_shared([one.sheet.purpose for one in letters]),
        )  # fmt: skip
        return found is not None

    async def _send(self, slice_: Slice, site: Site, letters: Sequence[Letter], permit: Permit) -> list[Sent]:
        """Hand letters to the channel. No transaction is open. What has no answer before the lease ends is unknown."""
        answered: dict[int, Sent] = {}  # by the letter's id()
        lease = self.settings.lease_seconds
        try:
            async with (
                asyncio.timeout(lease * SHARE_OF_LEASE),
                watched(self.db, slice_, permit, lease * SHARE_BEGUN),
            ):
                async for sent in self.channels[slice_.channel].send(site, letters, permit):
                    answered[id(sent.letter)] = sent
        except TimeoutError:
            log.warning("no answer before the lease ends", channel=slice_.channel, count=len(letters) - len(answered))
        return [
            answered.get(id(one)) or Sent(one, "unknown", "unknown", "no answer before the lease ended", "", None)
            for one in letters
        ]

    async def _settle(self, hand: Hand, tried: list[Tried], later: Sequence[Later], lease_ends: float) -> bool:
        """Outcomes and cursor in one transaction. Outcomes stay even when the lease was lost meanwhile.

        What is known of letters that left is nowhere else: while the database is away it waits, as long as it has the
        lease. What was committed although no answer came is found to be known, and changes nothing.
        """
        unknown_after = after_unknown(hand.site.unknown, self.settings.unknown_retry_seconds)
        rows = settle(tried, self.clock.now(), unknown_after, random.random)
        new, loop = True, asyncio.get_running_loop()
        while True:
            try:
                return await self._record(hand, rows, later, new=new)
            except asyncpg.UniqueViolationError:
                if not new:
                    raise
            except AWAY as error:
                if not is_away(error) or loop.time() + RECORD_AGAIN >= lease_ends:
                    raise
                log.warning("outcomes wait for the database", count=len(tried), error=where(error))
                await asyncio.sleep(RECORD_AGAIN)
            new = False  # somebody has told of one of these already

    async def _record(self, hand: Hand, rows: Settlement, later: Sequence[Later], *, new: bool) -> bool:
        now, slice_, (lane, person_id) = self.clock.now(), hand.slice, hand.cursor
        async with self.db.transaction() as tx:
            await lock_onward(tx, slice_.campaign_id, slice_.channel, slice_.slice, rows.failed)
            state = await tx.value(
                "delivery.come_back",
                **slice_.key, epoch=slice_.epoch, cursor_lane=lane, cursor_person=person_id,
                until=self._lease_end(),
            )  # fmt: skip
            slot, held = slice_.slice % SLOTS, state is not None
            await record(
                tx, slice_.campaign_id, slice_.channel, slot, rows, now, held=held, queued=hand.emptied, new=new
            )
            if later and held:
                await queue(tx, slice_, later)
        self.settled()
        return state in SENDING

    def _lease_end(self) -> datetime:
        """When a lease ends that is renewed now."""
        return self.clock.real() + timedelta(seconds=self.settings.lease_seconds)

    async def _heed(self, hand: Hand, sents: Sequence[Sent]) -> None:
        """What answers say of more than their letters: who wants us slower, refuses a relay, or is gone for good."""
        now, slice_ = self.clock.now(), hand.slice
        if hand.limits is not None and (slower := _too_fast(hand, sents)):
            await slow_down(self.db, hand.limits, slower, now)
        paused = await self.refusing.note(hand.site, sents, now)
        if paused and any(relay.name not in paused for relay in hand.open.relays):
            refused = [one.letter for one in sents if one.class_ == "policy" and one.via in paused]
            people = {"lanes": [one.lane for one in refused], "people": [one.person_id for one in refused]}
            await self.db.run("delivery_relays.elsewhere", **slice_.key, epoch=slice_.epoch, now=now, **people)
        endpoint = self.channels[slice_.channel].endpoint(hand.open)
        if endpoint and any(one.class_ == "gone" for one in sents):
            await self.db.run(
                "delivery.add_gone", site=hand.site.site, channel=slice_.channel, endpoint=endpoint, now=now
            )
            log.warning("the endpoint is gone for good", site=hand.site.site, channel=slice_.channel)


def _shared(values: Sequence[T]) -> Sequence[T]:
    """One for all where all are the same: what is under way is written down the quicker."""
    return values[:1] if len(set(values)) == 1 else values


async def _write(
    hand: Hand, batch: Sequence[Row], again: Sequence[Sheet | None], gone: datetime | None
) -> tuple[list[Tried], list[Row], list[Letter]]:
    """What is not tried, and why; and the rows that are, with the letter of each. ``again``: what a copy that may have
    arrived was filled into: the next is the same. Now and then the sessions have their turn."""
    untried, rows, sheets = [], [], []
    for row, sheet in zip(batch, again, strict=True):
        if why_not := not_written_to(row, gone):
            untried.append(why_not)
        else:
            rows.append(row)
            sheets.append(sheet)
    made: list[Letter | Undeliverable] = []
    for start in range(0, len(rows), WRITTEN_AT_ONCE):
        some = slice(start, start + WRITTEN_AT_ONCE)
        made += hand.writer.write(hand.slice.channel, rows[some], sheets[some])
        await asyncio.sleep(0)
    written, letters = [], []
    for row, letter in zip(rows, made, strict=True):
        if isinstance(letter, Letter):
            written.append(row)
            letters.append(letter)
        else:
            unsent = Tried(row.lane, row.person_id, row.attempt, 0, "refused", "unsupported", str(letter))
            untried.append(replace(unsent, purpose=row.purpose))
    return untried, written, letters


def _too_fast(hand: Hand, sents: Sequence[Sent]) -> set[str]:
    """Which buckets have to slow down for what was answered."""
    if hand.limits is None:
        return set()
    answers = ((one.class_, one.reply, one.via, one.letter.address) for one in sents if one.class_ == "throttled")
    return asked_to_slow(hand.site, hand.limits.groups, answers)


def not_written_to(row: Row, gone: datetime | None) -> Tried | None:
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
