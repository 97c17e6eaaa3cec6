"""Mailgun's webhooks: one event a request, signed by HMAC over a timestamp and a token.

The signature does not cover the event. Our own MAC in it does say which letter it is about.
"""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from notifier.channels.channel import Feedback
from notifier.channels.reports import class_of
from notifier.errors import Unauthenticated
from notifier.outcomes.providers.provider import Payload, check_age, news, read_event, read_json

# It tries again for eight hours.
OLDEST = timedelta(hours=9)
_SUPPRESSED = {"suppress-bounce": "bad_address", "suppress-complaint": "complaint", "suppress-unsubscribe": "policy"}


class _Signature(Payload):
    timestamp: str
    token: str
    signature: str


class _Status(Payload):
    code: int | None = None
    message: str | None = None
    description: str | None = None
    enhanced: str | None = None
    host: str | None = None


class _Variables(Payload):
    notice: str = ""


class _Event(Payload):
    event: str
    severity: str = ""
    reason: str = ""


class Mailgun:
    """Believes what is signed with the HTTP webhook signing key of the account."""

    name = "mailgun"

    def __init__(self, signing_key: str, key: bytes) -> None:
        self._signing_key = signing_key.encode()
        self._key = key

    async def hear(self, headers: Mapping[str, str], body: bytes, now: datetime) -> list[Feedback]:
        """See :class:`Provider`."""
        given = read_json(body)
        parts = given if isinstance(given, dict) else {}
        self._verify(read_event(_Signature, parts.get("signature")), now)
        data = parts.get("event-data")
        event = read_event(_Event, data)
        if event is None or not isinstance(data, dict):
            return []
        variables = read_event(_Variables, data.get("user-variables")) or _Variables()
        status = _status(data.get("delivery-status"))
        reply = " ".join(filter(None, (str(status.code or ""), status.message or status.description)))
        via = f"{status.host}, by mailgun" if status.host else self.name
        if event.event == "delivered":
            return news(variables.notice, self._key, "accepted_by_recipient", None, reply, via)
        if event.event == "failed" and event.severity == "permanent":
            class_ = _SUPPRESSED.get(event.reason) or class_of(status.enhanced or "", reply)
            return news(variables.notice, self._key, "bounced", class_, reply or event.reason, via)
        if event.event == "complained":
            return news(variables.notice, self._key, "complained", "complaint", "complained", via)
        return []

    def _verify(self, signature: _Signature | None, now: datetime) -> None:
        if signature is None:
            raise Unauthenticated("there is no signature of Mailgun's in this")
        signed = f"{signature.timestamp}{signature.token}".encode()
        if not hmac.compare_digest(
            hmac.new(self._signing_key, signed, "sha256").hexdigest().encode(), signature.signature.encode()
        ):
            raise Unauthenticated("this was not signed by Mailgun for us")
        try:
            at = datetime.fromtimestamp(int(signature.timestamp), UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise Unauthenticated("the signature has no time") from error
        check_age(at, now, OLDEST)


def _status(given: object) -> _Status:
    if not isinstance(given, dict):
        return _Status()
    renamed = {**given, "enhanced": given.get("enhanced-code"), "host": given.get("mx-host")}
    return read_event(_Status, renamed) or _Status()
