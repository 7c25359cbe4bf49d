"""An IP packet while the director rewrites it, and the core's view of it.

Only the headers that matter are dissected: IPv4 or IPv6, and TCP, UDP or the start of an ICMP error. Options,
extension headers and data stay bytes. The rewriting (rewrite.py) changes fields; checksums are updated when
the packet is put together again, from the difference between what arrived and what leaves (checksums.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from director.core.family import IPV4, IPV6, TUNNELS, Family
from director.core.packet import ICMP, ICMPV6, TCP, UDP, Endpoint, Packet
from director.engines.scapy import checksums, headers, ipv4, ipv6
from director.engines.scapy.headers import ICMPv6Header, IPHeader, IPv6Header, TCPHeader, UDPHeader
from director.engines.scapy.ipv6 import Malformed

_DONT_FRAGMENT, _MORE_FRAGMENTS = 0x2, 0x1
_TRANSPORTS: dict[int, tuple[Any, int]] = {  # by protocol, with the length of its header in bytes
    TCP: (TCPHeader, TCPHeader.size),
    UDP: (UDPHeader, UDPHeader.size),
}
_LAYERS: dict[Family, dict[int, tuple[Any, int]]] = {
    IPV4: {ICMP: (headers.ICMP, 8), **_TRANSPORTS},
    IPV6: {ICMPV6: (ICMPv6Header, ICMPv6Header.size), **_TRANSPORTS},
}
_END_OF_OPTIONS, _NO_OPERATION = 0, 1  # TCP options of one byte (RFC 9293, 3.1)
_PORTS = 4  # bytes
ICMP_LAYERS = (headers.ICMP, ICMPv6Header)
# offsets in these headers
_CHECKSUMS: dict[Any, int] = {headers.ICMP: 2, ICMPv6Header: 2, TCPHeader: 16, UDPHeader: 6}


class Datagram:
    """`ip` is a header, `above` a TCP or UDP header, that of an ICMP error, or None.

    `above` is None for fragments. `options` are IPv4's, and `extensions` IPv6's headers up to that of
    `protocol`; `rest` is all that follows the header `above`: TCP's options, the data, or the packet that an
    ICMP error quotes. `fragment` is the offset of IPv6's fragment header, or 0.
    """

    __slots__ = ("_original", "above", "extensions", "fragment", "ip", "options", "protocol", "rest")
    above: Any
    ip: IPHeader | IPv6Header

    def __init__(self, data: bytes) -> None:
        """Dissect `data`, which may end with the padding of a short frame. Raises Malformed."""
        if data[:1] and data[0] >> 4 == 6:
            header, total, whole = self._read_ipv6(data)
        else:
            header, total, whole = self._read_ipv4(data)
        family = self.ip.family
        self.above, size = _dissect(family, self.protocol, data[header:total]) if whole else (None, 0)
        self.rest = data[header + size : total]
        self._original = data[: family.header], data[header : header + size], self.rest

    def _read_ipv4(self, data: bytes) -> tuple[int, int, bool]:
        """Where the header and the packet end, and whether it is whole, no fragment. Raises Malformed."""
        if len(data) < IPV4.header or data[0] >> 4 != 4:
            raise Malformed("no IP header")
        self.ip = ip = IPHeader(data)
        header, total = ip.ihl * 4, ip.len
        if not IPV4.header <= header <= total <= len(data):
            raise Malformed("an impossible length")
        if not checksums.is_right(data[:header]):
            raise Malformed("a wrong header checksum")
        self.options, self.extensions, self.fragment = data[IPV4.header : header], b"", 0
        self.protocol = ip.proto
        return header, total, not (ip.frag or ip.flags & _MORE_FRAGMENTS)

    def _read_ipv6(self, data: bytes) -> tuple[int, int, bool]:
        """The same for IPv6."""
        if len(data) < IPV6.header:
            raise Malformed("no IP header")
        self.ip = IPv6Header(data)
        total = IPV6.header + self.ip.len
        if ipv6.is_jumbogram(data):
            raise Malformed("a jumbogram")
        if total > len(data):
            raise Malformed("an impossible length")
        chain = ipv6.walk(data[:total])
        self.options, self.extensions = b"", data[IPV6.header : chain.end]
        self.protocol, self.fragment = chain.protocol, chain.fragment
        return chain.end, total, not chain.fragment or ipv6.is_atomic(data, chain.fragment)

    @property
    def data_offset(self) -> int:
        """Where in `rest` the data starts: after TCP's options."""
        return self.above.dataofs * 4 - TCPHeader.size if isinstance(self.above, TCPHeader) else 0

    def is_damaged(self) -> bool:
        """Whether the TCP, UDP or ICMP checksum that arrived is wrong; False for fragments: unknown."""
        start, above, rest = self._original
        if not above:
            return False
        if self.protocol == ICMP:
            return not checksums.is_right(above + rest)
        return not checksums.is_right_above(start[self.ip.ADDRESSES], self.protocol, above + rest)

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
                return  # malformed options: leave them to the receiver
            if self.rest[at] == kind:
                self.rest = self.rest[:at] + bytes([_NO_OPERATION]) * size + self.rest[at + size :]
            at += size

    def __bytes__(self) -> bytes:
        """The packet as it goes on the wire."""
        before, above_before, _ = self._original
        ip = bytes(self.ip)
        above = self._build_above(before, ip) if above_before else b""
        if self.ip.family is IPV4:
            ip = checksums.update(ip, ipv4.IP_CHECKSUM, before, ip)
        return ip + self.options + self.extensions + above + self.rest

    def _build_above(self, ip_before: bytes, ip: bytes) -> bytes:
        _, before, rest_before = self._original
        above = bytes(self.above)
        kind, where, after = type(self.above), _CHECKSUMS[type(self.above)], above
        addresses, length = self.ip.ADDRESSES, self.ip.LENGTH
        if kind is UDPHeader and not self.above.chksum:  # the sender has computed none
            changed = ip[addresses] != ip_before[addresses]
            return checksums.with_udp_checksum(ip[addresses], above, self.rest) if changed else above
        if kind is not headers.ICMP:  # the others also cover the addresses and the length
            before += ip_before[length] + ip_before[addresses]
            after += ip[length] + ip[addresses]
        if self.rest is not rest_before:
            before, after = before + rest_before, after + self.rest
        return checksums.update(above, where, before, after, never_zero=kind is UDPHeader)


