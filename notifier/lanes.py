"""Lanes: one number per person for locality, work and scale. See docs/architecture.md, "Lanes"."""

import os
import time
from collections.abc import Iterable
from hashlib import blake2b
from uuid import UUID

LANES = 1024


def lane_of(site: str, external_id: str) -> int:
    """The lane (0..1023) of a person: computable on any machine, and never changed once people are stored."""
    return lanes_of(site, [external_id])[0]


def lanes_of(site: str, people: Iterable[str]) -> list[int]:
    """:func:`lane_of` for many of one site, in a little less time."""
    start = f"{site}\0".encode()
    return [int.from_bytes(blake2b(start + one.encode(), digest_size=8).digest()) % LANES for one in people]


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562, 5.7): sorted by time, so that rows made together lie together."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)
