"""From the headers to the packet that the core understands."""

from __future__ import annotations

from typing import Any

from director.core.packet import HEADER, IPIP, Endpoint, Packet
from director.engines.scapy.datagram import Datagram
from director.engines.scapy.headers import TCPHeader, UDPHeader
from director.engines.scapy.layers import ICMP

_DONT_FRAGMENT, _MORE_FRAGMENTS = 0x2, 0x1
_PORTS = 4  # bytes
_TOO_LONG = 3, 4  # ICMP type and code of "fragmentation needed"


def parse(datagram: Datagram) -> Packet:
    """The core's view of a packet."""
    ip, above = datagram.ip, datagram.above
    flags = ip.flags
    common: dict[str, Any] = {
        "protocol": ip.proto,
        "length": ip.len,
        "ttl": ip.ttl,
        "dont_fragment": bool(flags & _DONT_FRAGMENT),
        "more_fragments": bool(flags & _MORE_FRAGMENTS),
        "fragment_offset": ip.frag,
        "identification": ip.id,
        "options": datagram.options,
    }
    if isinstance(above, TCPHeader):
        return Packet(
            source=Endpoint(ip.src, above.sport),
            destination=Endpoint(ip.dst, above.dport),
            flags=above.flags,
            sequence=above.seq,
            acknowledgement=above.ack,
            payload=datagram.rest[datagram.data_starts :],
            bad_checksum=datagram.is_spoilt,
            **common,
        )
    if isinstance(above, UDPHeader):
        ends = Endpoint(ip.src, above.sport), Endpoint(ip.dst, above.dport)
        return Packet(source=ends[0], destination=ends[1], payload=datagram.rest, **common)
    if isinstance(above, ICMP):
        common |= {"icmp_type": above.type, "icmp_code": above.code, "embedded": _quoted(datagram.rest)}
        if (above.type, above.code) == _TOO_LONG:
            common["mtu"] = int(above.nexthopmtu or 0)
    return Packet(source=Endpoint(ip.src, 0), destination=Endpoint(ip.dst, 0), **common)


def _quoted(data: bytes) -> Packet | None:
    """The packet that an ICMP error is about: its header, and at least the ports behind it.

    It is cut off after a few bytes by whoever sent the error, so no length in it can be checked.
    """
    header = quoted_header(data)
    if header is None:
        return None
    source, destination = (".".join(map(str, data[at : at + 4])) for at in (12, 16))
    sport, dport = (int.from_bytes(data[at : at + 2], "big") for at in (header, header + 2))
    length = int.from_bytes(data[2:4], "big")
    inner = _quoted(tunnelled(data)) if data[9] == IPIP else None
    ends = Endpoint(source, sport), Endpoint(destination, dport)
    return Packet(data[9], *ends, length, dont_fragment=bool(data[6] & 0x40), embedded=inner)


def tunnelled(data: bytes) -> bytes:
    """What the IPIP packet that `data` starts with has inside."""
    return data[(data[0] & 15) * 4 :]


def quoted_header(data: bytes) -> int | None:
    """The length of the IP header that `data` starts with, if it is IPv4 and has ports behind it."""
    if len(data) < HEADER + _PORTS or data[0] >> 4 != 4:
        return None
    header = (data[0] & 15) * 4
    first = not int.from_bytes(data[6:8], "big") & 0x1FFF
    return header if first and HEADER <= header <= len(data) - _PORTS else None
