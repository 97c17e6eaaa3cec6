"""The MIME skeleton of a letter: what many letters share is encoded once, and each only fills the slots. Pure.

A slot inside a quoted-printable part stands between two soft line breaks (RFC 2045, 6.7), so that what is filled in
changes neither the lines before nor those after it.
"""

import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.header import Header

_SOFT_BREAK = b"=\r\n"
_LINE_BREAK = re.compile("[\r\n\0]")
_ATOMS = re.compile("[A-Za-z0-9]+(?: [A-Za-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Fixed bytes with named slots between them: ``fixed`` is one longer than ``slots``.

    ``undotted``: no line begins with a dot, whatever is filled in. SMTP would have to look for such lines in every
    letter (6 µs in 8 KB; RFC 5321, 4.5.2).
    """

    fixed: tuple[bytes, ...]
    slots: tuple[str, ...]
    undotted: bool = False

    def pieces(self, values: Mapping[str, bytes]) -> list[bytes]:
        """The whole message, not yet joined. ``values`` are encoded already: see :func:`quoted_printable`."""
        pieces = [b""] * (2 * len(self.slots) + 1)
        pieces[::2] = self.fixed
        pieces[1::2] = [values[slot] for slot in self.slots]
        return pieces

    def fill(self, values: Mapping[str, bytes]) -> bytes:
        """The whole message."""
        return b"".join(self.pieces(values))


def build(
    headers: Sequence[bytes],
    header_slots: Mapping[str, str],
    text: str,
    html: str,
    markers: Mapping[str, str],
) -> Skeleton:
    """A multipart/alternative message.

    ``headers``: whole lines; ``header_slots``: header → slot; ``markers``: what stands for a slot in the parts → slot.
    """
    # "=_" never occurs in quoted-printable, so no part can contain the boundary (RFC 2045, 6.7).
    boundary = "=_letter"
    pieces: list[bytes | str] = [b"".join(headers)]
    for name, slot in header_slots.items():
        pieces += [f"{name}: ".encode("ascii"), slot, b"\r\n"]
    pieces.append(
        f'MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="{boundary}"\r\n'.encode("ascii")
    )
    for kind, content in (("plain", text), ("html", html)):
        pieces.append(
            f"\r\n--{boundary}\r\nContent-Type: text/{kind}; charset=utf-8\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n".encode("ascii")
        )
        pieces += _encoded(content, markers)
    pieces.append(f"\r\n--{boundary}--\r\n".encode("ascii"))
    return _joined(pieces)


def header(name: str, value: str) -> bytes:
    """One header line of plain ASCII words. Raises ValueError for anything that could end the line."""
    if not value.isascii() or not value.isprintable():
        raise ValueError(f"the header {name} would not stay one line of ASCII")
    return f"{name}: {value}\r\n".encode("ascii")


def text_header(name: str, value: str) -> bytes:
    """A header of free words, as encoded words (RFC 2047) where they are not short plain ASCII."""
    if _LINE_BREAK.search(value):
        raise ValueError(f"a line break or NUL in the header {name}")
    if value.isascii() and value.isprintable() and "=?" not in value and len(name) + len(value) <= 76:
        return header(name, value)
    return f"{name}: {_encoded_words(name, value)}\r\n".encode("ascii")


def mailbox_header(name: str, display: str, address: str) -> bytes:
    """A header with one mailbox: a display name and an ASCII address.

    The display name is plain only when it is letters, digits and spaces. The standard library's folding drops the
    quotes of long quoted names, and what they held back would then be read as addresses; encoded words need none.
    """
    if _LINE_BREAK.search(display):
        raise ValueError(f"a line break or NUL in the header {name}")
    words = display if _ATOMS.fullmatch(display) else _encoded_words(name, display)
    space = " " if len(name) + len(words) + len(address) < 72 else "\r\n "
    return f"{name}: {words}{space}<{address}>\r\n".encode("ascii")


def _encoded_words(name: str, value: str) -> str:
    return Header(value, "utf-8", header_name=name).encode(linesep="\r\n")


def quoted_printable(text: str) -> bytes:
    """Text as quoted-printable UTF-8 with CRLF line ends and lines of at most 76 characters (RFC 2045, 6.7).

    No line begins with a dot: it is encoded, and followed by a soft break as the line may be full.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").encode()
    encoded = b"\n" + binascii.b2a_qp(lines)
    while b"\n." in encoded:
        encoded = encoded.replace(b"\n.", b"\n=2E=\n")
    return encoded[1:].replace(b"\n", b"\r\n")


def _encoded(content: str, markers: Mapping[str, str]) -> Iterator[bytes | str]:
    """Alternating encoded stretches and slot names."""
    marked = re.compile("(" + "|".join(map(re.escape, markers)) + ")")
    for index, piece in enumerate(marked.split(content)):
        if index % 2:
            yield _SOFT_BREAK
            yield markers[piece]
            yield _SOFT_BREAK
        else:
            yield quoted_printable(piece)


def _joined(pieces: Sequence[bytes | str]) -> Skeleton:
    fixed, slots = [b""], []
    for piece in pieces:
        if isinstance(piece, str):
            slots.append(piece)
            fixed.append(b"")
        else:
            fixed[-1] += piece
    return Skeleton(tuple(fixed), tuple(slots), undotted=not any(b"\n." in b"\n" + piece for piece in fixed))