def _dissect(family: Family, protocol: int, data: bytes) -> tuple[Any, int]:
    """The header at the start of `data` and its length; None, 0 if it does not matter. Raises Malformed."""
    layer, size = _LAYERS[family].get(protocol, (None, 0))
    if layer is None or (protocol == family.icmp and data[:1] and data[0] not in family.errors):
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
    common = _ipv4_fields(datagram, ip) if isinstance(ip, IPHeader) else _ipv6_fields(datagram, ip)
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
    if isinstance(above, ICMP_LAYERS):
        kind, code = above.type, above.code
        if isinstance(above, ICMPv6Header) and kind == IPV6.too_long[0]:
            code = IPV6.too_long[1]  # receivers ignore the code (RFC 4443, 3.2)
        common |= {
            "bad_checksum": datagram.is_damaged,
            "icmp_type": kind,
            "icmp_code": code,
            "embedded": _quoted(datagram.rest),
        }
        if (kind, code) == ip.family.too_long:
            common["mtu"] = int(above.number if isinstance(above, ICMPv6Header) else above.nexthopmtu or 0)
    return Packet(source=Endpoint(ip.src, 0), destination=Endpoint(ip.dst, 0), **common)


def _ipv4_fields(datagram: Datagram, ip: IPHeader) -> dict[str, Any]:
    flags = ip.flags
    return {
        "protocol": ip.proto,
        "length": ip.len,
        "ttl": ip.ttl,
        "dont_fragment": bool(flags & _DONT_FRAGMENT),
        "more_fragments": bool(flags & _MORE_FRAGMENTS),
        "fragment_offset": ip.frag,
        "identification": ip.id,
        "options": datagram.options,
    }


def _ipv6_fields(datagram: Datagram, ip: IPv6Header) -> dict[str, Any]:
    fields = {
        "protocol": datagram.protocol,
        "length": IPV6.header + ip.len,
        "ttl": ip.ttl,
        "dont_fragment": True,
        "extensions": len(datagram.extensions),
    }
    if datagram.fragment:
        at, data = datagram.fragment - IPV6.header, datagram.extensions
        fields["more_fragments"] = ipv6.has_more(data, at)
        fields["fragment_offset"] = ipv6.offset_of(data, at)
        fields["identification"] = ipv6.identification_of(data, at)
    return fields


class Quoted(NamedTuple):
    """An IP header, the protocol of what it carries, and the offset where that starts."""

    header: IPHeader | IPv6Header
    protocol: int
    end: int


def quoted_header(data: bytes) -> Quoted | None:
    """The header of the packet at the start of `data`, if ports follow it.

    The sender of an ICMP error quotes only the first bytes, so none of its lengths can be checked.
    """
    if data[:1] and data[0] >> 4 == 6:
        return _quoted_ipv6(data)
    if len(data) < IPV4.header + _PORTS or data[0] >> 4 != 4:
        return None
    end = (data[0] & 15) * 4
    first = not int.from_bytes(data[6:8], "big") & 0x1FFF
    if not (first and IPV4.header <= end <= len(data) - _PORTS):
        return None
    return Quoted(IPHeader(data), data[9], end)


def _quoted_ipv6(data: bytes) -> Quoted | None:
    if len(data) < IPV6.header:
        return None
    try:
        protocol, end, fragment, _ = ipv6.walk(data)
    except Malformed:
        return None
    if end > len(data) - _PORTS or (fragment and ipv6.offset_of(data, fragment)):
        return None
    return Quoted(IPv6Header(data), protocol, end)


def _quoted(data: bytes) -> Packet | None:
    """The packet that an ICMP error is about: its header, and at least the ports after it."""
    found = quoted_header(data)
    if found is None:
        return None
    ip, protocol, end = found
    sport, dport = (int.from_bytes(data[at : at + 2], "big") for at in (end, end + 2))
    ends = Endpoint(ip.src, sport), Endpoint(ip.dst, dport)
    inner = _quoted(data[end:]) if protocol in TUNNELS else None
    if isinstance(ip, IPHeader):
        return Packet(protocol, *ends, ip.len, dont_fragment=bool(ip.flags & _DONT_FRAGMENT), embedded=inner)
    return Packet(protocol, *ends, IPV6.header + ip.len, dont_fragment=True, embedded=inner)


def tunnelled(data: bytes) -> bytes:
    """The packet inside the tunnel's packet at the start of `data`; empty if there is none."""
    found = quoted_header(data)
    return data[found.end :] if found else b""
