"""IPv4 and IPv6: what differs between them for a director, and addresses as text and numbers.

An address is text, which shows its family: dotted decimal for IPv4, and for IPv6 the
one form that RFC 5952 recommends, so that equal addresses are equal text. Nothing else in the core asks which
family a packet has: it asks the table for the value that it needs.

Sources: RFC 792 and 4443 (ICMP), RFC 8200 (IPv6), RFC 2003, 2473 and 4213 (tunnels).
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from director.core import ALL_128_BITS, ALL_ONES
from director.core.errors import BadValue

TypeAndCode = tuple[int, int]  # of an ICMP message


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """One version of IP. Its ICMP messages are named as in RFC 792; lengths are in bytes.

    `whole` is the netmask under which each client counts alone, `header` the length of a header without
    options and extension headers, `encapsulated` the protocol number of a packet inside a tunnel. `errors`
    are the types of ICMP errors that belong to a connection (Linux: ip_vs_in_icmp, ip_vs_in_icmp_v6), and
    no path has a smaller MTU than `min_path_mtu`.
    """

    version: int
    address_family: int
    example: str
    bits: int
    unspecified: str
    whole: str
    header: int
    icmp: int
    encapsulated: int
    errors: Container[int]
    port_unreachable: TypeAndCode
    host_unreachable: TypeAndCode
    too_long: TypeAndCode
    ttl_expired: TypeAndCode
    reassembly_timed_out: TypeAndCode
    min_path_mtu: int

    def __deepcopy__(self, _memo: object) -> Family:
        return self

    def __str__(self) -> str:
        return f"IPv{self.version}"

    def text(self, number: int) -> str:
        """The address that is this number."""
        return inet_ntop(self.address_family, number.to_bytes(self.bits // 8, "big"))


IPV4 = Family(
    version=4,
    address_family=AF_INET,
    example="192.0.2.1",
    bits=32,
    unspecified="0.0.0.0",
    whole=ALL_ONES,
    header=20,
    icmp=1,
    encapsulated=4,
    errors=frozenset({3, 4, 11}),
    port_unreachable=(3, 3),
    host_unreachable=(3, 1),
    too_long=(3, 4),
    ttl_expired=(11, 0),
    reassembly_timed_out=(11, 1),
    min_path_mtu=552,  # Linux: net/ipv4/route/min_pmtu
)
IPV6 = Family(
    version=6,
    address_family=AF_INET6,
    example="2001:db8::1",
    bits=128,
    unspecified="::",
    whole=ALL_128_BITS,
    header=40,
    icmp=58,
    encapsulated=41,
    errors=range(128),  # from 128 on, messages are informational
    port_unreachable=(1, 4),
    host_unreachable=(1, 3),
    too_long=(2, 0),
    ttl_expired=(3, 0),
    reassembly_timed_out=(3, 1),
    min_path_mtu=1280,  # RFC 8200, section 5
)
TUNNELS = (IPV4.encapsulated, IPV6.encapsulated)


def family_of(address: str) -> Family:
    """The family of an address, or of anything that contains one, such as a network."""
    return IPV6 if ":" in address else IPV4


def is_martian(source: str) -> bool:
    """Whether no packet from the network can have this source: hosts drop it (RFC 1812, 5.3.7).

    Linux: ip_route_input_slow and ip6_rcv_core. An unspecified address of IPv6 passes there.
    """
    if ":" in source:
        is_group = source.startswith("ff") and source.find(":") == len("ff00")
        return is_group or source == "::1" or source.startswith("::ffff:")
    first = source[: source.find(".")]
    is_group = len(first) == len("224") and "224" <= first <= "239"
    return is_group or first in ("0", "127") or source == ALL_ONES


@lru_cache(maxsize=4096)
def ip_to_int(address: str) -> int:
    """The 32 or 128 bits of an address; 0 for text that is not an address."""
    try:
        return int.from_bytes(inet_pton(family_of(address).address_family, address), "big")
    except (OSError, ValueError):
        return 0


def canonical(address: str) -> str:
    """The canonical text of an address; other text is returned as it is, for a check to refuse."""
    if ":" not in address:
        return address
    try:
        return inet_ntop(AF_INET6, inet_pton(AF_INET6, address))
    except (OSError, ValueError):
        return address


def network_of(address: str, netmask: str) -> str:
    """The address without the bits that the netmask leaves out, a prefix length for IPv6."""
    family = family_of(address)
    return address if netmask == family.whole else family.text(ip_to_int(address) & _bits_of(netmask))


@lru_cache(maxsize=256)
def _bits_of(netmask: str) -> int:
    if netmask in _PREFIX_LENGTHS:
        return (1 << IPV6.bits) - (1 << IPV6.bits - int(netmask))
    return ip_to_int(netmask)


# ---- checks ----


def check_address(field: str, address: str, family: Family | None = None) -> None:
    """Accept one address, of `family` if that is given. Raises BadValue."""
    if not _is_address(str(address)):
        if "%" in str(address):
            raise BadValue(field, "an address without a zone, which no rule can have", address)
        example = (family or IPV4).example
        raise BadValue(field, f"an address such as {example}", address)
    if family is not None and family_of(address) is not family:
        raise BadValue(field, f"an {family} address such as {family.example}", address)


def check_netmask(field: str, netmask: str, family: Family) -> None:
    """Accept dotted decimal, or for IPv6 a prefix length (1 to 128, as in the kernel). Raises BadValue."""
    if family is IPV4:
        check_address(field, netmask, IPV4)
    elif not (isinstance(netmask, str) and netmask in _PREFIX_LENGTHS):
        raise BadValue(field, f"a prefix length from 1 to {family.bits}", netmask)


_PREFIX_LENGTHS = frozenset(map(str, range(1, IPV6.bits + 1)))


@lru_cache(maxsize=65536)  # ten thousand rules may have few different addresses
def _is_address(text: str) -> bool:
    """Whether it is the canonical text of an address."""
    family = family_of(text).address_family
    try:
        return inet_ntop(family, inet_pton(family, text)) == text
    except (OSError, ValueError):
        return False
