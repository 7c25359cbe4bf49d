"""A packet made of its fragments, and fragments made of a packet (RFC 791, section 3.2).

What comes in pieces goes on in pieces that are no longer than those, as in the kernel: who has sent it
like that may know why.
"""

from __future__ import annotations

from collections.abc import Sequence

from director.core import ip_options
from director.core.packet import HEADER
from director.engines.scapy import checksum

_DONT_FRAGMENT, _MORE, _OFFSET = 0x4000, 0x2000, 0x1FFF


def whole(fragments: Sequence[bytes]) -> bytes:
    """The IP packet that these are; they are in order, and all there.

    It must not be taken apart where that holds for the longest of them.
    """
    first, longest = fragments[0], max(fragments, key=len)
    data = b"".join(map(_content, fragments))
    header = first[: _size(first)]
    return _with(header, _where(longest) & _DONT_FRAGMENT, data)


def pieces(data: bytes, mtu: int) -> Sequence[bytes]:
    """The IP packet `data` as packets of at most `mtu` bytes; it alone where it fits, none if none does."""
    if len(data) <= mtu:
        return (data,)
    size = _size(data)
    step = (mtu - size) // 8 * 8
    if step <= 0:
        return ()
    header, where = data[:size], _where(data)
    others = header[:HEADER] + ip_options.for_later_fragments(header[HEADER:])
    made: list[bytes] = []
    for at in range(size, len(data), step):
        more = _MORE if at + step < len(data) else where & _MORE
        offset = (where & _OFFSET) + (at - size) // 8
        made.append(
            _with(others if made else header, where & _DONT_FRAGMENT | more | offset, data[at : at + step])
        )
    return made


def _with(header: bytes, where: int, data: bytes) -> bytes:
    """An IP packet with `data` in it; `where` are its flags and its offset."""
    length = len(header) + len(data)
    fields = header[:2] + length.to_bytes(2, "big") + header[4:6] + where.to_bytes(2, "big")
    return checksum.of_header(fields + header[8:10] + b"\0\0" + header[12:]) + data


def _content(fragment: bytes) -> bytes:
    """What follows the header; of one that is not the last only as much as the next one starts behind."""
    content = fragment[_size(fragment) :]
    return content[: len(content) // 8 * 8] if _where(fragment) & _MORE else content


def _size(packet: bytes) -> int:
    return (packet[0] & 15) * 4


def _where(packet: bytes) -> int:
    return int.from_bytes(packet[6:8], "big")
