"""API tokens, and the generations of webhook secrets. A token is shown once; only its SHA-256 is kept."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from notifier.db import Db
from notifier.errors import Fault, Invalid, NotFound
from notifier.keys import Keys

SCOPES = frozenset({"draft", "publish", "people", "activity", "send", "read", "admin"})
_LONGEST_NAME = 100


@dataclass(frozen=True)
class ApiToken:
    """Who acts (``name``, as the records say), for which site (None: every one), and what they may do."""

    name: str
    site: str | None
    scopes: list[str]


@dataclass(frozen=True)
class _Generation:
    webhook_generation: int
    webhook_previous: bool


def digest_of(token: str) -> bytes:
    """What is kept of a token. It has 256 random bits, so a plain hash cannot be guessed."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


async def create_token(db: Db, site: str | None, name: str, scopes: Sequence[str], now: datetime) -> str:
    """A new token, to be shown once. Raises Invalid (unknown scope, no name), NotFound (no such site)."""
    faults = [Fault("/scopes", f"{scope!r} is unknown; known are {', '.join(sorted(SCOPES))}")
              for scope in scopes if scope not in SCOPES]  # fmt: skip
    if not scopes:
        faults.append(Fault("/scopes", f"name at least one of {', '.join(sorted(SCOPES))}"))
    if not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME:
        faults.append(Fault("/name", f"1 to {_LONGEST_NAME} printable characters that say who acts"))
    if faults:
        raise Invalid("no token was made", faults)
    if site is not None:
        await _generation(db, site)
    token = "notifier_" + secrets.token_urlsafe(32)
    await db.run(
        "sites.create_token",
        sha256=digest_of(token), site=site, name=name, scopes=sorted(set(scopes)), now=now,
    )  # fmt: skip
    return token


async def find_tokens(db: Db, digests: Sequence[bytes]) -> dict[bytes, ApiToken]:
    """Whose tokens have these digests. Unknown and revoked ones are left out."""
    rows = await db.many(dict, "sites.find_tokens", digests=digests)
    return {row.pop("sha256"): ApiToken(**row) for row in rows}


async def revoke_token(db: Db, site: str | None, name: str, now: datetime) -> int:
    """End all live tokens of that name (of one site, or those of every site). Returns how many there were."""
    return await db.run("sites.revoke_token", site=site, name=name, now=now)


async def live_secrets(db: Db, keys: Keys, site: str) -> list[str]:
    """The webhook secrets that are good now, the newest first: one, or two between rotation and retirement."""
    now = await _generation(db, site)
    generations = [now.webhook_generation] + [now.webhook_generation - 1] * now.webhook_previous
    return [keys.webhook_secret(site, generation) for generation in generations]


async def rotate_secret(db: Db, keys: Keys, site: str) -> str:
    """A new webhook secret. The one before stays good until retire_secret; an older one ends. Raises NotFound."""
    await db.run("sites.rotate_secret", site=site)
    return (await live_secrets(db, keys, site))[0]


async def retire_secret(db: Db, site: str) -> bool:
    """End the webhook secret from before the last rotation. Returns whether there was one. Raises NotFound."""
    await _generation(db, site)
    return await db.run("sites.retire_secret", site=site) > 0


async def _generation(db: Db, site: str) -> _Generation:
    found = await db.first(_Generation, "sites.secret_generation", site=site)
    if found is None:
        raise NotFound(f"there is no site {site!r}; apply its site.yaml first")
    return found
