"""Reads the few header fields of an Ethernet frame that the controller needs.

Bytes in, values out; a frame that is too short or not what it says gives None, never an
exception. It knows no OpenFlow, and nothing of which frame means what.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

ETHERTYPE_ARP = 0x0806
ETHERTYPE_IPV6 = 0x86DD

_ETHERNET = struct.Struct("!6s6sH")
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ARP_FOR_IPV4 = (1, 0x0800, 6, 4)  # Ethernet, IPv4, and the lengths of their addresses
_OPERATIONS = {1: "request", 2: "reply"}


@dataclass(frozen=True, slots=True)
class Frame:
    """Destination, source and type of an Ethernet frame; MACs as 02:00:cb:00:71:01."""

    dest: str
    source: str
    ethertype: int

    @property
    def to_group(self) -> bool:
        """Whether it is a broadcast or multicast."""
        return is_group(self.dest)


@dataclass(frozen=True, slots=True)
class Arp:
    """The fields of an ARP packet for IPv4 over Ethernet (RFC 826)."""

    operation: str
    sender_mac: str
    sender_ip: str
    target_ip: str


def is_group(mac: str) -> bool:
    """Whether `mac` stands for more than one receiver: the lowest bit of its first byte."""
    return bool(int(mac[:2], 16) & 1)


def parse_frame(data: bytes) -> Frame | None:
    if len(data) < _ETHERNET.size:
        return None
    dest, source, ethertype = _ETHERNET.unpack_from(data)
    return Frame(dest.hex(":"), source.hex(":"), ethertype)


def parse_arp(data: bytes) -> Arp | None:
    """The ARP packet in the Ethernet frame `data`, if it is one for IPv4."""
    frame = parse_frame(data)
    if frame is None or frame.ethertype != ETHERTYPE_ARP or len(data) < _ETHERNET.size + _ARP.size:
        return None
    *kind, operation, sender_mac, sender_ip, _, target_ip = _ARP.unpack_from(data, _ETHERNET.size)
    if tuple(kind) != _ARP_FOR_IPV4:
        return None
    return Arp(
        _OPERATIONS.get(operation, str(operation)),
        sender_mac.hex(":"),
        str(IPv4Address(sender_ip)),
        str(IPv4Address(target_ip)),
    )
