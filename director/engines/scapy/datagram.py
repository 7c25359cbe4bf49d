"""An IPv4 packet as the director holds it while rewriting it, and the core's view of it.

Only the headers that matter are dissected: IP, and TCP, UDP or the start of an ICMP error. Options and data
stay bytes. The rewriting (rewrite.py) changes fields; checksums are updated when the packet is put together
again, from the difference between what arrived and what leaves (see ipv4.py).
"""

from __future__ import annotations

from typing import Any

from director.core.packet import HEADER, ICMP, IPIP, TCP, UDP, Endpoint, Packet
from director.engines.scapy import headers, ipv4
from director.engines.scapy.headers import IPHeader, TCPHeader, UDPHeader

_DONT_FRAGMENT, _MORE_FRAGMENTS = 0x2, 0x1
_LAYERS: dict[int, tuple[Any, int]] = {  # by protocol, with the length of its header in bytes
    ICMP: (headers.ICMP, 8),
    TCP: (TCPHeader, TCPHeader.size),
    UDP: (UDPHeader, UDPHeader.size),
}
_END_OF_OPTIONS, _NO_OPERATION = 0, 1  # TCP options of one byte (RFC 9293, 3.1)
_ERRORS = (3, 4, 11)  # ICMP types that quote the packet they are about (RFC 792)
_TOO_LONG = 3, 4  # ICMP type and code of "fragmentation needed"
_PROTOCOL = 9  # its offset in the IP header
_PORTS = 4  # bytes
_CHECKSUMS: dict[Any, int] = {headers.ICMP: 2, TCPHeader: 16, UDPHeader: 6}  # offsets in these headers


class Malformed(Exception):
    """Not a valid IPv4 packet."""


class Datagram:
    """`ip` is a header, `above` a TCP or UDP header, Scapy's ICMP without payload, or None.

    `above` is None for fragments. `options` are IP's; `rest` is all that follows the header `above`: TCP's
    options, the data, or the packet that an ICMP error quotes.
    """

    __slots__ = ("_original", "above", "ip", "options", "rest")
    above: Any

    def __init__(self, data: bytes) -> None:
        """Dissect `data`, which may end with the padding of a short frame. Raises Malformed."""
        if len(data) < HEADER or data[0] >> 4 != 4:
            raise Malformed("no IPv4 header")
        start = data[:HEADER]
        self.ip = IPHeader(start)
        header, total = self.ip.ihl * 4, self.ip.len
        if not HEADER <= header <= total <= len(data):
            raise Malformed("an impossible length")
        if not ipv4.is_right(data[:header]):
            raise Malformed("a wrong header checksum")
        self.options = data[HEADER:header]
        whole = not (self.ip.frag or self.ip.flags & _MORE_FRAGMENTS)
        self.above, size = _dissect(self.ip.proto, data[header:total]) if whole else (None, 0)
        self.rest = data[header + size : total]
        self._original = start, data[header : header + size], self.rest

    @property
    def data_offset(self) -> int:
        """Where in `rest` the data starts: behind TCP's options."""
        return self.above.dataofs * 4 - TCPHeader.size if isinstance(self.above, TCPHeader) else 0

    def is_damaged(self) -> bool:
        """Whether the TCP or UDP checksum that arrived is wrong; False for fragments: unknown."""
        start, above, rest = self._original
        if self.ip.flags & _MORE_FRAGMENTS:
            return False
        return not ipv4.is_right_above(start[ipv4.IP_CHECKSUM + 2 :], start[_PROTOCOL], above + rest)

    def replace_data(self, data: bytes) -> None:
        """Let TCP carry `data` instead of what arrived."""
        start = self.data_offset
        self.ip.len += len(data) - len(self.rest) + start
        self.rest = self.rest[:start] + data

    def blank_option(self, kind: int) -> None:
        """Overwrite TCP options of that kind with "no operation"."""
        at, end = 0, self.data_offset
        while at + 1 < end and self.rest[at] != _END_OF_OPTIONS:
            size = 1 if self.rest[at] == _NO_OPERATION else self.rest[at + 1]
            if size < 1 or at + size > end:
                return  # they make no sense; leave them to the receiver
            if self.rest[at] == kind:
                self.rest = self.rest[:at] + bytes([_NO_OPERATION]) * size + self.rest[at + size :]
            at += size

    def __bytes__(self) -> bytes:
        """As it goes on the wire."""
        before, above_before, _ = self._original
        ip = bytes(self.ip)
        above = self._build_above(before, ip) if above_before else b""
        return ipv4.update(ip, ipv4.IP_CHECKSUM, before, ip) + self.options + above + self.rest

    def _build_above(self, ip_before: bytes, ip: bytes) -> bytes:
        _, before, rest_before = self._original
        above = bytes(self.above)
        kind, where, after = type(self.above), _CHECKSUMS[type(self.above)], above
        if kind is UDPHeader and not self.above.chksum:  # the sender has computed none
            changed = ip[12:] != ip_before[12:]
            return ipv4.with_udp_checksum(ip[12:], above, self.rest) if changed else above
        if kind is not headers.ICMP:  # TCP and UDP also cover the addresses and the length
            before += ip_before[2:4] + ip_before[12:]
            after += ip[2:4] + ip[12:]
        if self.rest is not rest_before:
            before, after = before + rest_before, after + self.rest
        return ipv4.update(above, where, before, after, never_zero=kind is UDPHeader)


