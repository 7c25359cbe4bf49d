"""An IPv4 packet as the director holds it while it rewrites it: Scapy's headers, and the rest.

Only headers that matter are dissected: IP, and TCP, UDP or the start of an ICMP error. Options
and data stay bytes. Every header is marked `explicit`, Scapy's word for "each field has one
value": it then builds the bytes at once, and does not first look for ranges to expand.
"""

from __future__ import annotations

import struct
from socket import inet_aton
from typing import Any

from director.engines.scapy import checksum
from director.engines.scapy.layers import ICMP, IP, TCP, UDP

_IP_HEADER = 20  # bytes without options
_LAYERS: dict[int, tuple[Any, int]] = {1: (ICMP, 8), 6: (TCP, 20), 17: (UDP, 8)}  # with bytes of header
ERRORS = (3, 4, 11)  # ICMP types that quote the packet they are about (RFC 792)


class Malformed(Exception):
    """Not an IPv4 packet that anybody could have meant."""


class Datagram:
    """`ip` and `above` (TCP, UDP, ICMP or None) are Scapy packets, without payload of their own.

    `options` are IP's; `rest` is all that follows the header `above`: TCP's options, the data,
    or the packet that an ICMP error quotes.
    """

    __slots__ = ("above", "ip", "options", "rest")
    above: Any

    def __init__(self, data: bytes) -> None:
        """Dissect `data`, which may have a short frame's padding at its end. Raises Malformed."""
        if len(data) < _IP_HEADER or data[0] >> 4 != 4:
            raise Malformed("no IPv4 header")
        self.ip = IP(data[:_IP_HEADER])
        self.ip.explicit = 1
        header, total = self.ip.ihl * 4, self.ip.len
        if not _IP_HEADER <= header <= total <= len(data):
            raise Malformed("an impossible length")
        if not checksum.is_right(data[:header]):
            raise Malformed("a wrong header checksum")
        self.options = data[_IP_HEADER:header]
        self.above, size = (None, 0) if self.ip.frag else _dissect(self.ip.proto, data[header:total])
        self.rest = data[header + size : total]

    @property
    def data_starts(self) -> int:
        """Where in `rest` the data starts: behind TCP's options."""
        return int(self.above.dataofs) * 4 - 20 if isinstance(self.above, TCP) else 0

    def replace_data(self, data: bytes) -> None:
        """Change what TCP carries, and its checksum with it; the length is `after_change`'s business."""
        start = self.data_starts
        self.above.chksum = checksum.updated(self.above.chksum, self.rest[start:], data)
        self.ip.len += len(data) - len(self.rest) + start
        self.rest = self.rest[:start] + data

    def covered(self) -> tuple[bytes, bytes]:
        """What the checksums of IP and of TCP or UDP cover, as far as a director may change it."""
        ip, above = self.ip, self.above
        addresses = inet_aton(ip.src) + inet_aton(ip.dst)
        by_ip = struct.pack("!HBB", ip.len, ip.ttl, ip.proto) + addresses
        if isinstance(above, TCP):
            numbers = (ip.len, above.sport, above.dport, above.seq, above.ack)
            return by_ip, addresses + struct.pack("!HHHII", *numbers)
        if isinstance(above, UDP):
            return by_ip, addresses + struct.pack("!HHH", ip.len, above.sport, above.dport)
        return by_ip, b""

    def after_change(self, before: tuple[bytes, bytes]) -> None:
        """Let the checksums follow all changes made since `before` was `covered()`."""
        after = self.covered()
        self.ip.chksum = checksum.updated(self.ip.chksum, before[0], after[0])
        if isinstance(self.above, UDP) and not self.above.chksum:
            return  # the sender has computed none
        if isinstance(self.above, TCP | UDP):
            self.above.chksum = checksum.updated(self.above.chksum, before[1], after[1])
            if isinstance(self.above, UDP):
                self.above.chksum = self.above.chksum or 0xFFFF

    def __bytes__(self) -> bytes:
        return bytes(self.ip) + self.options + (bytes(self.above) if self.above else b"") + self.rest


def _dissect(protocol: int, data: bytes) -> tuple[Any, int]:
    """The header at the start of `data` and its length; None, 0 where it is of no interest."""
    layer, size = _LAYERS.get(protocol, (None, 0))
    if layer is None or (layer is ICMP and data[:1] and data[0] not in ERRORS):
        return None, 0
    if len(data) < size:
        raise Malformed(f"no whole {layer.__name__} header")
    above = layer(data[:size])
    above.explicit = 1
    if layer is TCP and not size <= above.dataofs * 4 <= len(data):
        raise Malformed("an impossible TCP header length")
    if layer is UDP and not size <= above.len <= len(data):
        raise Malformed("an impossible UDP length")
    return above, size
