"""Where the packets of trials pass: a packet socket on every interface, filtered to these packets.

It is like a tcpdump on all hosts at once, with a filter in the kernel that accepts packets with a port of the
trials, also inside a tunnel, ICMP errors, and ARP, which precedes everything. The sockets see a frame before
netfilter and routing: a packet that was seen coming in, but not going out again, was lost in that host.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import pairwise, repeat

from director.formats.ipvsadm_words import endpoint
from doctor.state import (
    FAILED,
    IN,
    NOTHING,
    OTHERS,
    OUT,
    REFUSED,
    RESET,
    UNREACHABLE,
    WRONG_SERVER,
    Sighting,
    Trial,
)

_ETH_P_ALL = 0x0003  # only a socket for all protocols sees packets that the host sends
_ETH_P_IP, _ETH_P_ARP, _ETH_P_IPV6 = 0x0800, 0x0806, 0x86DD
_ARP = struct.Struct("!HHBBH6s4s6s4s")  # RFC 826
_REQUEST, _REPLY = 1, 2
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 26, 33, 35  # asm-generic/socket.h
_BUFFER = 2**20  # bytes: packets are read only after the trials have ended
_OTHERHOST, _OUTGOING = 3, 4  # linux/if_packet.h
_ICMP, _IPIP, _TCP, _IPV6, _ICMPV6 = 1, 4, 6, 41, 58
_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10
_ERRORS = {3: "ICMP unreachable", 4: "ICMP source quench", 5: "ICMP redirect", 11: "ICMP time exceeded"}
_ERRORS6 = {1: "ICMP unreachable", 2: "ICMP packet too big", 3: "ICMP time exceeded"}
_TOO_BIG = 4  # code of type 3
_HEADER6 = 40  # bytes
_UNSPECIFIED = "::"  # the source while an address is being tested (RFC 4862, DAD)
_SNAP = 200  # bytes
_SYNS, _SYN_ACKS, _DATA, LONG_DATA = "SYN", "SYN+ACK", "data", "long data"
LOST_ACK = "lost ACK"
# A host asks for a MAC address, and another tells it: in ARP, or in neighbour discovery (RFC 4861).
ASKS, TELLS = ("ARP request", "neighbour solicitation"), ("ARP reply", "neighbour advertisement")
_ND = {135: ASKS[1], 136: TELLS[1]}  # ICMPv6 types
_ND_TARGET = slice(48, 64)  # of the packet
_LONG = 1_000  # bytes of a TCP segment
_MOST = 40  # sightings kept of one trial

Inside = Callable[[str, Callable[[], socket.socket]], socket.socket]  # runs a function on a host


class Watch:
    """Watches `interfaces`, pairs of host and interface, from `begin` on, as far as they can be opened."""

    def __init__(self, interfaces: Iterable[tuple[str, str]], inside: Inside) -> None:
        self._ports: Collection[int] = ()
        self._interfaces = tuple(interfaces)
        self._inside = inside
        self._open: dict[tuple[str, str], socket.socket] = {}
        self._stack = ExitStack()
        self._packets: list[tuple[float, str, str, str, bytes]] = []  # time, host, interface, way, data

    def __enter__(self) -> Watch:
        return self

    def begin(self, ports: Collection[int]) -> None:
        """Begin to record packets with one of these ports."""
        self._ports = frozenset(ports)
        program = _filter(self._ports)
        for host, interface in self._interfaces:
            with suppress(OSError):
                opened = self._inside(host, lambda name=interface: _listen(name, program))  # type: ignore[misc]
                self._open[host, interface] = self._stack.enter_context(opened)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stack.close()

    def sightings(self) -> dict[int, tuple[Sighting, ...]]:
        """By the trial's port, in order of time; identical packets on the same interface only once."""
        return {
            port: (*tuple(dict.fromkeys(passed))[:_MOST], *filter(None, (lost_ack(passed, port),)))
            for port, passed in self.passed().items()
        }

    def watches(self, host: str) -> bool:
        return any(name == host for name, _ in self._open)

    def unanswered(self, host: str) -> tuple[Sighting, ...]:
        """Where the host's first unanswered ARP request (in IPv6, solicitation) and a lost reply passed."""
        arp = dict.fromkeys(filter(None, (_arp(*packet[1:]) for packet in self._packets)))
        asked = [packet for packet in arp if (packet.host, packet.way) == (host, OUT) and packet.what in ASKS]
        answered = {
            packet.source
            for packet in arp
            if (packet.host, packet.way) == (host, IN) and packet.what in TELLS
        }
        for first in asked:
            if first.dest not in answered and first.source not in (first.dest, _UNSPECIFIED):
                ends = ((ASKS, (first.source, first.dest)), (TELLS, (first.dest, first.source)))
                return tuple(
                    packet
                    for packet in arp
                    if any(packet.what in what and (packet.source, packet.dest) == end for what, end in ends)
                )
        return ()

    def passed(self) -> dict[int, list[Sighting]]:
        """Every packet so far, by the trial's port, in order of time."""
        self._packets += [
            (at, host, interface, way, data)
            for (host, interface), opened in self._open.items()
            for at, way, data in _received(opened)
        ]
        self._packets.sort(key=lambda packet: packet[0])
        found: dict[int, list[Sighting]] = {}
        for _, host, interface, way, data in self._packets:
            port, sighting = parse(host, interface, way, data, self._ports)
            if sighting:
                found.setdefault(port, []).append(sighting)
        return found


