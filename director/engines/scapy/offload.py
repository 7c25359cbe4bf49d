"""Work that the sender's kernel left to a network card: checksums, and cutting data into segments.

Between namespaces or virtual machines no card does it (checksum offload, TSO); and a receiving kernel merges
segments (GRO). A packet socket with PACKET_VNET_HDR reports it in the header of frames on a virtio
network card (linux/virtio_net.h). The director's packets leave as bytes, so the work is done here, and the
core sees what would be on a wire. Linux 6.2 and later report merged UDP (USO); earlier kernels do not hand
such a frame over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from director.core.family import IPV6
from director.engines.scapy.checksums import computed

# struct virtio_net_hdr: flags, kind of merging, length of the headers, data in a segment, where the
# checksummed data begin, the checksum's offset in them.
HEADER = struct.Struct("=BBHHHH")
NOTHING = bytes(HEADER.size)  # the header of a frame that needs no work
_NEEDS_CHECKSUM = 1
# VIRTIO_NET_HDR_GSO_TCPV4, _TCPV6, _UDP_L4; a flag of the first two
_TCP, _TCP_IPV6, _UDP, _ECN = 1, 4, 5, 0x80
_IPV4, _IPV6 = b"\x08\x00", b"\x86\xdd"  # EtherTypes
_ETHERNET, _TCP_HEADER, _UDP_HEADER = 14, 20, 8  # bytes
_FIRST_ONLY, _LAST_ONLY = 0x80, 0x09  # TCP flags: CWR; FIN and PSH


def finished(received: bytes) -> Sequence[bytes]:
    """The finished frames of a received one (with its virtio header): usually one."""
    frame = received[HEADER.size :]
    if received.startswith(NOTHING):
        return (frame,)
    flags, kind, _, size, start, offset = HEADER.unpack_from(received)
    if kind:
        return tuple(_segmented(frame, size, kind & ~_ECN)) or (frame,)
    where = start + offset
    if flags & _NEEDS_CHECKSUM and where + 2 <= len(frame):
        return (frame[:where] + computed(frame[start:]) + frame[where + 2 :],)
    return (frame,)


def _segmented(frame: bytes, size: int, kind: int) -> Iterator[bytes]:
    """Frames with `size` bytes of data, the last one with the rest; none if the frame is malformed."""
    start = _start_above(frame)
    if not start or len(frame) < start + _TCP_HEADER or not size:
        return
    if kind in (_TCP, _TCP_IPV6):
        yield from _tcp_segments(frame, start, start + (frame[start + 12] >> 4) * 4, size)
    elif kind == _UDP:
        yield from _udp_datagrams(frame, start, size)


def _start_above(frame: bytes) -> int:
    """Where the TCP or UDP header is, 0 if there is none: nothing with extension headers is merged."""
    if frame[12:_ETHERNET] == _IPV4:
        return _ETHERNET + (frame[_ETHERNET] & 15) * 4
    is_plain_ipv6 = frame[12:_ETHERNET] == _IPV6 and frame[20:21] in (b"\x06", b"\x11")
    return _ETHERNET + IPV6.header if is_plain_ipv6 else 0


def _tcp_segments(frame: bytes, start: int, end: int, size: int) -> Iterator[bytes]:
    """The TCP header is from `start` to `end` (RFC 9293; Linux: net/ipv4/tcp_offload.c)."""
    header = bytearray(frame[start:end])
    sequence, flags = int.from_bytes(header[4:8], "big"), header[13]
    for at in range(end, len(frame), size):
        cleared = (_FIRST_ONLY if at > end else 0) | (_LAST_ONLY if at + size < len(frame) else 0)
        header[4:8] = ((sequence + at - end) % 2**32).to_bytes(4, "big")
        header[13] = flags & ~cleared
        yield _frame(frame[:start], (at - end) // size, header, 16, frame[at : at + size])


def _udp_datagrams(frame: bytes, start: int, size: int) -> Iterator[bytes]:
    """Datagrams of the same length, except for the last."""
    header, first = bytearray(frame[start : start + _UDP_HEADER]), start + _UDP_HEADER
    for at in range(first, len(frame), size):
        data = frame[at : at + size]
        header[4:6] = (_UDP_HEADER + len(data)).to_bytes(2, "big")
        yield _frame(frame[:start], (at - first) // size, header, 6, data)


def _frame(before: bytes, number: int, header: bytearray, where: int, data: bytes) -> bytes:
    """Segment `number`: the Ethernet and IP headers `before`, `header` with its checksum at `where`, data."""
    ip = bytearray(before[_ETHERNET:])
    above = len(header) + len(data)
    if before[12:_ETHERNET] == _IPV6:
        ip[4:6] = above.to_bytes(2, "big")
        addresses, protocol = ip[8:40], ip[6]
    else:
        ip[2:4] = (len(ip) + above).to_bytes(2, "big")
        ip[4:6] = ((int.from_bytes(ip[4:6], "big") + number) % 2**16).to_bytes(2, "big")
        ip[10:12] = bytes(2)
        ip[10:12] = computed(ip)
        addresses, protocol = ip[12:20], ip[9]
    header[where : where + 2] = bytes(2)
    pseudo_header = addresses + bytes([0, protocol]) + above.to_bytes(2, "big")
    header[where : where + 2] = computed(pseudo_header + header + data)
    return before[:_ETHERNET] + ip + header + data
