"""ARP as the controller sees it: the header fields of a frame, and the log of who claimed which address.

Bytes in, values out; a frame that is too short or malformed gives None, never an exception. Only a network
that keeps such a log can tell who answered for the VIP. It holds the newest entries up to a limit and is
safe to use from several threads. The time is passed in.
"""

from __future__ import annotations

import struct
import threading
from collections import deque
from dataclasses import dataclass
from ipaddress import IPv4Address

LARGEST = 100_000  # ARP packets kept; the oldest are dropped
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


@dataclass(frozen=True, slots=True)
class Arp:
    """The fields of an ARP packet for IPv4 over Ethernet (RFC 826)."""

    operation: str
    sender_mac: str
    sender_ip: str
    target_ip: str


def is_group(mac: str) -> bool:
    """Whether `mac` is a group address: the lowest bit of its first byte is set."""
    return bool(int(mac[:2], 16) & 1)


def parse_frame(data: bytes) -> Frame | None:
    if len(data) < _ETHERNET.size:
        return None
    dest, source, ethertype = _ETHERNET.unpack_from(data)
    return Frame(dest.hex(":"), source.hex(":"), ethertype)


def parse_arp(data: bytes) -> Arp | None:
    """The ARP packet for IPv4 in the Ethernet frame `data`, or None."""
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


@dataclass(frozen=True, slots=True)
class Entry:
    """An ARP packet as it entered port `port` of switch `dpid` at time `at`."""

    serial: int
    at: float
    dpid: int
    port: int
    frame_source: str
    arp: Arp


class ArpLog:
    """ARP packets in order of arrival; serials count from 1 and are never reused."""

    def __init__(self, largest: int = LARGEST) -> None:
        self._entries: deque[Entry] = deque(maxlen=largest)
        self._serial = 0
        self._lock = threading.Lock()

    def add(self, at: float, dpid: int, port: int, frame_source: str, arp: Arp) -> None:
        with self._lock:
            self._serial += 1
            self._entries.append(Entry(self._serial, at, dpid, port, frame_source, arp))

    def since(self, serial: int = 0) -> tuple[Entry, ...]:
        """The entries after the one with `serial`, as far as they are kept."""
        with self._lock:
            return tuple(entry for entry in self._entries if entry.serial > serial)

    def forget(self) -> int:
        """Forget all entries; returns the newest serial, from which later ones continue."""
        with self._lock:
            self._entries.clear()
            return self._serial
