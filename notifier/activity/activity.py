"""One use of a site as the site reports it, reduced on arrival to what evidence needs. Pure."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from notifier.campaigns.rule import NEVER_USE
from notifier.errors import Invalid, faults_of
from notifier.sites.site import Moment

SKEW = timedelta(minutes=5)  # how far a site's clock may run ahead of ours
LONGEST_PATH = 300

# What needs no second look: what most are, at a tenth of the cost.
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = re.compile(rf"({_BYTE}\.{_BYTE}\.{_BYTE})\.{_BYTE}")
# The first that fits. A robot is no person's use; the others are families, never versions.
_ROBOT = re.compile(
    r"bot\b|crawl|spider|slurp|headless|preview|monitor|curl/|wget/|python-|okhttp|libwww", re.IGNORECASE
)
_FAMILIES = (
    ("Edge", re.compile(r"Edg(?:e|A|iOS)?/")),
    ("Opera", re.compile(r"OPR/|Opera")),
    ("Samsung Internet", re.compile(r"SamsungBrowser/")),
    ("Firefox", re.compile(r"Firefox/|FxiOS/")),
    ("Chrome", re.compile(r"Chrome/|CriOS/|Chromium/")),
    ("Safari", re.compile(r"Safari/")),
)


@lru_cache(2048)
def _path(url: str) -> str:
    if url[:1] == "/" != url[1:2] and "?" not in url and "#" not in url and url.isprintable():
        return url[:LONGEST_PATH]  # what most are
    try:
        path = urlsplit(url).path
    except ValueError as error:
        raise ValueError("is not an address; leave it out or send the page's URL or path") from error
    return re.sub(r"[\x00-\x1f\x7f]", "", path)[:LONGEST_PATH]


@lru_cache(16_384)
def _prefix(ip: str) -> str:
    if plain := _IPV4.fullmatch(ip):
        return f"{plain[1]}.0/24"
    try:
        address = ip_address(ip)
    except ValueError as error:
        raise ValueError("is not an IP address; leave it out or send an IPv4 or IPv6 address") from error
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(ip_network(f"{address}/{24 if address.version == 4 else 48}", strict=False))


@lru_cache(2048)
def _family(user_agent: str) -> str:
    if _ROBOT.search(user_agent):
        return "robot"
    return next((name for name, signs in _FAMILIES if signs.search(user_agent)), "other" if user_agent else "")


class Activity(msgspec.Struct, frozen=True, gc=False):
    """One use as far as it is kept: when (UTC), of which kind, and what is left of address, IP and user agent.

    Many are in hand at once, and none is part of a cycle: a Struct is made quickest, and not looked at for one.
    """

    external_id: str
    occurred_at: datetime
    kind: str
    url_path: str = ""
    ip_prefix: str = ""
    user_agent: str = ""


class ActivityInput(BaseModel):
    """One use, as it arrives. ``url``, ``ip`` and ``user_agent`` are cut down while they are read, never kept whole:
    the path without its query, the network (/24 or /48) and the browser's family."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    external_id: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
    occurred_at: Moment
    kind: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    url: Annotated[str, StringConstraints(max_length=8192), AfterValidator(_path)] = ""
    ip: Annotated[str, StringConstraints(max_length=64), AfterValidator(_prefix)] | None = None
    user_agent: Annotated[str, Field(max_length=4096), AfterValidator(_family)] = ""

    @property
    def activity(self) -> Activity:
        """What of it is kept."""
        at = self.occurred_at.astimezone(UTC)
        return Activity(self.external_id, at, self.kind, self.url, self.ip or "", self.user_agent)


@dataclass(frozen=True, slots=True)
class Use:
    """One use of the site: when it happened, when we heard of it, and what of it is kept."""

    occurred_at: datetime
    received_at: datetime
    kind: str
    url_path: str = ""
    ip_prefix: str = ""
    user_agent: str = ""

    @property
    def day(self) -> date:
        """The UTC day that this use stands for."""
        return self.occurred_at.date()


