"""What the DNS records of a sender's domain amount to: SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 7489). Pure."""

import re
from collections.abc import Mapping, Sequence

from notifier.doctor.finding import Finding, fail, look, ok
from notifier.letters.sign import Signer

_LOOKUPS = re.compile(r"^[+?~-]?(include|a|mx|ptr|exists)([:/].*)?$|^redirect=", re.IGNORECASE)
MOST_LOOKUPS = 10  # RFC 7208, 4.6.4


def spf_of(texts: Sequence[str]) -> list[str]:
    """The SPF records among TXT records."""
    return [text for text in texts if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")]


def spf_targets(record: str) -> list[str]:
    """The domains whose records this one takes in: each has lookups of its own."""
    return re.findall(r"(?i)(?:^|\s)[+?~-]?(?:include:|redirect=)(\S+)", record)


def spf_lookups(record: str) -> int:
    """How many lookups a record itself asks for."""
    return sum(1 for term in record.split()[1:] if _LOOKUPS.match(term))


def judge_spf(domain: str, records: Sequence[str], lookups: int) -> Finding:
    """``lookups``: of the record and of all that it takes in."""
    what = f"SPF of {domain}"
    if not records:
        return fail(
            what, "no record", f'publish TXT at {domain}: "v=spf1 … -all" with the servers that your relays send from'
        )
    if len(records) > 1:
        return fail(what, f"{len(records)} records, which counts as an error", "merge them into one")
    (record,) = records
    if lookups > MOST_LOOKUPS:
        return fail(
            what,
            f"{lookups} lookups; more than {MOST_LOOKUPS} count as an error",
            "take includes out that nobody needs",
        )
    if re.search(r"(?i)(^|\s)\+?all(\s|$)", record):
        return look(what, record, "+all lets anybody send in your name: end it with -all or ~all")
    if re.search(r"(?i)\s-all$", record) and not spf_lookups(record) and not re.search(r"(?i)\sip[46]:", record):
        return fail(what, record, "it lets nobody send: name the servers that your relays send from")
    return ok(what, record)


def tags_of(record: str) -> Mapping[str, str]:
    """The tags of a DKIM or DMARC record."""
    pairs = (part.partition("=") for part in record.split(";") if part.strip())
    return {name.strip().lower(): "".join(value.split()) for name, _, value in pairs}


def judge_dkim(signer: Signer, texts: Sequence[str]) -> Finding:
    """Whether receivers find the key that letters are signed with."""
    name = f"{signer.selector}._domainkey.{signer.domain}"
    what = f"DKIM key {signer.selector} of {signer.domain}"
    kind = signer.algorithm.partition("-")[0]
    publish = f'publish TXT at {name}: "v=DKIM1; k={kind}; p={signer.public_key}"'
    records = [tags_of(text) for text in texts if "p" in tags_of(text)]
    if not records:
        return fail(what, "no record", publish)
    if len(records) > 1:
        return fail(what, f"{len(records)} records, and receivers take any", "leave one")
    (tags,) = records
    if not tags["p"]:
        return fail(what, "revoked (its p= is empty)", f"sign with another selector, or {publish}")
    if tags["p"] != signer.public_key or tags.get("k", "rsa") != kind:
        return fail(what, "another key than letters are signed with", publish)
    if "y" in tags.get("t", "").split(":"):
        return look(what, "found, marked as a test (t=y)", "receivers may ignore it: take t=y out")
    return ok(what, "found, and it is ours")


def judge_dmarc(domain: str, at: str, texts: Sequence[str]) -> Finding:
    """``at``: the domain whose record counts: the sender's own, or one above it."""
    what = f"DMARC of {domain}"
    records = [text for text in texts if text.lower().replace(" ", "").startswith("v=dmarc1")]
    if not records:
        publish = f'publish TXT at _dmarc.{domain}: "v=DMARC1; p=none; rua=mailto:…"'
        return look(what, "no record", f"{publish}; Google and Yahoo want one of bulk senders")
    if len(records) > 1:
        return look(what, f"{len(records)} records, so none counts", "leave one")
    policy = tags_of(records[0]).get("p", "")
    if policy not in ("none", "quarantine", "reject"):
        return look(what, records[0], "p= must be none, quarantine or reject")
    return ok(what, f"p={policy}" + ("" if at == domain else f", from {at}"))
