"""Where may we send: the rules for URLs, addresses and ports, and the operator's exceptions to them.

One policy for saving an endpoint, for its test button and for each delivery. Nothing here touches the
network: names are resolved in `connection`, which brings every answer back to `check_address`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, TypeVar
from urllib.parse import quote

import idna
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from .addresses import Address, Network, canonical, is_forbidden, is_loopback, is_public

Parsed = TypeVar("Parsed")

MAX_URL_CHARACTERS = 2048
MAX_PORT = 65535
DEFAULT_PORTS = frozenset({80, 443, 8000, 8080, 8443})

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@%]+)(?::([1-9][0-9]{0,4}))?")
_REQUEST_TARGET = re.compile(r"([^/?]*)(/[^?]*)?(\?.*)?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")  # "ends in a number", as the URL standard puts it
_ALLOWED_NETWORK = re.compile(r"([0-9A-Fa-f:.]+/[0-9]{1,3})(?::([1-9][0-9]{0,4}))?")
_KEPT_IN_PATH = "!$%&'()*+,/:;=?@[]~"
_STANDARD_PORTS = {"http": 80, "https": 443}


class TargetRefused(Exception):
    """Destination not allowed.

    Deliberately neither an OSError nor an exception of requests: urllib3 wraps those as "Connection aborted".
    `public_message` (also `str()`) never holds a resolved address; `detail` may, and is for staff.
    """

    def __init__(self, code: str, public_message: str, *, detail: str = "") -> None:
        super().__init__(public_message)
        self.code = code
        self.public_message = public_message
        self.detail = detail or public_message

    @property
    def is_malformed(self) -> bool:
        """Whether the URL itself is at fault, rather than where it leads."""
        return self.code in {"url_invalid", "url_too_long"}


class Ground(Enum):
    """On whose word a URL was let through, which decides how its addresses are judged."""

    RULES = "the rules"
    LOOPBACK = "allow_loopback: the address must be loopback"
    OPERATOR = "an origin the operator named: any address but metadata"


class Reach(Enum):
    """What kind of address a permitted one is."""

    PUBLIC = "public"
    PRIVATE = "private, opened by the operator: do not store what it answers"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Scheme, host and port of a URL (RFC 6454)."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Origin:
        """The origin of a URL; path and query are ignored. Raises TargetRefused."""
        return _parse(url)[0]

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A URL that passed, in its one normal spelling: `requests` connects to exactly this host and port.

    `host` is lower case, IDNA-encoded, without brackets; `path` has no query, which may hold secrets.
    """

    url: str
    scheme: str
    host: str
    port: int
    path: str
    ground: Ground = Ground.RULES


@dataclass(frozen=True, kw_only=True)
class AllowedNetwork:
    """A network opened by the operator: on `port` alone, or on the policy's ports when there is none."""

    network: Network
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> AllowedNetwork:
        """From `10.1.0.0/16`, `10.1.2.3/32:9000` or `fd12::/64:9000`. Raises ValueError."""
        match = _ALLOWED_NETWORK.fullmatch(text.strip())
        if match is None or int(match[2] or 0) > MAX_PORT:
            raise ValueError(f"{text[:100]!r} is not a network such as 10.1.0.0/16 or 10.1.2.3/32:9000")
        network = ip_network(match[1], strict=False)
        if network.network_address != ip_address(match[1].partition("/")[0]):
            raise ValueError(f"{text!r} has bits set beyond its mask: write {network}")
        if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
            raise ValueError(f"{text[:100]!r} must be written as an IPv4 network")
        return cls(network=network, port=int(match[2]) if match[2] else None)

    def opens(self, address: Address, port: int, default_ports: frozenset[int]) -> bool:
        ports = default_ports if self.port is None else {self.port}
        return address in self.network and port in ports


