"""Letters as bytes: what Python's own mail parser reads back is what was meant, whatever the input."""

import hashlib
import re
import unicodedata
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html import unescape
from typing import cast
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from notifier.errors import Invalid, Unauthenticated, Undeliverable
from notifier.keys import Keys
from notifier.letters import verp
from notifier.letters.letter import Letter, Since, Words
from notifier.letters.skeleton import build, header, mailbox_header, quoted_printable, text_header
from notifier.letters.write import Writer
from notifier.policies.digest import Changed, Digest
from notifier.policies.pieces import Piece
from tests.sites import a_site
from tests.telling import KNEW, a_recipient, a_telling

KEYS = Keys(b"a secret that only tests know and that is long enough")
PUBLIC = "https://notices.example"

HOSTILE = [
    "plain words",
    "{{ 7 * 7 }} {% raw %} {0} {site} {{ say.__globals__ }} %s $x",
    "<script>alert(1)</script><img src=x onerror=alert(1)><style>*{}</style>",
    "[click](javascript:alert(1)) <a href='data:text/html,x'>x</a> [ok](https://ok.example/?a=1&b=2)",
    "\u202eevil\u202c \u2066x\u2069 שלום עולם مرحبا",
    "👩‍👩‍👧‍👦 🇯🇵 e\u0301",
    "x" * 5000,
    "あ" * 3000,
    "line\r\nBcc: everyone@example.com\r\n\r\n.\r\nMAIL FROM:<x>\n..\n.",
    "nul\0 bell\x07 lone \ud800 surrogate \x85 \u2028 end",
    "--=_letter\n--=_letter--\n=20=\n= \ntrailing  \n\ttab\t\n",
]
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=200))
zones = st.sampled_from([
    "Europe/Berlin", "Asia/Tokyo", "America/Argentina/Buenos_Aires", "Pacific/Kiritimati", "Etc/GMT+12",
    "", "Nowhere/Land", "../../etc/passwd", "/etc/passwd", "America", "a\0b", "x" * 500,
])  # fmt: skip
locales = st.sampled_from(["en", "ja", "en-GB", "fr", "ar", "zh-Hant-TW", "tlh", "xx-yy-zz"])


def write_one(telling, **recipient) -> Letter:
    [letter] = Writer(telling, KEYS, PUBLIC).write("email", [a_recipient(**recipient)])
    assert isinstance(letter, Letter)
    return letter


def parsed(letter: Letter) -> tuple[EmailMessage, str, str]:
    assert letter.body.isascii() == letter.address.isascii(), "what is asked of a relay rests on this"
    message = cast("EmailMessage", message_from_bytes(letter.body, policy=default))
    assert not message.defects
    text, html = message.iter_parts()
    assert not text.defects
    assert not html.defects
    return message, text.get_content().replace("\r\n", "\n"), html.get_content().replace("\r\n", "\n")


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(locale=locales, zone=zones, summary=texts, section=texts, label=texts, name=texts)
def test_a_letter_parses_back_whatever_is_in_it(locale, zone, summary, section, label, name):
    name = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", "", name)[:200] or "x"
    quoted = ((Piece("removed", section), Piece("added", summary)), (Piece("same", section),))
    changed = Changed(section, "edited", section, quoted, 2), Changed(section, "removed")
    words = Words(summary, "/p/x", {KNEW: Since(label, Digest(changed, 7))})
    site = a_site(
        names={"en": name, "ja": name},
        senders={"en": {"name": name, "address": "privacy@kumo.example"}},
        policies={"privacy": {"titles": {"en": name}}},
    )
    letter = write_one(a_telling(site, label=label, texts={locale: words}), locale=locale, time_zone=zone)
    message, text, html = parsed(letter)
    assert set(message.keys()) == {
        "Date", "From", "Subject", "Auto-Submitted", "Feedback-ID", "Content-Language", "To", "Message-ID",
        "MIME-Version", "Content-Type",
    }  # fmt: skip
    assert message["To"] == "person1@example.net"
    assert message["Message-ID"] == letter.message_id
    assert [a.addr_spec for a in message["From"].addresses] == ["privacy@kumo.example"]
    # Python's reader puts a space between the encoded words of a long display name.
    assert "".join(message["From"].addresses[0].display_name.split()) == "".join(name.split())
    assert "Sent to person1@example.net" in text or "送信先：person1@example.net" in text
    assert "person1@example.net" in html
    assert all(len(line) <= 998 for line in letter.body.split(b"\r\n"))
    assert b"\n" not in letter.body.replace(b"\r\n", b"")
    assert b"\r" not in letter.body.replace(b"\r\n", b"")
    assert b"\0" not in letter.body
    assert letter.body.isascii()
    assert not letter.dotted
    assert b"\n." not in letter.body  # so nobody has to look for such lines (RFC 5321, 4.5.2)
    assert "markb" not in re.sub(r"mark(?!b)", "", text)  # no mark is left unfilled
    tags = {tag.lower() for tag in re.findall(r"<([a-zA-Z][^\s>/]*)", html)}
    assert tags <= {
        "html", "head", "meta", "title", "style", "body", "div", "p", "a", "h1", "h2", "h3", "strong", "em", "ul", "ol",
        "li", "dl", "dt", "dd", "br", "code", "blockquote", "span", "del", "ins",
    }  # fmt: skip
    assert not re.findall(r"<[^>]*\s(?:on\w+|src)\s*=", re.sub(r'"[^"]*"', '""', html))
    assert not re.findall(r'href="(?!https?://|mailto:)', html)
    assert hashlib.sha256(letter.body).digest() == letter.sha256


