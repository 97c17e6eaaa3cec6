"""Look up what receivers will look up about a sender's domain."""

from collections.abc import Awaitable, Sequence

import dns.asyncresolver
import dns.exception
import dns.resolver

from notifier.doctor.finding import Finding, fail, look, ok
from notifier.doctor.records import MOST_LOOKUPS, judge_dkim, judge_dmarc, judge_spf, spf_lookups, spf_of, spf_targets
from notifier.letters.sign import Signer

_PATIENCE = 5.0  # seconds a name


class Unanswered(Exception):
    """Nobody answered, or only that something is broken: the record may be there."""


class Names:
    """Asks the system's resolvers, or the one that is named as ``address`` or ``address:port``."""

    def __init__(self, server: str | None = None) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=server is None)
        self._resolver.lifetime = _PATIENCE
        if server is not None:
            host, _, port = server.rpartition(":") if server.count(":") == 1 else (server, "", "53")
            self._resolver.nameservers = [host]
            self._resolver.port = int(port)

    async def ask(self, name: str, kind: str) -> list[str]:
        """The records of a name as text, [] when there are none. Raises Unanswered."""
        try:
            answer = await self._resolver.resolve(name, kind, search=False, raise_on_no_answer=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.exception.DNSException as error:
            raise Unanswered(f"{name}: {error}") from error
        if kind == "TXT":
            return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
        return [record.to_text() for record in answer]


async def examine_domain(names: Names, domain: str, signers: Sequence[Signer]) -> list[Finding]:
    """What receivers think of letters from a domain, as far as its names say."""
    findings = [await _checked(f"mail for {domain}", _mail(names, domain))]
    findings.append(await _checked(f"SPF of {domain}", _spf(names, domain)))
    ours = [signer for signer in signers if signer.vouches_for(domain)]
    findings += [await _checked(f"DKIM key {s.selector} of {s.domain}", _dkim(names, s)) for s in ours]
    if not ours:
        remedy = "make sure that your relay signs, or name a key under dkim in site.yaml"
        findings.append(look(f"DKIM of {domain}", "not signed here", remedy))
    findings.append(await _checked(f"DMARC of {domain}", _dmarc(names, domain)))
    return findings


async def _checked(what: str, finding: Awaitable[Finding]) -> Finding:
    try:
        return await finding
    except Unanswered as error:
        return look(what, f"could not be looked up: {error}", "try again, or ask another resolver with --dns")


async def _mail(names: Names, domain: str) -> Finding:
    """Bounces come back to the sender's domain, and many receivers ask whether they could."""
    what = f"mail for {domain}"
    servers = await names.ask(domain, "MX")
    if servers == ["0 ."]:
        return fail(what, "takes no mail (RFC 7505)", "bounces cannot come back: publish MX records")
    if servers:
        return ok(what, ", ".join(server.split()[1].rstrip(".") for server in servers))
    if await names.ask(domain, "A") or await names.ask(domain, "AAAA"):
        return look(what, "no MX record; its address stands in", "publish MX records where bounces are taken")
    return fail(what, "no such domain, or nothing that takes mail", "publish MX records: bounces come back there")


async def _spf(names: Names, domain: str) -> Finding:
    records = spf_of(await names.ask(domain, "TXT"))
    lookups = await _lookups(names, records[0], set()) if len(records) == 1 else 0
    return judge_spf(domain, records, lookups)


async def _lookups(names: Names, record: str, seen: set[str]) -> int:
    count = spf_lookups(record)
    for target in spf_targets(record):
        if target not in seen and "%" not in target and count <= MOST_LOOKUPS:
            seen.add(target)
            for inner in spf_of(await names.ask(target, "TXT"))[:1]:
                count += await _lookups(names, inner, seen)
    return count


async def _dkim(names: Names, signer: Signer) -> Finding:
    return judge_dkim(signer, await names.ask(f"{signer.selector}._domainkey.{signer.domain}", "TXT"))


async def _dmarc(names: Names, domain: str) -> Finding:
    """The sender's own record, or that of a domain above it (RFC 7489, 6.6.3)."""
    at = domain
    while at.count("."):
        if texts := await names.ask(f"_dmarc.{at}", "TXT"):
            return judge_dmarc(domain, at, texts)
        at = at.partition(".")[2]
    return judge_dmarc(domain, domain, [])
