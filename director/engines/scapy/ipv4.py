"""IPv4 on bytes: fragments, and the director's entries in IP options. Source: RFC 791 (3.1, 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from socket import inet_aton, inet_ntoa
from time import time

from director.core import ip_options
from director.core.family import IPV4
from director.engines.scapy import ipv6
from director.engines.scapy.checksums import update

IP_CHECKSUM = 10  # its offset in the IP header
HEADER = IPV4.header
_DONT_FRAGMENT, _MORE, _OFFSET = 0x4000, 0x2000, 0x1FFF
_DAY = 86_400_000  # milliseconds


def with_header_checksum(header: bytes) -> bytes:
    """An IP header whose checksum is still 0, with the right one."""
    return update(header, IP_CHECKSUM, b"", header)


# ---- fragments ----


def reassembled(fragments: Sequence[bytes]) -> bytes:
    """The IP packet of these fragments, which are in order and complete.

    It has "don't fragment" set if the longest of them has.
    """
    first, longest = fragments[0], max(fragments, key=len)
    data = b"".join(map(_content, fragments))
    header = first[: _header_length(first)]
    return _with(header, _flags_and_offset(longest) & _DONT_FRAGMENT, data)


def fragmented(packet: bytes, mtu: int, arrived: Sequence[bytes] = ()) -> Sequence[bytes]:
    """An IP packet as packets of at most `mtu` bytes: itself if it fits, nothing if the MTU is too small.

    A tunnel's packet whose content has `arrived` in fragments of IPv6 is cut where those ended, if they fit.
    Like the kernel, the engine forwards fragments as fragments that are no longer: the sender may have had a
    reason.
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
    at = size
    for part in ipv6.as_arrived(arrived, len(packet) - size, step) or repeat(step):
        more = _MORE if at + part < len(packet) else fields & _MORE
        offset = (fields & _OFFSET) + (at - size) // 8
        here = later_header if fragments else header
        fragments.append(_with(here, fields & _DONT_FRAGMENT | more | offset, packet[at : at + part]))
        at += part
        if at >= len(packet):
            break
    return fragments


def _with(header: bytes, flags_and_offset: int, data: bytes) -> bytes:
    """An IP packet with this header, flags, offset and data."""
    length = len(header) + len(data)
    start = header[:2] + length.to_bytes(2, "big") + header[4:6] + flags_and_offset.to_bytes(2, "big")
    return with_header_checksum(start + header[8:10] + b"\0\0" + header[12:]) + data


def _content(fragment: bytes) -> bytes:
    """What follows the header, without the bytes beyond a multiple of 8, except in the last fragment."""
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
