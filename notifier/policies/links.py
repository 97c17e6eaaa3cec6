"""When an address still leads to the same place. Pure.

Each step is a function of an address with a name; what two addresses have in common after all of them is where they
lead. Two more ways for a link to be the same need both addresses: an anchor of the same page, and a page that moved on
its own site.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

_TRACKING = re.compile(
    r"utm_\w+|ref|refsrc|referrer|source|src_?id|entry_point|[a-z]{0,3}clid|mc_[ce]id|_ga|_gl|igsh(id)?|si|trk|cid"
    r"|helpref|campaign\w*|__tn__|__cft__\S*|mkt_tok|vero_id|spm|from|lipi|hsa_\w+|_hs\w+|hl|locale|lang"
)
# Host names of content networks: whatever follows ? there says which copy, for whom and until when.
_NETWORK = re.compile(
    r"(?:^|\.)(?:fbcdn\.net|cdninstagram\.com|cloudfront\.net|akamaized\.net|googleusercontent\.com)$"
)
_TOKEN_NAMES = re.compile(
    r"_nc_\w+|ccb|oh|oe|efg|strext|x-amz-\w+|x-goog-\w+|awsaccesskeyid|signature|sig|expires|token|key-pair-id|hash",
    re.IGNORECASE,
)
# A value that nobody wrote by hand: a UUID, or twenty letters and digits together.
_TOKEN = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9_%|+/=-]{20,}")
_EMAIL_PROTECTION = "/cdn-cgi/l/email-protection"
# Names under which anybody registers: there the site has one label more.
_REGISTRIES = frozenset({"ac", "co", "com", "edu", "ed", "go", "gov", "gr", "lg", "ne", "net", "or", "org"})

Step = tuple[str, Callable[[str], str]]


def without_tracking(address: str) -> str:
    """Without parameters that say where a reader comes from, or in which language they read."""
    return _keep(address, lambda name, value: not _TRACKING.fullmatch(name.lower()))


def without_tokens(address: str) -> str:
    """Without what a content network adds: signatures, expiry, hashes."""
    parts = _parts(address)
    if _NETWORK.search(parts.hostname or ""):
        return urlunsplit(parts._replace(query="", fragment=""))
    return _keep(address, lambda name, value: not (_TOKEN_NAMES.fullmatch(name) or _TOKEN.fullmatch(value)))


def without_spelling(address: str) -> str:
    """One spelling: no scheme, no www., no slash at the end, nothing percent-encoded that need not be."""
    parts = _parts(address)
    if parts.scheme not in ("http", "https"):
        # A full stop behind a mail address came with the sentence.
        return unquote(address).lower().rstrip(".,;" if parts.scheme == "mailto" else "")
    host = (parts.hostname or "").removeprefix("www.")
    path = unquote(parts.path).rstrip("/")
    return f"{host}{path}{f'?{parts.query}' if parts.query else ''}{f'#{parts.fragment}' if parts.fragment else ''}"


def without_anchor(address: str) -> str:
    """Without the place in the page."""
    return address.partition("#")[0]


STEPS: tuple[Step, ...] = (
    ("tracking_parameters", without_tracking),
    ("network_tokens", without_tokens),
    ("moved_anchors", without_anchor),
    ("address_spelling", without_spelling),
)


@lru_cache(maxsize=8192)
def place(address: str) -> str:
    """Where an address leads."""
    for _, step in STEPS:
        address = step(address)
    return address


def why_same(old: str, new: str) -> str | None:
    """The name of the step by which two different addresses lead to the same place; None when they do not."""
    if place(old) != place(new):
        if old.startswith("#") or new.startswith("#"):
            return "moved_anchors"
        if {_hides(old), _hides(new)} == {True, False} and "mailto:" in (old[:7], new[:7]):
            return "hidden_addresses"
        return "moved_pages" if _site(old) and _site(old) == _site(new) else None
    for name, step in STEPS:
        old, new = step(old), step(new)
        if old == new:
            return name
    return STEPS[-1][0]


def _site(address: str) -> str:
    """The part of the host name that one owner registers, as near as one can tell without a list of registries."""
    labels = (_parts(address).hostname or "").split(".")
    size = 3 if len(labels) > 2 and labels[-2] in _REGISTRIES else 2
    return ".".join(labels[-size:]) if len(labels) >= size else ""


def _parts(address: str) -> SplitResult:
    """The parts of an address; one that is no address (``https://[a``) is a path."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return SplitResult("", "", address, "", "")
    return parts


def _hides(address: str) -> bool:
    return _EMAIL_PROTECTION in address


def _keep(address: str, wanted: Callable[[str, str], bool]) -> str:
    parts = _parts(address)
    if not parts.query:
        return address
    kept = [(name, _inner(value)) for name, value in _pairs(parts.query) if wanted(name, value)]
    return urlunsplit(parts._replace(query=urlencode(kept)))


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    """Names and values; a nameless value (``?a|b``) is a value."""
    try:
        named = parse_qsl(query, keep_blank_values=True, max_num_fields=200)
    except ValueError:
        return
    for name, value in named:
        yield (name, value) if value else ("", name)


def _inner(value: str) -> str:
    """An address in a parameter of an address: without its own parameters."""
    return value.partition("?")[0] if value.startswith(("http://", "https://")) else value
