"""Events of mail services as they post them: signed as they sign, believed only then, and recorded once."""

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from notifier.clock import MovableClock
from notifier.compose import Service
from notifier.db import Db
from notifier.errors import Invalid, Unavailable
from notifier.keys import Keys
from notifier.letters.verp import Attempt, return_path_key, seal
from notifier.outcomes.providers import sendgrid
from notifier.outcomes.providers.sendgrid import SendGrid
from notifier.outcomes.providers.ses import Ses
from notifier.settings import Settings
from notifier.web.app import build_app
from notifier.web.context import PROVIDERS
from tests.flow.story import Story, begin
from tests.web.asking import Client

SENDGRID_KEY = ec.generate_private_key(ec.SECP256R1())
SNS_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
MAILGUN_KEY, POSTMARK_SECRET = "mailgun's key", "postmark's password"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:letters"
SNS = "https://sns.eu-west-1.amazonaws.com"
CERTIFICATE = f"{SNS}/SimpleNotificationService-0123456789abcdef.pem"


def a_certificate(days: int = 1) -> bytes:
    """A certificate of the test's own, good from yesterday for so many days from now."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        issuer_name=name, subject_name=name, public_key=SNS_KEY.public_key(), serial_number=1,
        not_valid_before=now - timedelta(days=9), not_valid_after=now + timedelta(days=days),
    )  # fmt: skip
    return made.sign(SNS_KEY, SHA256()).public_bytes(Encoding.PEM)


@dataclass
class Hooks:
    """A service that takes events, with one person who was told, and what it fetched from SNS."""

    client: Client
    story: Story
    local: str
    fetched: list[str]
    served: dict[str, bytes]

    async def post(self, provider: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        async with self.client.post(f"/hooks/email/{provider}", data=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=answer.content_type)

    async def outcomes(self) -> list[tuple[str, str | None]]:
        rows = await self.story.rows("SELECT kind::text, class FROM outcome WHERE kind <> 'accepted_by_relay'")
        return [(row["kind"], row["class"]) for row in rows]


@pytest.fixture
async def hooks(db: Db, keys: Keys, clock: MovableClock) -> AsyncIterator[Hooks]:
    story = await begin(db)
    who = await story.person("aoi")
    await story.told(who)
    local = seal(Attempt(story.campaign_id, who.lane, who.person_id, 1), return_path_key(keys))
    public = SENDGRID_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    settings = Settings(
        _env_file=None, mode="test", sendgrid_key=base64.b64encode(public).decode(), ses_topics=[TOPIC],
        postmark_secret=POSTMARK_SECRET, mailgun_key=MAILGUN_KEY,
    )  # fmt: skip
    app = build_app(Service(settings, db, clock, keys, {}))
    fetched: list[str] = []
    served = {CERTIFICATE: a_certificate()}

    async def get(url: str) -> bytes:
        fetched.append(url)
        if url.startswith(f"{SNS}/?Action=ConfirmSubscription&"):
            return b"<ConfirmSubscriptionResponse/>"
        if url not in served:
            raise Unavailable("SNS does not answer")
        return served[url]

    app[PROVIDERS] = {**app[PROVIDERS], "ses": Ses([TOPIC], return_path_key(keys), get)}
    async with TestClient(TestServer(app)) as client:
        yield Hooks(client, story, local, fetched, served)


# ---------------------------------------------------------------- as each of them posts


def sendgrid_request(event: Any, age: float = 0) -> tuple[bytes, dict[str, str]]:
    body, at = json.dumps(event if isinstance(event, list) else [event]).encode(), str(int(time.time() - age))
    signature = SENDGRID_KEY.sign(at.encode() + body, ec.ECDSA(SHA256()))
    return body, {sendgrid.SIGNATURE: base64.b64encode(signature).decode(), sendgrid.TIMESTAMP: at}


def mailgun_request(event: Any, age: float = 0) -> tuple[bytes, dict[str, str]]:
    at, token = str(int(time.time() - age)), "651869375b9df3c98fc15c4889b102119add1235c38fc92824"
    signature = hmac.new(MAILGUN_KEY.encode(), f"{at}{token}".encode(), "sha256").hexdigest()
    signed = {"timestamp": at, "token": token, "signature": signature}
    return json.dumps({"signature": signed, "event-data": event}).encode(), {}


def postmark_request(event: Any, age: float = 0) -> tuple[bytes, dict[str, str]]:
    password = base64.b64encode(f"notifier:{POSTMARK_SECRET}".encode()).decode()
    return json.dumps(event).encode(), {"Authorization": f"Basic {password}"}


def sns_request(message: str, age: float = 0, version: str = "2", **more: str) -> tuple[bytes, dict[str, str]]:
    at = datetime.now(UTC) - timedelta(seconds=age)
    fields = {
        "Type": "Notification", "MessageId": "19ba9823-d7f2-53c1-860e-cb10e0d13dfc", "TopicArn": TOPIC,
        "Subject": "Amazon SES Email Event Notification", "Message": message, "SigningCertURL": CERTIFICATE,
        "Timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"), "SignatureVersion": version,
    } | more  # fmt: skip
    names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    if fields["Type"] != "Notification":
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    signed = "".join(f"{name}\n{fields[name]}\n" for name in names).encode()
    signature = SNS_KEY.sign(signed, PKCS1v15(), SHA1() if version == "1" else SHA256())  # noqa: S303 - as SNS does
    fields["Signature"] = base64.b64encode(signature).decode()
    return json.dumps(fields).encode(), {"Content-Type": "text/plain; charset=UTF-8"}


def ses_request(event: Any, age: float = 0) -> tuple[bytes, dict[str, str]]:
    return sns_request(json.dumps(event) + "\n", age)


Request = Callable[..., tuple[bytes, dict[str, str]]]
REQUESTS: dict[str, Request] = {
    "sendgrid": sendgrid_request, "mailgun": mailgun_request, "postmark": postmark_request, "ses": ses_request,
}  # fmt: skip


def ses_event(local: str, kind: str, **parts: Any) -> Any:
    mail = {"timestamp": "2016-01-27T14:59:38.237Z", "source": f"{local}@kumo.example", "messageId": "0000014644fe5ef6"}
    return {"notificationType": kind, "mail": mail, **parts}


def ses_bounce(local: str, kind: str, subtype: str, **recipient: Any) -> Any:
    bounced = [{"emailAddress": "jane@example.com", "action": "failed", **recipient}]
    bounce = {
        "bounceType": kind, "bounceSubType": subtype, "bouncedRecipients": bounced,
        "reportingMTA": "dns; email.example.com", "timestamp": "2016-01-27T14:59:44.101Z", "remoteMtaIp": None,
    }  # fmt: skip
    return ses_event(local, "Bounce", bounce=bounce)


def ses_answer(local: str, kind: str, subtype: str) -> Any:
    """What SES says of an automatic answer: ``ooto@simulator.amazonses.com`` has one."""
    event = ses_bounce(local, kind, subtype)
    event["bounce"] |= {"bouncedRecipients": [{"emailAddress": "ooto@simulator.amazonses.com"}]}
    return event


def sendgrid_event(local: str, kind: str, **more: Any) -> Any:
    return {
        "email": "x@example.net", "timestamp": 1461095250, "smtp-id": "<1.2@kumo.example>", "event": kind,
        "sg_event_id": "lC0Rc-FuQmKbnxCWxX1jRQ", "notice": local, **more,
    }  # fmt: skip


def mailgun_event(local: str, kind: str, status: Any = None, **more: Any) -> Any:
    return {
        "event": kind, "timestamp": 1534110422.389832, "recipient": "x@example.net", "log-level": "error",
        "user-variables": {"notice": local}, "delivery-status": status, **more,
    }  # fmt: skip


def postmark_event(local: str, kind: str, **more: Any) -> Any:
    return {"RecordType": kind, "MessageID": "2706ee8a", "ServerID": 23, "Metadata": {"notice": local}, **more}


GONE = "5.1.1 The email account that you tried to reach does not exist"
TOLD, BAD, COMPLAINED = ("accepted_by_recipient", None), ("bounced", "bad_address"), ("complained", "complaint")
DELIVERED = {"smtpResponse": "250 ok:  Message 64111812 accepted", "reportingMTA": "a8-70.smtp-out.amazonses.com"}

EVENTS: list[tuple[str, Callable[[str], Any], list[tuple[str, str | None]]]] = [
    ("ses", lambda n: ses_event(n, "Delivery", delivery=DELIVERED), [TOLD]),
    ("ses", lambda n: {**ses_event(n, "Delivery", delivery=DELIVERED), "eventType": "Delivery"}, [TOLD]),
    ("ses", lambda n: ses_bounce(n, "Permanent", "General", status="5.1.1", diagnosticCode=f"smtp; 550 {GONE}"), [BAD]),
    ("ses", lambda n: ses_bounce(n, "Permanent", "OnAccountSuppressionList"), [BAD]),
    ("ses", lambda n: ses_bounce(n, "Permanent", "General"), [("bounced", "policy")]),
    ("ses", lambda n: ses_bounce(n, "Transient", "MailboxFull"), [("bounced", "mailbox_full")]),
    ("ses", lambda n: ses_bounce(n, "Transient", "General", status="4.4.7"), [("bounced", "expired")]),
    ("ses", lambda n: ses_bounce(n, "Transient", "General", diagnosticCode="smtp; 550 user unknown"), [BAD]),
    ("ses", lambda n: ses_bounce(n, "Undetermined", "Undetermined", status="5.0.0"), [("bounced", "unclear")]),
    ("ses", lambda n: ses_answer(n, "Transient", "General"), []),
    ("ses", lambda n: ses_answer(n, "Undetermined", "Undetermined"), []),
    ("ses", lambda n: ses_event(n, "Complaint", complaint={"complaintFeedbackType": "abuse"}), [COMPLAINED]),
    ("ses", lambda n: ses_event(n, "Complaint", complaint={"complaintFeedbackType": "not-spam"}), []),
    ("ses", lambda n: ses_event(n, "Complaint", complaint={"complaintSubType": "OnAccountSuppressionList"}),
     [("bounced", "complaint")]),
    ("ses", lambda n: ses_event(n, "Reject", reject={"reason": "Bad content"}), [("bounced", "content")]),
    ("ses", lambda n: ses_event(n, "DeliveryDelay"), []),
    ("sendgrid", lambda n: sendgrid_event(n, "delivered", response="250 2.0.0 OK - gsmtp "), [TOLD]),
    ("sendgrid", lambda n: sendgrid_event(n, "bounce", status="5.1.1", reason=f"550 {GONE}", type="bounce"), [BAD]),
    ("sendgrid", lambda n: sendgrid_event(n, "bounce", status="", reason="550 Blocked by Spamhaus", type="blocked"),
     [("bounced", "policy")]),
    ("sendgrid", lambda n: sendgrid_event(n, "dropped", reason="Bounced Address"), [BAD]),
    ("sendgrid", lambda n: sendgrid_event(n, "dropped", reason="Unsubscribed Address"), [("bounced", "policy")]),
    ("sendgrid", lambda n: sendgrid_event(n, "spamreport"), [COMPLAINED]),
    ("sendgrid", lambda n: sendgrid_event(n, "deferred", response="throttled", attempt="1"), []),
    ("sendgrid", lambda n: [sendgrid_event(n, "processed"), 7, {}, sendgrid_event(n, "delivered")], [TOLD]),
    ("mailgun", lambda n: mailgun_event(n, "delivered", {"code": 250, "message": "OK", "mx-host": "mx.a"}), [TOLD]),
    ("mailgun", lambda n: mailgun_event(n, "failed", {"code": 550, "message": GONE}, severity="permanent"), [BAD]),
    ("mailgun", lambda n: mailgun_event(n, "failed", {"code": 605, "message": ""}, severity="permanent",
                                        reason="suppress-bounce"), [BAD]),
    ("mailgun", lambda n: mailgun_event(n, "failed", {"code": 552, "message": "mailbox full"}, severity="permanent"),
     [("bounced", "mailbox_full")]),
    ("mailgun", lambda n: mailgun_event(n, "failed", {"code": 450, "message": "Greylisted"}, severity="temporary"), []),
    ("mailgun", lambda n: mailgun_event(n, "complained"), [COMPLAINED]),
    ("mailgun", lambda n: mailgun_event(n, "opened"), []),
    ("postmark", lambda n: postmark_event(n, "Delivery", Details="250 OK"), [TOLD]),
    ("postmark", lambda n: postmark_event(n, "Bounce", Type="HardBounce", Details=f"smtp;550 {GONE}"), [BAD]),
    ("postmark", lambda n: postmark_event(n, "Bounce", Type="BadEmailAddress"), [BAD]),
    ("postmark", lambda n: postmark_event(n, "Bounce", Type="Blocked", Details="no"), [("bounced", "policy")]),
    ("postmark", lambda n: postmark_event(n, "Bounce", Type="Transient", Details="later"), []),
    ("postmark", lambda n: postmark_event(n, "Bounce", Type="AutoResponder"), []),
    ("postmark", lambda n: postmark_event(n, "SpamComplaint", Type="SpamComplaint"), [COMPLAINED]),
    ("postmark", lambda n: postmark_event(n, "Open"), []),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "event", "expected"), EVENTS)
async def test_an_event_is_recorded_once_however_often_it_comes(
    hooks: Hooks, provider: str, event: Callable[[str], Any], expected: list[tuple[str, str | None]]
) -> None:
    for news in (len(expected), 0):
        status, answer = await hooks.post(provider, *REQUESTS[provider](event(hooks.local)))
        assert (status, answer) == (200, {"news": news})
    assert await hooks.outcomes() == expected


GENUINE = {provider: event for provider, event, expected in reversed(EVENTS) if expected == [TOLD]}


@pytest.mark.parametrize("provider", REQUESTS)
async def test_what_is_forged_is_refused(hooks: Hooks, provider: str) -> None:
    event = GENUINE[provider](hooks.local)
    body, headers = REQUESTS[provider](event)
    for name in [name for name in headers if name != "Content-Type"]:
        assert (await hooks.post(provider, body, {**headers, name: "AAAA"}))[0] == 401
        assert (await hooks.post(provider, body, {k: v for k, v in headers.items() if k != name}))[0] == 401
    if provider in ("ses", "mailgun"):
        parts = json.loads(body)
        where = parts if provider == "ses" else parts["signature"]
        name = "Signature" if provider == "ses" else "signature"
        for signature in ("", "AAAA", "é", base64.b64encode(b"x" * 256).decode()):
            where[name] = signature
            assert (await hooks.post(provider, json.dumps(parts).encode(), headers))[0] == 401
    assert await hooks.outcomes() == []


@pytest.mark.parametrize(("provider", "hours"), [("ses", 1), ("sendgrid", 24), ("mailgun", 9)])
async def test_what_was_signed_too_long_ago_is_refused(hooks: Hooks, provider: str, hours: int) -> None:
    event = GENUINE[provider](hooks.local)
    for age in (hours * 3600 + 600, -600):
        assert (await hooks.post(provider, *REQUESTS[provider](event, age)))[0] == 401
    assert await hooks.outcomes() == []
    assert (await hooks.post(provider, *REQUESTS[provider](event, hours * 3600 - 60)))[0] == 200
    assert await hooks.outcomes() == [TOLD]


@pytest.mark.parametrize("provider", REQUESTS)
@pytest.mark.parametrize("reference", ["", "b+forged", "order-7"])
async def test_events_of_other_letters_are_taken_and_change_nothing(
    hooks: Hooks, provider: str, reference: str
) -> None:
    status, answer = await hooks.post(provider, *REQUESTS[provider](GENUINE[provider](reference)))
    assert (status, answer) == (200, {"news": 0})
    assert await hooks.outcomes() == []


@pytest.mark.parametrize("provider", REQUESTS)
@pytest.mark.parametrize("event", [{}, {"event": 1, "user-variables": []}, 7, "words", None])
async def test_what_has_no_form_that_we_know_is_taken_and_changes_nothing(
    hooks: Hooks, provider: str, event: Any
) -> None:
    assert await hooks.post(provider, *REQUESTS[provider](event)) == (200, {"news": 0})


@pytest.mark.parametrize("provider", REQUESTS)
async def test_what_is_no_json_is_malformed_or_forged(hooks: Hooks, provider: str) -> None:
    _, headers = REQUESTS[provider](GENUINE[provider](hooks.local))
    assert (await hooks.post(provider, b"{", headers))[0] in (400, 401)


async def test_events_out_of_order_come_to_the_same(hooks: Hooks) -> None:
    bounce = mailgun_event(hooks.local, "failed", {"code": 550, "message": GONE}, severity="permanent")
    for event in (bounce, GENUINE["mailgun"](hooks.local)):
        assert (await hooks.post("mailgun", *mailgun_request(event)))[1] == {"news": 1}
    rows = await hooks.story.rows("SELECT status FROM standing")
    assert [row["status"] for row in rows] == ["pending"]  # the letter failed, whatever was said of it otherwise


# ---------------------------------------------------------------- Amazon SNS


@pytest.mark.parametrize("version", ["1", "2"])
async def test_both_signature_versions_are_verified_and_the_certificate_is_fetched_once(
    hooks: Hooks, version: str
) -> None:
    message = json.dumps(GENUINE["ses"](hooks.local))
    for _ in range(3):
        assert (await hooks.post("ses", *sns_request(message, version=version)))[0] == 200
    assert hooks.fetched == [CERTIFICATE]
    assert await hooks.outcomes() == [TOLD]


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-0123456789abcdef.pem",
        "https://evil.example/https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-01.pem",
        "https://user@sns.eu-west-1.amazonaws.com/SimpleNotificationService-01.pem",
        "https://snsXeu-west-1.amazonaws.com/SimpleNotificationService-01.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-01.pem?x=y",
        "https://sns.eu-west-1.amazonaws.com/bucket/evil.pem",
        "https://169.254.169.254/SimpleNotificationService-01.pem",
        "",
    ],
)
async def test_certificates_are_fetched_from_nowhere_else(hooks: Hooks, url: str) -> None:
    message = json.dumps(GENUINE["ses"](hooks.local))
    assert (await hooks.post("ses", *sns_request(message, SigningCertURL=url)))[0] == 401
    assert hooks.fetched == []


@pytest.mark.parametrize("topic", ["arn:aws:sns:eu-west-1:666666666666:letters", "letters", ""])
async def test_other_topics_are_refused_before_anything_is_fetched(hooks: Hooks, topic: str) -> None:
    message = json.dumps(GENUINE["ses"](hooks.local))
    assert (await hooks.post("ses", *sns_request(message, TopicArn=topic)))[0] == 401
    assert hooks.fetched == []


async def test_a_certificate_out_of_its_time_or_that_is_none_is_refused(hooks: Hooks) -> None:
    message = json.dumps(GENUINE["ses"](hooks.local))
    for number, served in enumerate((a_certificate(days=-1), b"<html>")):
        url = f"{SNS}/SimpleNotificationService-{number}.pem"
        hooks.served[url] = served
        assert (await hooks.post("ses", *sns_request(message, SigningCertURL=url)))[0] == 401
    assert len(hooks.fetched) == 2


async def test_without_its_certificate_sns_is_asked_to_try_again(hooks: Hooks) -> None:
    hooks.served.clear()
    assert (await hooks.post("ses", *sns_request("{}")))[0] == 503


async def test_a_subscription_is_confirmed_at_the_address_of_sns_only(hooks: Hooks) -> None:
    for url, status in (
        (f"{SNS}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336", 200),
        ("https://evil.example/?Action=ConfirmSubscription&Token=2336", 401),
        (f"{SNS}.evil.example/?Action=ConfirmSubscription&Token=2336", 401),
        (f"{SNS}/?Action=DeleteTopic&Token=2336", 401),
    ):
        request = sns_request("confirm", Type="SubscriptionConfirmation", Token="2336", SubscribeURL=url)
        assert (await hooks.post("ses", *request))[0] == status
    assert [url for url in hooks.fetched if url != CERTIFICATE] == [
        f"{SNS}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336"
    ]


async def test_the_words_of_sns_that_it_works_change_nothing(hooks: Hooks) -> None:
    words = "Successfully validated SNS topic for Amazon SES event publishing."
    assert await hooks.post("ses", *sns_request(words)) == (200, {"news": 0})


# ---------------------------------------------------------------- what is set up


async def test_a_service_without_its_key_is_not_found(client: Client) -> None:
    for path in ("email/ses", "email/sendgrid", "email/postmark", "email/mailgun", "email/other", "echo/ses"):
        async with client.post(f"/hooks/{path}", data=b"{}") as answer:
            assert answer.status == 404


def test_a_key_of_sendgrid_that_is_none_is_said() -> None:
    rsa_key = SNS_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for wrong in ("", "words", base64.b64encode(b"words").decode(), base64.b64encode(rsa_key).decode()):
        with pytest.raises(Invalid, match="NOTIFIER_SENDGRID_KEY"):
            SendGrid(wrong, b"")
