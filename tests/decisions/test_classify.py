"""Every class of docs/delivery.md, from replies as servers really write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels.classify import CLASSES, FINAL, classify, enhanced_in, wait_asked

CASES = [
    # phase, reply, class
    ("rcpt", "550 5.1.1 <x@example.net>: Recipient address rejected: User unknown", "bad_address"),
    ("rcpt", "550 No such user here", "bad_address"),
    ("rcpt", "551 User not local", "bad_address"),
    ("rcpt", "553 5.1.3 Bad recipient address syntax", "bad_address"),
    ("rcpt", "550 5.1.6 moved, no forwarding address", "bad_address"),
    ("rcpt", "550 5.4.1 Recipient address rejected: Access denied", "bad_address"),
    ("rcpt", "554 5.1.1 mailbox unknown", "bad_address"),
    ("dot", "550 5.1.1 the mailbox does not exist", "bad_address"),
    ("report", "550 Requested action not taken: mailbox unavailable: user unknown", "bad_address"),
    ("rcpt", "550 5.1.2 Bad destination system address", "bad_domain"),
    ("rcpt", "556 5.1.10 Recipient address has null MX", "bad_domain"),
    ("rcpt", "556 domain does not accept mail", "bad_domain"),
    ("report", "550 5.4.4 Host or domain name not found (NXDOMAIN)", "bad_domain"),
    ("report", "550 5.4.4 could not look up the domain: time-out", "network"),
    ("rcpt", "450 4.1.2 Recipient address rejected: Domain not found", "network"),
    ("rcpt", "550 5.2.1 The email account is disabled", "mailbox_disabled"),
    ("rcpt", "550 5.7.13 user disabled", "mailbox_disabled"),
    ("rcpt", "550 account has been suspended", "mailbox_disabled"),
    ("rcpt", "452 4.2.2 The recipient's inbox is out of storage space", "mailbox_full"),
    ("rcpt", "552 5.2.2 over quota", "mailbox_full"),
    ("rcpt", "552 mailbox full", "mailbox_full"),
    ("rcpt", "452 requested action not taken", "mailbox_full"),
    ("dot", "550 quota exceeded", "mailbox_full"),
    ("rcpt", "450 4.2.0 Greylisted, try again in 300 seconds", "greylisted"),
    ("rcpt", "451 4.7.1 Please try again later", "greylisted"),
    ("rcpt", "450 mailbox unavailable", "greylisted"),
    ("rcpt", "450 4.1.1 unverified address", "greylisted"),
    ("dot", "451 4.7.1 greylisting in action", "greylisted"),
    ("rcpt", "421 4.7.0 Try again later, closing connection", "throttled"),
    ("dot", "421 4.7.28 Our system has detected an unusual rate of unsolicited mail", "throttled"),
    ("rcpt", "450 4.7.28 rate", "throttled"),
    ("rcpt", "451 4.7.650 The mail server has been temporarily rate limited", "throttled"),
    ("connect", "421 too many connections from your address", "throttled"),
    ("report", "550 5.4.5 Daily user sending limit exceeded", "throttled"),
    ("rcpt", "550 5.7.1 Service unavailable; client host blocked using zen.spamhaus.org", "policy"),
    ("rcpt", "550 blocked, see https://www.spamhaus.org/query", "policy"),
    ("rcpt", "554 5.7.1 Relay access denied", "policy"),
    ("rcpt", "550 relaying denied", "policy"),
    ("dot", "550 5.7.26 unauthenticated email is not accepted due to the domain's DMARC policy", "policy"),
    ("dot", "550 5.7.23 SPF validation failed", "policy"),
    ("rcpt", "450 4.7.25 Client host rejected: cannot find your hostname", "policy"),
    ("dot", "550 5.7.515 Access denied, sending domain does not meet the required level", "policy"),
    ("rcpt", "550 5.7.1 recipient unknown to this policy", "policy"),
    ("rcpt", "554 transaction failed", "policy"),
    ("dot", "552 5.3.4 Message too big for system", "content"),
    ("mail", "552 5.3.4 Message size exceeds fixed limit", "content"),
    ("mail", "552 message too large", "content"),
    ("dot", "550 5.2.3 Message length exceeds limit", "content"),
    ("dot", "554 5.6.0 malformed MIME", "content"),
    ("dot", "554 5.7.1 This message looks like spam", "content"),
    ("dot", "554 5.7.0 virus found", "content"),
    ("dot", "554 rejected", "content"),
    ("connect", "554 5.7.1 no SMTP service here", "session"),
    ("ehlo", "550 5.7.1 bad HELO", "session"),
    ("mail", "550 5.7.1 sender rejected", "session"),
    ("mail", "553 5.1.8 sender domain not found", "session"),
    ("rcpt", "530 5.7.0 Authentication required", "session"),
    ("auth", "535 5.7.8 Authentication credentials invalid", "session"),
    ("auth", "454 4.7.0 Temporary authentication failure", "session"),
    ("connect", "454 4.7.0 TLS not available", "session"),
    ("rcpt", "421 4.4.2 timeout", "network"),
    ("connect", "421 4.3.2 shutting down", "network"),
    ("rcpt", "451 4.4.1 no answer from host", "network"),
    ("rcpt", "451 4.3.0 temporary failure", "network"),
    ("data", "451 local error", "network"),
    ("report", "    5.0.0 delivery failed", "unclear"),
    ("report", "    5.3.0 other mail system problem", "unclear"),
    ("report", "554 4.4.7 delivery time expired", "expired"),
    ("report", "550 5.4.7 delivery time expired", "expired"),
    ("rcpt", "553 5.6.7 non-ASCII addresses not permitted", "unsupported"),
    ("mail", "550 5.6.9 UTF-8 header message cannot be transferred", "unsupported"),
]  # fmt: skip


@pytest.mark.parametrize(("phase", "reply", "class_"), CASES)
def test_a_reply_has_its_class(phase, reply, class_):
    code = int(reply[:3]) if reply[:3].strip() else None
    assert classify(phase, code, enhanced_in(reply[4:]), reply[4:]) == class_


def test_no_reply_is_unknown_only_after_the_final_dot():
    assert classify("dot", None, None, "") == "unknown"
    for phase in ("connect", "ehlo", "auth", "mail", "rcpt", "data"):
        assert classify(phase, None, None, "") == "network"


def test_every_class_has_a_case():
    said_by_no_mail_server = {"unknown", "complaint", "endpoint", "declined", "gone", "suppressed", "held"}
    assert {class_ for *_, class_ in CASES} | said_by_no_mail_server == CLASSES


@given(
    st.sampled_from(["connect", "ehlo", "auth", "mail", "rcpt", "data", "dot", "report"]),
    st.none() | st.integers(400, 599),
    st.none() | st.tuples(st.sampled_from([4, 5]), st.integers(0, 999), st.integers(0, 999)),
    st.text(max_size=80),
)
def test_anything_has_a_class_and_a_passing_reply_never_ends_an_address(phase, code, enhanced, text):
    class_ = classify(phase, code, enhanced, text)
    assert class_ in CLASSES
    if code is not None and code < 500 and phase != "report":
        assert class_ not in FINAL


PHASES = ["connect", "ehlo", "auth", "mail", "rcpt", "data", "dot", "report"]
CODES, ENHANCED = st.integers(400, 599), st.tuples(st.sampled_from([4, 5]), st.integers(0, 15), st.integers(0, 80))
WORDS = st.lists(st.sampled_from([
    "user unknown", "spam", "spamhaus", "mailbox full", "too many connections", "disabled account", "no such user",
    "try again in 5 minutes", "relaying denied", "host not found", "over quota", "virus", "x",
]), max_size=4).map(" ".join)  # fmt: skip
ABOUT_THE_ADDRESS = {"bad_address", "bad_domain", "mailbox_disabled"}


@given(st.sampled_from(PHASES[:-1]), CODES, st.none() | ENHANCED, WORDS)
def test_only_a_refusal_for_good_at_the_recipient_or_the_content_is_about_the_address(phase, code, enhanced, text):
    class_ = classify(phase, code, enhanced, text)
    if class_ in ABOUT_THE_ADDRESS:
        assert code >= 500
        # Before RCPT no address was named; only a status that says so by itself can be about it.
        assert phase in ("rcpt", "data", "dot") or (enhanced is not None and enhanced[1] not in (1, 2, 7))
    assert class_ not in ("unknown", "unclear", "complaint", "declined", "gone", "suppressed", "endpoint", "held")


@given(st.sampled_from(PHASES), CODES, st.none() | ENHANCED, WORDS)
def test_a_refusal_of_the_session_is_never_laid_upon_a_person(phase, code, enhanced, text):
    if phase in ("connect", "ehlo", "auth") and enhanced is None:
        assert classify(phase, code, enhanced, text) in ("session", "throttled", "network", "content", "mailbox_full")


@given(ENHANCED, WORDS)
def test_a_report_without_a_code_has_a_class_and_a_passing_one_is_no_dead_address(enhanced, text):
    class_ = classify("report", None, enhanced, text)
    assert class_ in CLASSES
    if enhanced[0] == 4 and enhanced[1] != 1 and "unknown" not in text and "disabled" not in text:
        assert class_ not in ("bad_address", "unclear")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4.7.1 Greylisted, try again in 5 minutes", 300),
        ("Greylisted for 300 seconds", 300),
        ("please retry in 2 hours", 7200),
        ("try again after 30 s", 30),
        ("try again in 99999 hours", 86400),
        ("4.2.0 try again later", None),
        ("", None),
        ("server 10.0.0.5 says wait", None),
    ],
)
def test_how_long_a_server_asks_us_to_wait(text, seconds):
    assert wait_asked(text) == seconds


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("5.1.1 no", (5, 1, 1)),
        ("no", None),
        ("10.5.1.1 x", None),
        ("smtp; 550 5.7.515 x", (5, 7, 515)),
        ("5.1.1.", None),
    ],
)
def test_enhanced_codes_are_found_and_addresses_are_none(text, code):
    assert enhanced_in(text) == code