def lost(passed: Sequence[Sighting]) -> Sighting | None:
    """The last place where a served trial's lost and retransmitted packet was seen; None if none was lost.

    It is lost between two places on the path if fewer packets pass the second, and none did before the first
    saw the retransmission. A packet that is merely late passes both equally often.
    """
    for what in (_SYNS, _SYN_ACKS, _DATA):
        places = list(
            dict.fromkeys(sighting for sighting in passed if sighting.what == what and sighting.way != OTHERS)
        )
        for place, after in pairwise(places):
            if passed.count(after) < passed.count(place) and not _between(passed, place, after):
                return place
        if what == _SYNS and places and passed.count(places[-1]) > 1:
            answers = [
                sighting
                for sighting in passed
                if sighting.what == _SYN_ACKS and sighting.host == places[-1].host
            ]
            if answers and not _between(passed, places[-1], answers[0]):
                return places[-1]
    return None


_ENDS = {
    **dict.fromkeys((REFUSED, UNREACHABLE), ("RST", "ICMP")),
    RESET: ("RST", "FIN", "ICMP"),
    **dict.fromkeys((FAILED, WRONG_SERVER), (_DATA, LONG_DATA)),
}


def last_seen(trial: Trial) -> Sighting | None:
    """The last place where a packet of a failed trial was seen: of its request, or of the reply, if any.

    For a refusal, a reset or an error in the answer, it is the place where that came from; likewise for an
    incomplete answer, unless the client's acknowledgements were lost. If a packet was not forwarded because
    ARP failed, it is the last place of the ARP packets.
    """
    seen = [sighting for sighting in trial.seen if sighting.way != OTHERS]
    ends = _ENDS.get(trial.outcome, ())
    for sighting in seen:
        if sighting.what.startswith(ends) and not _is_from(trial, sighting):
            return sighting
    answers = [sighting for sighting in seen if sighting.what == LONG_DATA and not _is_from(trial, sighting)]
    for kinds in ((*ASKS, *TELLS), (_DATA, LONG_DATA), (_SYN_ACKS,), (_SYNS,), (NOTHING,)):
        passed = [sighting for sighting in seen if sighting.what in kinds]
        if passed:
            passed = answers if answers and _DATA in kinds else passed
            has_come = _DATA in kinds and (passed[-1].host, passed[-1].way) == (trial.host, IN)
            sent = (sighting for sighting in passed if sighting.source == passed[-1].source)
            lost = (sighting for sighting in seen if sighting.what == LOST_ACK)
            return next(lost, next(sent)) if has_come else passed[-1]
    return None


def _is_from(trial: Trial, sighting: Sighting) -> bool:
    """Whether the client sent the packet, which may be a request as large as long data."""
    return sighting.source.endswith(f":{trial.source_port}")


