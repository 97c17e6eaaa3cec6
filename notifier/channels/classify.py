"""What a refusal means: class first, then action. Pure. docs/delivery.md explains every class.

The enhanced status code (RFC 3463, RFC 5248) decides where it is specific, then the reply code in its phase
(RFC 5321, 4.2), then, where servers say no more, words that large providers are known to use.
"""

import re
from typing import Literal

Phase = Literal["connect", "ehlo", "auth", "mail", "rcpt", "data", "dot", "report"]
Enhanced = tuple[int, int, int]

# The channel is done with the letter; the last two are what a site's own endpoint answers (webhook).
FINAL = frozenset({
    "bad_address", "bad_domain", "mailbox_disabled", "unsupported", "expired", "unclear", "complaint",
    "declined", "gone",
    "suppressed",  # by our own list: nothing was handed to the channel
})  # fmt: skip
PASSING = frozenset({
    "mailbox_full", "greylisted", "throttled", "policy", "content", "session", "network", "unknown", "endpoint",
    "held",  # by us: nothing was handed over
})  # fmt: skip
CLASSES = FINAL | PASSING

# RFC 3463 and RFC 5248, "class.subject.detail" without the class where both classes mean the same.
_BY_STATUS: dict[tuple[int, int], str] = {
    (1, 1): "bad_address", (1, 3): "bad_address", (1, 6): "bad_address",
    (1, 2): "bad_domain", (1, 10): "bad_domain",
    (1, 7): "session", (1, 8): "session",  # our own sender address
    (2, 1): "mailbox_disabled", (7, 13): "mailbox_disabled",
    (2, 2): "mailbox_full",
    (2, 3): "content", (3, 4): "content",
    (4, 5): "throttled", (4, 7): "expired",
    (6, 7): "unsupported", (6, 8): "unsupported", (6, 9): "unsupported", (6, 10): "unsupported",  # RFC 6531
    (7, 8): "session", (7, 9): "session", (7, 11): "session", (7, 57): "session",
    (7, 23): "policy", (7, 25): "policy", (7, 26): "policy", (7, 27): "policy",
    (7, 28): "throttled",
}  # fmt: skip
_BY_STATUS_SOFT: dict[tuple[int, int], str] = {
    (1, 1): "greylisted",  # 450 4.1.1: not verified yet
    (1, 2): "network",  # 450 4.1.2: the domain could not be looked up
    (1, 3): "greylisted", (1, 6): "greylisted", (1, 10): "network",
    (2, 0): "greylisted", (2, 1): "greylisted",
    (4, 1): "network", (4, 2): "network", (4, 3): "network", (4, 4): "network",
    (7, 1): "greylisted",
}  # fmt: skip
_BY_WORDS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(words, re.IGNORECASE), class_)
    for words, class_ in (
        (r"virus|malware|phishing|looks like spam|spam (?:message|content)|message (?:is|was) spam", "content"),
        (r"spamhaus|barracuda|block ?list|blacklist|rbl|dnsbl|poor reputation|banned sending ip", "policy"),
        (r"over ?quota|quota exceeded|mailbox (?:is )?full|insufficient (?:mailbox )?storage", "mailbox_full"),
        (r"account (?:is |has been )?(?:disabled|suspended|inactive|deactivated)|mailbox (?:is )?disabled",
         "mailbox_disabled"),
        (r"user unknown|unknown user|no such (?:user|mailbox|recipient|person)|"
         r"(?:user|mailbox|recipient|account)\b.{0,40}(?:not found|not exist|unknown|invalid)|"
         r"invalid (?:recipient|mailbox)", "bad_address"),
        (r"relay(?:ing)? (?:access )?denied|relay not permitted", "policy"),
    )
)  # fmt: skip
_RATE = re.compile(
    r"rate.?limit|too many (?:messages|connections|recipients|errors)|throttl|unusual rate|slow down|too fast",
    re.IGNORECASE,
)
_NXDOMAIN = re.compile(
    r"nxdomain|host (?:or domain name )?not found|domain (?:name )?(?:does not exist|not found)", re.IGNORECASE
)
_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_WAIT = re.compile(
    r"(?:again|retry|greylist\w*|wait|delay\w*)\D{0,40}?(\d{1,5})\s*(s|sec|second|m|min|minute|h|hour)s?\b",
    re.IGNORECASE,
)
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_LONGEST_WAIT = 24 * 3600
_NOT_SAID = 999  # in the place of the reply code that a report does not quote; no reply can have it


def classify(phase: Phase, code: int | None, enhanced: Enhanced | None, text: str) -> str:
    """The class of one refusal. ``code`` None: no reply came; ``report``: read from a delivery report."""
    if code is None and enhanced is None:
        return "unknown" if phase == "dot" else "network"
    if code is None and enhanced is not None:
        code = _NOT_SAID if phase == "report" and enhanced[0] == 5 else enhanced[0] * 100 + 50
    assert code is not None
    if code in (530, 534, 535, 538) or (code == 454 and phase in ("connect", "ehlo", "auth")):
        return "session"
    return _soft(phase, code, enhanced, text) if code < 500 else _hard(phase, code, enhanced, text)


def _soft(phase: Phase, code: int, enhanced: Enhanced | None, text: str) -> str:
    status = enhanced[1:] if enhanced else None
    if (status and status[0] == 7 and (code == 421 or status[1] >= 500)) or _RATE.search(text):
        return "throttled"
    if code == 421:
        return "network"
    if status in _BY_STATUS_SOFT:
        return _BY_STATUS_SOFT[status]
    if status in _BY_STATUS and (_BY_STATUS[status] in PASSING or phase == "report"):
        return _BY_STATUS[status]
    if code == 452 and (status is None or status[0] != 3):
        return "mailbox_full"
    # 450 and 451 without more are how a mailbox asks to come again; the rest is the server's own trouble.
    return "greylisted" if code in (450, 451) and phase == "rcpt" and (status is None or status[0] != 3) else "network"


def _hard(phase: Phase, code: int, enhanced: Enhanced | None, text: str) -> str:
    status = enhanced[1:] if enhanced else None
    if status in _BY_STATUS and not (phase in ("connect", "ehlo", "auth", "mail") and status[0] in (1, 2, 7)):
        return _BY_STATUS[status]
    if status == (4, 4):
        return "bad_domain" if _NXDOMAIN.search(text) else "network"
    if status and status[0] == 6:
        return "content"
    if phase in ("connect", "ehlo", "auth", "mail"):
        return "content" if code == 552 else "session"
    for words, class_ in _BY_WORDS:
        if words.search(text) and not (class_ == "bad_address" and status and status[0] == 7):
            return class_
    if status and status[0] == 7:
        return "policy"
    return _hard_by_code(phase, code)


def _hard_by_code(phase: Phase, code: int) -> str:
    if code == _NOT_SAID:
        return "unclear"
    if code == 552:
        return "mailbox_full"
    if code == 556:  # RFC 7504
        return "bad_domain"
    if phase == "rcpt":
        return "bad_address" if code in (550, 551, 553) else "policy"
    return "content" if phase in ("data", "dot") else "policy"


def enhanced_in(text: str) -> Enhanced | None:
    """The first enhanced status code in a reply (RFC 2034), or None."""
    match = _ENHANCED.search(text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def wait_asked(text: str) -> float | None:
    """Seconds after which a server asks to try again (at most a day), or None when it does not say."""
    match = _WAIT.search(text)
    return min(float(match[1]) * _SECONDS[match[2][0].lower()], _LONGEST_WAIT) if match else None
