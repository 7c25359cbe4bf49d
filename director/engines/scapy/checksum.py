"""The Internet checksum, and how it follows a change of a few bytes (RFC 1071, RFC 1624).

A director changes addresses and ports and leaves the data alone, so it updates checksums and
does not compute them anew: faster, and a packet that was damaged on its way stays damaged. It computes only
those that the packet's sender has left open.
"""

from __future__ import annotations

import struct

IP_CHECKSUM = 10  # where in the IP header it is


def follow(header: bytes, where: int, before: bytes, after: bytes, *, never_zero: bool = False) -> bytes:
    """`header`, with the checksum at its byte `where` brought up to date.

    `before` and `after` are all that has changed of what the checksum covers; the checksum itself
    may be in them as long as it is the same in both. UDP's is never 0, which means "none".
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


def of_header(header: bytes) -> bytes:
    """An IP header whose checksum is 0 yet, with the right one."""
    return follow(header, IP_CHECKSUM, b"", header)


def of_udp(addresses: bytes, header: bytes, data: bytes) -> bytes:
    """A UDP header without a checksum, with the one of these addresses and this data (RFC 768)."""
    length = header[4:6]
    covered = addresses + b"\0\x11" + length + header + data[: int.from_bytes(length, "big") - len(header)]
    return header[:6] + computed(covered) + header[8:]


def computed(data: bytes | bytearray) -> bytes:
    """The checksum of `data`, whose own is 0; never 0, which in UDP means "none".

    For a checksum that has only been begun (see offload.py): there is the sum over the pseudo header then.
    """
    total = int.from_bytes(data, "big") << 8 * (len(data) % 2)
    return (0xFFFF - total % 0xFFFF).to_bytes(2, "big")


def is_right(header: bytes) -> bool:
    """Whether a header, its own checksum included, sums up as it should."""
    return _sum(header) % 0xFFFF == 0


def is_right_above(addresses: bytes, protocol: int, segment: bytes) -> bool:
    """The same for what IP carries, which also covers source and destination (RFC 9293, 3.1)."""
    padded = segment + b"\0" if len(segment) % 2 else segment
    words = int.from_bytes(addresses, "big") + int.from_bytes(padded, "big")  # modulo 2^16-1 as their sum
    return (words + protocol + len(segment)) % 0xFFFF == 0


def _sum(words: bytes) -> int:
    if len(words) % 2:
        words += b"\0"
    return sum(struct.unpack(f"!{len(words) // 2}H", words))
