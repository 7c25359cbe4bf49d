"""The engine: a frame comes in, the core decides, a frame goes out.

Here are the main path and its counters; what is done on the way is in the other modules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from selectors import EVENT_READ, BaseSelector
from typing import TYPE_CHECKING, Any, ClassVar

from director.core.connections import ConnectionTable, Tables
from director.core.decision import Decision, Drop, Forward, Pass, Reject
from director.core.fragments import LATE, Reassembly
from director.core.icmp import IPIP_HEADER, NOT_REASSEMBLED, TIME_EXCEEDED
from director.core.packet import HEADER, TCP, UDP, Packet
from director.core.persistence import Templates
from director.core.real_server import Method
from director.engines.engine import EngineError
from director.engines.failures import Failures
from director.engines.interfaces import is_local
from director.engines.scapy import dr, nat, tun
from director.engines.scapy.answers import answer, may_be_told
from director.engines.scapy.datagram import Datagram, Malformed
from director.engines.scapy.fragments import pieces, whole
from director.engines.scapy.kernel import Kernel
from director.engines.scapy.layers import ARP, IP
from director.engines.scapy.limits import Limits
from director.engines.scapy.local_node import LocalNode
from director.engines.scapy.neighbours import Neighbours
from director.engines.scapy.options import passed_on
from director.engines.scapy.parse import parse, tunnelled
from director.engines.scapy.routes import NextHop, Routes
from director.engines.scapy.wire import ALL, Wire

if TYPE_CHECKING:
    from director.core.director import Director

Decide = Callable[[Packet, float], Decision]
METHODS: Mapping[Method, Callable[[Datagram, Forward, str], bytes]] = {
    Method.NAT: nat.rewrite,
    Method.TUN: tun.rewrite,
    Method.DR: dr.rewrite,
}

_IPV4, _ARP = b"\x08\x00", b"\x08\x06"  # EtherTypes
_ETHERNET, _ARP_PACKET = 14, 28  # bytes
_LONGEST = 65535  # bytes of an IP packet
_ARP_START = bytes.fromhex("000108000604")  # Ethernet and IPv4, with addresses of 6 and 4 bytes
_AT_ONCE = 64  # frames of one interface before another gets its turn
_ARRIVALS, _FEW = 32, 1  # of them SYNs, at most: as a rule, and while other packets wait
_COUNTED = ("in", "out", "malformed", "dropped", "answered", "local", "lost", "shed", "missed")


class ScapyEngine:
    """Forwards between `interfaces` in this process: one packet after the other."""

    explains: ClassVar[bool] = True

    def __init__(self, interfaces: Sequence[str], clock: Callable[[], float], hears: int = ALL) -> None:
        """`hears` is the EtherType of the frames that it listens for. Raises EngineError."""
        self._clock = clock
        self._counters: Counter[str] = Counter(dict.fromkeys(_COUNTED, 0))
        self._wires = [Wire(interface, hears) for interface in interfaces]
        self.routes = Routes(self._wires)
        self._neighbours = Neighbours(partial(self._count, "lost"))
        self._kernel = Kernel(interfaces)
        self._local_node = LocalNode()
        self._limits = Limits()
        self._failures = Failures()
        self._fragments = Reassembly(self._give_up)
        self._is_ready = False  # for rules that are about to change

    def use_redirect_peer(self) -> None:
        raise EngineError("The engine scapy has no short cut: leave out --short-cut.")

    def tables(self, bits: int, limit: int) -> Tables:  # noqa: ARG002
        return Tables(ConnectionTable(bits), Templates())

    def start(self, director: Director, selector: BaseSelector, decide: Decide | None = None) -> None:
        """Raises EngineError.

        Another engine that has one inside asks the director itself, by `decide`; it also keeps from the
        kernel what is for a VIP.
        """
        self._director = director
        self._ask = decide or director.decide
        self._kernel.start()
        if decide is None:
            self._kernel.keep_out_of(set())
        self.routes.refresh()
        selector.register(self.routes, EVENT_READ, self._network_changed)
        for wire in self._wires:
            for source in wire.sources:
                selector.register(source, EVENT_READ, partial(self._drain, wire))

    def _network_changed(self) -> None:
        """Links, addresses or routes; behind an interface that was made anew, nobody is known yet."""
        before = [wire.index for wire in self._wires]
        self.routes.changed()
        for wire, index in zip(self._wires, before, strict=True):
            if wire.index != index:
                self._neighbours.forget(wire)

    def mtu_of(self, address: str) -> int:
        return self.routes.mtu_of(address)

    def is_local(self, address: str) -> bool:
        return is_local(address)

    def route_to(self, address: str) -> Mapping[str, str]:
        hop = self.routes.lookup(address)
        if hop is None:
            return {}
        return {
            "interface": hop.wire.interface,
            "source": hop.source,
            "next_hop": hop.address,
            "source_mac": hop.wire.mac,
            "dest_mac": self._neighbours.mac_of(hop),
        }

    def sync_schedulers(self) -> None:
        """Nothing to do: the core schedules."""

    def prepare_rules(self, vips: set[str]) -> Iterator[None]:
        yield from self._kernel.keep_out_in_steps(vips)
        self._is_ready = True

    def install_rules(self) -> None:
        """Only the local node's ports are left to do, but for rules that nobody has announced."""
        is_ready, self._is_ready = self._is_ready, False
        self.redirect()
        if not is_ready:
            self._kernel.keep_out_of(self._director.rules.vips())

    def redirect(self) -> None:
        """Let the local node have ports of its own. Raises EngineError."""
        self._local_node.redirect(self._director.rules)

    def tick(self, now: float) -> None:
        self._neighbours.tick(now)
        self.routes.tick(now)
        self._fragments.tick(now)
        self._note_overflow()

    def _note_overflow(self) -> None:
        """Count what had no room in the kernel's queues, and tell of a flood."""
        for wire in self._wires:
            shed, missed = wire.overflow()
            self._count("shed", shed)
            self._count("missed", missed)
            if shed:
                about = partial(dict[str, Any], interface=wire.interface, syns=shed)
                self._director.trace.emit("shed", self._clock(), about)

    def sync_counters(self, *, wait: bool) -> None:
        """Nothing to do: the core has counted."""

    def connections(self, now: float) -> Iterator[dict[str, Any]]:
        return self._director.listing(now)

    def counters(self) -> Mapping[str, int]:
        return {**self._counters, "failed": self._failures.count}

    def close(self) -> None:
        self._local_node.close()
        self._kernel.close()
        self.routes.close()
        while self._wires:
            self._wires.pop().close()

    # ---- in ----

    def _drain(self, wire: Wire) -> None:
        """Take what has come in on a wire, but not so much that others starve."""
        few = any(each.is_behind for each in self._wires)
        for frame in wire.frames(_AT_ONCE, _FEW if few else _ARRIVALS):
            self._survive(wire, frame)

    def take(self, frame: bytes) -> None:
        """A frame that has come in on one of the wires, but was handed over by somebody else."""
        for wire in self._wires:
            if frame[:6] == wire.hardware:
                self._survive(wire, frame)
                return

    def _survive(self, wire: Wire, frame: bytes) -> None:
        """Whatever a frame says, the next one is looked at."""
        try:
            self._receive(wire, frame)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is counted and told)
            with suppress(Exception):  # what can't be told is counted all the same
                self._failures.note(error, frame, self._tell_failure)

    def _tell_failure(self, about: Mapping[str, Any]) -> None:
        self._director.trace.emit("failed", self._clock(), lambda: about)

    def _receive(self, wire: Wire, frame: bytes) -> None:
        kind, packet = frame[12:_ETHERNET], frame[_ETHERNET:]
        if kind == _IPV4 and frame[:6] == wire.hardware:
            self._count("in")
            try:
                self._decide(packet)
            except Malformed:
                self._count("malformed")
        elif kind == _ARP and packet.startswith(_ARP_START) and len(packet) >= _ARP_PACKET:
            self._neighbours.heard(wire, ARP(packet[:_ARP_PACKET]), self._clock())

    def _decide(self, data: bytes, longest: int = 0) -> None:
        """Ask the core about an IP packet that was sent to this machine, and do as it says.

        One that was put together here has come in fragments of at most `longest` bytes.
        """
        datagram = Datagram(data)
        packet = parse(datagram)
        if longest:
            packet = replace(packet, largest_fragment=longest)
        decision = self._ask(packet, self._clock())
        if isinstance(decision, Reject | Drop) and decision.path_mtu:
            self.routes.learn_mtu(*decision.path_mtu, self._clock())
        if isinstance(decision, Forward):
            if decision.method is Method.LOCAL:
                self._give(data[: packet.length])
            else:
                if datagram.options:
                    datagram = self._fill_in(data[: packet.length], packet, decision.vip)
                self._forward(datagram, decision, packet)
        elif isinstance(decision, Reject):
            self._answer(decision, tunnelled(datagram.rest) if decision.tunnelled else data[: packet.length])
        elif isinstance(decision, Pass):
            self._leave(packet, data[: packet.length])
        elif decision.awaits_reassembly:
            self._gather(packet, data[: packet.length])
        else:
            self._count("dropped")

    def _fill_in(self, data: bytes, packet: Packet, vip: str) -> Datagram:
        """The packet `data` with the director's part in its IP options, as the VIP.

        As in the kernel, beside the time in a reply stands the address on the way that it has come.
        """
        hop = self.routes.lookup(packet.source.address)
        here = vip if hop is None or packet.destination.address == vip else hop.source
        return Datagram(passed_on(data, vip, here, self.is_local))

    def _gather(self, packet: Packet, data: bytes) -> None:
        """Keep a fragment; with the last one, the packet that it is a part of has come."""
        fragments = self._fragments.add(packet, data, self._clock())
        if fragments:
            self._decide(whole(fragments), max(map(len, fragments)))

    def _give_up(self, fragments: Sequence[bytes], why: str) -> None:
        """Their packet never becomes whole; its sender is told where RFC 792 says so."""
        packet, tell = parse(Datagram(fragments[0])), self._director.trace
        if why != LATE or packet.fragment_offset:
            tell.drop(packet, self._clock(), why)
            self._count("dropped", len(fragments))
            return
        self._count("dropped", len(fragments) - 1)
        answer = Reject(TIME_EXCEEDED, NOT_REASSEMBLED, (why,))
        self._answer(tell.reject(packet, self._clock(), answer), fragments[0])

    # ---- out ----

    def _forward(self, datagram: Datagram, forward: Forward, came: Packet) -> None:
        hop = self.routes.lookup(forward.next_hop)
        if hop is None:
            self._lose("lost", came, f"there is no way to {forward.next_hop}")
            return
        if datagram.ip.ttl <= 1:  # an ICMP error, of which nobody is told (RFC 1122, 3.2.2)
            self._lose("dropped", came, f"TTL {datagram.ip.ttl}")
            return
        length = _length_of(forward, came)
        if length > _LONGEST:
            self._lose("lost", came, f"it would have {length} bytes")
            return
        packet = METHODS[forward.method](datagram, forward, hop.source)
        made = pieces(packet, min(came.largest_fragment or hop.wire.mtu, hop.wire.mtu))
        for piece in made:  # the core has refused those that may not be taken apart
            self._send(piece, hop)
        if not made:
            self._lose("lost", came, f"no piece of its {len(packet)} bytes fits on a wire of {hop.wire.mtu}")

    def _lose(self, counter: str, packet: Packet, why: str) -> None:
        """What the core has not refused does not get through."""
        self._count(counter)
        self._director.trace.drop(packet, self._clock(), why)

    def _answer(self, decision: Reject, data: bytes) -> None:
        """Tell the sender of `data`, an IP packet; for a VIP as the VIP, otherwise as itself."""
        about = IP(data[:HEADER])
        hop = self.routes.lookup(about.src)
        told = decision.mtu or self._limits.allow(about.src, self._clock())  # who learns an MTU asks less
        if hop is None or about.frag or not may_be_told(about.src) or not told:
            self._count("dropped")
            return
        self._count("answered")
        own = about.dst if self._director.rules.is_vip(about.dst) else hop.source
        self._send(answer(decision, data, own), hop)

    def _leave(self, packet: Packet, data: bytes) -> None:
        """The kernel's business; TCP and UDP for a VIP have been kept from it and are handed over now."""
        if packet.protocol in (TCP, UDP) and self._director.rules.is_vip(packet.destination.address):
            self._give(data)

    def _give(self, data: bytes) -> None:
        self._count("local" if self._kernel.give(data) else "lost")

    def _send(self, packet: bytes, hop: NextHop) -> None:
        self._count("out")
        self._neighbours.send(packet, hop, self._clock())

    def _count(self, name: str, times: int = 1) -> None:
        self._counters[name] += times


def _length_of(forward: Forward, came: Packet) -> int:
    """Bytes of the packet that goes on."""
    if forward.method is Method.TUN:
        return came.length + IPIP_HEADER
    return came.length + (0 if forward.payload is None else len(forward.payload) - len(came.payload))