def lost_ack(passed: Iterable[Sighting], port: int) -> Sighting | None:
    """The last place where a client's acknowledgements from `port` were seen before they were lost."""
    places: dict[tuple[str, str, str], list[Sighting]] = {}
    for sighting in passed:
        if sighting.what == "ACK" and sighting.source.endswith(f":{port}") and sighting.way != OTHERS:
            places.setdefault((sighting.host, sighting.interface, sighting.way), []).append(sighting)
    for here, there in pairwise(places.values()):
        if len(there) < len(here):
            return replace(here[0], what=LOST_ACK)
    return None


def _between(passed: Sequence[Sighting], place: Sighting, after: Sighting) -> bool:
    """Whether a packet passed `after` before the second one passed `place`."""
    first = passed.index(place)
    return after in passed[first : passed.index(place, first + 1)]


def _arp(host: str, interface: str, way: str, data: bytes) -> Sighting | None:
    """The packet of ARP or neighbour discovery; None for any other packet."""
    if len(data) >= _ND_TARGET.stop and (data[0] >> 4, data[6]) == (6, _ICMPV6) and data[_HEADER6] in _ND:
        what = _ND[data[_HEADER6]]
        asker = data[8:24] if what in ASKS else data[24:40]  # the source of one, the destination of the other
        ends = [socket.inet_ntop(socket.AF_INET6, address) for address in (asker, data[_ND_TARGET])]
        return Sighting(host, interface, way, what, *(ends if what in ASKS else reversed(ends)))
    if len(data) < _ARP.size or data[0] >> 4:
        return None
    *_, operation, _, source, _, dest = _ARP.unpack_from(data)
    told = {_REQUEST: ASKS[0], _REPLY: TELLS[0]}.get(operation)
    return Sighting(host, interface, way, told, *map(socket.inet_ntoa, (source, dest))) if told else None


def _listen(interface: str, program: bytes) -> socket.socket:
    """A packet socket that receives IP packets without link-layer headers. Raises OSError."""
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
    try:
        buffer = ctypes.create_string_buffer(program)
        argument = struct.pack("HL", len(program) // 8, ctypes.addressof(buffer))
        opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, argument)
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        with suppress(OSError):  # without root, the system's default stays
            opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        opened.bind((interface, _ETH_P_ALL))
    except OSError:
        opened.close()
        raise
    return opened


_LDB, _LDH, _LDH_X, _LDX, _LDX_IHL = 0x30, 0x28, 0x48, 0x01, 0xB1  # linux/bpf_common.h
_TXA, _ADD, _TAX = 0x87, 0x04, 0x07
_JA, _JEQ, _RET = 0x05, 0x15, 0x06
_PROTOCOL = 0xFFFFF000  # SKF_AD_OFF + SKF_AD_PROTOCOL (linux/filter.h): the EtherType
_NO, _YES, _PORTS = "no", "yes", "ports"
_Instruction = tuple[int, str, str, int]  # code, targets if true and if false ("": next instruction), k


def _filter(ports: Iterable[int]) -> bytes:
    """A classic BPF program that accepts ARP, ICMP, and TCP with one of `ports`, also in a tunnel.

    X is the offset of the TCP header. In a tunnel IP options are not supported, nor are IPv6 extension
    headers.
    """
    places: dict[str, int] = {}
    program: list[_Instruction] = []

    def add(label: str, *instructions: _Instruction) -> None:
        places[label] = len(program)
        program.extend(instructions)

    add("", (_LDH, "", "", _PROTOCOL), (_JEQ, _YES, "", _ETH_P_ARP))
    program.extend(((_JEQ, "ipv4", "", _ETH_P_IP), (_JEQ, "ipv6", _NO, _ETH_P_IPV6)))
    add("ipv4", (_LDB, "", "", 9), (_JEQ, _YES, "", _ICMP), (_LDX_IHL, "", "", 0))
    program.extend(((_JEQ, _PORTS, "", _TCP), (_JEQ, "", _NO, _IPIP)))
    program.extend(((_TXA, "", "", 0), (_ADD, "", "", 20), (_TAX, "", "", 0), (_JA, _PORTS, "", 0)))
    add("ipv6", (_LDB, "", "", 6), (_JEQ, _YES, "", _ICMPV6), (_LDX, "", "", _HEADER6))
    program.extend(((_JEQ, _PORTS, "", _TCP), (_LDX, "", "", 2 * _HEADER6), (_JEQ, _PORTS, _NO, _IPV6)))
    add(_NO, (_RET, "", "", 0))
    add(_YES, (_RET, "", "", 0xFFFF))
    add(_PORTS)
    for place in (0, 2):  # source, destination; each port returns by itself, as jumps cannot reach far
        program.append((_LDH_X, "", "", place))
        for port in ports:
            add(f"{place} {port}", (_JEQ, "", f"{place} not {port}", port), (_RET, "", "", 0xFFFF))
            add(f"{place} not {port}")
    program.append((_RET, "", "", 0))
    return b"".join(map(_packed, range(len(program)), program, repeat(places)))


