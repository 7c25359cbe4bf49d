"""A parsed IPv4 packet: the only thing the core ever sees of the network.

An engine makes one from a frame (the Scapy engine from Scapy's fields); the core reads it
and never learns where it came from. Nothing here knows services, connections or sockets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

ICMP = 1
IPIP = 4
TCP = 6
UDP = 17
HEADER = 20  # bytes of an IP header without options

FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20


ANY_PORT = -1  # of an end whose port is not known yet: no packet carries it, while 0 can be on the wire


class Endpoint(NamedTuple):
    """An IPv4 address in dotted decimal and a port, 0 to 65535, or ANY_PORT, which is listed as 0."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{0 if self.port == ANY_PORT else self.port}"


def _no() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Packet:
    """One IPv4 packet (RFC 791) with its TCP (RFC 9293), UDP or ICMP header taken apart.

    Ports are 0 where the packet has none (ICMP, later fragments). `length` is the total
    length of the IP packet in bytes, `payload` what follows the transport header.
    `fragment_offset` counts units of 8 bytes, as in the header. Of a packet that was put together,
    `longest` is the length of the longest fragment in bytes, otherwise 0. `options` are IP's. `spoilt`
    sums up the whole packet, so it is asked only where somebody wants to know.
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
    spoilt: Callable[[], bool] = field(default=_no, compare=False, repr=False)  # TCP: its checksum is wrong
    icmp_type: int = 0
    icmp_code: int = 0
    mtu: int = 0  # in "fragmentation needed": what fits, 0 if it does not say
    embedded: Packet | None = (
        None  # in an ICMP error: the packet that caused it; in a tunnel's, its inner one
    )
    identification: int = 0
    longest: int = 0
    options: bytes = b""
