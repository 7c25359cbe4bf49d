"""VS-TUN: the packet travels unchanged inside another one (IP in IP, RFC 2003).

    client > VIP:80   becomes   director > real server [ client > VIP:80 ]

The real server unpacks it, finds the VIP on its own tunl0, and replies to the client directly.
Source: paper, section 4, VS-TUN.
"""

from __future__ import annotations

from director.core.decision import Forward
from director.engines.scapy.datagram import Datagram
from director.engines.scapy.layers import IP

_IPIP = 4  # protocol number
_HEADER = 20  # bytes that a tunnel adds
_DONT_FRAGMENT = 0x2
_CE, _ECT_0 = 0b11, 0b10  # congestion experienced; able to say so


def rewrite(datagram: Datagram, forward: Forward, own_address: str) -> bytes:
    """Put a header in front: from the director's own address on that way to the real server's."""
    datagram.ip.ttl -= 1
    outer = _outer(datagram.ip, own_address, forward.next_hop)
    if forward.may_fragment:
        outer.flags = 0
    return bytes(outer) + bytes(datagram)


def _outer(inner: IP, own_address: str, real_server: str) -> IP:
    """How long to live, how urgent it is and whether it may be fragmented it takes from inside."""
    header = IP(
        version=4,
        ihl=5,
        tos=_outer_tos(inner.tos),
        len=inner.len + _HEADER,
        id=inner.id,
        flags=int(inner.flags) & _DONT_FRAGMENT,
        ttl=inner.ttl,
        proto=_IPIP,
        src=own_address,
        dst=real_server,
    )
    header.explicit = 1
    return header


def _outer_tos(inner: int) -> int:
    """That of the packet inside; a congestion it has met begins anew outside (RFC 3168, 9.1)."""
    return inner & ~_CE | _ECT_0 if inner & _CE == _CE else inner