def _packed(at: int, instruction: _Instruction, places: Mapping[str, int]) -> bytes:
    code, true, false, k = instruction
    if code == _JA:
        return struct.pack("HBBI", code, 0, 0, places[true] - at - 1)
    return struct.pack("HBBI", code, *(places[to] - at - 1 if to else 0 for to in (true, false)), k)


def _received(opened: socket.socket) -> Iterator[tuple[float, str, bytes]]:
    """(time, direction, packet) for everything that has been received."""
    while True:
        try:
            data, ancillary, _, address = opened.recvmsg(_SNAP, 64)
        except OSError:
            return
        seconds, nanoseconds = next(
            (struct.unpack("qq", value) for _, kind, value in ancillary if kind == _SO_TIMESTAMPNS), (0, 0)
        )
        way = {_OUTGOING: OUT, _OTHERHOST: OTHERS}.get(address[2], IN)
        yield seconds + nanoseconds / 1e9, way, data


def parse(
    host: str, interface: str, way: str, data: bytes, ports: Collection[int], tunnel: str = ""
) -> tuple[int, Sighting | None]:
    """The trial's port, and the packet as a sighting; 0 and None if it belongs to no trial."""
    version = data[0] >> 4 if data else 0
    if len(data) < {4: 20, 6: _HEADER6}.get(version, len(data) + 1):
        return 0, None
    header, protocol = (_HEADER6, data[6]) if version == 6 else ((data[0] & 15) * 4, data[9])
    size, family, first = (16, socket.AF_INET6, 8) if version == 6 else (4, socket.AF_INET, 12)
    source, dest = (socket.inet_ntop(family, data[at : at + size]) for at in (first, first + size))
    rest = data[header:]
    if protocol in (_IPIP, _IPV6) and not tunnel:
        return parse(host, interface, way, rest, ports, tunnel=dest)
    errors = {_ICMP: _ERRORS, _ICMPV6: _ERRORS6}.get(protocol, {})
    if len(rest) > 8 and rest[0] in errors:
        port, quoted = parse(host, interface, way, rest[8:], ports)
        is_too_big = (protocol, rest[0], rest[1]) == (_ICMP, 3, _TOO_BIG)
        what = "ICMP fragmentation needed" if is_too_big else errors[rest[0]]
        return port, quoted and Sighting(host, interface, way, what, source, dest, tunnel)
    if protocol != _TCP or len(rest) < 4:
        return 0, None
    ends = struct.unpack("!HH", rest[:4])
    port = next((end for end in ends if end in ports), 0)
    length = int.from_bytes(data[4:6], "big") if version == 6 else int.from_bytes(data[2:4], "big") - header
    from_there, to = endpoint(source, ends[0]), endpoint(dest, ends[1])
    sighting = Sighting(host, interface, way, _name(rest, length), from_there, to, tunnel)
    return (port, sighting) if port else (0, None)


def _name(tcp: bytes, length: int) -> str:
    """The kind of a TCP segment; `length` is in bytes, with the TCP header."""
    if len(tcp) < 14:
        return "TCP"
    flags = tcp[13]
    if flags & _RST:
        return "RST"
    if flags & _SYN:
        return _SYN_ACKS if flags & _ACK else _SYNS
    if length > (tcp[12] >> 4) * 4:
        return LONG_DATA if length > _LONG else _DATA
    return "FIN" if flags & _FIN else "ACK"
