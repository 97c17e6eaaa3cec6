"""Record that a notice was shown to the signed-in person: it tells whom neither mail nor message reached.

The row it leaves is that of any other attempt: the outcome ``shown`` (E3), with the SHA-256 of the exact words and the
sheet that they were written from. The channel is one of its own: no plan has it and nothing sends
by it.
"""

from datetime import datetime

from notifier.db import Db
from notifier.delivery.settle import SLOTS, Made, Tried, add_outcomes, count
from notifier.errors import Conflict, Undeliverable
from notifier.letters.letter import Letter, Recipient
from notifier.letters.rebuild import Sheets
from notifier.letters.write import Writer
from notifier.presenting.pending import Pending
from notifier.presenting.present import may_be_shown

CHANNEL = "in_app"


def notice_of(writer: Writer, one: Pending) -> Letter:
    """The words that are shown, as the letter that is recorded: its ``sha256`` names the statement.

    Raises Conflict when the version has no text in the person's locale.
    """
    recipient = Recipient(
        one.lane, one.person_id, None, one.locale, one.time_zone, 1, knew=one.since, overlays=one.overlays
    )
    (letter,) = writer.write(CHANNEL, [recipient])
    if isinstance(letter, Undeliverable):
        raise Conflict(str(letter))
    return letter


async def record_shown(db: Db, one: Pending, letter: Letter, now: datetime) -> bool:
    """Record that this was shown. Returns False when it was recorded before: the first time counts.

    Raises Conflict for somebody who is not to be told of this version.
    """
    if (why := may_be_shown(one.standing)) is not None:
        raise Conflict(f"nothing was recorded: this person is not to be shown {one.policy} {one.label!r} ({why})")
    async with db.transaction() as tx:
        (sheet,) = await Sheets(tx).numbers([letter])
        made = Made(now, sheet, "", letter.sha256)
        tried = [Tried(one.lane, one.person_id, 1, 0, "shown", via="site", made=made)]
        news = await add_outcomes(tx, one.campaign_id, CHANNEL, tried, now)
        if news:
            await count(tx, one.campaign_id, CHANNEL, one.lane % SLOTS, news)
            await tx.notify("notifier", "outcome")
    return bool(news)
