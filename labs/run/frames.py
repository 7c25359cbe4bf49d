"""Frames of a capture, taken apart as far as a packet table needs: Ethernet, IP (in IP), TCP.

Without Scapy, whose import takes longer than all that is read here.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MAGIC = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}  # pcap in microseconds, by byte order
_FILE_HEADER, _RECORD_HEADER = 24, 16  # bytes
_DLT_ETHERNET = 1  # anything else that a lab has is a tunnel: IP without a link layer
_ETHERTYPE_IP = 0x0800
_IPIP, _TCP = 4, 6  # protocol numbers
_OFFSET = 0x1FFF  # of a fragment, in the flags' field


@dataclass(frozen=True, slots=True)
class Frame:
    """A TCP segment as it was captured; `addresses` are (source, destination), outermost header first."""

    source_mac: str | None
    dest_mac: str | None
    addresses: tuple[tuple[str, str], ...]
    source_port: int
    dest_port: int
    payload: bytes


def frames_with(capture: Path, text: bytes) -> Iterator[Frame]:
    """The TCP segments in `capture` that contain `text`; a record that is not whole yet ends them."""
    content = capture.read_bytes() if capture.exists() else b""
    order = _MAGIC.get(content[:4])
    if order is None or len(content) < _FILE_HEADER:
        return
    link = struct.unpack_from(order + "I", content, 20)[0]
    at = _FILE_HEADER
    while at + _RECORD_HEADER <= len(content):
        length = struct.unpack_from(order + "I", content, at + 8)[0]
        raw = content[at + _RECORD_HEADER : at + _RECORD_HEADER + length]
        at += _RECORD_HEADER + length
        if at <= len(content) and text in raw:
            frame = _dissect(raw, link == _DLT_ETHERNET)
            if frame is not None:
                yield frame


def _dissect(raw: bytes, ethernet: bool) -> Frame | None:
    """None where it is no whole TCP segment over IPv4."""
    macs: tuple[str | None, str | None] = (None, None)
    try:
        if ethernet:
            if struct.unpack_from("!H", raw, 12)[0] != _ETHERTYPE_IP:
                return None
            macs = (raw[6:12].hex(":"), raw[:6].hex(":"))
            raw = raw[14:]
        addresses = []
        protocol = _IPIP
        while protocol == _IPIP:
            total, fragment, protocol = struct.unpack_from("!H2xHxB", raw, 2)
            if fragment & _OFFSET or raw[0] >> 4 != 4:
                return None
            addresses.append((socket.inet_ntoa(raw[12:16]), socket.inet_ntoa(raw[16:20])))
            raw = raw[(raw[0] & 15) * 4 : total]
        if protocol != _TCP:
            return None
        source_port, dest_port = struct.unpack_from("!HH", raw)
        payload = raw[(raw[12] >> 4) * 4 :]
    except (struct.error, IndexError, OSError):
        return None
    return Frame(*macs, tuple(addresses), source_port, dest_port, payload)
