"""DKIM signatures (RFC 6376, RFC 8463), relaxed/relaxed. Pure.

The signature stands before the letter and is no part of its SHA-256: like what mail servers add on the way, it vouches
for the letter and does not change it, and keys come and go while the record stays. Its time is the letter's Date, so a
letter has the same signature on every try.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache
from typing import Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from notifier.letters.skeleton import Skeleton

Algorithm = Literal["rsa-sha256", "ed25519-sha256"]

# RFC 6376, 5.4.1. Each is named once more than it occurs, so that nobody can add another of it.
_SIGNED = (
    b"from", b"to", b"subject", b"date", b"message-id", b"reply-to", b"mime-version", b"content-type",
    b"content-language", b"auto-submitted", b"feedback-id",
)  # fmt: skip
_WEAKEST_RSA = 1024  # bits, RFC 8301, 3.2
_SPACE = re.compile(rb"[ \t]+")
_FOLD = re.compile(rb"\r\n(?=[ \t])")


@dataclass(frozen=True)
class Signer:
    """Signs for one domain with one key. ``key`` is a private key of the kind that the algorithm wants."""

    domain: str
    selector: str
    key: RSAPrivateKey | Ed25519PrivateKey

    @property
    def algorithm(self) -> Algorithm:
        """As it stands in ``a=``."""
        return "rsa-sha256" if isinstance(self.key, RSAPrivateKey) else "ed25519-sha256"

    @property
    def slow(self) -> bool:
        """Whether a signature takes so long that nothing should wait for it: 0.8 ms, where Ed25519 takes 0.03."""
        return isinstance(self.key, RSAPrivateKey)

    @property
    def public_key(self) -> str:
        """As it stands in ``p=`` of the record at ``<selector>._domainkey.<domain>``."""
        if isinstance(self.key, RSAPrivateKey):
            raw = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        else:
            raw = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return base64.b64encode(raw).decode("ascii")

    def vouches_for(self, domain: str) -> bool:
        """Whether a letter from a domain is signed: it is this domain or lies below it (RFC 7489, 3.1.1)."""
        return domain == self.domain or domain.endswith("." + self.domain)

    def sign(self, message: bytes) -> bytes:
        """The whole ``DKIM-Signature`` header of a message (CRLF line ends), to stand before it."""
        return self.stamp(Skeleton((message,), ())).sign({})

    def stamp(self, skeleton: Skeleton) -> "Stamp":
        """What signs all that a skeleton is filled into."""
        head, _, body = _marked(skeleton).partition(b"\r\n\r\n")
        fields = _fields(head)
        names, signed = _chosen(fields)
        at = _seconds(next((value for name, value in fields if name == b"date"), b""))
        before = (
            f"DKIM-Signature: v=1; a={self.algorithm}; c=relaxed/relaxed; d={self.domain};\r\n"
            f"\ts={self.selector};{at}\r\n\th=".encode()
            + b":\r\n\t ".join(names)
            + b";\r\n\tbh="
        )  # fmt: skip
        name, _, value = before.partition(b":")
        signed, body = signed + relaxed_header(name, value), relaxed_body(body)
        return Stamp(self, before, _unmarked(signed, skeleton.slots), _unmarked(body, skeleton.slots))

    def raw(self, data: bytes) -> bytes:
        """The signature alone."""
        if isinstance(self.key, RSAPrivateKey):
            return self.key.sign(data, PKCS1v15(), hashes.SHA256())
        return self._ed25519(hashlib.sha256(data).digest())  # RFC 8463, 3: the hash is what is signed

    @cached_property
    def _ed25519(self) -> Callable[[bytes], bytes]:
        """Signs by libsodium where it is (the extra ``fast``): in 18 µs, where OpenSSL takes 31 for the same bytes."""
        assert isinstance(self.key, Ed25519PrivateKey)
        try:
            from nacl.bindings import crypto_sign, crypto_sign_BYTES, crypto_sign_seed_keypair
        except ImportError:
            return self.key.sign
        _, secret = crypto_sign_seed_keypair(self.key.private_bytes_raw())
        return lambda data: crypto_sign(data, secret)[:crypto_sign_BYTES]


@dataclass(frozen=True, slots=True)
class Stamp:
    """One key's signature on all that one skeleton is filled into.

    What they share is made canonical once: for each letter anew it took 45 µs of the 70 that are not Ed25519 itself.
    """

    signer: Signer
    before: bytes  # of the header, up to the hash of the body
    signed: Skeleton  # the canonical headers, up to the same place
    body: Skeleton  # the canonical body

    def sign(self, values: Mapping[str, bytes]) -> bytes:
        """The whole header. ``values`` fill the slots, and hold no space or tab: those would not be canonical."""
        ending = base64.b64encode(hashlib.sha256(self.body.fill(values)).digest()) + b";"
        signature = self.signer.raw(self.signed.fill(values) + ending + b" b=")
        return self.before + ending + b"\r\n\tb=" + b"\r\n\t ".join(_pieces(base64.b64encode(signature))) + b"\r\n"


def signer_of(domain: str, selector: str, algorithm: Algorithm, key: str) -> Signer:
    """A signer with a key as text: PEM, or the base64 of DER or of the 32 bytes of Ed25519.

    Raises ValueError when it cannot be read, is of another kind than the algorithm, or is too short to be believed.
    """
    try:
        if "-----BEGIN" in key:
            loaded = load_pem_private_key(key.replace("\\n", "\n").encode(), None)
        else:
            raw = base64.b64decode(key, validate=False)
            loaded = Ed25519PrivateKey.from_private_bytes(raw) if len(raw) == 32 else load_der_private_key(raw, None)
    except (ValueError, TypeError) as error:
        raise ValueError("the key is neither PEM nor base64 of an unencrypted private key") from error
    if algorithm == "rsa-sha256" and isinstance(loaded, RSAPrivateKey):
        if loaded.key_size < _WEAKEST_RSA:
            raise ValueError(f"an RSA key of {loaded.key_size} bits; RFC 8301 wants 1024 and better 2048")
        return Signer(domain, selector, loaded)
    if algorithm == "ed25519-sha256" and isinstance(loaded, Ed25519PrivateKey):
        return Signer(domain, selector, loaded)
    raise ValueError(f"the key is of another kind than {algorithm} wants")


def relaxed_body(body: bytes) -> bytes:
    """RFC 6376, 3.4.4. By replacing again and again: a regular expression takes ten times as long."""
    body = body.replace(b"\t", b" ")
    while b"  " in body:
        body = body.replace(b"  ", b" ")
    body = body.replace(b" \r\n", b"\r\n").removesuffix(b" ").rstrip(b"\r\n")
    return body + b"\r\n" if body else b""


def relaxed_header(name: bytes, value: bytes) -> bytes:
    """RFC 6376, 3.4.2, without the line's end."""
    return name.strip(b" \t").lower() + b":" + _SPACE.sub(b" ", _FOLD.sub(b"", value)).strip(b" \t")


