"""A DNS server that knows what a test tells it: real UDP on 127.0.0.1.

    async with name_server({("kumo.example", "TXT"): ['"v=spf1 -all"']}) as server: …

A name without a record is NXDOMAIN; ``BROKEN`` answers SERVFAIL, ``SILENT`` nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

BROKEN, SILENT = "(broken)", "(silent)"
Records = Mapping[tuple[str, str], list[str]]


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """``asked``: the questions that came, in order."""

    records: Records
    port: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)
    transport: asyncio.DatagramTransport | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        (question,) = query.question
        name, kind = question.name.to_text().rstrip(".").lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        found = self.records.get((name, kind), [])
        if found == [SILENT]:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if found == [BROKEN]:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif found:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *found))
        elif not any(known == name for known, _ in self.records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        assert self.transport is not None
        self.transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def name_server(records: Records) -> AsyncIterator[NameServer]:
    """A server on a free port for as long as the block lasts."""
    server = NameServer(records)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: server, ("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()
