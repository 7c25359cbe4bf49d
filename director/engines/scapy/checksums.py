"""Internet checksums on bytes (RFC 1071 and 1624), the same for IPv4 and IPv6.

A director changes addresses and ports and leaves the data alone, so it updates checksums instead of
computing them again: that is faster, and a packet that was damaged in transit stays detectable. It computes
only those that the sender has left open.

TCP, UDP and ICMPv6 also cover a pseudo header: the addresses, the length and the protocol. Its layout differs
between the families (RFC 9293, 3.1; RFC 8200, 8.1), but its sum does not.
"""

from __future__ import annotations

import struct


def update(header: bytes, where: int, before: bytes, after: bytes, *, never_zero: bool = False) -> bytes:
    """`header` with the checksum at offset `where` updated.

    `before` and `after` contain all bytes under the checksum that have changed; they may contain the
    checksum itself as long as it is the same in both. UDP's is never 0, which means "none".
    """
    checksum = updated(header[where] << 8 | header[where + 1], before, after)
    if never_zero and not checksum:
        checksum = 0xFFFF
    return header[:where] + checksum.to_bytes(2, "big") + header[where + 2 :]


def updated(checksum: int, before: bytes, after: bytes) -> int:
    """The checksum once the bytes `before` have become `after` (RFC 1624, equation 3).

    Both start at an even offset; an odd last byte counts as if a zero followed.
    """
    total = (~checksum & 0xFFFF) + _sum(after) + 0xFFFF * len(before) - _sum(before)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def with_udp_checksum(addresses: bytes, header: bytes, data: bytes) -> bytes:
    """`header`, a UDP header without a checksum, with the checksum for these addresses and data (RFC 768)."""
    length = header[4:6]
    covered = addresses + b"\0\x11" + length + header + data[: int.from_bytes(length, "big") - len(header)]
    return header[:6] + computed(covered) + header[8:]


def computed(data: bytes | bytearray) -> bytes:
    """The checksum of `data`, whose own is 0; never 0, which in UDP means "none".

    A partial checksum (see offload.py) has the sum over the pseudo header in its place instead of 0.
    """
    total = int.from_bytes(data, "big") << 8 * (len(data) % 2)
    return (0xFFFF - total % 0xFFFF).to_bytes(2, "big")


def is_right(header: bytes) -> bool:
    """Whether the checksum of an IP header is right."""
    return _sum(header) % 0xFFFF == 0


def is_right_above(addresses: bytes, protocol: int, segment: bytes) -> bool:
    """Whether the checksum of a TCP or UDP segment is right; it also covers the addresses (RFC 9293, 3.1)."""
    padded = segment + b"\0" if len(segment) % 2 else segment
    words = int.from_bytes(addresses, "big") + int.from_bytes(padded, "big")  # modulo 2^16-1 as their sum
    return (words + protocol + len(segment)) % 0xFFFF == 0


def _sum(words: bytes) -> int:
    if len(words) % 2:
        words += b"\0"
    return sum(struct.unpack(f"!{len(words) // 2}H", words))
