"""Captured frames as values: Ethernet, ARP, IPv4 and IPv6, IP in IP, TCP, UDP, ICMP, neighbour discovery.

Only what the view shows of a packet, and without Scapy: a busy lab captures thousands of frames a second.
Sources: RFC 791, 826, 768, 792, 2003, 2473, 4443, 4861, 8200, 9293.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, replace
from typing import Any

from director.formats.ipvsadm_words import endpoint

_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
_ICMP, _IPIP, _TCP, _UDP, _IPV6_IN_IP, _ICMP6 = 1, 4, 6, 17, 41, 58
_NAMES = {_ICMP: "ICMP", _IPIP: "IPIP", _TCP: "TCP", _UDP: "UDP", _IPV6_IN_IP: "IPv6", _ICMP6: "ICMPv6"}
_INNER = (_IPIP, _IPV6_IN_IP)
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _DESTINATION = 0, 43, 44, 60  # extension headers (RFC 8200)
_MOST_EXTENSIONS = 8
_KINDS = {
    _ICMP: {
        0: "echo reply",
        3: "destination unreachable",
        5: "redirect",
        8: "echo request",
        11: "time exceeded",
    },
    _ICMP6: {
        1: "destination unreachable",
        2: "packet too big",
        3: "time exceeded",
        128: "echo request",
        129: "echo reply",
        133: "router solicitation",
        134: "router advertisement",
        135: "neighbour solicitation",
        136: "neighbour advertisement",
        137: "redirect",
        143: "multicast listener report",
    },
}
_REASONS = {  # of "destination unreachable"
    _ICMP: {0: "network", 1: "host", 2: "protocol", 3: "port", 4: "fragmentation needed"},
    _ICMP6: {0: "no route", 1: "prohibited", 3: "address", 4: "port"},
}
_SOLICITATION, _ADVERTISEMENT = 135, 136
_LINK_LAYER = {_SOLICITATION: 1, _ADVERTISEMENT: 2}  # the option with the sender's or the target's MAC
_FLAGS = "FSRPAUEC"  # from the lowest bit
_OPERATIONS = {1: "request", 2: "reply"}
_SHOWN = 40  # characters of a payload's first line

_IP_HEADER = struct.Struct("!BBHHHBBxx4s4s")
_TCP_HEADER = struct.Struct("!HHIIBB")
_ARP_BODY = struct.Struct("!2xHxxH6s4s6s4s")


@dataclass(slots=True)
class Ip:
    src: str
    dst: str
    ttl: int
    protocol: str
    id: int | None  # None in IPv6
    length: int
    tos: int


@dataclass(slots=True)
class Segment:
    """What follows the innermost IP header; TCP's numbers are 0 in other protocols."""

    protocol: str
    sport: int
    dport: int
    flags: str = ""
    seq: int = 0
    ack: int = 0
    length: int = 0  # bytes of payload
    kind: str = ""  # ICMP: type and code, by name if known
    data: str = ""  # the first line of a text payload
    rest: bytes = b""  # TCP's window and options: with the sequence numbers, they identify a segment


@dataclass(slots=True)
class Arp:
    op: str
    sender_mac: str
    sender_ip: str
    target_ip: str


@dataclass(slots=True)
class Neighbour:
    """Neighbour discovery, IPv6's ARP: `mac` is the asking host's or the target's; "" if there is none."""

    op: str  # solicitation or advertisement
    target: str
    mac: str


@dataclass(slots=True)
class Frame:
    """A frame; the MACs are "" in the capture of a tunnel device. `outer` is a tunnel's IP header."""

    src: str
    dst: str
    type: int
    outer: Ip | None = None
    ip: Ip | None = None
    l4: Segment | None = None
    arp: Arp | None = None
    neighbour: Neighbour | None = None

    @property
    def is_unicast(self) -> bool:
        return bool(self.dst) and not int(self.dst[:2], 16) & 1


def dissect(raw: bytes, ethernet: bool) -> Frame | None:
    """The parsed frame; None if it is truncated before the first field shown, or of another protocol."""
    try:
        if not ethernet:
            frame = Frame("", "", _IPV6 if raw[0] >> 4 == 6 else _IPV4)
            body = raw
        else:
            frame = Frame(raw[6:12].hex(":"), raw[:6].hex(":"), int.from_bytes(raw[12:14], "big"))
            body = raw[14:]
        if frame.type == _ARP:
            frame.arp = _arp(body)
        elif frame.type == _IPV4:
            _ip(frame, body)
        elif frame.type == _IPV6:
            _ip6(frame, body)
        else:
            return None
    except (struct.error, IndexError, ValueError):
        return None
    return frame


