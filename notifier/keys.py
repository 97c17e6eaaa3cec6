"""Keys derived from the one secret of the installation, and the tokens made with them.

Nothing secret lies in the database: webhook secrets, person tokens, return paths and pseudonyms are all derived,
each for its own purpose, by HKDF-Expand (RFC 5869, one block) from ``NOTIFIER_SECRET_KEY``.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

from notifier.errors import Unauthenticated


@lru_cache(maxsize=64)
def _derive(secret: bytes, purpose: str) -> bytes:
    return hmac.digest(secret, purpose.encode() + b"\x01", hashlib.sha256)


@dataclass(frozen=True)
class Keys:
    """Derives a 32-byte key per purpose from the installation's secret (at least 32 bytes)."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < 32:
            raise ValueError("the secret key needs at least 32 bytes")

    def derive(self, purpose: str) -> bytes:
        """The 32-byte key for one purpose."""
        return _derive(self.secret, purpose)

    def mac(self, purpose: str, *parts: str | bytes, size: int = 16) -> bytes:
        """A MAC over the parts (each length-prefixed, so that no two lists collide), ``size`` bytes long."""
        key = self.derive(purpose)
        message = b"".join(
            len(raw).to_bytes(4) + raw for raw in (p.encode() if isinstance(p, str) else p for p in parts)
        )
        return hmac.digest(key, message, hashlib.sha256)[:size]

    def webhook_secret(self, site: str, generation: int) -> str:
        """A site's webhook secret of one generation, in the form of Standard Webhooks (``whsec_…``)."""
        return "whsec_" + base64.b64encode(self.mac("webhook", site, str(generation), size=32)).decode()

    def message_secret(self, site: str, generation: int) -> str:
        """What our webhook to a site is signed with, of one generation: not what the site signs with."""
        return "whsec_" + base64.b64encode(self.mac("message-webhook", site, str(generation), size=32)).decode()

    def address_mac(self, site: str, address: str) -> bytes:
        """What stands for an email address where the address itself must not lie (suppression lists)."""
        return self.mac("address", site, address.casefold())

    def pseudonym(self, site: str, external_id: str) -> str:
        """What stands for an erased person's external id."""
        return "erased:" + self.mac("pseudonym", site, external_id).hex()


@dataclass(frozen=True)
class PersonToken:
    """Lets one person read their own messages until ``expires``. Minted by the site, through the API."""

    site: str
    lane: int
    person_id: UUID
    expires: datetime

    def seal(self, keys: Keys) -> str:
        """The token as text: safe in a header or in the fragment of a link."""
        body = f"{self.site}.{self.lane}.{self.person_id.hex}.{int(self.expires.timestamp())}"
        return f"{body}.{base64.urlsafe_b64encode(keys.mac('person-token', body)).decode().rstrip('=')}"

    @staticmethod
    def open(text: str, keys: Keys, now: datetime) -> "PersonToken":
        """Read a token. Raises Unauthenticated when it is forged, broken or past its time."""
        body, _, seal = text.rpartition(".")
        try:
            given = base64.urlsafe_b64decode(seal + "==")
            if not hmac.compare_digest(given, keys.mac("person-token", body)):
                raise Unauthenticated("this person token was not made by us")
            site, lane, person, expires = body.rsplit(".", 3)
            token = PersonToken(site, int(lane), UUID(person), datetime.fromtimestamp(int(expires), UTC))
        except (ValueError, binascii.Error) as error:
            raise Unauthenticated("this is not a person token") from error
        if token.expires <= now:
            raise Unauthenticated("this person token has expired; ask the site for a new one")
        return token


@dataclass(frozen=True)
class ActLink:
    """Lets one person act once on one version, on a page of their own, until ``expires``. ``act`` is the link's id."""

    site: str
    lane: int
    person_id: UUID
    version_id: int
    act: UUID
    expires: datetime

    def seal(self, keys: Keys) -> str:
        """The link's token: safe in a path."""
        body = (
            f"{self.site}.{self.lane}.{self.person_id.hex}.{self.version_id}.{self.act.hex}"
            f".{int(self.expires.timestamp())}"
        )
        return f"{body}.{base64.urlsafe_b64encode(keys.mac('act-link', body)).decode().rstrip('=')}"

    @staticmethod
    def open(text: str, keys: Keys) -> "ActLink":
        """Read a token, also one past its time. Raises Unauthenticated when it is forged or broken."""
        body, _, seal = text.rpartition(".")
        try:
            given = base64.urlsafe_b64decode(seal + "==")
            if not hmac.compare_digest(given, keys.mac("act-link", body)):
                raise Unauthenticated("this link was not made by us")
            site, lane, person, version, act, expires = body.rsplit(".", 5)
            until = datetime.fromtimestamp(int(expires), UTC)
            return ActLink(site, int(lane), UUID(person), int(version), UUID(act), until)
        except (ValueError, binascii.Error) as error:
            raise Unauthenticated("this is not such a link") from error
