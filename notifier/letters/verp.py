"""Return paths that say which attempt a report is about, and prove that we made them (VERP). Pure.

``b+<token>@domain``: the token is hexadecimal, because a mail server may fold the case of a local part, and holds the
campaign, lane, attempt and person with a 64-bit MAC. It fills the 64 octets of a local part (RFC 5321, 4.5.3.1.1).
What it proves is that whoever reports was shown the return path: the mail servers on the way, and the recipient.
Guessing takes 2**63 messages, and the person's own random id besides. (Base32 had room for 96 bits, and took 4 µs of
the 14 that writing a letter takes.)
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from uuid import UUID

from notifier.errors import Unauthenticated
from notifier.keys import Keys

PREFIX = "b+"
_WHICH_SIZE = 7  # bytes: 32 bits of campaign, 10 of lane, 14 of attempt
_ATTEMPT_BITS, _LANE_BITS = 14, 10
_PERSON_SIZE, _MAC_SIZE = 16, 8
_FACTS_SIZE = _WHICH_SIZE + _PERSON_SIZE
_TOKEN = re.compile(r"(?<![A-Za-z0-9+])b\+([A-Fa-f0-9]{62})(?![A-Za-z0-9])", re.IGNORECASE)


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
    return seal_facts(attempt.campaign_id, attempt.lane, attempt.person_id, attempt.attempt, ready_mac(key))


def ready_mac(key: bytes) -> hashlib.blake2b:
    """A MAC that has heard nothing yet: to copy it takes half as long as to make another."""
    return hashlib.blake2b(key=key, digest_size=_MAC_SIZE)


def seal_facts(campaign_id: int, lane: int, person_id: UUID, attempt: int, ready: hashlib.blake2b) -> str:
    """The same as :func:`seal` for whoever has the facts apart. Raises OverflowError beyond 16,383 attempts."""
    if attempt >> _ATTEMPT_BITS:
        raise OverflowError(f"attempt {attempt} does not fit a return path")
    which = (campaign_id << _LANE_BITS | lane) << _ATTEMPT_BITS | attempt
    facts = which.to_bytes(_WHICH_SIZE) + person_id.bytes
    mac = ready.copy()
    mac.update(facts)
    return PREFIX + (facts + mac.digest()).hex()


def unseal(local_part: str, key: bytes) -> Attempt:
    """Read a local part that :func:`seal` made, in whatever case. Raises Unauthenticated when it is not ours."""
    match = _TOKEN.fullmatch(local_part)
    if match is None:
        raise Unauthenticated("this is not one of our return paths")
    raw = bytes.fromhex(match[1])
    which = int.from_bytes(raw[:_WHICH_SIZE])
    found = Attempt(
        campaign_id=which >> _LANE_BITS + _ATTEMPT_BITS,
        lane=which >> _ATTEMPT_BITS & (1 << _LANE_BITS) - 1,
        person_id=UUID(bytes=raw[_WHICH_SIZE:_FACTS_SIZE]),
        attempt=which & (1 << _ATTEMPT_BITS) - 1,
    )
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
