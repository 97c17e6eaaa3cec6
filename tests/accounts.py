"""Compare what a mail server really got with what the record says of it, copy by copy.

The return path of a copy names the attempt that it was, so nothing here has to be estimated: a letter that arrived was
intended, its attempt is recorded as accepted or as ``unknown``, and whoever got several got an ``unknown`` with each of
them but the last.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from hashlib import sha256
from typing import Any
from uuid import UUID

from notifier.db import Db
from notifier.keys import Keys
from notifier.letters.verp import return_path_key, unseal
from tests.channels.smtp_server import Got

_ADDRESS = re.compile(r"[\w.+-]+@people\.example")
_INTENTS = """
    SELECT i.person_id, i.attempt, i.address, i.sha256, i.at,
           array_agg(o.kind::text) FILTER (WHERE o.kind IS NOT NULL) AS kinds,
           array_agg(o.reply) FILTER (WHERE o.kind IS NOT NULL) AS replies
    FROM attempt i
    LEFT JOIN outcome o USING (lane, person_id, campaign_id, channel, attempt)
    WHERE i.campaign_id = $1 AND i.channel = 'email'
    GROUP BY i.lane, i.person_id, i.campaign_id, i.channel, i.attempt, i.address, i.sha256, i.at
"""
_FROZEN = """
    SELECT p.person_id, p.email FROM notice n JOIN person p USING (lane, person_id)
    WHERE n.campaign_id = $1 AND n.reason = 'in_scope'
"""


@dataclass(frozen=True)
class Accounts:
    """What a campaign came to. ``audience`` and ``told`` are addresses; ``told`` by the record, not by the server."""

    audience: frozenset[str]
    told: frozenset[str]
    copies: int
    doubles: int
    unknown: int
    attempts: int


async def accounts_of(db: Db, keys: Keys, campaign_id: int, got: Sequence[Got]) -> Accounts:
    """Check every copy and every attempt against each other. Nothing may be under way any more."""
    intents = {(row["person_id"], row["attempt"]): row for row in await _rows(db, _INTENTS, campaign_id)}
    audience = {row["person_id"]: row["email"] for row in await _rows(db, _FROZEN, campaign_id)}
    copies = _copies(keys, got)
    assert not [one for one, count in copies.items() if count > 1], "one attempt that was made twice"
    assert copies.keys() <= intents.keys(), "a letter that left without an intent"
    for one in got:
        _check_copy(intents[_attempt(keys, one)], one)
    for attempt, row in intents.items():
        _check_attempt(row, attempt in copies)
    arrived: dict[UUID, list[int]] = defaultdict(list)
    for person, attempt in copies:
        arrived[person].append(attempt)
    for person, attempts in arrived.items():
        flags = ["unknown" in intents[person, attempt]["kinds"] for attempt in sorted(attempts)[:-1]]
        assert all(flags), "a double without an unknown before it"
    told = {row["address"] for row in intents.values() if "accepted_by_relay" in row["kinds"]}
    return Accounts(
        frozenset(audience.values()), frozenset(told), len(got), len(got) - len(arrived),
        sum("unknown" in row["kinds"] for row in intents.values()), len(intents),
    )  # fmt: skip


def _check_copy(row: Any, got: Got) -> None:
    assert got.address == row["address"], "a letter that went to somebody else"
    assert sha256(got.content).digest() == row["sha256"], "bytes that are not the recorded ones"


def _check_attempt(row: Any, arrived: bool) -> None:
    kinds = row["kinds"] or []
    assert kinds, "a letter still under way"
    for reply in row["replies"]:
        assert set(_ADDRESS.findall(reply)) <= {row["address"]}, "a reply that was credited to another person"
    if arrived:
        assert {"accepted_by_relay", "unknown"} & set(kinds), (
            "a letter that arrived, and was recorded as one that did not"
        )
    else:
        assert "accepted_by_relay" not in kinds, "recorded as accepted, and never arrived"


def _copies(keys: Keys, got: Sequence[Got]) -> Counter[tuple[UUID, int]]:
    parser, ids = BytesHeaderParser(), defaultdict(set)
    for one in got:
        ids[one.address].add(str(parser.parsebytes(one.content)["Message-ID"]))
    assert all(len(some) == 1 for some in ids.values()), "two copies with different Message-IDs"
    assert len(set.union(*ids.values())) == len(ids) if ids else True, "two people with the same Message-ID"
    return Counter(_attempt(keys, one) for one in got)


def _attempt(keys: Keys, got: Got) -> tuple[UUID, int]:
    path = got.mail.partition("<")[2].partition("@")[0]
    attempt = unseal(path, return_path_key(keys))
    return attempt.person_id, attempt.attempt


async def _rows(db: Db, sql: str, campaign_id: int) -> list[Any]:
    async with db.connection() as connection:
        return await connection.fetch(sql, campaign_id)
