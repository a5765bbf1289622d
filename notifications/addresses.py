"""What kind of place an IP address is: tables and questions, no settings and no network.

Our own tables rather than `ipaddress.is_global`, which differs between Python releases and passes 6to4, NAT64
and other prefixes that carry a private IPv4 address inside. Source: IANA's special-purpose address registries
(RFC 6890).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ip_network(network) for network in text.split())


_DENIED_IPV4 = _networks(
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16 172.16.0.0/12"
    " 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24"
    " 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4"
)
_GLOBAL_IPV6 = IPv6Network("2000::/3")  # all that IANA has given out as global unicast; the rest is denied
_DENIED_IPV6 = _networks("2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20")
_LOOPBACK = _networks("127.0.0.0/8 ::1/128")

# Where clouds hand out credentials: AWS and most others, Azure, AWS by IPv6, Alibaba, Oracle, Google by IPv6.
_METADATA = _networks(
    "169.254.0.0/16 168.63.129.16/32 fd00:ec2::254/128 100.100.100.200/32 192.0.0.192/32 fd20:ce::254/128"
)
_THIS_HOST = _networks("0.0.0.0/8 ::/128")  # which the kernel takes for loopback
# An IPv4 address in the last 32 bits: compatible (RFC 4291), SIIT (RFC 2765), NAT64 (RFC 6052, RFC 8215).
_IPV4_CARRIERS = _networks("::/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48")


def canonical(ip: str | Address) -> Address:
    """The address, decoded if IPv4-mapped (RFC 4291). Raises ValueError for a zone or an odd spelling."""
    address = ip_address(ip)
    if isinstance(address, IPv4Address):
        return address
    if address.scope_id is not None:
        raise ValueError(f"{address} has a zone")
    return address.ipv4_mapped or address


def is_public(address: Address) -> bool:
    """Whether anybody may be sent here."""
    if isinstance(address, IPv4Address):
        return not _within(address, _DENIED_IPV4)
    return address in _GLOBAL_IPV6 and not _within(address, _DENIED_IPV6)


def is_loopback(address: Address) -> bool:
    """Whether this is the machine itself, by its usual loopback addresses."""
    return _within(address, _LOOPBACK)


def is_forbidden(address: Address) -> bool:
    """Whether no setting may open this: "this host", and metadata, also when carried inside IPv6."""
    return _within(address, _THIS_HOST) or any(_within(it, _METADATA) for it in (address, *_carried_ipv4(address)))


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


def _carried_ipv4(address: Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that an IPv6 transition address may lead to."""
    if isinstance(address, IPv4Address):
        return
    if _within(address, _IPV4_CARRIERS):
        yield IPv4Address(int(address) & 0xFFFFFFFF)
    if address.sixtofour:
        yield address.sixtofour
    yield from address.teredo or ()
