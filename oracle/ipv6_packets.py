"""IPv6 packets as bytes, and frames in comparable form. Source: RFC 8200, 4443 and 9293."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

from oracle import packets

TCP, UDP, FRAGMENT, ICMP, HOP_BY_HOP, OPTIONS = 6, 17, 44, 58, 0, 60
ETHERTYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}
_FLOW = 0x12345


def ip(
    source: str, dest: str, protocol: int, body: bytes, hop_limit: int = 64, traffic_class: int = 0
) -> bytes:
    start = struct.pack("!IHBB", 6 << 28 | traffic_class << 20 | _FLOW, len(body), protocol, hop_limit)
    return start + packed(source) + packed(dest) + body


def tcp(
    source: str,
    dest: str,
    sport: int,
    dport: int,
    flags: int,
    data: bytes = b"",
    options: bytes = b"",
    **header: int,
) -> bytes:
    words = 5 + len(options) // 4
    body = struct.pack("!HHIIBBHHH", sport, dport, 1, 0, words << 4, flags, 65535, 0, 0) + options + data
    return ip(source, dest, TCP, with_checksum(source, dest, TCP, body, 16), **header)


def udp(source: str, dest: str, sport: int, dport: int, data: bytes, **header: int) -> bytes:
    body = struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data
    return ip(source, dest, UDP, with_checksum(source, dest, UDP, body, 6), **header)


def error(source: str, dest: str, kind: int, code: int, number: int, quoted: bytes) -> bytes:
    """An ICMPv6 error; `number` is the MTU or the pointer."""
    body = struct.pack("!BBHI", kind, code, 0, number) + quoted[:1232]
    return ip(source, dest, ICMP, with_checksum(source, dest, ICMP, body, 2))


def behind(extension: bytes, kind: int, packet: bytes) -> bytes:
    """The packet with an extension header before its payload; the header's first byte is filled in."""
    body = packet[6:7] + extension[1:] + packet[40:]
    return packet[:4] + struct.pack("!HB", len(body), kind) + packet[7:40] + body


def fragments(packet: bytes, first: int, identification: int = 77) -> tuple[bytes, bytes]:
    """A packet in two fragments, the first with `first` bytes (a multiple of 8) of its payload."""
    return (
        fragment(packet, 0, first, identification),
        fragment(packet, first, len(packet) - 40, identification),
    )


def fragment(packet: bytes, start: int, end: int, identification: int = 77) -> bytes:
    """A fragment with bytes `start` to `end` of a packet's payload; the last one if nothing follows."""
    more = end < len(packet) - 40
    header = struct.pack("!BBHI", packet[6], 0, start | more, identification)
    body = header + packet[40 + start : 40 + end]
    return packet[:4] + struct.pack("!HB", len(body), FRAGMENT) + packet[7:40] + body


def packed(address: str) -> bytes:
    return IPv6Address(address).packed


def with_checksum(source: str, dest: str, protocol: int, body: bytes, at: int) -> bytes:
    covered = packed(source) + packed(dest) + struct.pack("!IHBB", len(body), 0, 0, protocol) + body
    found = packets.checksum(covered) or (0xFFFF if protocol == UDP else 0)
    return body[:at] + struct.pack("!H", found) + body[at + 2 :]


# ---- frames ----


def framed(to: str, source: str, packet: bytes) -> bytes:
    """The packet in an Ethernet frame, to and from these MAC addresses."""
    return bytes.fromhex((to + source).replace(":", "")) + ETHERTYPES[packet[0] >> 4] + packet


def is_for_hosts(frame: bytes) -> bool:
    """Whether it is an IP packet to a host, not neighbour discovery or multicast."""
    if frame[12:14] == ETHERTYPES[6]:  # multicast listener reports have hop-by-hop options
        to_group = frame[38] == 0xFF
        return not to_group and not (frame[20] == ICMP and frame[54] >= 130)
    return frame[12:14] == ETHERTYPES[4]


def comparable(frame: bytes) -> bytes:
    """A frame without the director's choices: identifications of tunnels and fragments, errors' flow labels.

    An error's quotation shows the hop limit, which the kernel has already decremented (quoted-ttl). Instead
    of an error's checksum: whether it is right.
    """
    data = bytearray(frame)
    if data[12:14] == ETHERTYPES[4]:
        if data[23] in (packets.ICMP, packets.IPIP, 41):
            data[18:20] = data[24:26] = bytes(2)
    elif data[20] == FRAGMENT:
        data[58:62] = bytes(4)
    elif data[20] == ICMP and data[54] < 128:
        pseudo = frame[22:54] + struct.pack("!IHBB", len(frame) - 54, 0, 0, ICMP)
        data[15] &= 0xF0
        data[16:18] = bytes(2)
        data[56:58] = struct.pack("!H", packets.checksum(pseudo + frame[54:]))
        data[69] = 0
    return bytes(data)
