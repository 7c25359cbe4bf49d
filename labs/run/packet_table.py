"""The packet table each method was published with, made from captures of one connection.

A `Hop` says on which interface to look for a packet of the connection and how it must look there; a `Row` is
what the capture of that interface shows. Frames are identified by their payload (the first bytes of the
request or the reply), never by the addresses that the table has to prove. They are parsed here only as far as
needed (Ethernet, IP, IP in IP, TCP), without Scapy, whose import takes longer than all of this.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from director.formats.ipvsadm_words import endpoint

REQUEST, REPLY = b"GET /index.html", b"HTTP/1.1 200"

Place = tuple[str, int]  # an interface, and where in its capture a packet's record begins


def in_url(address: str) -> str:
    """The address as the host of a URL (RFC 3986), an IPv6 address in brackets.

    An IPv4 address may already have its port.
    """
    return f"[{address}]" if address.count(":") > 1 else address


@dataclass(frozen=True, slots=True)
class Row:
    """One packet of the table; endpoints as `endpoint` writes them. None: the table lacks that column."""

    packet: str
    source: str
    dest: str
    data: str
    outer_source: str | None = None
    outer_dest: str | None = None
    source_mac: str | None = None
    dest_mac: str | None = None

    def as_dict(self) -> dict[str, str]:
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Hop:
    """The row that the capture of `interface` must show; `leaving`: the interface sends the packet."""

    interface: str
    leaving: bool
    expected: Row

    @property
    def carries(self) -> bytes:
        return REPLY if self.expected.data.startswith("HTTP") else REQUEST


def observe(
    captures: Path, hops: Sequence[Hop], client_port: int, macs: Mapping[str, str]
) -> list[Row | None]:
    """The row that each hop's capture shows, or None.

    `captures` is the folder with `INTERFACE.pcap` files; `macs` maps an interface to its MAC.
    """
    found = (_find(captures, hop, client_port, macs) for hop in hops)
    return [_row(frame[1], hop.expected) if frame else None for frame, hop in zip(found, hops, strict=True)]


def locate(
    captures: Path, hops: Sequence[Hop], client_port: int, macs: Mapping[str, str]
) -> list[Place | None]:
    """The place of each hop's packet, or None."""
    found = (_find(captures, hop, client_port, macs) for hop in hops)
    return [(hop.interface, frame[0]) if frame else None for frame, hop in zip(found, hops, strict=True)]


def _find(captures: Path, hop: Hop, client_port: int, macs: Mapping[str, str]) -> tuple[int, Frame] | None:
    """The hop's frame, and the offset of its record."""
    for at, frame in frames_with(captures / f"{hop.interface}.pcap", hop.carries):
        if frame.source_mac and (frame.source_mac == macs[hop.interface]) != hop.leaving:
            continue
        if client_port in (frame.source_port, frame.dest_port):
            return at, frame
    return None


def _row(frame: Frame, expected: Row) -> Row:
    """The frame, in the columns of `expected`."""
    source, dest = frame.addresses[-1]
    outer_source, outer_dest = frame.addresses[0] if len(frame.addresses) > 1 else (None, None)
    with_macs = expected.source_mac is not None
    return Row(
        packet=expected.packet,
        source=endpoint(source, frame.source_port),
        dest=endpoint(dest, frame.dest_port),
        data=frame.payload.split(b"\r\n")[0].decode("latin-1")[: len(expected.data)],
        outer_source=outer_source,
        outer_dest=outer_dest,
        source_mac=frame.source_mac if with_macs else None,
        dest_mac=frame.dest_mac if with_macs else None,
    )


MAGIC = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}  # pcap in microseconds, by byte order
FILE_HEADER, _RECORD_HEADER = 24, 16  # bytes
_DLT_ETHERNET, _DLT_RAW = 1, 101  # raw: tunnels, which have no link layer
# libpcap does not know the type of the kernel's ip6tnl0 and puts its own header before IP (pcap-linktype(7)).
_DLT_LINUX_SLL, _SLL_HEADER = 113, 16
_ETHERTYPES = {0x0800: 4, 0x86DD: 41}  # both IP versions' EtherTypes: their protocol numbers in a tunnel
_IPIP, _IPV6, _TCP = 4, 41, 6  # protocol numbers
_OFFSET = 0x1FFF  # mask of the fragment offset


