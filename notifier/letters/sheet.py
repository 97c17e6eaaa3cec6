"""What the letters of one campaign, channel, locale and time zone share, and how each is filled in. Pure.

A sheet is kept with the campaign: years later, whatever became of templates, libraries and time zones, a sheet, the
address that an attempt went to and the installation's key give the exact bytes again.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any
from uuid import UUID

import orjson
from email_validator import EmailNotValidError, validate_email

from notifier.errors import Undeliverable
from notifier.keys import Keys
from notifier.letters.skeleton import Skeleton, quoted_printable

# Addresses that need neither checking nor escaping nor encoding, and fit one quoted-printable line: nearly all.
_PLAIN = re.compile(
    r"(?=.{3,75}\Z)[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_PLAIN_LOCAL_LIMIT = 64


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Sheet:
    """One skeleton and what it is for. ``time_zone`` is the one whose dates it says."""

    campaign_id: int
    channel: str
    locale: str
    time_zone: str
    domain: str  # of the sender: of the Message-ID, and of the return path
    skeleton: Skeleton
    purpose: str = "notice"
    edition: int = 0  # the correction whose words it says in the place of the version's own; 0: none

    def pieces(self, address: str, message_id: str, *, plain: bool = False) -> list[bytes]:
        """The exact bytes of one letter, not yet joined: most of them are the sheet's own.

        ``address`` as it stands in the envelope; ``plain``: known to be plain.
        """
        if self.channel == "email":
            return self.skeleton.pieces(email_slots(address, message_id, plain=plain))
        if self.channel == "webhook":
            slots = {"id": orjson.dumps(message_id[1:-1]), "external_id": orjson.dumps(address)}
            return self.skeleton.pieces(slots)
        return [self.skeleton.fixed[0]]

    def fill(self, address: str, message_id: str) -> bytes:
        """The exact bytes of one letter."""
        return b"".join(self.pieces(address, message_id))

    def kept(self) -> dict[str, Any]:
        """As it is kept, in JSON."""
        fixed = [piece.decode() for piece in self.skeleton.fixed]
        kept = {"domain": self.domain, "fixed": fixed, "slots": list(self.skeleton.slots)}
        if self.purpose != "notice":
            kept["purpose"] = self.purpose
        return kept | {"edition": self.edition} if self.edition else kept

    def digest(self) -> bytes:
        """What tells two sheets apart."""
        return hashlib.sha256(orjson.dumps(self.kept(), option=orjson.OPT_SORT_KEYS)).digest()


def sheet_of(campaign_id: int, channel: str, locale: str, time_zone: str, kept: Mapping[str, Any]) -> Sheet:
    """A sheet that was kept."""
    skeleton = Skeleton(tuple(piece.encode() for piece in kept["fixed"]), tuple(kept["slots"]))
    purpose, edition = kept.get("purpose", "notice"), kept.get("edition", 0)
    return Sheet(campaign_id, channel, locale, time_zone, kept["domain"], skeleton, purpose, edition)


def message_id_mac(keys: Keys) -> hashlib.blake2b:
    """The MAC in message ids, which has heard nothing yet: make it once."""
    return hashlib.blake2b(key=keys.derive("message-id"), digest_size=16)


def message_id_of(sheet: Sheet, lane: int, person_id: UUID, ready: hashlib.blake2b) -> str:
    """The Message-ID of one person's letter: the same on every attempt. A reminder, or other words, are another."""
    about = sheet.channel if sheet.purpose == "notice" else f"{sheet.channel}/{sheet.purpose}"
    if sheet.edition:
        about += f"/{sheet.edition}"
    mac = ready.copy()
    mac.update(f"{sheet.campaign_id}/{lane}/{person_id.hex}/{about}".encode())
    return f"<{sheet.campaign_id}.{mac.hexdigest()}@{sheet.domain}>"


def envelope_address(address: str) -> str:
    """An address as it stands in the envelope. Raises Undeliverable when it is none."""
    if is_plain(address):
        return address
    try:
        found = validate_email(address, check_deliverability=False, globally_deliverable=False, strict=True)
    except EmailNotValidError as error:
        # The library's words quote the address; the reply is kept longer than an address may be.
        raise Undeliverable("this is not an email address") from error
    return found.ascii_email or found.normalized


def is_plain(address: str) -> bool:
    """Whether an address stands in the envelope, in text and in HTML as it is."""
    return _PLAIN.fullmatch(address) is not None and address.index("@") <= _PLAIN_LOCAL_LIMIT


def email_slots(address: str, message_id: str, *, plain: bool = False) -> dict[str, bytes]:
    """What is filled into a letter by email."""
    raw = in_text = in_html = address.encode()
    if not plain and not is_plain(address):
        in_text, in_html = quoted_printable(address), quoted_printable(escape(address))
    return {"to": raw, "message_id": message_id.encode("ascii"), "text": in_text, "html": in_html}
