"""Messages of Amazon SNS: only from topics that were named, and signed with a certificate that SNS itself serves."""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import aiohttp
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from notifier.errors import Unauthenticated, Unavailable
from notifier.outcomes.providers.provider import Payload, check_age, read_event, read_json

Get = Callable[[str], Awaitable[bytes]]

# SNS tries again for an hour at most, and keeps the time of the first try.
OLDEST = timedelta(hours=1)
_SECONDS = 10
_MOST_BYTES = 64 * 1024
_CERTIFICATES = 16
_HASHES = {"1": SHA1, "2": SHA256}
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


class Message(Payload):
    """A message of SNS, as it stands in the body."""

    Type: str
    MessageId: str
    TopicArn: str
    Message: str
    Timestamp: str
    SignatureVersion: str
    Signature: str
    SigningCertURL: str
    Subject: str | None = None
    Token: str | None = None
    SubscribeURL: str | None = None

    def signed(self) -> bytes:
        """What the signature is over: the fields in the order of their names, each on two lines."""
        names = _NOTIFICATION if self.Type == "Notification" else _CONFIRMATION
        given = ((name, getattr(self, name)) for name in names)
        return "".join(f"{name}\n{value}\n" for name, value in given if value is not None).encode()


class Sns:
    """Verifies messages of the named topics. ``get`` fetches from SNS; tests bring their own."""

    def __init__(self, topics: Sequence[str], get: Get) -> None:
        self._topics = frozenset(topics)
        self._get = get
        self._certificates: dict[str, x509.Certificate] = {}

    async def open(self, body: bytes, now: datetime) -> Message:
        """A message that is SNS's own. Raises Unauthenticated, Malformed or, without its certificate, Unavailable."""
        message = read_event(Message, read_json(body))
        if message is None or message.TopicArn not in self._topics:
            raise Unauthenticated("this is no message of a topic that NOTIFIER_SES_TOPICS names")
        host = _host(message.TopicArn)
        if not re.fullmatch(
            rf"https://{host}/SimpleNotificationService-[0-9a-zA-Z]{{1,64}}\.pem", message.SigningCertURL
        ):
            raise Unauthenticated("the certificate is not at an address of SNS in the topic's region")
        certificate = await self._certificate(message.SigningCertURL)
        try:
            if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
                raise Unauthenticated("the certificate of SNS is not in its time")
            public_key, digest = certificate.public_key(), _HASHES[message.SignatureVersion]()
            assert isinstance(public_key, RSAPublicKey)
            signature = base64.b64decode(message.Signature, validate=True)
            public_key.verify(signature, message.signed(), PKCS1v15(), digest)
            check_age(datetime.fromisoformat(message.Timestamp), now, OLDEST)
        except (InvalidSignature, KeyError, ValueError, TypeError, AssertionError, binascii.Error) as error:
            raise Unauthenticated("this was not signed by SNS for us") from error
        return message

    async def confirm(self, message: Message) -> None:
        """Confirm a subscription. Raises Unauthenticated when that is not at the address of SNS itself, Unavailable."""
        url = message.SubscribeURL or ""
        if not url.startswith(f"https://{_plain_host(message.TopicArn)}/?Action=ConfirmSubscription&"):
            raise Unauthenticated("the address that confirms is not one of SNS in the topic's region")
        await self._get(url)

    async def _certificate(self, url: str) -> x509.Certificate:
        if url not in self._certificates:
            try:
                certificate = x509.load_pem_x509_certificate(await self._get(url))
            except ValueError as error:
                raise Unauthenticated("what SNS serves at that address is no certificate") from error
            if len(self._certificates) >= _CERTIFICATES:
                self._certificates.clear()
            self._certificates[url] = certificate
        return self._certificates[url]


def _host(topic: str) -> str:
    return re.escape(_plain_host(topic))


def _plain_host(topic: str) -> str:
    """Where SNS is in a topic's region: ``arn:aws:sns:<region>:<account>:<name>``."""
    parts = topic.split(":")
    partition, region = (parts[1], parts[3]) if len(parts) == 6 else ("", "")
    if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", region):
        raise Unauthenticated("this topic has no region")
    return f"sns.{region}.amazonaws.com" + (".cn" if partition == "aws-cn" else "")


async def get(url: str) -> bytes:
    """What lies at an address of SNS, without following it elsewhere. Raises Unavailable."""
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise Unavailable(f"SNS answered with {response.status}; it will be tried again")
            return await response.content.read(_MOST_BYTES)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unavailable("SNS does not answer; it will be tried again") from error