@dataclass(frozen=True, kw_only=True)
class EgressPolicy:
    """What an operator has decided about outgoing requests. The defaults open public https only.

    `denied_hosts` are the platform's own public names, against loops (`.example.com` covers subdomains too).
    `allow_loopback` opens 127.0.0.0/8 and ::1 on any port and by http, for development.
    """

    allowed_networks: tuple[AllowedNetwork, ...] = ()
    allowed_origins: frozenset[Origin] = frozenset()
    allow_http: bool = False
    ports: frozenset[int] = DEFAULT_PORTS
    denied_hosts: frozenset[str] = frozenset()
    allow_loopback: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "denied_hosts", _normal_patterns(self.denied_hosts))

    @classmethod
    def from_settings(cls, source: Any = settings) -> EgressPolicy:
        """The policy of the WEBHOOK_* settings. Raises ImproperlyConfigured, naming the one that is wrong."""
        return cls(
            allowed_networks=_read(source, "WEBHOOK_ALLOWED_NETWORKS", _allowed_networks),
            allowed_origins=_read(source, "WEBHOOK_URL", lambda url: frozenset([Origin.parse(url)] if url else [])),
            allow_http=source.WEBHOOK_ALLOW_HTTP,
            ports=_read(source, "WEBHOOK_PORTS", lambda texts: frozenset(map(int, texts))),
            denied_hosts=_read(source, "WEBHOOK_DENIED_HOSTS", _normal_patterns),
            allow_loopback=source.WEBHOOK_ALLOW_LOOPBACK,
        )

    def denies_host(self, host: str) -> bool:
        """Whether a host, in its normal spelling, is one of the platform's own."""
        labels = host.split(".")
        domains = {"." + ".".join(labels[start:]) for start in range(len(labels))}
        return not self.denied_hosts.isdisjoint({host} | domains)


def check_url(url: str, policy: EgressPolicy) -> Target:
    """The target that a URL names, if we may send there. Raises TargetRefused.

    Necessary but not sufficient for a name: each address it resolves to must pass `check_address` as well.
    """
    origin, path, query = _parse(url)
    literal = _literal(origin.host)
    ground = _ground(origin, literal, policy)
    if ground is not Ground.OPERATOR:
        if policy.denies_host(origin.host):
            raise TargetRefused("host_not_allowed", "This host belongs to Taskmanager itself.")
        if "_" in origin.host:
            raise _invalid("the host name contains an underscore")
    if ground is Ground.RULES:
        if origin.scheme == "http" and not policy.allow_http:
            raise TargetRefused("scheme_not_allowed", "Only https addresses are allowed.")
        opened_ports = {network.port for network in policy.allowed_networks}
        if origin.port not in policy.ports | opened_ports:
            raise _port_refused(origin.port)
    if literal is not None:
        check_address(literal, origin.port, policy, ground=ground)
    elif ground is Ground.RULES and _is_localhost(origin.host):
        check_address("127.0.0.1", origin.port, policy)

    shown_host = f"[{origin.host}]" if isinstance(literal, IPv6Address) else origin.host
    shown_port = "" if origin.port == _STANDARD_PORTS[origin.scheme] else f":{origin.port}"
    normal = f"{origin.scheme}://{shown_host}{shown_port}{path}{query}"
    if len(normal) > MAX_URL_CHARACTERS:
        raise _too_long()
    return Target(url=normal, scheme=origin.scheme, host=origin.host, port=origin.port, path=path, ground=ground)


def check_address(ip: str | Address, port: int, policy: EgressPolicy, *, ground: Ground = Ground.RULES) -> Reach:
    """What kind of address this is, if we may connect to it on this port. Raises TargetRefused.

    `ground` is the target's: it widens the rule for the operator's own origins and narrows it for loopback.
    """
    address = canonical_address(ip)
    if is_forbidden(address):
        raise _address_refused(f"{address} can be opened by no setting")
    reach = Reach.PUBLIC if is_public(address) else Reach.PRIVATE
    if ground is Ground.OPERATOR or (policy.allow_loopback and is_loopback(address)):
        return reach
    if ground is Ground.LOOPBACK:
        raise _address_refused(f"{address} is not loopback, though the URL said so")
    if any(network.opens(address, port, policy.ports) for network in policy.allowed_networks):
        return reach
    if reach is Reach.PRIVATE:
        raise _address_refused(f"{address} port {port} is not public and not in WEBHOOK_ALLOWED_NETWORKS")
    if port not in policy.ports:
        raise _port_refused(port)
    return reach


def canonical_address(ip: str | Address) -> Address:
    """The address, decoded if IPv4-mapped. Raises TargetRefused for a zone or an odd spelling."""
    try:
        return canonical(ip)
    except ValueError as error:
        raise _address_refused(str(error)) from None


def _ground(origin: Origin, literal: Address | None, policy: EgressPolicy) -> Ground:
    if origin in policy.allowed_origins:
        return Ground.OPERATOR
    if policy.allow_loopback:
        loopback = is_loopback(literal) if literal else _is_localhost(origin.host)
        return Ground.LOOPBACK if loopback else Ground.RULES
    return Ground.RULES