def _dissect(protocol: int, data: bytes) -> tuple[Any, int]:
    """The header at the start of `data` and its length; None, 0 if it does not matter. Raises Malformed."""
    layer, size = _LAYERS.get(protocol, (None, 0))
    if layer is None or (layer is headers.ICMP and data[:1] and data[0] not in _ERRORS):
        return None, 0
    if len(data) < size:
        raise Malformed("a truncated header")
    above = layer(data[:size])
    if layer is TCPHeader and not size <= above.dataofs * 4 <= len(data):
        raise Malformed("an impossible TCP header length")
    if layer is UDPHeader and not size <= above.len <= len(data):
        raise Malformed("an impossible UDP length")
    return above, size


# ---- the core's view ----


def parse(datagram: Datagram) -> Packet:
    """The packet as the core sees it: addresses, ports, flags, lengths."""
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
            payload=datagram.rest[datagram.data_offset :],
            bad_checksum=datagram.is_damaged,
            **common,
        )
    if isinstance(above, UDPHeader):
        source, destination = Endpoint(ip.src, above.sport), Endpoint(ip.dst, above.dport)
        return Packet(source=source, destination=destination, payload=datagram.rest, **common)
    if isinstance(above, headers.ICMP):
        common |= {"icmp_type": above.type, "icmp_code": above.code, "embedded": _quoted(datagram.rest)}
        if (above.type, above.code) == _TOO_LONG:
            common["mtu"] = int(above.nexthopmtu or 0)
    return Packet(source=Endpoint(ip.src, 0), destination=Endpoint(ip.dst, 0), **common)


def _quoted(data: bytes) -> Packet | None:
    """The packet that an ICMP error is about: its header, and at least the ports behind it.

    The sender of the error quotes only the first bytes, so none of its lengths can be checked.
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
    """The packet inside the IPIP packet at the start of `data`."""
    return data[(data[0] & 15) * 4 :]


def quoted_header(data: bytes) -> int | None:
    """The length of the IP header at the start of `data`, if it is IPv4 and followed by ports."""
    if len(data) < HEADER + _PORTS or data[0] >> 4 != 4:
        return None
    header = (data[0] & 15) * 4
    first = not int.from_bytes(data[6:8], "big") & 0x1FFF
    return header if first and HEADER <= header <= len(data) - _PORTS else None