def _fields(head: bytes) -> list[tuple[bytes, bytes]]:
    lines = _FOLD.sub(b"\0", head).split(b"\r\n")  # a NUL cannot stand in a header
    split = (line.replace(b"\0", b"").partition(b":") for line in lines)
    return [(name.strip(b" \t").lower(), value) for name, _, value in split]


def _chosen(fields: Sequence[tuple[bytes, bytes]]) -> tuple[list[bytes], bytes]:
    """The names of ``h=``, and what they stand for: of several headers of a name the last comes first (5.4.2)."""
    names: list[bytes] = []
    signed: list[bytes] = []
    for wanted in _SIGNED:
        found = [relaxed_header(name, value) + b"\r\n" for name, value in reversed(fields) if name == wanted]
        names += [wanted] * (len(found) + 1)
        signed += found
    return names, b"".join(signed)


@lru_cache(maxsize=1024)
def _seconds(date: bytes) -> str:
    """`` t=…;`` of a Date, or nothing when it is none."""
    try:
        return f" t={int(parsedate_to_datetime(date.decode('ascii').strip()).timestamp())};"
    except (ValueError, TypeError, OverflowError):
        return ""


def _marked(skeleton: Skeleton) -> bytes:
    return skeleton.fill({slot: b"\1%b\1" % slot.encode() for slot in skeleton.slots})


def _unmarked(text: bytes, slots: Sequence[str]) -> Skeleton:
    pieces = re.split(b"\1(%b)\1" % "|".join(slots).encode(), text) if slots else [text]
    return Skeleton(tuple(pieces[::2]), tuple(slot.decode() for slot in pieces[1::2]))


def _pieces(text: bytes) -> list[bytes]:
    return [text[start : start + 72] for start in range(0, len(text), 72)]
