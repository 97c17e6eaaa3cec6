"""What a letter is made of, and the letter itself. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

from msgspec import Struct

from notifier.campaigns.rule import Overlay, Rule, Rules
from notifier.letters.sheet import Sheet
from notifier.policies.digest import Digest
from notifier.sites.site import Site


class Addressee(Protocol):
    """Whom one letter goes to: a :class:`Recipient`, or any row that holds as much."""

    @property
    def lane(self) -> int: ...
    @property
    def person_id(self) -> UUID: ...
    @property
    def address(self) -> str | None: ...
    @property
    def locale(self) -> str: ...
    @property
    def time_zone(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def external_id(self) -> str: ...
    @property
    def knew(self) -> int | None: ...
    @property
    def overlays(self) -> int: ...
    @property
    def purpose(self) -> str: ...


class Recipient(NamedTuple):
    """Whom one letter goes to. ``locale`` is the used one; an empty or unknown ``time_zone`` means the site's.

    ``external_id`` is what the site knows the person by: only the site's own messages (webhook) say it. ``knew`` is
    the version that they last knew, ``overlays`` says which rules apply to them as well (:class:`Rules`).
    """

    lane: int
    person_id: UUID
    address: str | None
    locale: str
    time_zone: str
    attempt: int
    external_id: str = ""
    knew: int | None = None
    overlays: int = 0
    purpose: str = "notice"


@dataclass(frozen=True)
class Since:
    """What changed since a version that some people last knew: its label, and the list in one locale."""

    label: str
    changes: Digest


@dataclass(frozen=True)
class Words:
    """What a version says of itself in one locale.

    ``summary`` is in the publisher's words (a little Markdown). ``url`` is the permanent address of the text in this
    locale: absolute, or a path below the public address of this service. ``since``: by the id of an earlier version.
    """

    summary: str
    url: str
    since: Mapping[int, Since] = field(default_factory=dict)


@dataclass(frozen=True)
class Correction:
    """What a campaign corrects: the letters of another one, and the Date that they have."""

    campaign_id: int
    written_at: datetime


@dataclass(frozen=True)
class Reminder:
    """What letters remind of: the campaign's own notice, and the Date that its letters have.

    ``purpose``: reminder-N, N days before the effective date; or nudge-N, as a private message was unread for N days.
    """

    purpose: str
    written_at: datetime

    @property
    def kind(self) -> str:
        """Reminder or nudge."""
        return self.purpose.partition("-")[0]


@dataclass(frozen=True)
class Telling:
    """What all letters of one campaign share. ``opened_at`` becomes their Date: the same bytes on every try.

    Of a correction, and of what is told after ``amended_by`` corrected it, the summaries of ``texts`` are its words.
    ``usual`` is the version that most people last knew: what previews and test letters compare with.
    """

    campaign_id: int
    site: Site
    policy: str
    label: str
    published_at: datetime
    effective_at: datetime
    opened_at: datetime
    rule: Rule
    texts: Mapping[str, Words]
    correction: Correction | None = None
    reminder: Reminder | None = None
    usual: int | None = None
    amended_by: int | None = None
    overlays: tuple[Overlay, ...] = ()

    def under(self, overlays: int) -> "Telling":
        """The same, told to people to whom some overlays apply: by their rule."""
        return replace(self, rule=Rules(base=self.rule, overlays=self.overlays).of(overlays)) if overlays else self

    @property
    def compared(self) -> int:
        """With how many texts of earlier versions its texts are compared."""
        return sum(len(words.since) for words in self.texts.values())


def reminding(telling: Telling, purpose: str) -> Telling:
    """The same campaign as its reminders of one purpose tell it. Their Date is when they are due."""
    kind, _, days = purpose.partition("-")
    span = timedelta(days=int(days))
    due_at = telling.effective_at - span if kind == "reminder" else telling.opened_at + span
    return replace(telling, opened_at=due_at, reminder=Reminder(purpose, telling.opened_at))


@dataclass(frozen=True, slots=True)
class Message:
    """A letter without an envelope, for private messages. ``html`` is a fragment that can stand inside any page."""

    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What people of one locale will read, word for word: the letter, and the private message."""

    locale: str
    sender: str
    subject: str
    text: str
    html: str
    message: Message


class Letter(Struct, frozen=True, gc=False):  # made a million times: a frozen dataclass takes many times as long
    """One letter, ready to go. ``body`` is everything that is sent (CRLF line ends), ``sha256`` is over exactly that.

    It is kept in pieces, most of which all letters of a sheet share: less than 1 kB of memory a letter, however long.

    ``address`` is what stands in the envelope: an internationalised domain is in its ASCII form, and only a local part
    outside ASCII leaves it non-ASCII (RFC 6531). For the webhook it is what the site knows the person by; empty for
    channels that write to nobody. ``sheet`` is what the bytes were filled into. ``dotted``: a line of them may begin
    with a dot.
    """

    lane: int
    person_id: UUID
    campaign_id: int
    channel: str
    attempt: int
    address: str
    message_id: str
    return_path: str
    pieces: list[bytes]
    sha256: bytes
    sheet: Sheet
    dotted: bool = True

    @property
    def body(self) -> bytes:
        """The pieces together."""
        return b"".join(self.pieces)
