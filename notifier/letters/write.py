"""Write letters: once per locale and time zone in words, once per person in bytes. Pure but for reading templates."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import format_datetime
from html import escape
from zoneinfo import ZoneInfo

import orjson
from email_validator import EmailNotValidError, validate_email

from notifier.errors import Fault, Invalid, Undeliverable
from notifier.keys import Keys
from notifier.letters.letter import Letter, Message, Recipient, Telling
from notifier.letters.render import Marks, Rendered, address_of, clean, render
from notifier.letters.skeleton import Skeleton, build, header, mailbox_header, quoted_printable, text_header
from notifier.letters.verp import return_path_key, seal_facts
from notifier.sites.site import Sender

# Addresses that need neither checking nor escaping nor encoding, and fit one quoted-printable line: nearly all.
_PLAIN = re.compile(
    r"(?=.{3,75}\Z)[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_PLAIN_LOCAL_LIMIT = 64


@dataclass(frozen=True, slots=True)
class _Sheet:
    """What the letters of one locale and time zone share."""

    skeleton: Skeleton
    domain: str
    message: Message
    body: bytes
    sha256: bytes
    json: bytes  # what the site's own messages say alike, after the opening brace


class Writer:
    """Writes the letters of one campaign. The same inputs give the same bytes, on any machine and on every try.

    Raises Invalid when a sender's address cannot stand in an ASCII header.
    """

    def __init__(self, telling: Telling, keys: Keys, public_url: str) -> None:
        self.telling = telling
        self._senders = {locale: _ascii_sender(locale, sender) for locale, sender in telling.site.senders.items()}
        self._public_url = public_url
        self._marks = Marks.of(keys.mac("letter-mark", str(telling.campaign_id)).hex())
        self._id_key = keys.derive("message-id")
        self._path_key = return_path_key(keys)
        self._zone = ZoneInfo(telling.site.time_zone)
        self._rendered: dict[str, Rendered] = {}
        self._sheets: dict[tuple[str, str], _Sheet] = {}

    def write(self, channel: str, recipients: Sequence[Recipient]) -> list[Letter | Undeliverable]:
        """One letter per recipient, in their order.

        A letter that cannot be written stands there as the Undeliverable (not raised) that says why, and costs nobody
        else theirs: no address, an address that is none, or a locale that the version has no text in.
        """
        write = {"email": self._email, "webhook": self._webhook}.get(channel, self._message)
        letters: list[Letter | Undeliverable] = []
        for recipient in recipients:
            try:
                letters.append(write(channel, recipient))
            except Undeliverable as problem:
                letters.append(problem)
        return letters

    def message(self, locale: str, time_zone: str) -> Message:
        """The same words without an envelope, for private messages. Raises Undeliverable when there is no such text."""
        return self._sheet(locale, time_zone).message

    def _email(self, channel: str, to: Recipient) -> Letter:
        sheet = self._sheets.get((to.locale, to.time_zone)) or self._sheet(to.locale, to.time_zone)
        address = to.address or ""
        if _PLAIN.fullmatch(address) and address.index("@") <= _PLAIN_LOCAL_LIMIT:
            in_header = in_text = in_html = address.encode("ascii")
        else:
            address = _checked(address)
            in_header, in_text = address.encode(), quoted_printable(address)
            in_html = quoted_printable(escape(address))
        message_id = self._message_id(channel, to, sheet.domain)
        body = sheet.skeleton.fill(
            {"to": in_header, "message_id": message_id.encode("ascii"), "text": in_text, "html": in_html}
        )
        local = seal_facts(self.telling.campaign_id, to.lane, to.person_id, to.attempt, self._path_key)
        return Letter(
            to.lane, to.person_id, self.telling.campaign_id, channel, to.attempt,
            address, message_id, f"{local}@{sheet.domain}", body, hashlib.sha256(body).digest(),
        )  # fmt: skip

    def _message(self, channel: str, to: Recipient) -> Letter:
        sheet = self._sheet(to.locale, to.time_zone)
        return Letter(
            to.lane, to.person_id, self.telling.campaign_id, channel, to.attempt,
            "", self._message_id(channel, to, sheet.domain), "", sheet.body, sheet.sha256,
        )  # fmt: skip

    def _webhook(self, channel: str, to: Recipient) -> Letter:
        """One message for the site to deliver itself: what it knows the person by, and the words."""
        sheet = self._sheet(to.locale, to.time_zone)
        message_id = self._message_id(channel, to, sheet.domain)
        person = orjson.dumps({"id": message_id[1:-1], "external_id": to.external_id})
        body = person[:-1] + b"," + sheet.json
        return Letter(
            to.lane, to.person_id, self.telling.campaign_id, channel, to.attempt,
            to.external_id, message_id, "", body, hashlib.sha256(body).digest(),
        )  # fmt: skip

    def _message_id(self, channel: str, to: Recipient, domain: str) -> str:
        facts = f"{self.telling.campaign_id}/{to.lane}/{to.person_id.hex}/{channel}".encode()
        mac = hashlib.blake2b(facts, key=self._id_key, digest_size=16).hexdigest()
        return f"<{self.telling.campaign_id}.{mac}@{domain}>"

    def _sheet(self, locale: str, time_zone: str) -> _Sheet:
        sheet = self._sheets.get((locale, time_zone))
        if sheet is not None:
            return sheet
        if locale not in self.telling.texts:
            raise Undeliverable(f"version {self.telling.label} has no text in {locale!r}", permanent=True)
        zone = self._zone_named(time_zone)
        made = self._make_sheet(locale, zone) if zone.key == time_zone else self._sheet(locale, zone.key)
        return self._sheets.setdefault((locale, time_zone), made)

    def _zone_named(self, name: str) -> ZoneInfo:
        try:
            return ZoneInfo(name) if name else self._zone
        except (LookupError, ValueError, OSError):  # unknown, a path, or a folder of the database
            return self._zone

    def _make_sheet(self, locale: str, zone: ZoneInfo) -> _Sheet:
        telling, marks = self.telling, self._marks
        if locale not in self._rendered:
            self._rendered[locale] = render(telling, locale, self._public_url, marks)
        words = self._rendered[locale]
        dates = {
            marks.published: words.moment(telling.published_at, zone),
            marks.effective: words.moment(telling.effective_at, zone),
        }
        dates_html = {mark: escape(date) for mark, date in dates.items()}
        subject = " ".join(words.subject(telling.effective_at, zone, clean(telling.site.name(locale))).split())
        message = Message(subject, _put(words.notice_html, dates_html), _put(words.notice_text, dates))
        headers, domain = self._headers(locale, words.language, subject)
        skeleton = build(
            headers,
            {"To": "to", "Message-ID": "message_id"},
            _put(words.letter_text, dates),
            _put(words.letter_html, dates_html),
            {marks.text_address: "text", marks.html_address: "html"},
        )
        body = message.html.encode()
        return _Sheet(skeleton, domain, message, body, hashlib.sha256(body).digest(), self._json(locale, message))

    def _json(self, locale: str, message: Message) -> bytes:
        telling = self.telling
        words = {
            "campaign_id": telling.campaign_id,
            "policy": telling.policy,
            "label": clean(telling.label),
            "published_at": telling.published_at,
            "effective_at": telling.effective_at,
            "locale": locale,
            "subject": message.subject,
            "text": message.text,
            "html": message.html,
            "url": address_of(telling.texts[locale], self._public_url),
        }
        return orjson.dumps(words, option=orjson.OPT_UTC_Z)[1:]

    def _headers(self, locale: str, language: str, subject: str) -> tuple[list[bytes], str]:
        """The headers that do not depend on the person, and the domain that the letter comes from."""
        telling, site = self.telling, self.telling.site
        name, address = self._senders.get(locale, self._senders[site.locales[0]])
        headers = [
            header("Date", format_datetime(telling.opened_at)),
            mailbox_header("From", name, address),
            text_header("Subject", subject),
            # RFC 3834: nobody's holiday notice should answer this.
            header("Auto-Submitted", "auto-generated"),
            header("Feedback-ID", f"{telling.campaign_id}:{telling.policy}:{site.site}:policy-notifier"),
            header("Content-Language", language if locale == language else f"{language}, {locale}"),
        ]
        if (contact := _ascii(site.contact)) and contact != address:
            headers.append(header("Reply-To", contact))
        return headers, address.rpartition("@")[2]


def _put(words: str, values: dict[str, str]) -> str:
    for mark, value in values.items():
        words = words.replace(mark, value)
    return words


def _checked(address: str) -> str:
    """An unusual address as it stands in the envelope. Raises Undeliverable when it is none."""
    try:
        found = validate_email(address, check_deliverability=False, globally_deliverable=False, strict=True)
    except EmailNotValidError as error:
        # The library's words quote the address; the reply is kept longer than an address may be.
        raise Undeliverable("this is not an email address", permanent=True) from error
    return found.ascii_email or found.normalized


def _ascii(address: str) -> str | None:
    """An address as it stands in an ASCII header; None when its local part cannot."""
    return validate_email(address, check_deliverability=False, globally_deliverable=False, strict=True).ascii_email


def _ascii_sender(locale: str, sender: Sender) -> tuple[str, str]:
    address = _ascii(sender.address)
    if address is None:
        problem = Fault(f"/senders/{locale}/address", "use a sender address whose part before the @ is ASCII")
        raise Invalid("letters cannot be sent from this address", [problem])
    return sender.name, address