def _is_localhost(host: str) -> bool:
    """Names that mean loopback everywhere (RFC 6761, 6.3)."""
    return host == "localhost" or host.endswith(".localhost")


def _parse(url: str) -> tuple[Origin, str, str]:
    """Origin, path and query of a URL. Refuses whatever two parsers could read in two ways."""
    if len(url) > MAX_URL_CHARACTERS:
        raise _too_long()
    if not url.isprintable() or " " in url:
        raise _invalid("it contains white space or a control character")
    if "\\" in url or "%5c" in url.lower():
        raise _invalid("it contains a backslash")
    if "#" in url:
        raise _invalid("it contains a fragment (#)")
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _STANDARD_PORTS:
        raise TargetRefused("scheme_not_allowed", "The address must begin with https:// (or http://).")
    match = _REQUEST_TARGET.fullmatch(rest)
    assert match is not None, "every string without a line feed matches"
    authority, path, query = match[1], match[2] or "/", match[3] or ""
    if "@" in authority:
        raise _invalid("it contains a user name or password")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None or int(parts[2] or 0) > MAX_PORT:
        raise _invalid("its host or port cannot be read")
    port = int(parts[2] or _STANDARD_PORTS[scheme])
    origin = Origin(scheme=scheme, host=_normal_host(parts[1]), port=port)
    return origin, quote(path, safe=_KEPT_IN_PATH), quote(query, safe=_KEPT_IN_PATH)


def _normal_host(host: str) -> str:
    """Lower case and IDNA 2008 without any mapping, so that no other character becomes a dot or a digit."""
    try:
        if host.startswith("[") and host.endswith("]"):
            return str(canonical(IPv6Address(host[1:-1])))
        written = host.split(".")
        labels = [label.lower() if label.isascii() else _encoded(label) for label in written]
        normal = ".".join(labels)
        # In the digits of any script, so that no host looks like an address and is a name.
        if _NUMERIC_LABEL.fullmatch(labels[-1]) or written[-1].isdecimal():
            return str(IPv4Address(normal))
    except ValueError:  # idna.IDNAError and ipaddress.AddressValueError are ValueErrors
        raise _invalid("its host is not a name or address in its usual spelling") from None
    if len(normal) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _invalid("its host is not a name or address in its usual spelling")
    return normal


def _encoded(label: str) -> str:
    """One label's A-label (RFC 5890). A result with a dot in it, for idna takes others for dots, is no _LABEL."""
    # The Kelvin sign is the one character with an ASCII lower case.
    if any(character.lower().isascii() for character in label if not character.isascii()):
        raise ValueError(label)
    return idna.encode(label.lower(), strict=True, std3_rules=True).decode("ascii")


def _literal(host: str) -> Address | None:
    try:
        return canonical(host)
    except ValueError:
        return None


def _read(source: Any, name: str, parse: Callable[[Any], Parsed]) -> Parsed:
    try:
        return parse(getattr(source, name))
    except (TargetRefused, ValueError) as error:
        raise ImproperlyConfigured(f"{name}: {error}") from error


def _allowed_networks(texts: Iterable[str]) -> tuple[AllowedNetwork, ...]:
    return tuple(map(AllowedNetwork.parse, texts))


def _normal_patterns(hosts: Iterable[str]) -> frozenset[str]:
    """Hosts in their normal spelling; `.host`, which also means its subdomains, keeps its dot."""
    return frozenset("." * host.startswith(".") + _normal_pattern(host.removeprefix(".")) for host in hosts)


def _normal_pattern(host: str) -> str:
    """An IPv6 address may stand here with or without brackets: its normal spelling has none."""
    return _normal_host(f"[{host}]" if ":" in host and not host.startswith("[") else host)


def _invalid(reason: str) -> TargetRefused:
    return TargetRefused("url_invalid", f"This address cannot be used: {reason}.")


def _too_long() -> TargetRefused:
    return TargetRefused("url_too_long", f"The address is longer than {MAX_URL_CHARACTERS} characters.")


def _port_refused(port: int) -> TargetRefused:
    return TargetRefused("port_not_allowed", f"Port {port} is not allowed.")


def _address_refused(detail: str) -> TargetRefused:
    return TargetRefused("address_not_allowed", "Destination not allowed.", detail=detail)
