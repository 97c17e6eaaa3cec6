"""Return paths that say which attempt a report is about, and prove that we made them (VERP). Pure.

``b+<token>@domain``: the token is base32, because a mail server may fold the case of a local part, and holds the
campaign, lane, attempt and person with a 96-bit MAC. It fits the 64 octets of a local part (RFC 5321, 4.5.3.1.1).
What it proves is that whoever reports was shown the return path: the mail servers on the way, and the recipient.
"""

import base64
import binascii
import hashlib
import hmac
import re
import struct
from dataclasses import dataclass
from uuid import UUID

from notifier.errors import Unauthenticated
from notifier.keys import Keys

PREFIX = "b+"
_FACTS = struct.Struct(">IHH16s")
_MAC_SIZE = 12
_TOKEN_SIZE = 58  # 36 bytes in base32, without padding
_TOKEN = re.compile(r"(?<![A-Za-z0-9+])b\+([A-Za-z2-7]{58})(?![A-Za-z0-9])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Attempt:
    """The attempt that a return path stands for."""

    campaign_id: int
    lane: int
    person_id: UUID
    attempt: int


def return_path_key(keys: Keys) -> bytes:
    """The key of the MACs in return paths: derive it once, then seal by the thousand."""
    return keys.derive("return-path")


def seal(attempt: Attempt, key: bytes) -> str:
    """The local part of the return path of one attempt, in lower case."""
    return seal_facts(attempt.campaign_id, attempt.lane, attempt.person_id, attempt.attempt, key)


def seal_facts(campaign_id: int, lane: int, person_id: UUID, attempt: int, key: bytes) -> str:
    """The same as :func:`seal` for whoever has the facts apart."""
    facts = _FACTS.pack(campaign_id, lane, attempt, person_id.bytes)
    mac = hashlib.blake2b(facts, key=key, digest_size=_MAC_SIZE).digest()
    return PREFIX + base64.b32encode(facts + mac)[:_TOKEN_SIZE].decode().lower()


def unseal(local_part: str, key: bytes) -> Attempt:
    """Read a local part that :func:`seal` made, in whatever case. Raises Unauthenticated when it is not ours."""
    match = _TOKEN.fullmatch(local_part)
    if match is None:
        raise Unauthenticated("this is not one of our return paths")
    try:
        raw = base64.b32decode(match[1].upper() + "======")
    except binascii.Error as error:
        raise Unauthenticated("this is not one of our return paths") from error
    campaign_id, lane, attempt, person = _FACTS.unpack(raw[: _FACTS.size])
    found = Attempt(campaign_id, lane, UUID(bytes=person), attempt)
    if not hmac.compare_digest(seal(found, key), local_part.lower()):
        raise Unauthenticated("this return path was not made by us")
    return found


def find(text: str, key: bytes) -> Attempt | None:
    """The first return path of ours in a text, or None: anything that is not ours is as good as absent."""
    for match in _TOKEN.finditer(text):
        try:
            return unseal(match[0], key)
        except Unauthenticated:
            continue
    return None
