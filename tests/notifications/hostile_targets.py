"""Hostile places to send to: addresses, URLs, and names with what they resolve to; beside them a few that are fine.

Hand-made tables, and what plain code makes of them: the same entries in the same order in every process.
"""

from ipaddress import IPv4Address, IPv6Address

from tests.notifications.hostile_urls import HAND_MADE_URLS


def words(text: str) -> list[str]:
    return text.split()


_HAND_MADE_ADDRESSES = words("""
    0.0.0.0 0.0.0.1 0.255.255.255 10.0.0.0 10.0.0.1 10.255.255.255 100.64.0.0 100.64.0.1 100.100.100.200
    100.127.255.255 127.0.0.0 127.0.0.1 127.0.0.53 127.1.1.1 127.255.255.255 168.63.129.16 169.254.0.0
    169.254.169.254 169.254.170.2 169.254.255.255 172.16.0.0 172.16.0.1 172.31.255.255 192.0.0.0 192.0.0.1
    192.0.0.8 192.0.0.9 192.0.0.10 192.0.0.170 192.0.0.192 192.0.0.255 192.0.2.0 192.0.2.1 192.0.2.255
    192.31.196.1 192.52.193.1 192.88.99.0 192.88.99.1 192.168.0.0 192.168.1.1 192.168.255.255 192.175.48.1
    198.18.0.0 198.18.0.1 198.19.255.255 198.51.100.1 198.51.100.255 203.0.113.1 203.0.113.255 224.0.0.0
    224.0.0.1 239.255.255.250 240.0.0.0 240.0.0.1 250.1.2.3 255.255.255.255
    :: ::1 ::2 ::127.0.0.1 ::7f00:1 ::8.8.8.8 ::ffff:0.0.0.0 ::ffff:10.0.0.1 ::ffff:127.0.0.1 ::ffff:7f00:1
    ::ffff:100.64.0.1 ::ffff:169.254.169.254 ::ffff:192.168.1.1 ::ffff:0:127.0.0.1 ::ffff:0:8.8.8.8
    64:ff9b::7f00:1 64:ff9b::8.8.8.8 64:ff9b::a9fe:a9fe 64:ff9b:1::1 64:ff9b:1::7f00:1 100::1 100:0:0:1::1
    2001::1 2001:0:7f00:1::1 2001:0:808:808::f7f7:f7f7 2001:1::1 2001:2::1 2001:3::1 2001:4:112::1 2001:10::1
    2001:20::1 2001:30::1 2001:1ff:ffff::1 2001:db8::1 2001:db8:ffff::1 2002:7f00:1:: 2002:a9fe:a9fe::1
    2002:808:808::1 2002:c0a8:101::1 2620:4f:8000::1 3fff::1 3fff:fff:ffff::1 4000::1 5f00::1 8000::1 a000::1
    c000::1 e000::1 f000::1 f800::1 1::1 1fff:ffff::1 fc00::1 fd00::1 fd00:ec2::254 fd20:ce::254 fdff:ffff::1
    fe00::1 fe80::1 fe80::a9fe:a9fe febf::1 fec0::1 fec0:0:0:ffff::1 ff00::1 ff02::1 ff02::2 ff05::1:3
    ff0e::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff fe80::1%eth0 2606:4700::1111%1 ::1%lo
""")

METADATA_ADDRESSES = words("""
    169.254.169.254 169.254.170.2 169.254.0.1 168.63.129.16 fd00:ec2::254 100.100.100.200 192.0.0.192
    fd20:ce::254 ::ffff:169.254.169.254 ::ffff:168.63.129.16 ::169.254.169.254 ::ffff:0:169.254.169.254
    64:ff9b::169.254.169.254 64:ff9b:1::169.254.169.254 2002:a9fe:a9fe:: 2001:0:a9fe:a9fe::1
    2001:0:808:808::5601:5601 0.0.0.0 0.1.2.3 ::
""")

PUBLIC_ADDRESSES = words("""
    1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 168.63.129.15
    168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0 192.88.98.255
    192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 203.0.114.0 223.255.255.255 ::ffff:8.8.8.8
    ::ffff:808:808 2001:200::1 2001:db7:ffff::1 2001:db9::1 2003::1 2400:cb00::1 2606:4700::1111
    2620:4f:8001::1 2a00:1450:4001::1 2c0f::1 3000::1 3fff:1000::1
""")

INNER_ADDRESSES = words(
    "127.0.0.1 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.100.100.200 168.63.129.16 0.0.0.0"
)
"""Those worth reaching, to be dressed up in other spellings and in IPv6."""


