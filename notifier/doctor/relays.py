"""Whether the relays take our mail: reach, TLS, login, and what they offer. No letter is sent."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta

from notifier.channels.relays import open_session
from notifier.channels.smtp import Limits, Session, Trouble
from notifier.doctor.finding import Finding, fail, look, ok
from notifier.sites.site import Relay

_SOON = timedelta(days=14)
_WANTED = {
    "pipelining": "each letter costs several round trips instead of one",
    "dsn": "delivery reports cannot be asked for",
    "smtputf8": "addresses outside ASCII cannot be written to",
}


async def examine_relay(relay: Relay, real: datetime, patience: float = 20) -> list[Finding]:
    """Open a session as a worker would, look, and take leave."""
    what = f"relay {relay.host}:{relay.port}"
    findings = [*_in_the_clear(what, relay)]
    try:
        session = await open_session(relay, Limits(opening=patience, reply=patience))
    except Trouble as trouble:
        return [*findings, fail(what, f"{trouble.class_}: {trouble.reply}", _remedy(trouble))]
    try:
        findings += _look_at(what, relay, session, real)
    finally:
        await session.quit()
    return findings


def _in_the_clear(what: str, relay: Relay) -> list[Finding]:
    if relay.security != "none" or _is_here(relay.host):
        return []
    remedy = "use security: starttls or tls; none is for a relay on the same machine"
    return [look(what, "letters (and the password) travel in the clear", remedy)]


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _look_at(what: str, relay: Relay, session: Session, real: datetime) -> list[Finding]:
    offered = sorted(word.upper() for word in session.extensions & {*_WANTED, "8bitmime", "chunking", "size"})
    secured = session.tls
    said = [
        "reached",
        *([secured.version() or "TLS"] if secured else []),
        *([f"logged in as {relay.username}"] if relay.username else []),
        f"offers {', '.join(offered) or 'nothing more'}",
    ]
    findings = [ok(what, "; ".join(said))]
    for word, loss in _WANTED.items():
        if word not in session.extensions:
            findings.append(look(what, f"no {word.upper()}: {loss}", "nothing has to be done"))
    if secured and (ends := _ends(secured)) and ends - real < _SOON:
        findings.append(
            look(what, f"its certificate ends on {ends:%Y-%m-%d}", "have it renewed: after that no letter leaves")
        )
    return findings


def _ends(secured: ssl.SSLObject) -> datetime | None:
    certificate = secured.getpeercert() or {}
    after = certificate.get("notAfter")
    if not isinstance(after, str):
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(after), UTC)


def _remedy(trouble: Trouble) -> str:
    reply = trouble.reply.lower()
    if "certificate" in reply:
        return "have its certificate mended, use the name in it, or trust a private authority with SSL_CERT_FILE"
    if "environment variable" in reply or "command in" in reply:
        return "set it where the workers run; this command sees only its own environment"
    if trouble.class_ == "network":
        return "check host, port and security in site.yaml, and that a firewall lets workers out"
    return "check username, password and security in site.yaml with whoever runs the relay"
