"""A parsed IP packet: all that the core ever sees of the network.

An engine makes it from a frame; the core reads it and never learns where it came from. The numbers of
protocols and ports are here, too. Nothing here knows services, connections or sockets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from director.core.errors import BadValue
from director.core.family import IPV4, IPV6, Family, check_address

TCP, UDP, ICMP, ICMPV6 = 6, 17, IPV4.icmp, IPV6.icmp  # IP protocol numbers (IANA)
PROTOCOL_NAMES = {ICMP: "ICMP", TCP: "TCP", UDP: "UDP", ICMPV6: "ICMPv6"}
PROTOCOLS = {name: number for number, name in PROTOCOL_NAMES.items()}
# IPv6's extension headers that a packet can have before its transport header (RFC 8200, section 4)
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS = 0, 43, 44, 60
FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20

ANY_PORT = -1  # a port that is not known yet: no packet carries it, while 0 can be on the wire


class Endpoint(NamedTuple):
    """An address as text (family.py) and a port, 0 to 65535, or ANY_PORT, which is shown as 0."""

    address: str
    port: int

    def __str__(self) -> str:
        address, port = self
        shown = f"[{address}]" if ":" in address else address
        return f"{shown}:{0 if port == ANY_PORT else port}"


def _false() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Packet:
    """An IPv4 (RFC 791) or IPv6 packet (RFC 8200) with its TCP (RFC 9293), UDP or ICMP header parsed.

    Ports are 0 if the packet has none (ICMP, later fragments). `length` is the total length of the IP
    packet in bytes, `payload` what follows the transport header, `options` are IPv4's. `extensions` is the
    length of IPv6's extension headers before the header of `protocol`; `dont_fragment` is set for IPv6, which
    no router fragments. `fragment_offset` counts units of 8 bytes, as in the header. In a reassembled packet,
    `largest_fragment` is the length of its largest fragment in bytes, otherwise 0. `bad_checksum` is TCP's
    or ICMP's; it adds up the whole packet, so it is called only if the answer matters. `embedded` is the
    packet that an ICMP error quotes or that a tunnel's packet carries. `mtu` is that of "fragmentation
    needed" or "packet too big", 0 if the error does not give it.
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
    bad_checksum: Callable[[], bool] = field(default=_false, compare=False, repr=False)  # TCP, ICMP
    icmp_type: int = 0
    icmp_code: int = 0
    mtu: int = 0
    embedded: Packet | None = None
    identification: int = 0
    largest_fragment: int = 0
    options: bytes = b""
    extensions: int = 0

    @property
    def family(self) -> Family:
        return IPV6 if ":" in self.source.address else IPV4

    @property
    def header(self) -> int:
        """Bytes before the header of `protocol`: the IP header with its options or extension headers."""
        return self.family.header + len(self.options) + self.extensions

    @property
    def is_icmp(self) -> bool:
        return self.protocol == self.family.icmp


def check_endpoint(field_name: str, endpoint: Endpoint) -> None:
    """An address, and a port from 0 to 65535. Raises BadValue."""
    check_address(field_name, endpoint.address)
    if type(endpoint.port) is not int or not 0 <= endpoint.port <= 65535:
        raise BadValue(field_name, "a port from 0 to 65535", endpoint.port)