def c_spellings(ip: str) -> list[str]:
    """Ways to write an IPv4 address that inet_aton(3), and with it many a client, reads as this very address."""
    a, b, c, d = IPv4Address(ip).packed
    number = int(IPv4Address(ip))
    return [
        *(f"{number}", f"{number:#x}", f"{number:#X}", f"0{number:o}", f"0x{number:016x}", f"000000{number:o}"),
        *(f"{a}.{number & 0xFFFFFF}", f"{a}.{b}.{c << 8 | d}", f"{a:#x}.{number & 0xFFFFFF:#x}"),
        *(f"{a:#x}.{b:#x}.{c:#x}.{d:#x}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"{a:#06x}.{b}.0{c:o}.{d:#x}"),
        *(f"{a:#x}.0{b:o}.{c << 8 | d}", f"0{a:o}.{b:#x}.{c}.{d}", f"0{a:o}.0{number & 0xFFFFFF:o}"),
    ]


def text_spellings(ip: str) -> list[str]:
    """The same dressed up: for browsers, for IDNA with mapping (UTS 46), for whoever decodes or trims first."""
    return [
        *(f"{ip}.", f"{ip}..", f".{ip}", ip.replace(".", ".."), ip.replace(".", ",")),
        *(ip.replace(".", dot) for dot in ("\u3002", "\uff0e", "\uff61", "\u2024", "%2e", "%E3%80%82")),
        *(_in_digits(ip, zero) for zero in (0xFF10, 0x0660, 0x06F0, 0x0966, 0x1D7CE, 0x1D7D8)),
        "".join(f"%{ord(character):x}" for character in ip),
        *(f"{ip[:2]}{hidden}{ip[2:]}" for hidden in ("\u00ad", "\u200b", "\u200d", "\u2060", "\ufe0f", "\t", "%00")),
        *(f"{ip}%00.example.com", f"{ip}\x00.example.com", f"{ip} .example.com", f"[{ip}]", f"user@{ip}"),
        *(
            f"example.com@{ip}",
            f"example.com:80@{ip}",
            f"example.com\\@{ip}",
            f"{ip}\\.example.com",
            f"{ip}#.example.com",
        ),
    ]


def carriers(ip: str) -> list[str]:
    """IPv6 addresses that carry an IPv4 address to somebody who unpacks it."""
    number = int(IPv4Address(ip))
    return [
        str(IPv6Address(carrier))
        for carrier in (
            0xFFFF << 32 | number,  # IPv4-mapped, RFC 4291
            number,  # IPv4-compatible, RFC 4291
            0xFFFF << 48 | number,  # SIIT, RFC 2765
            0x64FF9B << 96 | number,  # NAT64, RFC 6052
            0x64FF9B0001 << 80 | number,  # NAT64 of the own network, RFC 8215
            0x2002 << 112 | number << 80 | 1,  # 6to4, RFC 3056
            0x20010000 << 96 | number << 64 | 1,  # Teredo's server, RFC 4380
            0x20010000 << 96 | 0x08080808 << 64 | number ^ 0xFFFFFFFF,  # Teredo's client
            0xFE80 << 112 | 0x5EFE << 32 | number,  # ISATAP, RFC 5214
        )
    ]


def _in_digits(ip: str, zero: int) -> str:
    """The address in the ten digits of another script or style."""
    return "".join(chr(zero + int(character)) if character.isdigit() else character for character in ip)


def _in_url(host: str) -> str:
    return f"http://[{host}]/" if ":" in host and "@" not in host else f"http://{host}/"


HOSTILE_ADDRESSES = list(
    dict.fromkeys([*_HAND_MADE_ADDRESSES, *(carrier for ip in INNER_ADDRESSES for carrier in carriers(ip))])
)
"""Addresses that no name may resolve to."""

LOOPBACK_HOSTS = [
    *c_spellings("127.0.0.1"),
    *text_spellings("127.0.0.1"),
    *words("127.0.0.1 127.1 127.0.1 localhost"),
] + [f"[{carrier}]" for carrier in [*carriers("127.0.0.1"), "::1", "::", "0:0:0:0:0:0:0:1", "::1%25lo", "::1%lo"]]
"""How to write this machine into a URL."""

HOSTILE_URLS = list(
    dict.fromkeys(
        [
            *HAND_MADE_URLS,
            *(_in_url(spelling) for ip in INNER_ADDRESSES for spelling in [ip, *c_spellings(ip), *text_spellings(ip)]),
            *(_in_url(ip.replace("%", zone)) for ip in HOSTILE_ADDRESSES for zone in ("%", "%25") if ":" in ip),
        ]
    )
)
"""Not one of these may pass, whatever a receiver of ours could have meant by it."""

HOSTILE_NAMES: dict[str, tuple[str, ...]] = {
    # metadata by name
    "metadata": ("169.254.169.254",),
    "metadata.google.internal": ("169.254.169.254",),
    "metadata.goog": ("169.254.169.254", "fd20:ce::254"),
    "instance-data.ec2.internal": ("169.254.169.254",),
    "metadata.platformequinix.com": ("192.0.0.192",),
    "metadata.tencentyun.com": ("169.254.0.23",),
    "100-100-100-200.metadata.example": ("100.100.100.200",),
    "wireserver.azure.example": ("168.63.129.16",),
    "ec2.ipv6.example": ("fd00:ec2::254",),
    # this machine and its neighbours
    "localhost.localdomain": ("127.0.0.1",),
    "ip6-localhost": ("::1",),
    "ip6-loopback": ("::1",),
    "localtest.me": ("127.0.0.1", "::1"),
    "lvh.me": ("127.0.0.1",),
    "127.0.0.1.nip.io": ("127.0.0.1",),
    "7f000001.nip.io": ("127.0.0.1",),
    "127-0-0-1.sslip.io": ("127.0.0.1",),
    "10-0-0-1.sslip.io": ("10.0.0.1",),
    "host.docker.internal": ("192.168.65.2",),
    "gateway.docker.internal": ("192.168.65.1",),
    "kubernetes": ("10.96.0.1",),
    "kubernetes.default.svc.cluster.local": ("10.96.0.1",),
    "redis": ("172.18.0.3",),
    "router.lan": ("192.168.1.1",),
    "nas.local": ("fe80::1",),
    "intranet.corp": ("fc00::10",),
    "unspecified.example": ("0.0.0.0",),
    "unspecified6.example": ("::",),
    "broadcast.example": ("255.255.255.255",),
    "multicast.example": ("239.255.255.250", "ff02::1"),
    "shared.example": ("100.64.0.1",),
    "xn--lcalhost-u2a.example": ("127.0.0.1",),
    # carried inside IPv6
    **{f"carrier-{n}.example": (ip,) for n, ip in enumerate(carriers("127.0.0.1"))},
    **{f"metadata-{n}.example": (ip,) for n, ip in enumerate(carriers("169.254.169.254"))},
    # one bad answer among good ones, first, last and in the middle, of either family
    "bad-first.example": ("127.0.0.1", "8.8.8.8"),
    "bad-last.example": ("8.8.8.8", "1.1.1.1", "2606:4700::1111", "10.0.0.1"),
    "bad-between.example": ("8.8.8.8", "169.254.169.254", "1.1.1.1"),
    "bad-by-ipv6.example": ("8.8.8.8", "::1"),
    "bad-by-mapping.example": ("8.8.8.8", "::ffff:10.0.0.1"),
    "bad-by-ipv4.example": ("2606:4700::1111", "192.168.0.1"),
    "bad-after-many.example": (*(f"8.8.8.{n}" for n in range(1, 60)), "127.0.0.1"),
    "zone.example": ("fe80::1%1",),
}
"""Names that a URL may hold, and what they resolve to here: refused once that is known."""


ALLOWED_URLS = {  # URL → its normal spelling
    "https://example.com": "https://example.com/",
    "HTTPS://Example.COM": "https://example.com/",
    "https://example.com/": "https://example.com/",
    "https://example.com:443/": "https://example.com/",
    "http://example.com:80": "http://example.com/",
    "http://example.com:443/": "http://example.com:443/",
    "https://example.com:8443/hook": "https://example.com:8443/hook",
    "http://example.com:8000/a": "http://example.com:8000/a",
    "https://example.com?x=1": "https://example.com/?x=1",
    "https://example.com/?x=/@:?": "https://example.com/?x=/@:?",
    "https://example.com/a@b/c:d": "https://example.com/a@b/c:d",
    "https://example.com/hook?token=a%20b&u=http://127.0.0.1": "https://example.com/hook?token=a%20b&u=http://127.0.0.1",
    "https://example.com/é": "https://example.com/%C3%A9",
    'https://example.com/"<>^`{|}': "https://example.com/%22%3C%3E%5E%60%7B%7C%7D",
    "https://bücher.example/": "https://xn--bcher-kva.example/",
    "https://BÜCHER.example/": "https://xn--bcher-kva.example/",
    "https://xn--bcher-kva.example/": "https://xn--bcher-kva.example/",
    "https://例え.テスト/": "https://xn--r8jz45g.xn--zckzah/",
    "https://a-b.c--d.example/": "https://a-b.c--d.example/",
    "https://1.example.com/": "https://1.example.com/",
    "https://0x7f.example.com/": "https://0x7f.example.com/",
    "https://receiver/": "https://receiver/",
    "https://8.8.8.8/": "https://8.8.8.8/",
    "https://[2606:4700::1111]/": "https://[2606:4700::1111]/",
    "https://[2606:4700:0:0::1111]:8443/": "https://[2606:4700::1111]:8443/",
    "https://[2606:4700::ABCD]/": "https://[2606:4700::abcd]/",
    "https://[::ffff:8.8.8.8]/": "https://8.8.8.8/",
}
