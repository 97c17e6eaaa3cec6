"""Postmark's webhooks: one event a request, with the user and password that its settings were given (HTTP Basic)."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from datetime import datetime

from notifier.channels.channel import Feedback
from notifier.channels.reports import class_of
from notifier.errors import Unauthenticated
from notifier.outcomes.providers.provider import Payload, news, read_event, read_json

# Bounces that say that the letter is not coming, with their class; None: as the words of the server say.
_BOUNCES: dict[str, str | None] = {
    "HardBounce": None,
    "SoftBounce": None,
    "Unknown": None,
    "DnsError": None,
    "BadEmailAddress": "bad_address",
    "SpamNotification": "content",
    "VirusNotification": "content",
    "Blocked": "policy",
    "DMARCPolicy": "policy",
    "ManuallyDeactivated": "policy",
    "SMTPApiError": "content",
}


class _Metadata(Payload):
    notice: str = ""


class _Event(Payload):
    RecordType: str
    Type: str = ""
    Details: str | None = None
    Description: str | None = None
    Metadata: _Metadata = _Metadata()


class Postmark:
    """Believes who knows the password of the webhook; Postmark signs nothing."""

    name = "postmark"

    def __init__(self, secret: str, key: bytes) -> None:
        self._secret = secret.encode()
        self._key = key

    async def hear(self, headers: Mapping[str, str], body: bytes, now: datetime) -> list[Feedback]:
        """See :class:`Provider`."""
        if not hmac.compare_digest(_password(headers.get("Authorization", "")), self._secret):
            raise Unauthenticated("this request does not have the password of Postmark's webhook")
        event = read_event(_Event, read_json(body))
        if event is None:
            return []
        reply = event.Details or event.Description or ""
        if event.RecordType == "Delivery":
            return news(event.Metadata.notice, self._key, "accepted_by_recipient", None, reply, self.name)
        if event.RecordType == "SpamComplaint" or event.Type == "SpamComplaint":
            return news(event.Metadata.notice, self._key, "complained", "complaint", reply, self.name)
        if event.RecordType == "Bounce" and event.Type in _BOUNCES:
            class_ = _BOUNCES[event.Type] or class_of("", reply)
            return news(event.Metadata.notice, self._key, "bounced", class_, f"{event.Type}: {reply}", self.name)
        return []


def _password(authorization: str) -> bytes:
    kind, _, given = authorization.partition(" ")
    try:
        return base64.b64decode(given, validate=True).partition(b":")[2] if kind.lower() == "basic" else b""
    except (ValueError, binascii.Error):
        return b""
