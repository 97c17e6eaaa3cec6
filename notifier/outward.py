"""Where our requests may go: outside only, by https. The operator may name hosts of their own network as exceptions.

The address is checked where the connection is made, so that a name cannot answer differently the second time.
"""

import ipaddress
import socket
from collections.abc import Collection

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL


class Inside(OSError):
    """A name that leads into our own network, and to nothing else."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} lies in our own network")
        self.host = host


class OutwardResolver(AbstractResolver):
    """Looks names up, and keeps back every address that does not lie outside."""

    def __init__(self, inside: Collection[str]) -> None:
        self._inside = inside
        self._names = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OSError (Inside, when all that is found lies there)."""
        found = await self._names.resolve(host, port, family)
        if host not in self._inside:
            found = [one for one in found if lies_outside(one["host"])]
        if not found:
            raise Inside(host)
        return found

    async def close(self) -> None:
        """There is nothing to close."""
        await self._names.close()


def objection_to(url: URL, inside: Collection[str]) -> str:
    """Why a request must not go there, or nothing."""
    host = url.host or ""
    if host in inside:
        return ""
    if url.scheme != "https":
        return f"{url.scheme} is not used outside one's own network: use https"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return ""
    return "" if lies_outside(host) else f"{host} lies in our own network"


def lies_outside(host: str) -> bool:
    """Whether an address is one of the internet's, seen through the ways of writing IPv4 as IPv6."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        hidden = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            hidden = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        address = hidden or address
    return address.is_global and not address.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
