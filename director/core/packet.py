"""A parsed IPv4 packet: all that the core ever sees of the network.

An engine makes one from a frame; the core reads it and never learns where it came from. Here are also the
numbers that go with it: protocols, addresses and ports. Nothing here knows services, connections or sockets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address
from typing import NamedTuple

from director.core.errors import BadValue

ICMP = 1  # IP protocol numbers (IANA)
IPIP = 4
TCP = 6
UDP = 17
PROTOCOL_NAMES = {ICMP: "ICMP", TCP: "TCP", UDP: "UDP"}
PROTOCOLS = {name: number for number, name in PROTOCOL_NAMES.items()}
HEADER = 20  # bytes of an IP header without options
FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20

ANY_PORT = -1  # a port that is not known yet: no packet carries it, while 0 can be on the wire


class Endpoint(NamedTuple):
    """An IPv4 address in dotted decimal and a port, 0 to 65535, or ANY_PORT, which is shown as 0."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{0 if self.port == ANY_PORT else self.port}"


def _false() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Packet:
    """An IPv4 packet (RFC 791) with its TCP (RFC 9293), UDP or ICMP header parsed.

    Ports are 0 where the packet has none (ICMP, later fragments). `length` is the total length of the IP
    packet in bytes, `payload` what follows the transport header, `options` are IP options.
    `fragment_offset` counts units of 8 bytes, as in the header. In a reassembled packet,
    `largest_fragment` is the length of its largest fragment in bytes, otherwise 0. `bad_checksum` is TCP's;
    it sums up the whole packet, so it is called only where the answer matters. `embedded` is the packet
    that an ICMP error quotes or that a tunnel's packet carries. `mtu` is that of "fragmentation needed", 0
    if the error does not give it.
    """

    protocol: int
    source: Endpoint
    destination: Endpoint
    length: int
    ttl: int = 64
    dont_fragment: bool = False
    fragment_offset: int = 0
    more_fragments: bool = False
    flags: int = 0  # TCP
    sequence: int = 0  # TCP
    acknowledgement: int = 0  # TCP
    payload: bytes = b""
    bad_checksum: Callable[[], bool] = field(default=_false, compare=False, repr=False)  # TCP
    icmp_type: int = 0
    icmp_code: int = 0
    mtu: int = 0
    embedded: Packet | None = None
    identification: int = 0
    largest_fragment: int = 0
    options: bytes = b""


# ---- addresses as numbers, and their checks ----


@lru_cache(maxsize=4096)
def ip_to_int(address: str) -> int:
    """The 32 bits of an address in dotted decimal; 0 for text that is not an address."""
    try:
        return int(IPv4Address(address))
    except AddressValueError:
        return 0


def check_endpoint(field_name: str, endpoint: Endpoint) -> None:
    """An address in dotted decimal, and a port from 0 to 65535. Raises BadValue."""
    check_address(field_name, endpoint.address)
    if type(endpoint.port) is not int or not 0 <= endpoint.port <= 65535:
        raise BadValue(field_name, "a port from 0 to 65535", endpoint.port)


def check_address(field_name: str, address: str) -> None:
    """An address in dotted decimal. Raises BadValue."""
    if not _is_address(str(address)):
        raise BadValue(field_name, "an address such as 192.0.2.1", address)


@lru_cache(maxsize=65536)  # rules come by the ten thousand, with the same addresses again and again
def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True
