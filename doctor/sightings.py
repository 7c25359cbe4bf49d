"""Where the packets of trials pass: a packet socket on every interface, which keeps nothing else.

Like a tcpdump on all hosts at once, with a filter in the kernel that passes what has a source port of the
trials, also inside a tunnel, and ICMP errors. The sockets see a frame before netfilter and routing: a packet
that was seen coming in, and not going out again, was lost in that host.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import pairwise

from director.formats.ipvsadm_words import endpoint
from doctor.state import IN, OTHERS, OUT, Sighting

_ETH_P_ALL = 0x0003  # only a socket for all protocols sees what a host sends
_ETH_P_IP, _ETH_P_IPV6 = 0x0800, 0x86DD
_SO_ATTACH_FILTER, _SO_TIMESTAMPNS = 26, 35  # asm-generic/socket.h
_OTHERHOST, _OUTGOING = 3, 4  # linux/if_packet.h
_ICMP, _IPIP, _TCP, _IPV6, _ICMPV6 = 1, 4, 6, 41, 58
_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10
_ERRORS = {3: "ICMP unreachable", 4: "ICMP source quench", 5: "ICMP redirect", 11: "ICMP time exceeded"}
_ERRORS6 = {1: "ICMP unreachable", 2: "ICMP packet too big", 3: "ICMP time exceeded"}
_TOO_BIG = 4  # code of type 3
_HEADER6 = 40  # bytes
_SNAP = 200  # bytes
_SYNS, _SYN_ACKS, _DATA = "SYN", "SYN+ACK", "data"
_MOST = 40  # sightings of one trial

Inside = Callable[[str, Callable[[], socket.socket]], socket.socket]  # runs a function on a host


class Watch:
    """Watches `interfaces`, pairs of host and interface, while entered; those that can't be are left out."""

    def __init__(self, ports: range, interfaces: Iterable[tuple[str, str]], inside: Inside) -> None:
        self._ports = ports
        self._interfaces = tuple(interfaces)
        self._inside = inside
        self._open: dict[tuple[str, str], socket.socket] = {}
        self._stack = ExitStack()
        self._packets: list[tuple[float, str, str, str, bytes]] = []

    def __enter__(self) -> Watch:
        for host, interface in self._interfaces:
            with suppress(OSError):
                opened = self._inside(host, lambda name=interface: _listen(name, self._ports))  # type: ignore[misc]
                self._open[host, interface] = self._stack.enter_context(opened)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stack.close()

    def sightings(self) -> dict[int, tuple[Sighting, ...]]:
        """By the trial's port, in the order of time; what was the same on the same interface only once."""
        return {port: tuple(dict.fromkeys(each))[:_MOST] for port, each in self.passed().items()}

    def passed(self) -> dict[int, list[Sighting]]:
        """By the trial's port, every packet so far, in the order of time."""
        self._packets += [
            (at, host, interface, way, data)
            for (host, interface), one in self._open.items()
            for at, way, data in _received(one)
        ]
        self._packets.sort(key=lambda packet: packet[0])
        found: dict[int, list[Sighting]] = {}
        for _, host, interface, way, data in self._packets:
            port, sighting = parse(host, interface, way, data, self._ports)
            if sighting:
                found.setdefault(port, []).append(sighting)
        return found


def lost(passed: Sequence[Sighting]) -> Sighting | None:
    """The last place of a packet of a served trial that was lost, and sent again; None if none was.

    Between two places on its way, fewer pass the second one, and none did before the first one saw the packet
    again. A packet that is merely late passes both as often.
    """
    for what in (_SYNS, _SYN_ACKS, _DATA):
        places = list(dict.fromkeys(one for one in passed if one.what == what and one.way != OTHERS))
        for place, after in pairwise(places):
            if passed.count(after) < passed.count(place) and not _between(passed, place, after):
                return place
        if what == _SYNS and places and passed.count(places[-1]) > 1:
            answers = [one for one in passed if one.what == _SYN_ACKS and one.host == places[-1].host]
            if answers and not _between(passed, places[-1], answers[0]):
                return places[-1]
    return None


def _between(passed: Sequence[Sighting], place: Sighting, after: Sighting) -> bool:
    """Whether a packet passed `after` before the second one passed `place`."""
    first = passed.index(place)
    return after in passed[first : passed.index(place, first + 1)]