def _arp(body: bytes) -> Arp:
    protocol, operation, sender_mac, sender_ip, _, target_ip = _ARP_BODY.unpack_from(body)
    if protocol != _IPV4:
        raise ValueError
    return Arp(
        _OPERATIONS.get(operation, str(operation)),
        sender_mac.hex(":"),
        socket.inet_ntoa(sender_ip),
        socket.inet_ntoa(target_ip),
    )


def _ip(frame: Frame, body: bytes) -> None:
    first, tos, length, number, fragment, ttl, protocol, src, dst = _IP_HEADER.unpack_from(body)
    size = (first & 15) * 4
    if first >> 4 != 4 or size < 20:
        raise ValueError
    header = Ip(
        *(socket.inet_ntoa(src), socket.inet_ntoa(dst), ttl, _NAMES.get(protocol, str(protocol))),
        *(number, length, tos),
    )
    if protocol in _INNER and frame.outer is None and not fragment & 0x1FFF:
        frame.outer = header
        _ip(frame, body[size:]) if protocol == _IPIP else _ip6(frame, body[size:])
        return
    frame.ip = header
    if fragment & 0x1FFF:
        frame.l4 = Segment(header.protocol, 0, 0, length=length - size, kind="fragment")
    else:
        frame.l4 = _segment(protocol, header.protocol, body[size:], length - size)


def _ip6(frame: Frame, body: bytes) -> None:
    if body[0] >> 4 != 6:
        raise ValueError
    length, protocol, hops = struct.unpack_from("!HBB", body, 4)
    src, dst = (socket.inet_ntop(socket.AF_INET6, body[at : at + 16]) for at in (8, 24))
    tos = (body[0] & 15) << 4 | body[1] >> 4
    protocol, size, is_fragment = _after_extensions(body, protocol)
    header = Ip(src, dst, hops, _NAMES.get(protocol, str(protocol)), None, length + 40, tos)
    if protocol in _INNER and frame.outer is None and not is_fragment:
        frame.outer = header
        _ip(frame, body[size:]) if protocol == _IPIP else _ip6(frame, body[size:])
        return
    frame.ip = header
    left = length + 40 - size
    if is_fragment:
        frame.l4 = Segment(header.protocol, 0, 0, length=left, kind="fragment")
        return
    frame.l4 = _segment(protocol, header.protocol, body[size:], left)
    if protocol == _ICMP6:
        frame.neighbour = _neighbour(body[size:])


def _after_extensions(body: bytes, protocol: int) -> tuple[int, int, bool]:
    """What follows the extension headers: protocol, offset in bytes, whether it is a later fragment."""
    size = 40
    for _ in range(_MOST_EXTENSIONS):
        if protocol in (_HOP_BY_HOP, _ROUTING, _DESTINATION):
            protocol, size = body[size], size + (body[size + 1] + 1) * 8
        elif protocol == _FRAGMENT:
            if int.from_bytes(body[size + 2 : size + 4], "big") >> 3:
                return body[size], size + 8, True
            protocol, size = body[size], size + 8
        else:
            break
    return protocol, size, False


def _neighbour(body: bytes) -> Neighbour | None:
    """RFC 4861, 4.3 and 4.4; None for any other message, or a truncated one."""
    kind = body[0]
    if kind not in _LINK_LAYER or len(body) < 24:
        return None
    mac, at = "", 24
    while len(body) >= at + 8 and body[at + 1]:
        if body[at] == _LINK_LAYER[kind]:
            mac = body[at + 2 : at + 8].hex(":")
        at += body[at + 1] * 8
    op = "solicitation" if kind == _SOLICITATION else "advertisement"
    return Neighbour(op, socket.inet_ntop(socket.AF_INET6, body[8:24]), mac)


def _segment(protocol: int, name: str, body: bytes, length: int) -> Segment:
    """`length` is the payload's from the IP header, in bytes: a capture truncates large packets."""
    if protocol == _TCP:
        sport, dport, seq, ack, offset, bits = _TCP_HEADER.unpack_from(body)
        size = (offset >> 4) * 4
        flags = "".join(letter for bit, letter in enumerate(_FLAGS) if bits >> bit & 1)
        payload, rest = max(0, length - size), body[14:16] + body[20:size]
        return Segment(name, sport, dport, flags, seq, ack, payload, data=_text(body[size:]), rest=rest)
    if protocol == _UDP:
        sport, dport = struct.unpack_from("!HH", body)
        return Segment(name, sport, dport, length=max(0, length - 8), data=_text(body[8:]))
    if protocol in _KINDS:
        return Segment(name, 0, 0, length=max(0, length - 8), kind=_kind(protocol, body[0], body[1]))
    return Segment(name, 0, 0, length=length)


