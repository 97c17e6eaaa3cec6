"""What stands around a letter on the wire: MAIL and RCPT as a server wants them, content. Pure."""

import re
from collections.abc import Set as AbstractSet

from notifier.letters.letter import Letter

_PRINTED, _NOT_PRINTED = re.compile("[!-~]*"), re.compile("[^!-~]")


def unsupported(letter: Letter, extensions: AbstractSet[str]) -> str:
    """Why a server that offers these extensions (RFC 5321, 2.2; in lower case) cannot take a letter; or nothing."""
    if letter.address.isascii():  # then so is all of the letter: its parts are quoted-printable
        return ""
    if "smtputf8" not in extensions:
        return "the address is not ASCII and the relay does not offer SMTPUTF8 (RFC 6531)"
    if "8bitmime" not in extensions:
        return "the letter is not ASCII and the relay does not offer 8BITMIME (RFC 6152)"
    return ""


def envelope(letter: Letter, extensions: AbstractSet[str]) -> tuple[bytes, bytes]:
    """The commands MAIL and RCPT, asking for reports (RFC 3461) where the server knows how."""
    address, mail, rcpt = letter.address, "", ""
    is_ascii = address.isascii()
    if "dsn" in extensions:
        mail = f" RET=HDRS ENVID={xtext(letter.return_path.partition('@')[0])}"
        rcpt = f" NOTIFY=FAILURE,DELAY ORCPT=rfc822;{xtext(address)}" if is_ascii else " NOTIFY=FAILURE,DELAY"
    if not is_ascii:
        mail += " BODY=8BITMIME SMTPUTF8"
    return f"MAIL FROM:<{letter.return_path}>{mail}\r\n".encode(), f"RCPT TO:<{address}>{rcpt}\r\n".encode()


def content(letter: Letter, headers: bytes = b"") -> list[bytes]:
    """What follows DATA, in pieces, with its final dot. Lines that begin with a dot get another (RFC 5321, 4.5.2).

    ``headers``: whole lines that stand before the letter.
    """
    if not letter.dotted:
        return [headers, *letter.pieces, b".\r\n"]
    body = headers + letter.body
    return [b"." if body.startswith(b".") else b"", body.replace(b"\r\n.", b"\r\n.."), b".\r\n"]


def chunk(letter: Letter, headers: bytes = b"") -> list[bytes]:
    """A whole letter as its only chunk (RFC 3030, 2), in pieces: byte for byte, with its size before it."""
    size = len(headers) + sum(map(len, letter.pieces))
    return [b"BDAT %d LAST\r\n" % size, headers, *letter.pieces]


def xtext(value: str) -> str:
    """ASCII text in the encoding of DSN parameters (RFC 3461, 4)."""
    value = value.replace("+", "+2B").replace("=", "+3D")  # in every return path; the rest is rare
    return value if _PRINTED.fullmatch(value) else _NOT_PRINTED.sub(lambda match: f"+{ord(match[0]):02X}", value)
