"""Amazon SES: its events, by way of an SNS topic. A letter is known by the sender of its envelope."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from notifier.channels.channel import Feedback
from notifier.channels.reports import class_of
from notifier.errors import Malformed
from notifier.log import log
from notifier.outcomes.providers import sns
from notifier.outcomes.providers.provider import Payload, news, read_event, read_json

# Bounces that SES names itself, where no server said anything.
_SUBTYPES = {
    "NoEmail": "bad_address",
    "Suppressed": "bad_address",
    "OnAccountSuppressionList": "bad_address",
    "MailboxFull": "mailbox_full",
    "MessageTooLarge": "content",
    "ContentRejected": "content",
    "AttachmentRejected": "content",
}
# What SES also makes of an automatic answer (somebody is out of office). A delivery report has a status or a diagnosis.
_PERHAPS_AN_ANSWER = frozenset({("Transient", "General"), ("Undetermined", "Undetermined")})


class _Part(Payload):
    model_config = ConfigDict(alias_generator=to_camel)


class _Mail(_Part):
    source: str = ""


class _Recipient(_Part):
    status: str = ""
    diagnostic_code: str = ""


class _Bounce(_Part):
    bounce_type: str = ""
    bounce_sub_type: str = ""
    bounced_recipients: tuple[_Recipient, ...] = ()
    reporting_mta: str = Field("", alias="reportingMTA")


class _Complaint(_Part):
    complaint_feedback_type: str | None = None
    complaint_sub_type: str | None = None


class _Delivery(_Part):
    smtp_response: str = ""
    reporting_mta: str = Field("", alias="reportingMTA")


class _Event(_Part):
    event_type: str = ""
    notification_type: str = ""
    mail: _Mail = _Mail()
    bounce: _Bounce = _Bounce()
    complaint: _Complaint = _Complaint()
    delivery: _Delivery = _Delivery()


class Ses:
    """Believes what SNS signed, of the topics that were named, and confirms their subscriptions."""

    name = "ses"

    def __init__(self, topics: Sequence[str], key: bytes, get: sns.Get = sns.get) -> None:
        self._sns = sns.Sns(topics, get)
        self._key = key

    async def hear(self, headers: Mapping[str, str], body: bytes, now: datetime) -> list[Feedback]:
        """See :class:`Provider`."""
        message = await self._sns.open(body, now)
        if message.Type == "SubscriptionConfirmation":
            await self._sns.confirm(message)
            log.info("subscription to SES confirmed")
        if message.Type != "Notification":
            return []
        try:
            event = read_event(_Event, read_json(message.Message.encode()))
        except Malformed:
            return []  # SNS says in words that it works
        return [] if event is None else self._read(event)

    def _read(self, event: _Event) -> list[Feedback]:
        kind, source = event.event_type or event.notification_type, event.mail.source
        if kind == "Delivery":
            via = f"{event.delivery.reporting_mta}, by ses"
            return news(source, self._key, "accepted_by_recipient", None, event.delivery.smtp_response, via)
        if kind == "Bounce":
            return self._bounce(source, event.bounce)
        if kind == "Reject":
            return news(source, self._key, "bounced", "content", "rejected by ses", self.name)
        if kind == "Complaint" and event.complaint.complaint_sub_type:
            # SES took it and did not send it, because of an earlier complaint: this one proves no receipt.
            return news(source, self._key, "bounced", "complaint", event.complaint.complaint_sub_type, self.name)
        if kind == "Complaint" and event.complaint.complaint_feedback_type != "not-spam":
            reply = event.complaint.complaint_feedback_type or "complaint"
            return news(source, self._key, "complained", "complaint", reply, self.name)
        return []

    def _bounce(self, source: str, bounce: _Bounce) -> list[Feedback]:
        said = bounce.bounced_recipients[0] if bounce.bounced_recipients else _Recipient()
        words = said.diagnostic_code.partition(";")[2].strip() or said.diagnostic_code
        class_ = _SUBTYPES.get(bounce.bounce_sub_type)
        if not (said.status or words) and (bounce.bounce_type, bounce.bounce_sub_type) in _PERHAPS_AN_ANSWER:
            return []
        if said.status or words:
            class_ = class_of(said.status, words)
        elif class_ is None:
            class_ = "policy" if bounce.bounce_type == "Permanent" else "expired"
        reply = " ".join(filter(None, (f"{bounce.bounce_type}/{bounce.bounce_sub_type}:", said.status, words)))
        return news(source, self._key, "bounced", class_, reply, f"{bounce.reporting_mta or 'ses'}, by ses")