def _kind(protocol: int, number: int, code: int) -> str:
    named = _KINDS[protocol].get(number)
    if named is None:
        return f"type {number} code {code}"
    reason = _REASONS[protocol].get(code) if named == "destination unreachable" else None
    return f"{named} ({reason})" if reason else named


def _text(payload: bytes) -> str:
    """The first line of a payload if it is printable, else ""; the page never interprets it."""
    line = payload[:_SHOWN].split(b"\r\n")[0]
    return line.decode("ascii") if line and all(32 <= byte < 127 for byte in line) else ""


def in_words(frame: Frame) -> str:
    """One line, much as tcpdump(8) prints it."""
    if frame.arp:
        if frame.arp.op == "request":
            return f"ARP who has {frame.arp.target_ip}? tell {frame.arp.sender_ip}"
        return f"ARP {frame.arp.op}: {frame.arp.sender_ip} is at {frame.arp.sender_mac}"
    ip, l4, near = frame.ip, frame.l4, frame.neighbour
    if ip is None or l4 is None:
        return f"EtherType 0x{frame.type:04x}"
    tunnel = f"{frame.outer.src} > {frame.outer.dst} {frame.outer.protocol}: " if frame.outer else ""
    if near:
        if near.op == "solicitation":
            return f"{tunnel}ICMPv6 neighbour solicitation: who has {near.target}? tell {ip.src}"
        at = f" is at {near.mac}" if near.mac else f", from {ip.src}"
        return f"{tunnel}ICMPv6 neighbour advertisement: {near.target}{at}"
    if l4.sport or l4.dport:
        ends = f"{endpoint(ip.src, l4.sport)} > {endpoint(ip.dst, l4.dport)}"
    else:
        ends = f"{ip.src} > {ip.dst}"
    what = f" [{l4.flags}]" if l4.flags else f" {l4.kind}" if l4.kind else ""
    data = f": {l4.data}" if l4.data else f", {l4.length} bytes" if l4.length else ""
    return f"{tunnel}{l4.protocol} {ends}{what}{data}"


_SHOWN_OF_L4 = tuple(name for name in Segment.__slots__ if name != "rest")


def as_json(frame: Frame) -> dict[str, Any]:
    """The frame as the page receives it."""
    l4 = frame.l4
    return {
        "frame": {"src": frame.src, "dst": frame.dst, "type": frame.type},
        "outer": _fields(frame.outer),
        "ip": _fields(frame.ip),
        "l4": None
        if l4 is None
        else {name: getattr(l4, name) for name in _SHOWN_OF_L4 if getattr(l4, name) != ""},
        "arp": _fields(frame.arp),
        **({"neighbour": _fields(frame.neighbour)} if frame.neighbour else {}),
        "text": in_words(frame),
    }


def _fields(header: Any) -> Any:
    return None if header is None else {name: getattr(header, name) for name in header.__slots__}


def differences(before: Frame, after: Frame) -> list[str]:
    """The fields of `after` that differ from the hop before."""
    found = []
    for name in ("src", "dst"):
        old, new = getattr(before, name), getattr(after, name)
        if old and new and old != new:
            found.append(f"frame.{name}")
    if _is_another_tunnel(before.outer, after.outer):
        found.append("outer")
    if before.ip and after.ip:
        found += _changed("ip", before.ip, after.ip, ("src", "dst", "ttl", "tos", "length"))
    if before.l4 and after.l4:
        found += _changed("l4", before.l4, after.l4, ("sport", "dport", "seq", "ack", "flags"))
    return found


def _is_another_tunnel(before: Ip | None, after: Ip | None) -> bool:
    """Whether the tunnel header was added, removed or changed, apart from its TTL, which routers lower."""
    if before is None or after is None:
        return before is not after
    return replace(before, ttl=0) != replace(after, ttl=0)


def _changed(header: str, before: Any, after: Any, names: tuple[str, ...]) -> list[str]:
    return [f"{header}.{name}" for name in names if getattr(before, name) != getattr(after, name)]
