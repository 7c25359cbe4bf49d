"""What is left undone in a frame: its checksum, and cutting the data into segments.

Kernels leave both to the network card (checksum offload, TSO), and between namespaces or virtual
machines no card does it; a kernel that receives puts segments together (GRO). A packet socket with
PACKET_VNET_HDR tells, in the header that frames have on a virtio network card (linux/virtio_net.h).
A director's packets leave as bytes, so it is done here, and the core sees what a wire would carry.
Merged UDP (USO) is told by Linux 6.2 and later; earlier kernels refuse to hand such a frame over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from director.engines.scapy import checksum

# Flags, kind of merging, length of the headers, data in a segment, where the checksum's bytes begin, where
# behind that it is itself.
HEADER = struct.Struct("=BBHHHH")
NOTHING = bytes(HEADER.size)  # the header of a frame in which all is done
_NEEDS_CHECKSUM = 1
_TCP, _UDP, _ECN = 1, 5, 0x80  # kinds of merging: TCP over IPv4, UDP; a flag of the former
_IPV4 = b"\x08\x00"  # EtherType
_ETHERNET, _TCP_HEADER, _UDP_HEADER = 14, 20, 8  # bytes
_FIRST_ONLY, _LAST_ONLY = 0x80, 0x09  # TCP flags: CWR; FIN and PSH


def finished(received: bytes) -> Sequence[bytes]:
    """The frames that stand behind one that was received, with its header in front: most often one."""
    frame = received[HEADER.size :]
    if received.startswith(NOTHING):
        return (frame,)
    flags, kind, _, size, start, offset = HEADER.unpack_from(received)
    if kind:
        return tuple(_cut(frame, size, kind & ~_ECN)) or (frame,)
    where = start + offset
    if flags & _NEEDS_CHECKSUM and where + 2 <= len(frame):
        return (frame[:where] + checksum.computed(frame[start:]) + frame[where + 2 :],)
    return (frame,)


def _cut(frame: bytes, size: int, kind: int) -> Iterator[bytes]:
    """Each with `size` bytes of data, the last one with what is left; none where that makes no sense."""
    start = _ETHERNET + (frame[_ETHERNET] & 15) * 4
    if frame[12:_ETHERNET] != _IPV4 or len(frame) < start + _TCP_HEADER or not size:
        return
    if kind == _TCP:
        yield from _segments(frame, start, start + (frame[start + 12] >> 4) * 4, size)
    elif kind == _UDP:
        yield from _datagrams(frame, start, size)


def _segments(frame: bytes, start: int, end: int, size: int) -> Iterator[bytes]:
    """Of TCP, whose header is from `start` to `end` (RFC 9293; Linux: net/ipv4/tcp_offload.c)."""
    header = bytearray(frame[start:end])
    sequence, flags = int.from_bytes(header[4:8], "big"), header[13]
    for at in range(end, len(frame), size):
        not_here = (_FIRST_ONLY if at > end else 0) | (_LAST_ONLY if at + size < len(frame) else 0)
        header[4:8] = ((sequence + at - end) % 2**32).to_bytes(4, "big")
        header[13] = flags & ~not_here
        yield _frame(frame[:start], (at - end) // size, header, 16, frame[at : at + size])


def _datagrams(frame: bytes, start: int, size: int) -> Iterator[bytes]:
    """Of UDP, all of the same length but the last."""
    header, first = bytearray(frame[start : start + _UDP_HEADER]), start + _UDP_HEADER
    for at in range(first, len(frame), size):
        data = frame[at : at + size]
        header[4:6] = (_UDP_HEADER + len(data)).to_bytes(2, "big")
        yield _frame(frame[:start], (at - first) // size, header, 6, data)


def _frame(before: bytes, number: int, header: bytearray, where: int, data: bytes) -> bytes:
    """What stood `before`, Ethernet's and IP's headers, for the frame of that number; `header`; data.

    At `where` in `header` is its checksum.
    """
    ip = bytearray(before[_ETHERNET:])
    above = len(header) + len(data)
    ip[2:4] = (len(ip) + above).to_bytes(2, "big")
    ip[4:6] = ((int.from_bytes(ip[4:6], "big") + number) % 2**16).to_bytes(2, "big")
    ip[10:12] = bytes(2)
    ip[10:12] = checksum.computed(ip)
    header[where : where + 2] = bytes(2)
    pseudo_header = ip[12:20] + bytes([0, ip[9]]) + above.to_bytes(2, "big")
    header[where : where + 2] = checksum.computed(pseudo_header + header + data)
    return before[:_ETHERNET] + ip + header + data
