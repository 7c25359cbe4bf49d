"""IPv4 packets as bytes, built fast: an emulated machine runs thousands of them.

Source: RFC 791, 792, 768 and 9293.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from socket import inet_aton, inet_ntoa

ICMP, IPIP, TCP, UDP = 1, 4, 6, 17
FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32}
DONT_FRAGMENT, MORE_FRAGMENTS = 0x4000, 0x2000
HEADER = 20  # bytes of an IP header without options


@dataclass(frozen=True)
class Ends:
    """Two addresses with their ports."""

    source: str
    sport: int
    dest: str
    dport: int

    def back(self) -> Ends:
        return Ends(self.dest, self.dport, self.source, self.sport)


@dataclass(frozen=True)
class Header:
    """An IP header's fields besides addresses and length; `fragment` is flags and offset together."""

    identification: int = 1
    ttl: int = 64
    tos: int = 0
    fragment: int = 0


def tcp(
    ends: Ends, header: Header, flags: int, sequence: int, acknowledgement: int, options: bytes, data: bytes
) -> bytes:
    offset = (HEADER + len(options)) // 4 << 4
    numbers = (ends.sport, ends.dport, sequence, acknowledgement, offset, flags, 65535, 0, 0)
    return _with_checksum(ends, header, TCP, struct.pack("!HHLLBBHHH", *numbers) + options + data, 16)


def udp(ends: Ends, header: Header, data: bytes) -> bytes:
    start = struct.pack("!HHHH", ends.sport, ends.dport, 8 + len(data), 0)
    return _with_checksum(ends, header, UDP, start + data, 6)


def icmp_error(source: str, dest: str, kind: int, code: int, mtu: int, quoted: bytes) -> bytes:
    body = struct.pack("!BBHHH", kind, code, 0, 0, mtu) + quoted
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    return ip(source, dest, ICMP, Header(), body)


def echo_request(source: str, dest: str, number: int) -> bytes:
    body = struct.pack("!BBHHH", 8, 0, 0, 0, number)
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    return ip(source, dest, ICMP, Header(), body)


def ip(source: str, dest: str, protocol: int, header: Header, body: bytes) -> bytes:
    numbers = (0x45, header.tos, HEADER + len(body), header.identification, header.fragment)
    start = struct.pack("!BBHHHBBH", *numbers, header.ttl, protocol, 0) + inet_aton(source) + inet_aton(dest)
    return start[:10] + struct.pack("!H", checksum(start)) + start[12:] + body


def fragments(packet: bytes, first: int) -> tuple[bytes, bytes]:
    """A packet in two fragments, the first with `first` bytes (a multiple of 8) of its payload."""
    protocol, header = packet[9], Header(int.from_bytes(packet[4:6], "big"), packet[8], packet[1])
    source, dest, body = inet_ntoa(packet[12:16]), inet_ntoa(packet[16:20]), packet[HEADER:]
    one = Header(header.identification, header.ttl, header.tos, MORE_FRAGMENTS)
    other = Header(header.identification, header.ttl, header.tos, first // 8)
    return ip(source, dest, protocol, one, body[:first]), ip(source, dest, protocol, other, body[first:])


def ends_of(packet: bytes) -> Ends:
    """The addresses and ports of a packet without IP options."""
    sport, dport = struct.unpack_from("!HH", packet, HEADER) if len(packet) >= HEADER + 4 else (0, 0)
    return Ends(inet_ntoa(packet[12:16]), sport, inet_ntoa(packet[16:20]), dport)


def tcp_length(packet: bytes) -> int:
    """By how much a TCP packet advances the sequence number: its data, and one each for SYN and FIN."""
    flags = packet[HEADER + 13]
    data = len(packet) - HEADER - (packet[HEADER + 12] >> 4) * 4
    return data + (flags & 1) + (flags >> 1 & 1)


def checksum(data: bytes) -> int:
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def _with_checksum(ends: Ends, header: Header, protocol: int, body: bytes, at: int) -> bytes:
    covered = inet_aton(ends.source) + inet_aton(ends.dest) + struct.pack("!HH", protocol, len(body)) + body
    found = checksum(covered) or (0xFFFF if protocol == UDP else 0)
    whole = body[:at] + struct.pack("!H", found) + body[at + 2 :]
    return ip(ends.source, ends.dest, protocol, header, whole)
