"""Letters are signed on their way out, and only there: what is recorded is the letter itself."""

import base64
import gc
import hashlib

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError

from notifier.channels.channel import Sent
from notifier.channels.email import open_channel
from notifier.channels.signing import Signing
from notifier.keys import Keys
from notifier.letters.letter import Letter
from notifier.letters.sign import signer_of
from notifier.letters.write import Writer
from notifier.settings import Settings
from notifier.sites.site import Dkim
from tests.channels.smtp_server import SmtpServer, smtp_server
from tests.sites import a_site
from tests.telling import a_telling, some_letters

KEYS = Keys(b"a secret that only tests know and that is long enough")
RSA = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
ED25519 = base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode()


@pytest.fixture
def both(tmp_path, monkeypatch):
    file = tmp_path / "key.pem"
    file.write_text(RSA)
    monkeypatch.setenv("KUMO_DKIM", ED25519)
    return [
        {"domain": "kumo.example", "selector": "r", "key_file": str(file)},
        {"domain": "kumo.example", "selector": "e", "algorithm": "ed25519-sha256", "key_env": "KUMO_DKIM"},
    ]


async def carried(server: SmtpServer, count: int, keys: list[dict[str, str]]) -> tuple[list[Letter], list[Sent]]:
    relay = {"host": "127.0.0.1", "port": server.port, "security": "none"}
    site = a_site(relays=[relay], dkim=keys)
    letters = some_letters(Writer(a_telling(site), KEYS, "https://notices.example"), count)
    async with open_channel(Settings(), KEYS) as channel:
        return letters, [one async for one in channel.send(site, letters)]


def record(name: bytes, timeout: int = 5) -> bytes:
    algorithm, key = ("rsa-sha256", RSA) if name.startswith(b"r.") else ("ed25519-sha256", ED25519)
    signer = signer_of("kumo.example", "x", algorithm, key)
    return f"v=DKIM1; k={algorithm.partition('-')[0]}; p={signer.public_key}".encode()


@pytest.mark.parametrize("count", [1, 70])
async def test_every_letter_arrives_signed_by_every_key_and_is_reported_as_it_was_given(both, count):
    async with smtp_server() as server:
        letters, sent = await carried(server, count, both)
    assert {id(one.letter) for one in sent} == {id(letter) for letter in letters}
    assert {one.kind for one in sent} == {"accepted_by_relay"}
    by_address = {letter.address: letter for letter in letters}
    for got in server.got:
        assert got.content.count(b"DKIM-Signature: ") == 2
        assert all(dkim.DKIM(got.content).verify(idx=n, dnsfunc=record) for n in (0, 1))
        letter = by_address[got.address]
        assert got.content.endswith(letter.body)
        assert hashlib.sha256(letter.body).digest() == letter.sha256


async def test_what_is_kept_to_sign_with_goes_with_the_letters_that_it_was_for(both):
    signing, keys = Signing(), [Dkim.model_validate(key) for key in both]
    writer = Writer(a_telling(), KEYS, "https://notices.example")
    for _ in range(2):
        await signing.signing(keys, some_letters(writer, 30))
        assert len(signing._stamps) == 1
    del writer
    gc.collect()
    assert len(signing._stamps) == 0


async def test_a_key_of_another_domain_does_not_sign(both):
    other = both[0] | {"domain": "other.example"}
    async with smtp_server() as server:
        await carried(server, 1, [other])
    assert b"DKIM-Signature" not in server.got[0].content


@pytest.mark.parametrize("place", [{"key_env": "NOT_SET_ANYWHERE"}, {"key_file": "/nowhere/key.pem"}])
async def test_nothing_leaves_when_a_key_cannot_be_read(place):
    async with smtp_server() as server:
        letters, sent = await carried(server, 3, [{"domain": "kumo.example", "selector": "r"} | place])
    assert server.got == []
    assert [(one.kind, one.class_) for one in sent] == [("deferred", "session")] * len(letters)
    assert all("kumo.example cannot be signed" in one.reply for one in sent)


@pytest.mark.parametrize("places", [{}, {"key_file": "a", "key_env": "B"}])
def test_a_key_is_in_one_place(places):
    with pytest.raises(ValidationError, match="either key_file or key_env"):
        Dkim.model_validate({"domain": "kumo.example", "selector": "s"} | places)
