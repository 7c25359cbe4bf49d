"""IPv6 on bytes: extension headers and fragments. Source: RFC 8200, sections 4 and 4.5.

A director walks extension headers without acting on them, as ipv6_find_hdr does in the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from director.core.family import IPV6
from director.core.packet import DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING

HEADER = IPV6.header
MAX_EXTENSIONS = 8  # headers that are walked; hosts send two at most (RFC 8504, 5.3, lets a host set a limit)
_NEXT_HEADER = 6  # its offset in the IPv6 header
_AUTHENTICATION = 51
WALKED = frozenset({HOP_BY_HOP, ROUTING, FRAGMENT, _AUTHENTICATION, DESTINATION_OPTIONS})
_UNIT = 8  # bytes, in which lengths and offsets are counted
_FRAGMENT_SIZE = 8
_MORE, _OFFSET = 0x0001, 0xFFF8  # in a fragment header
_JUMBO = b"\xc2"  # option of a packet longer than 65535 bytes (RFC 2675)


class Malformed(Exception):
    """Not a valid IP packet. The message is the reason."""


class Chain(NamedTuple):
    """What the extension headers lead to: a protocol, and the offset `end` of its header.

    `fragment` is the offset of the fragment header, 0 without one; the walk ends after a real fragment's.
    `before` is the offset of the last "next header" byte.
    """

    protocol: int
    end: int
    fragment: int = 0
    before: int = _NEXT_HEADER


def walk(data: bytes) -> Chain:
    """Walk the extension headers of the packet at the start of `data`. Raises Malformed."""
    protocol, at, before = data[_NEXT_HEADER], HEADER, _NEXT_HEADER
    fragment = 0
    for _ in range(MAX_EXTENSIONS + 1):
        if protocol not in WALKED:
            return Chain(protocol, at, fragment, before)
        if at + _UNIT > len(data):
            raise Malformed("a truncated extension header")
        size = _size(protocol, data[at + 1])
        if at + size > len(data):
            raise Malformed("an extension header longer than its packet")
        if protocol == FRAGMENT:
            if fragment:
                raise Malformed("two fragment headers")
            fragment = at
        protocol, before, at = data[at], at, at + size
        if fragment == before and not is_atomic(data, fragment):
            return Chain(protocol, at, fragment, before)
    raise Malformed(f"more than {MAX_EXTENSIONS} extension headers")


def _size(protocol: int, length: int) -> int:
    """Bytes of an extension header (RFC 8200, 4.3 to 4.6; RFC 4302, 2.2)."""
    if protocol == FRAGMENT:
        return _FRAGMENT_SIZE
    return (length + 2) * 4 if protocol == _AUTHENTICATION else (length + 1) * _UNIT


def is_jumbogram(data: bytes) -> bool:
    """Whether a hop-by-hop option has the length (RFC 2675): too long for any Ethernet."""
    return (
        not data[4] | data[5] and data[_NEXT_HEADER] == HOP_BY_HOP and data[HEADER + 2 : HEADER + 3] == _JUMBO
    )


# ---- fragments ----


def offset_of(data: bytes, fragment: int) -> int:
    """The offset in the header at `fragment`, in units of 8 bytes."""
    return _fields(data, fragment) // _UNIT


def has_more(data: bytes, fragment: int) -> bool:
    """Whether more fragments follow."""
    return bool(_fields(data, fragment) & _MORE)


def is_atomic(data: bytes, fragment: int) -> bool:
    """Whether it is the only fragment of its packet (RFC 6946)."""
    return not _fields(data, fragment) & (_OFFSET | _MORE)


def identification_of(data: bytes, fragment: int) -> int:
    return int.from_bytes(data[fragment + 4 : fragment + 8], "big")


def _fields(data: bytes, fragment: int) -> int:
    return int.from_bytes(data[fragment + 2 : fragment + 4], "big")


def without_atomic(packet: bytes) -> bytes:
    """The packet without an atomic fragment's header: like the kernel, which reassembles it from one part."""
    if packet[_NEXT_HEADER : _NEXT_HEADER + 1] not in _EXTENSION_BYTES or len(packet) < HEADER:
        return packet
    try:
        fragment = walk(packet).fragment
    except Malformed:
        return packet
    if not fragment or not is_atomic(packet, fragment):
        return packet
    return _joined(packet[:fragment], packet[fragment], packet[fragment + _FRAGMENT_SIZE :], packet)