@settings(max_examples=150)
@given(content=texts, value=st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=300))
@example(content="MARK.\n.MARK\nMARK", value=".")
@example(content="a " * 60 + "MARK" + " b", value="=" * 200)
@example(content="x" * 75 + ".." + "x" * 74 + ". MARK. x", value="y" * 75 + "." * 200)
def test_a_filled_slot_changes_nothing_around_it(content, value):
    content = content.encode("utf-8", "replace").decode().replace("\r", "").replace("\0", "")
    skeleton = build([b"X: y\r\n"], {}, content + " MARK tail", "MARK", {"MARK": "slot"})
    letter = skeleton.fill({"slot": quoted_printable(value)})
    text, html = message_from_bytes(letter, policy=default).iter_parts()
    want = (content + " MARK tail").replace("MARK", value)
    assert text.get_payload(decode=True).decode().replace("\r\n", "\n").rstrip("\n") == want.rstrip("\n")
    assert html.get_payload(decode=True).decode().rstrip("\r\n") == value.rstrip("\r\n")
    assert max(len(line) for line in letter.split(b"\r\n")) <= 78
    assert skeleton.undotted
    assert b"\n." not in letter


atoms = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789!#$%&'*+-/=?^_`{|}~", min_size=1, max_size=20)
letters_of_the_world = st.text(st.characters(categories=["Ll", "Lo"], min_codepoint=0xE0), min_size=1, max_size=12)
local_parts = st.one_of(st.lists(atoms, min_size=1, max_size=3).map(".".join), letters_of_the_world)
domains = st.lists(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True), min_size=1, max_size=3).map(
    lambda labels: ".".join([*labels, "example"])
)


