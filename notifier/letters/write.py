"""Write letters: once per locale and time zone in words, once per person in bytes. Pure but for reading templates."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from email.utils import format_datetime
from html import escape
from itertools import zip_longest
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from email_validator import validate_email

from notifier.errors import Fault, Invalid, Undeliverable
from notifier.keys import Keys
from notifier.letters.letter import Addressee, Letter, Message, Preview, Telling, reminding
from notifier.letters.render import Marks, Rendered, address_of, clean, redline_of, render
from notifier.letters.sheet import Sheet, envelope_address, is_plain, message_id_mac, message_id_of
from notifier.letters.skeleton import Skeleton, build, header, mailbox_header, text_header
from notifier.letters.verp import ready_mac, return_path_key, seal_facts
from notifier.sites.site import Sender

# Only test letters have it: whoever filters mail can tell them.
TEST_HEADER = "X-Notifier-Test"


@dataclass(frozen=True, slots=True)
class _Page:
    """What the letters of one locale and time zone say to people who last knew the same version, on any channel."""

    locale: str
    zone: ZoneInfo
    since: int | None
    message: Message
    letter_text: str
    letter_html: str
    language: str


class Writer:
    """Writes the letters of one campaign. The same inputs give the same bytes, on any machine and on every try.

    Raises Invalid when a sender's address cannot stand in an ASCII header.
    """

    def __init__(self, telling: Telling, keys: Keys, public_url: str) -> None:
        self.telling = telling
        self._senders = {locale: _ascii_sender(locale, sender) for locale, sender in telling.site.senders.items()}
        self._public_url = public_url
        self._marks = Marks.of(keys.mac("letter-mark", str(telling.campaign_id)).hex())
        self._id_mac = message_id_mac(keys)
        self._path_mac = ready_mac(return_path_key(keys))
        self._zone = ZoneInfo(telling.site.time_zone)
        self._rendered: dict[tuple[str, int | None, int], Rendered] = {}
        self._pages: dict[tuple[str, str, int | None, int], _Page] = {}
        self._sheets: dict[tuple[str, str, str, int | None, int], Sheet] = {}
        self._of_reminders: dict[str, Writer] = {}
        self._keys = keys

    def write(
        self, channel: str, recipients: Sequence[Addressee], sheets: Sequence[Sheet | None] = ()
    ) -> list[Letter | Undeliverable]:
        """One letter per recipient, in their order. ``sheets``: what theirs is filled into again, word for word.

        A letter that cannot be written stands there as the Undeliverable (not raised) that says why, and costs nobody
        else theirs: no address, an address that is none, or a locale that the version has no text in.
        """
        letters: list[Letter | Undeliverable] = []
        for recipient, sheet in zip_longest(recipients, sheets):
            try:
                letters.append(self._letter(channel, recipient, sheet))
            except Undeliverable as problem:
                letters.append(problem)
        return letters

    def message(self, locale: str, time_zone: str, since: int | None, overlays: int = 0) -> Message:
        """The same words without an envelope, for private messages. Raises Undeliverable when there is no such text."""
        return self._page(locale, time_zone, since, overlays).message

    def changes_since(self, locale: str, since: int | None) -> tuple[str | None, str | None]:
        """The label of the version that the words compare with, and the address of the whole comparison."""
        words = self.telling.texts.get(locale)
        if words is None or since is None or since not in words.since:
            return None, None
        return words.since[since].label, redline_of(self.telling, locale, since, self._public_url)

    def test_letter(self, address: str, locale: str, serial: str) -> Letter:
        """The letter that people of a locale get, in the site's time zone, marked as a test and about nobody.

        Its return path is the sender's own address: whatever comes back of it is no report about a notice. ``serial``
        tells it from every other. Raises Undeliverable as letters do.
        """
        page = self._page(locale, "", self.telling.usual)
        subject = self._rendered[locale, page.since, 0].catalogue["test"].format(subject=page.message.subject)
        marked = replace(page, message=replace(page.message, subject=subject))
        sheet = self._email_sheet(marked, header(TEST_HEADER, f"campaign {self.telling.campaign_id}"))
        to = envelope_address(address)
        message_id = f"<test.{self.telling.campaign_id}.{serial}@{sheet.domain}>"
        pieces = sheet.pieces(to, message_id)
        return Letter(
            0, UUID(int=0), self.telling.campaign_id, "email", 0,
            to, message_id, self._sender(locale)[1], pieces, hashlib.sha256(b"".join(pieces)).digest(), sheet,
        )  # fmt: skip

    def preview(self, locale: str, address: str) -> Preview:
        """What people of a locale will read, in the site's time zone, as it would be written to ``address``.

        Raises Undeliverable as letters do.
        """
        page, marks = self._page(locale, "", self.telling.usual), self._marks
        name, sender = self._sender(locale)
        return Preview(
            locale,
            f"{name} <{sender}>",
            page.message.subject,
            _put(page.letter_text, {marks.text_address: address}),
            _put(page.letter_html, {marks.html_address: escape(address)}),
            page.message,
        )

    def _letter(self, channel: str, to: Addressee, again: Sheet | None = None) -> Letter:
        if to.purpose != "notice" and self.telling.reminder is None:
            return self.reminding(to.purpose)._letter(channel, to, again)
        key = channel, to.locale, to.time_zone, to.knew, to.overlays
        if again is not None and again.edition == (self.telling.amended_by or 0):  # else it has other words now
            sheet = again
        else:
            sheet = self._sheets.get(key) or self._sheet(channel, to)
        address, return_path, plain = "", "", False
        if channel == "email":
            address = to.address or ""
            plain = is_plain(address)
            if not plain:
                address = envelope_address(address)
            local = seal_facts(self.telling.campaign_id, to.lane, to.person_id, to.attempt, self._path_mac)
            return_path = f"{local}@{sheet.domain}"
        elif channel == "webhook":
            address = to.external_id
        message_id = message_id_of(sheet, to.lane, to.person_id, self._id_mac)
        pieces = sheet.pieces(address, message_id, plain=plain)
        sha256 = hashlib.sha256(b"".join(pieces)).digest()
        return Letter(
            to.lane, to.person_id, self.telling.campaign_id, channel, to.attempt,
            address, message_id, return_path, pieces, sha256, sheet, not sheet.skeleton.undotted,
        )  # fmt: skip

    def reminding(self, purpose: str) -> "Writer":
        """Writes the reminders of one purpose."""
        if purpose not in self._of_reminders:
            telling = reminding(self.telling, purpose)
            self._of_reminders[purpose] = Writer(telling, self._keys, self._public_url)
        return self._of_reminders[purpose]

    def _sheet(self, channel: str, to: Addressee) -> Sheet:
        page = self._page(to.locale, to.time_zone, to.knew, to.overlays)
        same = channel, to.locale, page.zone.key, page.since, to.overlays
        known = self._sheets[same] = self._sheets.get(same) or self._make_sheet(channel, page)
        return self._sheets.setdefault((channel, to.locale, to.time_zone, to.knew, to.overlays), known)

    def _page(self, locale: str, time_zone: str, since: int | None, overlays: int = 0) -> _Page:
        page = self._pages.get((locale, time_zone, since, overlays))
        if page is not None:
            return page
        if locale not in self.telling.texts:
            raise Undeliverable(f"version {self.telling.label} has no text in {locale!r}")
        zone = self._zone_named(time_zone)
        known = since if since in self.telling.texts[locale].since and self.telling.reminder is None else None
        same = locale, zone.key, known, overlays
        made = self._pages[same] = self._pages.get(same) or self._make_page(locale, zone, known, overlays)
        return self._pages.setdefault((locale, time_zone, since, overlays), made)

    def _zone_named(self, name: str) -> ZoneInfo:
        try:
            return ZoneInfo(name) if name else self._zone
        except (LookupError, ValueError, OSError):  # unknown, a path, or a folder of the database
            return self._zone

    def _make_page(self, locale: str, zone: ZoneInfo, since: int | None, overlays: int) -> _Page:
        telling, marks = self.telling, self._marks
        key = locale, since, overlays
        if key not in self._rendered:
            self._rendered[key] = render(telling.under(overlays), locale, since, self._public_url, marks)
        words = self._rendered[key]
        dates = {
            marks.published: words.moment(telling.published_at, zone),
            marks.effective: words.moment(telling.effective_at, zone),
        }
        if telling.correction is not None:
            dates[marks.written] = words.day(telling.correction.written_at, zone)
        elif telling.reminder is not None:
            dates[marks.written] = words.day(telling.reminder.written_at, zone)
        dates_html = {mark: escape(date) for mark, date in dates.items()}
        subject = self._subject(words, locale, zone)
        message = Message(subject, _put(words.notice_html, dates_html), _put(words.notice_text, dates))
        letter = _put(words.letter_text, dates), _put(words.letter_html, dates_html)
        return _Page(locale, zone, since, message, *letter, words.language)

    def _subject(self, words: Rendered, locale: str, zone: ZoneInfo) -> str:
        telling, site = self.telling, clean(self.telling.site.name(locale))
        if telling.correction is not None:
            subject = words.subject_of_correction(telling.correction.written_at, zone, site)
        else:
            key = "subject" if telling.reminder is None else "subject_reminder"
            subject = words.subject(telling.effective_at, zone, site, key)
        return " ".join(subject.split())

    def _make_sheet(self, channel: str, page: _Page) -> Sheet:
        if channel == "email":
            return self._email_sheet(page)
        if channel == "webhook":
            fixed = (b'{"id":', b',"external_id":', b"," + self._json(page))
            skeleton = Skeleton(fixed, ("id", "external_id"))
        else:
            skeleton = Skeleton((page.message.html.encode(),), ())
        return self._sheet_with(channel, page, skeleton)

    def _email_sheet(self, page: _Page, *more_headers: bytes) -> Sheet:
        skeleton = build(
            [*self._headers(page), *more_headers],
            {"To": "to", "Message-ID": "message_id"},
            page.letter_text,
            page.letter_html,
            {self._marks.text_address: "text", self._marks.html_address: "html"},
        )
        return self._sheet_with("email", page, skeleton)

    def _sheet_with(self, channel: str, page: _Page, skeleton: Skeleton) -> Sheet:
        domain = self._sender(page.locale)[1].rpartition("@")[2]
        purpose = "notice" if self.telling.reminder is None else self.telling.reminder.purpose
        return Sheet(
            self.telling.campaign_id, channel, page.locale, page.zone.key, domain, skeleton, purpose,
            self.telling.amended_by or 0,
        )  # fmt: skip

    def _json(self, page: _Page) -> bytes:
        telling, message = self.telling, page.message
        since, redline = self.changes_since(page.locale, page.since)
        words = {
            "campaign_id": telling.campaign_id,
            "corrects": None if telling.correction is None else telling.correction.campaign_id,
            "purpose": "notice" if telling.reminder is None else telling.reminder.kind,
            "policy": telling.policy,
            "label": clean(telling.label),
            "published_at": telling.published_at,
            "effective_at": telling.effective_at,
            "locale": page.locale,
            "subject": message.subject,
            "text": message.text,
            "html": message.html,
            "url": address_of(telling.texts[page.locale], self._public_url),
            "changes_since": since,
            "redline_url": redline,
        }
        return orjson.dumps(words, option=orjson.OPT_UTC_Z)[1:]

    def _sender(self, locale: str) -> tuple[str, str]:
        return self._senders.get(locale, self._senders[self.telling.site.locales[0]])

    def _headers(self, page: _Page) -> list[bytes]:
        """The headers that do not depend on the person."""
        telling, site, locale, language = self.telling, self.telling.site, page.locale, page.language
        name, address = self._sender(locale)
        headers = [
            header("Date", format_datetime(telling.opened_at)),
            mailbox_header("From", name, address),
            text_header("Subject", page.message.subject),
            # RFC 3834: nobody's holiday notice should answer this.
            header("Auto-Submitted", "auto-generated"),
            header("Feedback-ID", f"{telling.campaign_id}:{telling.policy}:{site.site}:policy-notifier"),
            header("Content-Language", language if locale == language else f"{language}, {locale}"),
        ]
        if (contact := _ascii(site.contact)) and contact != address:
            headers.append(header("Reply-To", contact))
        return headers


def _put(words: str, values: dict[str, str]) -> str:
    for mark, value in values.items():
        words = words.replace(mark, value)
    return words


def _ascii(address: str) -> str | None:
    """An address as it stands in an ASCII header; None when its local part cannot."""
    return validate_email(address, check_deliverability=False, globally_deliverable=False, strict=True).ascii_email


def _ascii_sender(locale: str, sender: Sender) -> tuple[str, str]:
    address = _ascii(sender.address)
    if address is None:
        problem = Fault(f"/senders/{locale}/address", "use a sender address whose part before the @ is ASCII")
        raise Invalid("letters cannot be sent from this address", [problem])
    return sender.name, address
