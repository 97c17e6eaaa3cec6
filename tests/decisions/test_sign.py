"""DKIM signatures, held to dkimpy: what we sign verifies there, and what is changed afterwards does not."""

import base64
import re
import sys
from dataclasses import replace

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.keys import Keys
from notifier.letters.letter import Letter
from notifier.letters.sheet import email_slots
from notifier.letters.sign import Signer, relaxed_body, signer_of
from notifier.letters.write import Writer
from tests.telling import a_recipient, a_telling

RSA = Signer("kumo.example", "s1", generate_private_key(65537, 2048))
ED25519 = Signer("kumo.example", "s2", Ed25519PrivateKey.generate())
BOTH = pytest.mark.parametrize("signer", [RSA, ED25519], ids=["rsa", "ed25519"])


def verifies(message: bytes, signer: Signer) -> bool:
    def record(name: bytes, timeout: int = 5) -> bytes:
        assert name == f"{signer.selector}._domainkey.{signer.domain}.".encode()
        return f"v=DKIM1; k={signer.algorithm.partition('-')[0]}; p={signer.public_key}".encode()

    return bool(dkim.verify(message, dnsfunc=record))


def letter(**changes: object) -> bytes:
    writer = Writer(a_telling(), Keys(b"a secret that only tests know and that is long enough"), "https://n.example")
    (written,) = writer.write("email", [a_recipient(1, **changes)])
    assert not isinstance(written, Exception)
    return written.body


@BOTH
@pytest.mark.parametrize("address", ["person1@example.net", "o'neil+a=b@example.net", "用户@example.net"])
@pytest.mark.parametrize("locale", ["en", "ja"])
def test_letters_verify(signer, address, locale):
    body = letter(address=address, locale=locale)
    signature = signer.sign(body)
    assert verifies(signature + body, signer)
    assert all(len(line) <= 100 for line in signature.split(b"\r\n"))


def test_libsodium_and_openssl_sign_alike(monkeypatch):
    by_libsodium = ED25519.sign(letter())
    monkeypatch.setitem(sys.modules, "nacl.bindings", None)
    assert replace(ED25519).sign(letter()) == by_libsodium


@BOTH
def test_the_same_letter_has_the_same_signature_with_the_time_of_its_date(signer):
    assert signer.sign(letter()) == signer.sign(letter())
    assert b" t=1772343000;" in signer.sign(letter())


@BOTH
@pytest.mark.parametrize(
    ("was", "then"),
    [(b"From: Kumo", b"From: Kuma"), (b"https", b"httpx"), (b"Date: ", b"From: a@b.example\r\nDate: "),
     (b"Date: ", b"Reply-To: a@b.example\r\nDate: "), (b"Subject: ", b"Subject: hello\r\nSubject: ")],
)  # fmt: skip
def test_what_is_changed_or_added_afterwards_does_not_verify(signer, was, then):
    body = letter()
    signature = signer.sign(body)
    changed = body.replace(was, then, 1)
    assert changed != body
    assert not verifies(signature + changed, signer)


SPACES = st.text(alphabet="ab \t.=", max_size=12)
LINES = st.lists(SPACES, max_size=8).map("\r\n".join)
VALUES = st.lists(st.text(alphabet="ab=;: \t", min_size=1, max_size=9), min_size=1, max_size=3).map(
    lambda parts: "x" + "\r\n ".join(parts) + "y"
)
NAMES = st.sampled_from(["Subject", "SUBJECT", "To", "X-Other", "Content-Type", "Date", "Reply-To"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(fields=st.lists(st.tuples(NAMES, VALUES), max_size=6), body=LINES, end=st.sampled_from(["\r\n", "\r\n\r\n"]))
def test_any_headers_and_any_body_verify(fields, body, end):
    head = "".join(f"{name}: {value}\r\n" for name, value in [("From", "a@kumo.example"), *fields])
    message = f"{head}\r\n{body}{end}".encode()
    assert verifies(ED25519.sign(message) + message, ED25519)


@given(body=LINES, end=st.sampled_from(["", "\r\n", "\r\n\r\n", " \r\n\t\r\n"]))
def test_the_body_is_relaxed_line_by_line(body, end):
    lines = [re.sub(r"[ \t]+", " ", line).rstrip(" ") for line in (body + end).split("\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    assert relaxed_body((body + end).encode()) == "".join(f"{line}\r\n" for line in lines).encode()


@pytest.mark.parametrize("signer", [RSA, ED25519], ids=["rsa", "ed25519"])
def test_keys_are_read_as_pem_or_base64(signer):
    pem = signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    der = base64.b64encode(signer.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())).decode()
    for text in (pem, pem.replace("\n", "\\n"), der):
        assert signer_of("kumo.example", "s", signer.algorithm, text).public_key == signer.public_key
    raw = base64.b64encode(ED25519.key.private_bytes_raw()).decode()
    assert signer_of("kumo.example", "s", "ed25519-sha256", raw).public_key == ED25519.public_key


@pytest.mark.parametrize("key", ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_key_that_cannot_be_used_is_refused(key):
    with pytest.raises(ValueError, match="neither PEM nor base64"):
        signer_of("kumo.example", "s", "rsa-sha256", key)


def test_a_key_of_another_kind_or_too_short_is_refused():
    pem = ED25519.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(ValueError, match="another kind"):
        signer_of("kumo.example", "s", "rsa-sha256", pem)


def test_a_signer_vouches_for_its_domain_and_those_below():
    assert RSA.vouches_for("kumo.example")
    assert RSA.vouches_for("mail.kumo.example")
    assert not RSA.vouches_for("notkumo.example")


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(summary=st.text(st.sampled_from(" \t\n.=<b>*a\x01、"), max_size=300), number=st.integers(1, 10**6))
def test_what_is_worked_out_once_for_a_sheet_signs_as_each_letter_alone(summary, number):
    writer = Writer(
        a_telling(None, summary), Keys(b"a secret that only tests know and that is long enough"), "https://n.ex"
    )
    for address in (f"person{number}@example.net", f"o'neil+{number}=b@example.net"):
        (written,) = writer.write("email", [a_recipient(number, address=address)])
        assert isinstance(written, Letter)
        stamp = ED25519.stamp(written.sheet.skeleton)
        assert stamp.sign(email_slots(written.address, written.message_id)) == ED25519.sign(written.body)