@settings(max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(local=local_parts, domain=domains, locale=locales, zone=zones)
def test_an_address_is_read_back_as_it_is_or_refused_in_words(local, domain, locale, zone):
    known = locale if locale in ("en", "ja") else "en"
    recipient = a_recipient(address=f"{local}@{domain}", locale=known, time_zone=zone)
    [letter] = Writer(a_telling(), KEYS, PUBLIC).write("email", [recipient])
    if not isinstance(letter, Letter):
        assert str(letter)
        return
    message, _, _ = parsed(letter)
    read_back = message["To"].addresses[0].addr_spec.encode("utf-8", "surrogateescape").decode()
    assert read_back == letter.address
    assert letter.address.rpartition("@")[0] == unicodedata.normalize("NFC", local)
    assert len(message["To"].addresses) == 1
    assert "\r" not in letter.address + letter.return_path
    assert hashlib.sha256(letter.body).digest() == letter.sha256


@pytest.mark.parametrize(
    ("address", "envelope", "header"),
    [
        ("o'brien+tag=x@example.net", "o'brien+tag=x@example.net", "o'brien+tag=x@example.net"),
        ("a&b@example.net", "a&b@example.net", "a&b@example.net"),
        (f"{'&' * 15}.b@example.net", f"{'&' * 15}.b@example.net", f"{'&' * 15}.b@example.net"),
        ("taro@例え.jp", "taro@xn--r8jz45g.jp", "taro@xn--r8jz45g.jp"),
        ("太郎@例え.jp", "太郎@例え.jp", "太郎@例え.jp"),
        (f"{'a' * 64}@{'b' * 60}.example", f"{'a' * 64}@{'b' * 60}.example", f"{'a' * 64}@{'b' * 60}.example"),
    ],
)
def test_unusual_addresses_are_written_as_they_are(address, envelope, header):
    letter = write_one(a_telling(), address=address)
    assert letter.address == envelope
    assert b"\n." not in letter.body
    _, text, html = parsed(letter)
    assert f"\r\nTo: {header}\r\n".encode() in letter.body  # raw UTF-8 where it must be (RFC 6532)
    assert f"Sent to {header}" in text
    assert f"Sent to {header}" in unescape(re.sub(r"<[^>]*>", " ", html))


@pytest.mark.parametrize(
    "address",
    [
        None, "", "nobody", "a@b\r\nBcc: x@example.net", "a@b\n", "a\0@example.net", "a@example.net\r",
        "<a@example.net>", "a b@example.net", "a@example.net, b@example.net", ".a@example.net", "a..b@example.net",
        "a@-x.net", "a@", "@b",
        "a@b@c.net",
        f"{'a' * 65}@example.net", f"a@{'b' * 300}.net", '"a b"@example.net', "a@example.net\u2028x",
    ],
)  # fmt: skip
def test_an_address_that_is_none_costs_only_its_own_letter(address):
    writer = Writer(a_telling(), KEYS, PUBLIC)
    first, bad, last = writer.write("email", [a_recipient(1), a_recipient(2, address=address), a_recipient(3)])
    assert isinstance(first, Letter)
    assert isinstance(last, Letter)
    assert isinstance(bad, Undeliverable)
    assert str(address or "@") not in str(bad)


def test_a_locale_without_a_text_is_said_and_not_replaced_silently():
    [problem] = Writer(a_telling(), KEYS, PUBLIC).write("email", [a_recipient(locale="fr")])
    assert isinstance(problem, Undeliverable)
    assert "no text in 'fr'" in str(problem)


def test_the_same_inputs_give_the_same_bytes_and_another_attempt_only_another_return_path():
    first = write_one(a_telling())
    again = write_one(a_telling(), attempt=2)
    assert (again.body, again.message_id, again.sha256) == (first.body, first.message_id, first.sha256)
    assert again.return_path != first.return_path


def test_persons_campaigns_and_channels_have_message_ids_of_their_own():
    writer = Writer(a_telling(), KEYS, PUBLIC)
    other = Writer(a_telling(campaign_id=8), KEYS, PUBLIC)
    ids = [
        letter.message_id
        for letter in (
            *writer.write("email", [a_recipient(1), a_recipient(2)]),
            *other.write("email", [a_recipient(1)]),
            *writer.write("inbox", [a_recipient(1)]),
        )
        if isinstance(letter, Letter)
    ]
    assert len(set(ids)) == 4


def test_a_private_message_needs_no_address():
    [letter] = Writer(a_telling(), KEYS, PUBLIC).write("inbox", [a_recipient(address=None)])
    assert isinstance(letter, Letter)
    assert letter.address == ""
    assert b"Changes to our Privacy Policy" in letter.body


def test_headers_cannot_be_broken_out_of():
    for value in ("a\r\nBcc: x", "a\nb", "a\0b", "a\rb"):
        with pytest.raises(ValueError, match="line break"):
            text_header("Subject", value)
        with pytest.raises(ValueError, match="line break"):
            mailbox_header("From", value, "a@example.net")
        with pytest.raises(ValueError, match="one line"):
            header("X", value)


def test_a_sender_outside_ascii_is_refused_before_anything_is_written():
    site = a_site(senders={"en": {"name": "K", "address": "送信@kumo.example"}})
    with pytest.raises(Invalid) as problem:
        Writer(a_telling(site), KEYS, PUBLIC)
    assert problem.value.faults[0].pointer == "/senders/en/address"


def test_the_message_of_the_inbox_is_a_fragment_with_the_same_words():
    message = Writer(a_telling(), KEYS, PUBLIC).message("ja", "Asia/Tokyo", KNEW)
    assert "2026年4月1日" in message.subject
    assert "<html" not in message.html
    assert "承諾いただいたものとみなします" in message.html
    assert "承諾いただいたものとみなします" in message.text


class TestReturnPaths:
    KEY = verp.return_path_key(KEYS)
    ATTEMPT = verp.Attempt(7, 1023, UUID(int=2**128 - 1), 16383)

    @given(st.integers(0, 2**32 - 1), st.integers(0, 1023), st.uuids(), st.integers(1, 16383))
    def test_what_was_sealed_can_be_opened_in_any_case(self, campaign, lane, person, attempt):
        sealed = verp.seal(verp.Attempt(campaign, lane, person, attempt), self.KEY)
        assert len(sealed) <= 64
        for spelled in (sealed, sealed.upper()):
            assert verp.unseal(spelled, self.KEY) == verp.Attempt(campaign, lane, person, attempt)

    def test_an_attempt_that_does_not_fit_is_refused_rather_than_taken_for_another(self):
        with pytest.raises(OverflowError):
            verp.seal(verp.Attempt(7, 0, UUID(int=1), 16384), self.KEY)

    def test_a_change_of_any_one_character_is_noticed(self):
        sealed = verp.seal(self.ATTEMPT, self.KEY)
        for position in range(len(sealed)):
            for other in "a7":
                forged = sealed[:position] + other + sealed[position + 1 :]
                if forged != sealed:
                    with pytest.raises(Unauthenticated):
                        verp.unseal(forged, self.KEY)

    @pytest.mark.parametrize("text", ["", "b+", "postmaster", "b+" + "a" * 62, "b+" + "g" * 62, "b+\n" + "a" * 61])
    def test_what_we_did_not_make_is_refused(self, text):
        with pytest.raises(Unauthenticated):
            verp.unseal(text, self.KEY)

    def test_a_token_made_with_another_secret_is_refused(self):
        sealed = verp.seal(self.ATTEMPT, verp.return_path_key(Keys(b"z" * 32)))
        with pytest.raises(Unauthenticated):
            verp.unseal(sealed, self.KEY)

    def test_a_token_is_found_among_other_words_and_a_forged_one_is_passed_over(self):
        sealed = verp.seal(self.ATTEMPT, self.KEY)
        text = f"To: <b+{'a' * 62}@kumo.example>, <{sealed.upper()}@kumo.example>"
        assert verp.find(text, self.KEY) == self.ATTEMPT
        assert verp.find("nothing here", self.KEY) is None