_EXTENSION_BYTES = frozenset(bytes([protocol]) for protocol in WALKED)


def reassembled(fragments: Sequence[bytes]) -> bytes:
    """The packet of these fragments, which are in order and complete."""
    first = fragments[0]
    at = walk(first).fragment
    data = b"".join(_content(fragment) for fragment in fragments)
    return _joined(first[:at], first[at], data, first)


def _content(packet: bytes) -> bytes:
    return packet[walk(packet).end : HEADER + int.from_bytes(packet[4:6], "big")]


def _joined(start: bytes, protocol: int, data: bytes, packet: bytes) -> bytes:
    """`start` followed by `data`, where `packet` has a fragment header in between."""
    before = _last_header(packet, len(start))
    header = start[:before] + bytes([protocol]) + start[before + 1 :]
    return _with_length(header + data)


def _last_header(packet: bytes, end: int) -> int:
    """The offset of the "next header" byte for the header that starts at `end`."""
    protocol, at, before = packet[_NEXT_HEADER], HEADER, _NEXT_HEADER
    while at < end:
        protocol, before, at = packet[at], at, at + _size(protocol, packet[at + 1])
    return before


def _with_length(packet: bytes) -> bytes:
    return packet[:4] + (len(packet) - HEADER).to_bytes(2, "big") + packet[6:]


def fragmented(
    packet: bytes, mtu: int, identification: int, arrived: Sequence[bytes] = ()
) -> Sequence[bytes]:
    """A packet as packets of at most `mtu` bytes: itself if it fits, nothing if the MTU is too small.

    A packet that has `arrived` in fragments is cut where those ended, as in the kernel (ip6_fragment), unless
    it is no longer than the longest of them. If they no longer fit, it is cut into parts as long as the
    longest, or as the minimum MTU of IPv6. Headers that every router reads come first in every fragment.
    """
    longest = max(map(len, arrived), default=mtu)
    if len(packet) <= min(longest, mtu):
        return (packet,)
    start = _unfragmentable(packet)
    largest = (min(max(longest, IPV6.min_path_mtu), mtu) - start - _FRAGMENT_SIZE) // _UNIT * _UNIT
    if largest <= 0:
        return ()
    length = len(packet) - start
    sizes = as_arrived(arrived, length, largest) or [largest] * -(-length // largest)
    before = _last_header(packet, start)
    header = packet[:before] + bytes([FRAGMENT]) + packet[before + 1 : start]
    protocol, number = bytes([packet[before], 0]), identification.to_bytes(4, "big")
    fragments = []
    at = start
    for size in sizes:
        fields = at - start | (_MORE if at + size < len(packet) else 0)
        part = protocol + fields.to_bytes(2, "big") + number + packet[at : at + size]
        fragments.append(_with_length(header + part))
        at += size
    return fragments


def as_arrived(arrived: Sequence[bytes], length: int, largest: int) -> Sequence[int]:
    """The sizes of parts that end where these fragments did; none if a part would exceed `largest`.

    The first part also has the bytes that were added before it, so that all have `length` bytes.
    """
    later = [len(_content(fragment)) for fragment in arrived[1:]]
    sizes = [length - sum(later), *later]
    fits = arrived and max(sizes) <= largest and not any(size % _UNIT for size in sizes[:-1])
    return sizes if fits else ()


def _unfragmentable(packet: bytes) -> int:
    """Bytes up to and including the last routing or hop-by-hop header, or the IPv6 header."""
    protocol, at, end = packet[_NEXT_HEADER], HEADER, HEADER
    while protocol in (HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS) and at + 2 <= len(packet):
        here, protocol, at = protocol, packet[at], at + _size(protocol, packet[at + 1])
        if here != DESTINATION_OPTIONS:
            end = at
    return end
