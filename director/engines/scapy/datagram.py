"""An IPv4 packet as the director holds it while it rewrites it: its headers, and the rest.

Only headers that matter are looked at: IP, and TCP, UDP or the start of an ICMP error. Options
and data stay bytes. Whoever rewrites changes fields; the checksums follow when the packet is
put together again, from what came in and what goes out (see checksum.py).
"""

from __future__ import annotations

from typing import Any

from director.core.packet import HEADER
from director.engines.scapy import checksum
from director.engines.scapy.headers import IPHeader, TCPHeader, UDPHeader
from director.engines.scapy.layers import ICMP

_MORE_FRAGMENTS = 0x1
_LAYERS: dict[int, tuple[Any, int]] = {
    1: (ICMP, 8),
    6: (TCPHeader, TCPHeader.size),
    17: (UDPHeader, UDPHeader.size),
}  # with bytes of header
_END_OF_OPTIONS, _NO_OPERATION = 0, 1  # TCP options of one byte (RFC 9293, 3.1)
_ERRORS = (3, 4, 11)  # ICMP types that quote the packet they are about (RFC 792)
_PROTOCOL = 9  # where in the IP header it is
_CHECKSUMS: dict[Any, int] = {ICMP: 2, TCPHeader: 16, UDPHeader: 6}


class Malformed(Exception):
    """Not an IPv4 packet that anybody could have meant."""


class Datagram:
    """`ip` is a header, `above` one of TCP or UDP, Scapy's ICMP without payload, or None.

    Of a fragment, `above` is None. `options` are IP's; `rest` is all that follows the header
    `above`: TCP's options, the data, or the packet that an ICMP error quotes.
    """

    __slots__ = ("_came", "above", "ip", "options", "rest")
    above: Any

    def __init__(self, data: bytes) -> None:
        """Dissect `data`, which may have a short frame's padding at its end. Raises Malformed."""
        if len(data) < HEADER or data[0] >> 4 != 4:
            raise Malformed("no IPv4 header")
        start = data[:HEADER]
        self.ip = IPHeader(start)
        header, total = self.ip.ihl * 4, self.ip.len
        if not HEADER <= header <= total <= len(data):
            raise Malformed("an impossible length")
        if not checksum.is_right(data[:header]):
            raise Malformed("a wrong header checksum")
        self.options = data[HEADER:header]
        whole = not (self.ip.frag or self.ip.flags & _MORE_FRAGMENTS)
        self.above, size = _dissect(self.ip.proto, data[header:total]) if whole else (None, 0)
        self.rest = data[header + size : total]
        self._came = start, data[header : header + size], self.rest

    @property
    def data_starts(self) -> int:
        """Where in `rest` the data starts: behind TCP's options."""
        return self.above.dataofs * 4 - TCPHeader.size if isinstance(self.above, TCPHeader) else 0

    def is_spoilt(self) -> bool:
        """Whether what came above IP has a wrong checksum; a fragment shows none."""
        start, above, rest = self._came
        if self.ip.flags & _MORE_FRAGMENTS:
            return False
        return not checksum.is_right_above(start[checksum.IP_CHECKSUM + 2 :], start[_PROTOCOL], above + rest)

    def replace_data(self, data: bytes) -> None:
        """Let TCP carry `data` instead of what came."""
        start = self.data_starts
        self.ip.len += len(data) - len(self.rest) + start
        self.rest = self.rest[:start] + data

    def replace_option(self, kind: int) -> None:
        """Let TCP options that say nothing stand in the place of one of that kind."""
        at, end = 0, self.data_starts
        while at + 1 < end and self.rest[at] != _END_OF_OPTIONS:
            size = 1 if self.rest[at] == _NO_OPERATION else self.rest[at + 1]
            if size < 1 or at + size > end:
                return  # they make no sense, and are nobody's business
            if self.rest[at] == kind:
                self.rest = self.rest[:at] + bytes([_NO_OPERATION]) * size + self.rest[at + size :]
            at += size

    def __bytes__(self) -> bytes:
        """As it goes on the wire."""
        before, above_before, _ = self._came
        ip = bytes(self.ip)
        above = self._build_above(before, ip) if above_before else b""
        return checksum.follow(ip, checksum.IP_CHECKSUM, before, ip) + self.options + above + self.rest

    def _build_above(self, ip_before: bytes, ip: bytes) -> bytes:
        _, before, rest_before = self._came
        above = bytes(self.above)
        kind, where, after = type(self.above), _CHECKSUMS[type(self.above)], above
        if kind is UDPHeader and not self.above.chksum:  # the sender has computed none
            changed = ip[12:] != ip_before[12:]
            return checksum.of_udp(ip[12:], above, self.rest) if changed else above
        if kind is not ICMP:  # TCP and UDP also cover the addresses and the length
            before += ip_before[2:4] + ip_before[12:]
            after += ip[2:4] + ip[12:]
        if self.rest is not rest_before:
            before, after = before + rest_before, after + self.rest
        return checksum.follow(above, where, before, after, never_zero=kind is UDPHeader)


def _dissect(protocol: int, data: bytes) -> tuple[Any, int]:
    """The header at the start of `data` and its length; None, 0 where it is of no interest.

    Raises Malformed.
    """
    layer, size = _LAYERS.get(protocol, (None, 0))
    if layer is None or (layer is ICMP and data[:1] and data[0] not in _ERRORS):
        return None, 0
    if len(data) < size:
        raise Malformed("a header that is cut short")
    above = layer(data[:size])
    if layer is TCPHeader and not size <= above.dataofs * 4 <= len(data):
        raise Malformed("an impossible TCP header length")
    if layer is UDPHeader and not size <= above.len <= len(data):
        raise Malformed("an impossible UDP length")
    return above, size
