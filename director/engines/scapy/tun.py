"""VS-TUN: the packet travels unchanged inside another one (IP in IP, RFC 2003).

    client > VIP:80   becomes   director > real server [ client > VIP:80 ]

The real server unpacks it, finds the VIP on its own tunl0, and replies to the client directly.
Source: paper, section 4, VS-TUN.
"""

from __future__ import annotations

from director.core.decision import Forward
from director.engines.scapy import checksum
from director.engines.scapy.datagram import Datagram
from director.engines.scapy.headers import IPHeader
from director.engines.scapy.layers import IP

_IPIP = 4  # protocol number
_DONT_FRAGMENT = 0x2
_CE, _ECT_0 = 0b11, 0b10  # congestion experienced; able to say so
_OUTER = bytes(IP(proto=_IPIP, src="0.0.0.0", dst="0.0.0.0", chksum=0))


def rewrite(datagram: Datagram, forward: Forward, own_address: str) -> bytes:
    """Put a header in front: from the director's own address on that way to the real server's."""
    datagram.ip.ttl -= 1
    outer = _outer(datagram.ip, own_address, forward.next_hop)
    if forward.may_fragment:
        outer.flags = 0
    return checksum.of_header(bytes(outer)) + bytes(datagram)


def _outer(inner: IPHeader, own_address: str, real_server: str) -> IPHeader:
    """How long to live, how urgent it is and whether it may be fragmented it takes from inside."""
    header = IPHeader(_OUTER)
    header.tos = _outer_tos(inner.tos)
    header.len = inner.len + header.size
    header.id = inner.id
    header.flags = inner.flags & _DONT_FRAGMENT
    header.ttl = inner.ttl
    header.src, header.dst = own_address, real_server
    return header


def _outer_tos(inner: int) -> int:
    """That of the packet inside; a congestion it has met begins anew outside (RFC 3168, 9.1)."""
    return inner & ~_CE | _ECT_0 if inner & _CE == _CE else inner