def _listen(interface: str, ports: range) -> socket.socket:
    """A packet socket that gets IP packets without their frames. Raises OSError."""
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
    try:
        program = _filter(ports)
        buffer = ctypes.create_string_buffer(program)
        argument = struct.pack("HL", len(program) // 8, ctypes.addressof(buffer))
        opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, argument)
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        opened.bind((interface, _ETH_P_ALL))
    except OSError:
        opened.close()
        raise
    return opened


_LDB, _LDH, _LDX_IHL, _LDH_X = 0x30, 0x28, 0xB1, 0x48  # linux/bpf_common.h
_JEQ, _JGT, _JGE, _RET = 0x15, 0x25, 0x35, 0x06
_PROTOCOL = 0xFFFFF000  # SKF_AD_OFF + SKF_AD_PROTOCOL (linux/filter.h): the EtherType


_NO, _YES = "no", "yes"
_Instruction = tuple[int, str, str, int]  # code, where to go on if true and if false ("": the next), k


def _filter(ports: range) -> bytes:
    """A classic BPF program: ICMP, or TCP with one of `ports`, or that in a tunnel; without IP options there.

    In IPv6 extension headers are not walked.
    """
    places: dict[str, int] = {}
    program: list[_Instruction] = []

    def add(label: str, *instructions: _Instruction) -> None:
        places[label] = len(program)
        program.extend(instructions)

    def ends(label: str, load: int, at: int) -> None:
        """Both ports of a TCP header that begins there."""
        for number, place in enumerate((at, at + 2)):
            other = _NO if number else f"{label}'"
            add(f"{label}'" if number else label, (load, "", "", place))
            program.extend(((_JGE, "", other, ports.start), (_JGT, other, _YES, ports.stop - 1)))

    add("", (_LDH, "", "", _PROTOCOL), (_JEQ, "ipv4", "", _ETH_P_IP), (_JEQ, "ipv6", _NO, _ETH_P_IPV6))
    add("ipv4", (_LDB, "", "", 9), (_JEQ, _YES, "", _ICMP), (_LDX_IHL, "", "", 0))
    program.extend(((_JEQ, "tcp", "", _TCP), (_JEQ, "ipip", _NO, _IPIP)))
    ends("tcp", _LDH_X, 0)
    ends("ipip", _LDH_X, 20)
    add("ipv6", (_LDB, "", "", 6), (_JEQ, _YES, "", _ICMPV6), (_JEQ, "tcp6", "", _TCP))
    program.append((_JEQ, "ip6ip6", _NO, _IPV6))
    ends("tcp6", _LDH, _HEADER6)
    ends("ip6ip6", _LDH, 2 * _HEADER6)
    add(_NO, (_RET, "", "", 0))
    add(_YES, (_RET, "", "", 0xFFFF))
    return b"".join(
        struct.pack("HBBI", code, *(places[to] - at - 1 if to else 0 for to in (true, false)), k)
        for at, (code, true, false, k) in enumerate(program)
    )


def _received(opened: socket.socket) -> Iterator[tuple[float, str, bytes]]:
    """When, which way, and the packet; all that has been received."""
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
    host: str, interface: str, way: str, data: bytes, ports: range, tunnel: str = ""
) -> tuple[int, Sighting | None]:
    """The trial's port, and the packet as it is told; 0 and None if it is not of a trial."""
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
    port = next((one for one in ends if one in ports), 0)
    length = int.from_bytes(data[4:6], "big") if version == 6 else int.from_bytes(data[2:4], "big") - header
    from_there, to = endpoint(source, ends[0]), endpoint(dest, ends[1])
    sighting = Sighting(host, interface, way, _name(rest, length), from_there, to, tunnel)
    return (port, sighting) if port else (0, None)


def _name(tcp: bytes, length: int) -> str:
    """What kind of TCP segment: `length` is in bytes, with its header."""
    if len(tcp) < 14:
        return "TCP"
    flags = tcp[13]
    if flags & _RST:
        return "RST"
    if flags & _SYN:
        return _SYN_ACKS if flags & _ACK else _SYNS
    if length > (tcp[12] >> 4) * 4:
        return _DATA
    return "FIN" if flags & _FIN else "ACK"
