"""ARP as the controller sees it: the header fields of a frame, and the log of which host claimed an address.

Neighbour discovery (RFC 4861), IPv6's ARP, is recorded in the same terms: a solicitation is a request, an
advertisement a reply.

Bytes in, values out; a frame that is too short or malformed gives None, never an exception. Without such a
log, nothing could say which hosts answered for the VIP. It keeps the newest entries up to a limit and may be
used from several threads. The time is passed in.
"""

from __future__ import annotations

import struct
import threading
from collections import deque
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

LARGEST = 100_000  # ARP packets kept; the oldest are dropped
ETHERTYPE_ARP = 0x0806
ETHERTYPE_IPV6 = 0x86DD

_ETHERNET = struct.Struct("!6s6sH")
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ARP_FOR_IPV4 = (1, 0x0800, 6, 4)  # Ethernet, IPv4, and the lengths of their addresses
_OPERATIONS = {1: "request", 2: "reply"}

ICMPV6 = 58
SOLICITATION, ADVERTISEMENT = 135, 136  # types of ICMPv6
_ND = struct.Struct("!4xHBB16s16sB3xB3x16s")  # IPv6 header, and a message without its options
# Options with a link-layer address: of a solicitation's sender, and of the target.
_SOURCE_LINK, _TARGET_LINK = 1, 2
_OPTION = 8  # bytes of such an option, and the unit in which options are counted
_HOP_LIMIT = 255  # a packet with any other comes from another network


@dataclass(frozen=True, slots=True)
class Frame:
    """Destination, source and type of an Ethernet frame; MACs as 02:00:cb:00:71:01."""

    dest: str
    source: str
    ethertype: int


@dataclass(frozen=True, slots=True)
class Arp:
    """The fields of an ARP packet for IPv4 over Ethernet (RFC 826).

    Or those of neighbour discovery: the `sender_ip` of an advertisement is its target, whatever the packet's
    source, and `flags` are R (router), S (solicited) and O (override).
    """

    operation: str
    sender_mac: str
    sender_ip: str
    target_ip: str
    flags: str = ""


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


def parse_neighbour_discovery(data: bytes) -> Arp | None:
    """The solicitation or advertisement in the Ethernet frame `data`, or None."""
    frame = parse_frame(data)
    if frame is None or frame.ethertype != ETHERTYPE_IPV6 or len(data) < _ETHERNET.size + _ND.size:
        return None
    length, protocol, hops, source, dest, kind, flags, target = _ND.unpack_from(data, _ETHERNET.size)
    if protocol != ICMPV6 or hops != _HOP_LIMIT or kind not in (SOLICITATION, ADVERTISEMENT):
        return None
    options = data[_ETHERNET.size + _ND.size : _ETHERNET.size + _IPV6_HEADER + length]
    wanted = _TARGET_LINK if kind == ADVERTISEMENT else _SOURCE_LINK
    mac = _link_option(options, wanted) or frame.source
    sender, receiver, subject = (str(IPv6Address(address)) for address in (source, dest, target))
    if kind == SOLICITATION:
        return Arp("request", mac, sender, subject)
    named = "".join(name for bit, name in _FLAGS.items() if flags & bit)
    return Arp("reply", mac, subject, receiver, named)


_FLAGS = {0x80: "R", 0x40: "S", 0x20: "O"}
_IPV6_HEADER = 40  # bytes


def _link_option(options: bytes, wanted: int) -> str:
    """The MAC in an option of this type; empty if there is none."""
    at = 0
    while at + _OPTION <= len(options) and options[at + 1]:
        if options[at] == wanted:
            return options[at + 2 : at + _OPTION].hex(":")
        at += options[at + 1] * _OPTION
    return ""


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
        """The entries after the one with `serial` that are still kept."""
        with self._lock:
            return tuple(entry for entry in self._entries if entry.serial > serial)

    def forget(self) -> int:
        """Forget all entries; returns the newest serial, from which later ones continue."""
        with self._lock:
            self._entries.clear()
            return self._serial
