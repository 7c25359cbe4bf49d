"""What is longer than the wire takes, and may be, is sent in pieces (RFC 791)."""

from __future__ import annotations

from collections.abc import Sequence

from scapy.packet import Raw

from director.engines.scapy.layers import IP, fragment

_HEADER = 20  # bytes


def pieces(data: bytes, mtu: int) -> Sequence[bytes]:
    """The IP packet `data` as packets of at most `mtu` bytes; it alone where it fits.

    With options, which each piece would have to repeat, it is not taken apart: none fits then.
    """
    if len(data) <= mtu:
        return (data,)
    header = IP(data[:_HEADER])
    if header.ihl * 4 != _HEADER or mtu < _HEADER + 8:
        return ()
    whole = header / Raw(data[_HEADER:])
    return [bytes(piece) for piece in fragment(whole, (mtu - _HEADER) // 8 * 8)]
