"""What a plugin may reach: the hosts that it declared, at addresses of the kind that its tenant allows.

A name is resolved once for each connection, and the connection goes to the very address that was looked at: an answer of the DNS
that changes afterwards changes nothing. OWASP ASVS 5.0, 1.3.6 and 13.2.4.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import httpcore2
import httpx2

from caisey_hookspecs import Rejected, Unavailable

CONNECT_SECONDS: Final = 4.0  # for one address of a host, so that the next has its turn
MOST_ADDRESSES: Final = 4  # of one host that are tried
DEFAULT_PORTS: Final = {"https": 443, "http": 80}
WILDCARD: Final = re.compile(r"\*(\.[a-z0-9-]+){2,}")
NAME: Final = re.compile(rb"[a-z0-9._-]+|[0-9a-f:.]+")  # of a host, or an IPv6 address

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]

# Nobody's vendor lives there: the sender itself, link-local with the clouds' metadata, multicast, reserved.
NEVER: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",
            "169.254.0.0/16",
            "224.0.0.0/3",
            "::/128",
            "fe80::/10",
            "ff00::/8",
            "100.100.100.200/32",
            "fd00:ec2::254",
        ),
    )
)
# Addresses that carry an IPv4 address in their last 32 bits (RFC 6052) or after 16 (RFC 3056).
NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
LOCAL_NAT64: Final = ipaddress.ip_network("64:ff9b:1::/48")  # RFC 8215: whatever the network made of it


def is_never(address: Address) -> bool:
    """Say whether nobody may go there, whatever an admin allows."""
    return any(address in network for network in NEVER if network.version == address.version)


def is_private(address: Address) -> bool:
    """Say whether an address is not one of the internet's: loopback, a company's own network, a carrier's."""
    return not address.is_global or address in LOCAL_NAT64


def carried(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, or the address itself."""
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address


class Hosts:
    """The hosts that a plugin declared. An entry is a host, with a port if it is not the scheme's own; "*.example.com" covers
    one level."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._entries = frozenset(map(_entry, entries))

    def cover(self, url: httpx2.URL) -> bool:
        """Say whether an address lies on one of them."""
        host = url.raw_host.decode("ascii")
        _, _, parent = host.partition(".")
        port = url.port or DEFAULT_PORTS.get(url.scheme)
        return any(
            (name in (host, f"*.{parent}")) and port == (wanted or DEFAULT_PORTS.get(url.scheme))
            for name, wanted in self._entries
        )


def _entry(text: str) -> tuple[str, int | None]:
    """Return host and port (None: the scheme's own) of an entry. Raises Rejected, in words, for what is none."""
    if text.startswith("*"):
        if not WILDCARD.fullmatch(text):
            raise Rejected(f"“{text}” is no host: a star covers one level of a name such as *.example.com.")
        return text, None
    try:
        url = httpx2.URL(text if "://" in text else f"https://{text}")
    except (httpx2.InvalidURL, TypeError) as error:
        raise Rejected(f"“{text}” is no host.") from error
    if url.scheme not in DEFAULT_PORTS or not NAME.fullmatch(url.raw_host) or url.userinfo:
        raise Rejected(f"“{text}” is no host.")
    return url.raw_host.decode("ascii"), url.port


def hosts_of(declared: Iterable[str], entered: Iterable[str]) -> Hosts:
    """Return what a plugin declared and what a tenant's settings name (also as whole addresses, never with a star).

    Raises Rejected.
    """
    for text in entered:
        if "*" in text:
            raise Rejected(f"“{text}” is no host: settings name hosts one by one.")
    return Hosts((*declared, *entered))


async def resolve(host: str, port: int) -> list[str]:
    """Ask the system for a host's addresses. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(where[0]) for _, _, _, _, where in found]


class Guard(httpcore2.AsyncNetworkBackend):
    """Connects to addresses of the allowed kind only. `public` and `private` say which."""

    def __init__(self, *, public: bool, private: bool, resolve: Resolve = resolve) -> None:
        self._public, self._private, self._resolve = public, private, resolve
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the library names it so
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Resolve, look at every address, and connect to the first that answers. Raises Rejected, Unavailable, ConnectError."""
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise Unavailable(f"{host} is not known to the DNS.") from error
        for text in addresses:
            self._look_at(host, carried(ipaddress.ip_address(text)))
        failure: Exception | None = None
        for text in addresses[:MOST_ADDRESSES]:
            try:
                return await self._network.connect_tcp(text, port, CONNECT_SECONDS, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise Unavailable(f"{host} takes no connection.") from failure

    def _look_at(self, host: str, address: Address) -> None:
        if is_never(address):
            raise Rejected(f"{host} leads to an address that no plugin may reach.")
        if is_private(address) and not self._private:
            raise Rejected(f"{host} leads to a private address. An admin can allow private addresses for this plugin.")
        if not is_private(address) and not self._public:
            raise Rejected(f"{host} is in the internet: use https:// instead of http://.")