@dataclass(frozen=True, slots=True)
class Frame:
    """A captured TCP segment; `addresses` are (source, destination), outermost header first."""

    source_mac: str | None
    dest_mac: str | None
    addresses: tuple[tuple[str, str], ...]
    source_port: int
    dest_port: int
    payload: bytes


def frames_with(capture: Path, text: bytes) -> Iterator[tuple[int, Frame]]:
    """The TCP segments in `capture` that contain `text`, each with the offset of its record."""
    content = capture.read_bytes() if capture.exists() else b""
    ethernet = link_type(content) == _DLT_ETHERNET
    for _, at, start, captured, _ in records(content):
        raw = content[start : start + captured]
        frame = _dissect(raw, ethernet) if text in raw else None
        if frame is not None:
            yield at, frame


def link_type(content: bytes) -> int:
    """The link type of the `records` of a pcap file; Ethernet if there is no file header yet."""
    found = _written_link_type(content)
    return _DLT_RAW if found == _DLT_LINUX_SLL else found


def _written_link_type(content: bytes) -> int:
    order = _order(content)
    return int(struct.unpack_from(f"{order}I", content, 20)[0]) if order else _DLT_ETHERNET


def records(content: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """The complete records of a pcap file.

    Each is (time in microseconds, offset of the record, offset of its packet, bytes captured, bytes on the
    wire), without the header that libpcap may have put before the packet.
    """
    order = _order(content)
    if not order:
        return
    skipped = _SLL_HEADER if _written_link_type(content) == _DLT_LINUX_SLL else 0
    header = struct.Struct(f"{order}IIII")
    at = FILE_HEADER
    while at + _RECORD_HEADER <= len(content):
        seconds, micros, captured, length = header.unpack_from(content, at)
        start = at + _RECORD_HEADER
        if start + captured > len(content):
            return
        here = min(skipped, captured)
        yield seconds * 1_000_000 + micros, at, start + here, captured - here, length - here
        at = start + captured


def _order(content: bytes) -> str:
    """The byte order of a pcap file, as struct has it; "" without a complete file header."""
    return MAGIC.get(content[:4], "") if len(content) >= FILE_HEADER else ""


def _dissect(raw: bytes, ethernet: bool) -> Frame | None:
    """The frame; None unless it is a complete TCP segment over IP, without extension headers."""
    macs: tuple[str | None, str | None] = (None, None)
    try:
        protocol = _IPV6 if raw[0] >> 4 == 6 else _IPIP
        if ethernet:
            protocol = _ETHERTYPES.get(struct.unpack_from("!H", raw, 12)[0], 0)
            macs = (raw[6:12].hex(":"), raw[:6].hex(":"))
            raw = raw[14:]
        addresses = []
        while protocol in _HEADERS:
            header = _HEADERS[protocol](raw)
            if header is None:
                return None
            ends, protocol, raw = header
            addresses.append(ends)
        if protocol != _TCP:
            return None
        source_port, dest_port = struct.unpack_from("!HH", raw)
        payload = raw[(raw[12] >> 4) * 4 :]
    except (struct.error, IndexError, OSError, ValueError):
        return None
    return Frame(*macs, tuple(addresses), source_port, dest_port, payload)


Header = tuple[tuple[str, str], int, bytes]  # (source, destination), protocol of the payload, payload


def _ipv4(raw: bytes) -> Header | None:
    total, fragment, protocol = struct.unpack_from("!H2xHxB", raw, 2)
    if fragment & _OFFSET or raw[0] >> 4 != 4:
        return None
    ends = socket.inet_ntoa(raw[12:16]), socket.inet_ntoa(raw[16:20])
    return ends, protocol, raw[(raw[0] & 15) * 4 : total]


def _ipv6(raw: bytes) -> Header | None:
    length, protocol = struct.unpack_from("!HB", raw, 4)
    if raw[0] >> 4 != 6:
        return None
    source, dest = (socket.inet_ntop(socket.AF_INET6, raw[at : at + 16]) for at in (8, 24))
    return (source, dest), protocol, raw[40 : 40 + length]


_HEADERS = {_IPIP: _ipv4, _IPV6: _ipv6}