def is_use(kind: str, allowed: Sequence[str] | None) -> bool:
    """Whether a kind of activity is use of the site at all. ``allowed``: the rule's list, or None: all but excluded."""
    return kind not in NEVER_USE and (allowed is None or kind in allowed)


def read_activity(line: bytes) -> Activity:
    """One line of NDJSON. Raises Invalid with a fault for every field that needs mending."""
    return read_quickly(line) or read_slowly(line).activity


def read_slowly(line: bytes) -> ActivityInput:
    """What the model makes of a line. Raises Invalid."""
    try:
        return ActivityInput.model_validate_json(line)
    except ValidationError as error:
        raise Invalid("this activity cannot be read; it was left out", faults_of(error)) from error


# From 1971 to 2989, so that no time zone leads out of what the model takes.
_IS_INSTANT = re.compile(
    r"(?:197[1-9]|19[89][0-9]|2[0-8][0-9]{2}|29[0-8][0-9])-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
).fullmatch
_IS_KIND = lru_cache(1024)(re.compile(r"[a-z][a-z0-9_]{0,39}").fullmatch)


def _if_plain(cut: Callable[[str], str]) -> Callable[[str], str]:
    """``cut`` for words without anything that cannot be printed, remembered. Raises ValueError for others."""

    @lru_cache(2048)
    def plain(words: str) -> str:
        if not words.isprintable():
            raise ValueError("what becomes of these is for the model to say")
        return cut(words)

    return plain


_plain_path, _plain_family = _if_plain(_path), _if_plain(_family)


class _Line(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The shape of :class:`ActivityInput`, which is all that is looked at while a line is parsed."""

    external_id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    occurred_at: str
    kind: str
    url: Annotated[str, msgspec.Meta(max_length=8192)] = ""
    ip: str | None = None
    user_agent: Annotated[str, msgspec.Meta(max_length=4096)] = ""


_parsed = msgspec.json.Decoder(_Line).decode


def read_quickly(line: bytes) -> Activity | None:
    """What the model makes of a plain activity, at a fifth of the cost; None: let the model look at it.

    It takes less than the model does, never more, and makes the same of it: a test compares the two.
    """
    try:
        one = _parsed(line)
        external_id, instant, kind, url, user_agent = (
            one.external_id,
            one.occurred_at,
            one.kind,
            one.url,
            one.user_agent,
        )
        if not external_id.isprintable() or not _IS_KIND(kind) or not _IS_INSTANT(instant):
            return None
        at = datetime.fromisoformat(instant)
        if at.tzinfo is not UTC:
            at = at.astimezone(UTC)
        prefix = "" if one.ip is None else _prefix(one.ip)
        return Activity(external_id, at, kind, _plain_path(url) if url else "", prefix, _plain_family(user_agent))
    except ValueError:  # no JSON, not the shape that is meant, or no address or time: the model says which
        return None


def pack(uses: Iterable[Activity]) -> bytes:
    """Uses as one value of the table ``reported``."""
    return orjson.dumps(list(map(msgspec.structs.astuple, uses)))


def unpack(packed: bytes) -> list[Activity]:
    """What :func:`pack` made one value of."""
    return [Activity(who, datetime.fromisoformat(at), *rest) for who, at, *rest in orjson.loads(packed)]


def why_ignored(one: Activity, allowed: Sequence[str] | None, now: datetime) -> str | None:
    """The reason for which an activity counts for nothing, whoever the person is; None when it may count."""
    if not is_use(one.kind, allowed):
        return "excluded_kind"
    if one.user_agent == "robot":
        return "robot"
    at = one.occurred_at
    return "in_the_future" if at > now and at > now + SKEW else None


def not_after(occurred_at: datetime, now: datetime) -> datetime:
    """Within the allowed skew, a time ahead of ours becomes ours: never the future."""
    return min(now, occurred_at)
