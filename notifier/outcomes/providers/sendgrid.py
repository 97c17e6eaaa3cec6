"""SendGrid's event webhook: a list of events, signed with ECDSA over the timestamp and the body."""

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from notifier.channels.channel import Feedback
from notifier.channels.reports import class_of
from notifier.errors import Invalid, Unauthenticated
from notifier.outcomes.providers.provider import Payload, check_age, news, read_event, read_json

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"
# It tries again for a day.
OLDEST = timedelta(hours=24)

# Letters that it took and then did not send, by its own words.
_DROPPED = {
    "Invalid": "bad_address",
    "Bounced Address": "bad_address",
    "Spam Reporting Address": "complaint",
    "Spam Content (if Spam Checker app enabled)": "content",
}


class _Event(Payload):
    event: str
    notice: str = ""
    status: str = ""
    reason: str = ""
    response: str = ""


class SendGrid:
    """Believes what is signed with the verification key that SendGrid shows in its settings (base64)."""

    name = "sendgrid"

    def __init__(self, public_key: str, key: bytes) -> None:
        """Raises Invalid when the verification key is none."""
        try:
            found = load_der_public_key(base64.b64decode(public_key, validate=True))
        except (ValueError, binascii.Error) as error:
            raise Invalid("NOTIFIER_SENDGRID_KEY is not the verification key that SendGrid shows") from error
        if not isinstance(found, EllipticCurvePublicKey):
            raise Invalid("NOTIFIER_SENDGRID_KEY is not the key of a signed event webhook")
        self._public_key = found
        self._key = key

    async def hear(self, headers: Mapping[str, str], body: bytes, now: datetime) -> list[Feedback]:
        """See :class:`Provider`."""
        timestamp = headers.get(TIMESTAMP, "")
        try:
            signature = base64.b64decode(headers.get(SIGNATURE, ""), validate=True)
            self._public_key.verify(signature, timestamp.encode() + body, ECDSA(SHA256()))
            check_age(datetime.fromtimestamp(int(timestamp), UTC), now, OLDEST)
        except (InvalidSignature, ValueError, OverflowError, OSError) as error:
            raise Unauthenticated("this was not signed by SendGrid for us") from error
        events = read_json(body)
        return [one for event in events for one in self._read(event)] if isinstance(events, list) else []

    def _read(self, given: Any) -> list[Feedback]:
        event = read_event(_Event, given)
        if event is None:
            return []
        if event.event == "delivered":
            return news(event.notice, self._key, "accepted_by_recipient", None, event.response, self.name)
        if event.event == "bounce":
            class_ = class_of(event.status, event.reason)
            return news(event.notice, self._key, "bounced", class_, event.reason, self.name)
        if event.event == "dropped":
            class_ = _DROPPED.get(event.reason, "policy")
            return news(event.notice, self._key, "bounced", class_, f"dropped: {event.reason}", self.name)
        if event.event == "spamreport":
            return news(event.notice, self._key, "complained", "complaint", "spam report", self.name)
        return []
