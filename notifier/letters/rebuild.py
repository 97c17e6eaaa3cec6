"""Keep what letters are filled into, and write any letter again: the same bytes, held to the SHA-256 of the record."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID
from weakref import WeakKeyDictionary

from notifier.db import Db
from notifier.errors import Conflict, NotFound
from notifier.keys import Keys
from notifier.letters.letter import Letter
from notifier.letters.sheet import Sheet, message_id_mac, message_id_of, sheet_of

MEDIA_TYPES = {"email": "message/rfc822", "webhook": "application/json"}
_FRAGMENT = "text/html; charset=utf-8"


class _Kept(NamedTuple):
    sheet: int
    campaign_id: int
    channel: str
    locale: str
    time_zone: str
    content: dict[str, Any]


@dataclass
class Sheets:
    """The numbers of the sheets that one worker has kept: each is written once, before the first letter from it.

    They are known for as long as somebody writes letters from the sheet.
    """

    db: Db
    _numbers: WeakKeyDictionary[Sheet, int] = field(default_factory=WeakKeyDictionary)

    async def of(self, numbers: Sequence[int | None]) -> list[Sheet | None]:
        """The sheet of each number."""
        found: dict[int, Sheet] = {}
        if wanted := {number for number in numbers if number is not None}:
            for kept in await self.db.many(_Kept, "letters.sheets", sheets=list(wanted)):
                sheet = found[kept.sheet] = sheet_of(*kept[1:])
                self._numbers[sheet] = kept.sheet
        return [None if number is None else found[number] for number in numbers]

    async def numbers(self, letters: Sequence[Letter]) -> list[int]:
        """The number of each letter's sheet."""
        sheets = {letter.sheet for letter in letters}
        found = {sheet: number for sheet in sheets if (number := self._numbers.get(sheet)) is not None}
        for sheet in sheets - found.keys():
            found[sheet] = self._numbers[sheet] = await self.db.value(
                "letters.keep_sheet",
                campaign_id=sheet.campaign_id,
                channel=sheet.channel,
                locale=sheet.locale,
                time_zone=sheet.time_zone,
                sha256=sheet.digest(),
                content=sheet.kept(),
            )
        return [found[letter.sheet] for letter in letters]


@dataclass(frozen=True)
class Rebuilt:
    """One letter as it was sent (without signatures). ``matches``: it has the SHA-256 that was recorded."""

    channel: str
    attempt: int
    at: datetime
    locale: str
    time_zone: str
    body: bytes
    sha256: bytes
    matches: bool

    @property
    def media_type(self) -> str:
        """Of the body."""
        return MEDIA_TYPES.get(self.channel, _FRAGMENT)


@dataclass(frozen=True)
class _Attempt:
    channel: str
    attempt: int
    at: datetime
    address: str | None
    sha256: bytes
    locale: str | None
    time_zone: str | None
    content: dict[str, Any] | None
    lane: int
    person_id: UUID


async def rebuild(
    db: Db,
    keys: Keys,
    campaign_id: int,
    lane: int,
    person_id: UUID,
    *,
    channel: str | None = None,
    attempt: int | None = None,
) -> Rebuilt:
    """The letter of one attempt (the last one, of any channel, where none is named).

    Raises NotFound when there was no such attempt, Conflict when the address is gone with an erased person, or when the
    letter is older than the keeping of sheets.
    """
    found = await db.first(
        _Attempt, "letters.attempt",
        lane=lane, person_id=person_id, campaign_id=campaign_id, channel=channel, attempt=attempt,
    )  # fmt: skip
    if found is None:
        raise NotFound(
            "no letter of this campaign went to this person that way; what lies in our own inbox is read there"
        )
    if found.address is None:
        raise Conflict(
            "this person was erased and the address is gone, so the letter cannot be written again; "
            f"its SHA-256 is kept: {found.sha256.hex()}"
        )
    if found.content is None or found.locale is None or found.time_zone is None:
        raise Conflict(f"what this letter was filled into was not kept; its SHA-256 is {found.sha256.hex()}")
    sheet = sheet_of(campaign_id, found.channel, found.locale, found.time_zone, found.content)
    body = sheet.fill(found.address, message_id_of(sheet, found.lane, found.person_id, message_id_mac(keys)))
    return Rebuilt(
        found.channel, found.attempt, found.at, found.locale, found.time_zone,
        body, found.sha256, hashlib.sha256(body).digest() == found.sha256,
    )  # fmt: skip
