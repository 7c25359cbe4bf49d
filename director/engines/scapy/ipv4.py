"""IPv4 on bytes: checksums, fragments, and the director's entries in IP options.

Sources: RFC 791 (3.1 options, 3.2 fragmentation), RFC 1071 and RFC 1624 (checksums).

A director changes addresses and ports and leaves the data alone, so it updates checksums instead of computing
them anew: that is faster, and a packet that was damaged in transit stays damaged. It computes only those that
the sender has left open.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from socket import inet_aton, inet_ntoa
from time import time

from director.core import ip_options
from director.core.packet import HEADER

IP_CHECKSUM = 10  # its offset in the IP header
_DONT_FRAGMENT, _MORE, _OFFSET = 0x4000, 0x2000, 0x1FFF
_DAY = 86_400_000  # milliseconds


# ---- checksums ----


def update(header: bytes, where: int, before: bytes, after: bytes, *, never_zero: bool = False) -> bytes:
    """`header` with the checksum at offset `where` updated.

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


def with_header_checksum(header: bytes) -> bytes:
    """An IP header whose checksum is still 0, with the right one."""
    return update(header, IP_CHECKSUM, b"", header)


def with_udp_checksum(addresses: bytes, header: bytes, data: bytes) -> bytes:
    """A UDP header without a checksum, with the right one for these addresses and data (RFC 768)."""
    length = header[4:6]
    covered = addresses + b"\0\x11" + length + header + data[: int.from_bytes(length, "big") - len(header)]
    return header[:6] + computed(covered) + header[8:]


def computed(data: bytes | bytearray) -> bytes:
    """The checksum of `data`, whose own is 0; never 0, which in UDP means "none".

    For a partial checksum (see offload.py), the sum over the pseudo header stands in its place instead.
    """
    total = int.from_bytes(data, "big") << 8 * (len(data) % 2)
    return (0xFFFF - total % 0xFFFF).to_bytes(2, "big")


def is_right(header: bytes) -> bool:
    """Whether the checksum in an IP header is right."""
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


# ---- fragments ----


def reassembled(fragments: Sequence[bytes]) -> bytes:
    """The IP packet that these fragments make up; they are in order and complete.

    It has "don't fragment" set if the longest of them has.
    """
    first, longest = fragments[0], max(fragments, key=len)
    data = b"".join(map(_content, fragments))
    header = first[: _header_length(first)]
    return _with(header, _flags_and_offset(longest) & _DONT_FRAGMENT, data)


def fragmented(packet: bytes, mtu: int) -> Sequence[bytes]:
    """An IP packet as packets of at most `mtu` bytes: itself if it fits, nothing if the MTU is too small.

    Like the kernel, the engine forwards what arrived as fragments in fragments that are no longer than those:
    the sender may have had a reason.
    """
    if len(packet) <= mtu:
        return (packet,)
    size = _header_length(packet)
    step = (mtu - size) // 8 * 8
    if step <= 0:
        return ()
    header, fields = packet[:size], _flags_and_offset(packet)
    later_header = header[:HEADER] + ip_options.for_later_fragments(header[HEADER:])
    fragments: list[bytes] = []
    for at in range(size, len(packet), step):
        more = _MORE if at + step < len(packet) else fields & _MORE
        offset = (fields & _OFFSET) + (at - size) // 8
        here = later_header if fragments else header
        fragments.append(_with(here, fields & _DONT_FRAGMENT | more | offset, packet[at : at + step]))
    return fragments


def _with(header: bytes, flags_and_offset: int, data: bytes) -> bytes:
    """An IP packet with this header, flags, offset and data."""
    length = len(header) + len(data)
    start = header[:2] + length.to_bytes(2, "big") + header[4:6] + flags_and_offset.to_bytes(2, "big")
    return with_header_checksum(start + header[8:10] + b"\0\0" + header[12:]) + data


def _content(fragment: bytes) -> bytes:
    """What follows the header; only the last fragment's may have a length that is not a multiple of 8."""
    content = fragment[_header_length(fragment) :]
    return content[: len(content) // 8 * 8] if _flags_and_offset(fragment) & _MORE else content


def _header_length(packet: bytes) -> int:
    return (packet[0] & 15) * 4


def _flags_and_offset(packet: bytes) -> int:
    return int.from_bytes(packet[6:8], "big")


# ---- options ----


def with_options_filled(packet: bytes, own: str, here: str, is_local: Callable[[str], bool]) -> bytes:
    """The packet with its IP options filled in (see core/ip_options.py).

    `own` is recorded in a route, `here` beside a timestamp.
    """
    size = _header_length(packet)
    header, data = packet[:size], packet[size:]
    now = int(time() * 1000) % _DAY
    options = ip_options.fill_in(
        header[HEADER:], inet_aton(own), inet_aton(here), lambda address: is_local(inet_ntoa(address)), now
    )
    return with_header_checksum(header[:10] + b"\0\0" + header[12:HEADER] + options) + data
