"""Rewrites packets: one function for each forwarding method.

VS-NAT   client > VIP:80            becomes  client > 172.16.0.3:8000     (request)
         172.16.0.3:8000 > client   becomes  VIP:80 > client              (reply)
VS-TUN   client > VIP:80            becomes  director > real server [ client > VIP:80 ]; either may be IPv6
VS-DR    client > VIP:80            stays    client > VIP:80, in a frame to the real server's MAC address

Sources: paper, section 4; RFC 2003, 2473 and 4213 (IP in IP), RFC 3168 (ECN in tunnels).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from itertools import count

from director.core.decision import Forward
from director.core.family import IPV4, family_of
from director.core.real_server import Method
from director.engines.scapy import checksums, ipv4
from director.engines.scapy.datagram import ICMP_LAYERS, Datagram, quoted_header
from director.engines.scapy.headers import IP, IPHeader, IPv6Header, TCPHeader

_SACK_PERMITTED = 4  # kind of TCP option
_DONT_FRAGMENT = 0x2
_CE, _ECT_0 = 0b11, 0b10  # congestion experienced; ECN-capable transport
_OUTER = bytes(IP(src="0.0.0.0", dst="0.0.0.0", chksum=0))
_OUTER_IPV6 = bytes([0x60]) + bytes(39)  # its flow label is 0, as the kernel's
_IDENTIFICATIONS = count(1)  # for IPv6 packets in an IPv4 tunnel, which have none of their own


def nat(datagram: Datagram, forward: Forward, _own_address: str) -> bytes:
    """VS-NAT: change addresses and ports as decided.

    A request goes to the real server's address and port, a reply comes from the VIP's. The client's address
    is never touched, so replies have to return through the director. TCP's sequence numbers change only
    where the ftp helper has changed the data.
    """
    ip, above = datagram.ip, datagram.above
    ip.src, ip.dst = forward.source.address, forward.destination.address
    ip.ttl -= 1
    if isinstance(above, ICMP_LAYERS):
        datagram.rest = _requote(datagram.rest, forward)
        return bytes(datagram)
    if above is None:  # a later fragment has no ports
        return bytes(datagram)
    above.sport, above.dport = forward.source.port, forward.destination.port
    if isinstance(above, TCPHeader):
        above.seq = (above.seq + forward.sequence_delta) % 2**32
        above.ack = (above.ack + forward.acknowledgement_delta) % 2**32
        if forward.without_sack:
            datagram.blank_option(_SACK_PERMITTED)
    if forward.payload is not None:
        datagram.replace_data(forward.payload)
    return bytes(datagram)


def _requote(data: bytes, forward: Forward) -> bytes:
    """An ICMP error quotes the packet as this director rewrote it: undo that in the quotation."""
    found = quoted_header(data)
    if found is None:
        return data
    ip, _, end = found
    ports = list(struct.unpack_from("!HH", data, end))
    if forward.embedded_source is not None:
        ip.src, ports[0] = forward.embedded_source
    if forward.embedded_destination is not None:
        ip.dst, ports[1] = forward.embedded_destination
    quoted = bytes(ip)
    if ip.family is IPV4:
        quoted = checksums.update(quoted, ipv4.IP_CHECKSUM, data[: IPV4.header], quoted)
    return quoted + data[len(quoted) : end] + struct.pack("!HH", *ports) + data[end + 4 :]


def tun(datagram: Datagram, forward: Forward, own_address: str) -> bytes:
    """VS-TUN: prepend an IP header, from the director's own address on that link to the real server's.

    The packet inside is unchanged. The real server decapsulates it, finds the VIP on its own tunl0, and
    replies to the client directly. The outer header is of the real server's family.
    """
    datagram.ip.ttl -= 1
    inner, packet = datagram.ip, bytes(datagram)
    ipv6 = family_of(forward.next_hop) is not IPV4
    outer = IPv6Header(_OUTER_IPV6) if ipv6 else IPHeader(_OUTER)
    outer.proto = inner.family.encapsulated
    outer.tos, outer.ttl = _outer_tos(inner.tos), inner.ttl
    outer.src, outer.dst = own_address, forward.next_hop
    outer.len = len(packet)
    if isinstance(outer, IPHeader):
        outer.len += outer.size
        if isinstance(inner, IPHeader):
            outer.id = inner.id
            outer.flags = 0 if forward.may_fragment else inner.flags & _DONT_FRAGMENT
        else:
            outer.id = next(_IDENTIFICATIONS) % 2**16
        return ipv4.with_header_checksum(bytes(outer)) + packet
    return bytes(outer) + packet


def _outer_tos(inner: int) -> int:
    """The inner packet's TOS, but without its congestion mark (RFC 3168, 9.1)."""
    return inner & ~_CE | _ECT_0 if inner & _CE == _CE else inner


def dr(datagram: Datagram, _forward: Forward, _own_address: str) -> bytes:
    """VS-DR: decrement the TTL, as every router does; the MAC address changes where the frame is made.

    The real server has the VIP itself, where no neighbour finds it, and replies directly.
    """
    datagram.ip.ttl -= 1
    return bytes(datagram)


METHODS: Mapping[Method, Callable[[Datagram, Forward, str], bytes]] = {
    Method.NAT: nat,
    Method.TUN: tun,
    Method.DR: dr,
}
