"""The engine: a frame comes in, the core decides, a frame goes out.

This is a packet's path through the engine, in order, with the counters; the steps themselves are in the
other modules.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from selectors import EVENT_READ, BaseSelector
from socket import inet_ntop
from traceback import extract_tb, format_exception
from typing import TYPE_CHECKING, Any, ClassVar

from director.core.connections import ConnectionTable, Tables
from director.core.decision import Decision, Drop, Forward, Pass, Reject
from director.core.family import IPV4, IPV6, Family, family_of
from director.core.fragments import TIMED_OUT, Reassembly
from director.core.packet import TCP, UDP, Endpoint, Packet
from director.core.persistence import Templates
from director.core.real_server import Method
from director.core.transaction import exhaust
from director.engines.engine import EngineError
from director.engines.scapy import icmp_replies, ipv4, ipv6
from director.engines.scapy.datagram import Datagram, parse, tunnelled
from director.engines.scapy.headers import ARP, IPHeader
from director.engines.scapy.host import Kernel, Wire
from director.engines.scapy.host_kernel import HostKernel
from director.engines.scapy.ipv6 import Malformed
from director.engines.scapy.neighbour_discovery import neighbour_in
from director.engines.scapy.next_hops import KernelRoutes, Neighbours, NextHop, Routes
from director.engines.scapy.packet_sockets import ALL, SocketWire
from director.engines.scapy.rewrite import METHODS

if TYPE_CHECKING:
    from director.core.director import Director
    from director.core.rules import LocalServers

Decide = Callable[[Packet, float], Decision]

_IPV4, _IPV6, _ARP = b"\x08\x00", b"\x86\xdd", b"\x08\x06"  # EtherTypes
_ETHERNET, _ARP_PACKET = 14, 28  # bytes
_LONGEST = 65535  # bytes of an IP packet
_ARP_START = bytes.fromhex("000108000604")  # Ethernet and IPv4, with addresses of 6 and 4 bytes
_PORTS = struct.Struct("!HH")
_FRAMES = 64  # of one interface, before another gets its turn
_SYNS, _SYNS_WHILE_BUSY = 32, 1  # SYNs besides; the latter while other packets are waiting
_COUNTERS = ("in", "out", "malformed", "dropped", "answered", "local", "lost", "shed", "missed")


class ScapyEngine:
    """Forwards between its wires in this process, one packet after the other."""

    explains: ClassVar[bool] = True
    families: ClassVar[Sequence[Family]] = (IPV4, IPV6)

    def __init__(
        self,
        wires: Sequence[Wire],
        routes: Routes,
        neighbours: Neighbours,
        kernel: Kernel,
        clock: Callable[[], float],
    ) -> None:
        self.routes = routes
        self.fragments = Reassembly(self._abandon)
        self._wires = list(wires)
        self._neighbours = neighbours
        self._kernel = kernel
        self._clock = clock
        self._counters: Counter[str] = Counter(dict.fromkeys(_COUNTERS, 0))
        self._rate_limit = icmp_replies.RateLimit()
        self._faults = _FaultLog()
        self._is_prepared = False  # whether the kernel's rules are loaded in steps beforehand
        self._indexes = {wire: wire.index for wire in wires}
        self._is_stale = False  # links, addresses or routes have changed and could not be read
        self.on_network_change: Callable[[], None] = lambda: None

    @classmethod
    def open(cls, interfaces: Sequence[str], clock: Callable[[], float], ethertype: int = ALL) -> ScapyEngine:
        """An engine on this machine's interfaces, for frames of one EtherType or all. Raises EngineError."""
        wires = [SocketWire.open(interface, ethertype) for interface in interfaces]
        table = KernelRoutes()
        neighbours = Neighbours(table.permanent_neighbour)
        return cls(wires, Routes(wires, table), neighbours, HostKernel(interfaces), clock)

    def use_redirect_peer(self) -> None:
        raise EngineError("The scapy engine has no short cut: leave out --short-cut.")

    def tables(self, bits: int, limit: int) -> Tables:  # noqa: ARG002
        return Tables(ConnectionTable(bits), Templates())

    def start(self, director: Director, selector: BaseSelector, decide: Decide | None = None) -> None:
        """Raises EngineError.

        The ebpf engine has a ScapyEngine for the packets handed up: it calls the director itself, in
        `decide`, and keeps the kernel from answering for the VIPs.
        """
        self._director = director
        self._ask = decide or director.decide
        self._kernel.start()
        if decide is None:
            self._kernel.block(set())
        self.routes.refresh()
        selector.register(self.routes, EVENT_READ, self._follow_network)
        for wire in self._wires:
            for source in wire.sources:
                selector.register(source, EVENT_READ, partial(self._drain, wire))

    def _follow_network(self) -> None:
        """Links, addresses or routes have changed; a replaced interface starts with an empty ARP table.

        Raises OSError or EngineError if they can't be read now, as when no descriptor is left; the next
        `tick` tries again.
        """
        self._is_stale = True
        self.routes.refresh()
        for wire in self._wires:
            if self._indexes.setdefault(wire, wire.index) != wire.index:
                self._neighbours.flush(wire)
                self._indexes[wire] = wire.index
        self.on_network_change()
        self._is_stale = False

    # ---- for the director ----

    def mtu_of(self, address: str) -> int:
        return self.routes.mtu_of(address)

    def is_local(self, address: str) -> bool:
        return self._kernel.is_local(address)

    def is_own(self, address: str) -> bool:
        return address in self.routes.own

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

    def prepare_rules(self, vips: set[str], local: Iterable[LocalServers]) -> Iterator[None]:
        yield from self._kernel.block_in_steps(vips)
        yield from self.prepare_redirects(local)

    def prepare_redirects(self, local: Iterable[LocalServers]) -> Iterator[None]:
        """Let the local node serve on new ports of its own, beside those in use. Raises EngineError."""
        yield from self._kernel.redirect_in_steps(local, keep=True)
        self._is_prepared = True

    def install_rules(self) -> None:
        """The core uses its own rules; only the kernel must learn of them. Raises EngineError."""
        self.redirect()
        if not self._is_prepared:
            self._kernel.block(self._director.rules.vips())

    def redirect(self) -> None:
        """Let the local node serve on ports of its own, unless that was prepared. Raises EngineError."""
        if not self._is_prepared:
            exhaust(self._kernel.redirect_in_steps(self._director.rules.local_servers()))

    def finish_rules(self) -> Iterator[None]:
        """Remove what only earlier rules needed; if nft fails, the next change tries again."""
        with suppress(EngineError):
            yield from self._kernel.redirect_in_steps(self._director.rules.local_servers())

    def sync_daemons(self) -> None:
        """The core knows all connections."""

    def sync_changed(self) -> None:
        """Nothing to do: the core sends, and stands by."""

    def tick(self, now: float) -> None:
        self._neighbours.tick(now)
        self.routes.tick(now)
        self.fragments.tick(now)
        self._count_overflow()
        if self._is_stale:
            self._follow_network()

    def _count_overflow(self) -> None:
        """Count frames for which there was no time or no room; report a flood."""
        for wire in self._wires:
            syns, strangers, missed = wire.overflow()
            self._count("shed", syns + strangers)
            self._count("missed", missed)
            if syns or strangers:
                about = partial(dict[str, Any], interface=wire.interface, syns=syns, strangers=strangers)
                self._director.trace.emit("shed", self._clock(), about)

    def sync_counters(self, *, wait: bool) -> None:
        """Nothing to do: the core has counted."""

    def connections(self, now: float, most: int | None = None) -> Iterator[dict[str, Any]]:
        return self._director.listing(now, most)

    def counters(self) -> Mapping[str, int]:
        lost = self._counters["lost"] + self._neighbours.lost
        return {**self._counters, "lost": lost, "failed": self._faults.count}

    def close(self) -> None:
        self._kernel.close()
        self.routes.close()
        while self._wires:
            self._wires.pop().close()

    # ---- in ----

    def _drain(self, wire: Wire) -> None:
        """Process frames that are waiting on a wire, up to a limit, so that other wires do not starve."""
        busy = any(wire.is_behind for wire in self._wires)
        for frame in wire.frames(_FRAMES, _SYNS_WHILE_BUSY if busy else _SYNS, self._is_known):
            self._receive_safely(wire, frame)

    def _is_known(self, frame: bytes) -> bool:
        """Whether it belongs to a connection; also true for ARP, and for fragments, which show no ports.

        The same goes for IPv6 with extension headers, which are walked only when the frame has its turn.
        """
        if frame[12:_ETHERNET] == _IPV6 and len(frame) >= _ETHERNET + IPV6.header:
            family, addresses, protocol, start = IPV6, 22, frame[20], _ETHERNET + IPV6.header
            if protocol in ipv6.WALKED:
                return True
        elif (
            frame[12:_ETHERNET] != _IPV4
            or len(frame) < _ETHERNET + IPV4.header
            or frame[20] & 0x3F
            or frame[21]
        ):
            return True
        else:
            family, addresses, protocol, start = IPV4, 26, frame[23], _ETHERNET + 4 * (frame[14] & 15)
        ports = frame[start : start + 4]
        if protocol not in (TCP, UDP) or len(ports) < 4:
            return False
        size = family.bits // 8
        source, destination = (
            inet_ntop(family.address_family, frame[at : at + size]) for at in (addresses, addresses + size)
        )
        sport, dport = _PORTS.unpack(ports)
        return self._director.knows(protocol, Endpoint(source, sport), Endpoint(destination, dport))

    def inject(self, frame: bytes) -> None:
        """Process a frame as if it had arrived on the wire with its destination address."""
        for wire in self._wires:
            if frame[:6] == wire.hardware:
                self._receive_safely(wire, frame)
                return

    def inject_from(self, interface: str, frame: bytes) -> None:
        """Process a frame that was received elsewhere, as if it had arrived on the wire of that interface."""
        for wire in self._wires:
            if wire.interface == interface:
                self._receive_safely(wire, frame)

    def _receive_safely(self, wire: Wire, frame: bytes) -> None:
        """Process a frame; an exception is counted, and the next frame is processed."""
        try:
            self._receive(wire, frame)
        except Exception as error:  # noqa: BLE001 (any exception is counted and reported)
            with suppress(Exception):  # counted even if it can't be reported
                self._faults.add(error, frame, self._report_fault)

    def _report_fault(self, about: Mapping[str, Any]) -> None:
        self._director.trace.emit("failed", self._clock(), lambda: about)

    def _receive(self, wire: Wire, frame: bytes) -> None:
        ethertype, packet = frame[12:_ETHERNET], frame[_ETHERNET:]
        if ethertype == _IPV6:
            neighbour = neighbour_in(packet)
            if neighbour is not None:
                self._neighbours.learn(wire, neighbour[0], neighbour[1].hex(":"), self._clock())
                return
            packet = ipv6.without_atomic(packet)
        if ethertype in (_IPV4, _IPV6) and frame[:6] == wire.hardware:
            self._count("in")
            try:
                if ethertype != (_IPV6 if packet[:1] and packet[0] >> 4 == 6 else _IPV4):
                    raise Malformed("the IP version contradicts the EtherType")
                self._decide(packet)
            except Malformed:
                self._count("malformed")
        elif ethertype == _ARP and packet.startswith(_ARP_START) and len(packet) >= _ARP_PACKET:
            self._neighbours.received(wire, ARP(packet[:_ARP_PACKET]), self._clock())

    def _decide(self, data: bytes, arrived: Sequence[bytes] = (), identification: int = 0) -> None:
        """Ask the core about an IP packet that was sent to this machine, and carry out its decision.

        A packet that was reassembled here has `arrived` in fragments with this `identification`; in IPv6, the
        whole packet has none.
        """
        datagram = Datagram(data)
        packet = parse(datagram)
        if arrived:
            longest = max(map(len, arrived))
            packet = replace(packet, largest_fragment=longest, identification=identification)
        decision = self._ask(packet, self._clock())
        if isinstance(decision, Reject | Drop) and decision.path_mtu:
            self.routes.learn_mtu(*decision.path_mtu, self._clock())
        if isinstance(decision, Forward):
            if decision.method is Method.LOCAL:
                self._deliver(data[: packet.length])
            else:
                if datagram.options:
                    datagram = self._with_options_filled(data[: packet.length], packet, decision.vip)
                self._forward(datagram, decision, packet, arrived)
        elif isinstance(decision, Reject):
            self._reject(decision, tunnelled(datagram.rest) if decision.tunnelled else data[: packet.length])
        elif isinstance(decision, Pass):
            self._pass(packet, data[: packet.length])
        elif decision.awaits_reassembly:
            self._reassemble(packet, data[: packet.length])
        else:
            self._count("dropped")

    def _with_options_filled(self, data: bytes, packet: Packet, vip: str) -> Datagram:
        """The packet `data` with the director's entries in its IP options, as the VIP.

        As in the kernel, the address beside the time in a reply is that of the link it arrived on.
        """
        hop = self.routes.lookup(packet.source.address)
        here = vip if hop is None or packet.destination.address == vip else hop.source
        return Datagram(ipv4.with_options_filled(data, vip, here, self.is_local))

    def _reassemble(self, packet: Packet, data: bytes) -> None:
        """Keep a fragment; when the last one has arrived, decide about the whole packet."""
        fragments = self.fragments.add(packet, data, self._clock())
        if fragments:
            form = ipv4 if packet.family is IPV4 else ipv6
            self._decide(form.reassembled(fragments), fragments, packet.identification)

    def _abandon(self, fragments: Sequence[bytes], why: str) -> None:
        """Drop fragments whose packet will never be complete; tell the sender if RFC 792 says so."""
        packet, trace = parse(Datagram(fragments[0])), self._director.trace
        if why != TIMED_OUT or packet.fragment_offset:
            trace.drop(packet, self._clock(), why)
            self._count("dropped", len(fragments))
            return
        self._count("dropped", len(fragments) - 1)
        decision = Reject(*packet.family.reassembly_timed_out, (why,))
        self._reject(trace.reject(packet, self._clock(), decision), fragments[0])

    # ---- out ----

    def _forward(
        self, datagram: Datagram, forward: Forward, original: Packet, arrived: Sequence[bytes]
    ) -> None:
        hop = self.routes.lookup(forward.next_hop)
        if hop is None:
            self._lose("lost", original, f"no route to {forward.next_hop}")
            return
        if datagram.ip.ttl <= 1:  # an ICMP error, about which no error is sent (RFC 1122, 3.2.2)
            self._lose("dropped", original, f"TTL {datagram.ip.ttl}")
            return
        length = _length_of(forward, original)
        if length > _LONGEST:
            self._lose("lost", original, f"it would be {length} bytes long")
            return
        packet = METHODS[forward.method](datagram, forward, hop.source)
        mtu = self.routes.mtu_of(forward.next_hop)
        longest = original.largest_fragment or mtu
        if family_of(forward.next_hop) is IPV4:
            if original.family is IPV4:
                fragments = ipv4.fragmented(packet, min(longest, mtu))
            else:
                fragments = ipv4.fragmented(packet, mtu, arrived)
        elif original.family is IPV4:  # in a tunnel, whose fragments are the director's own
            longest = max(longest, IPV6.min_path_mtu)
            fragments = ipv6.fragmented(packet, min(longest, mtu), original.identification)
        else:
            fragments = ipv6.fragmented(packet, mtu, original.identification, arrived)
        for fragment in fragments:  # the core has refused packets that must not be fragmented
            self._transmit(fragment, hop)
        if not fragments:
            self._lose("lost", original, f"no fragment of its {len(packet)} bytes fits an MTU of {mtu}")

    def _lose(self, counter: str, packet: Packet, why: str) -> None:
        """Count and trace a packet that the core wanted to forward, but that can't be sent."""
        self._count(counter)
        self._director.trace.drop(packet, self._clock(), why)

    def _reject(self, decision: Reject, data: bytes) -> None:
        """Send an ICMP error to the sender of the IP packet `data`; from the VIP if it was sent to that."""
        about = icmp_replies.header_of(data)
        hop = self.routes.lookup(about.src)
        # A sender that learns the MTU sends shorter packets, so that error is never held back.
        allowed = decision.mtu or self._rate_limit.allow(about.src, self._clock())
        is_later_fragment = isinstance(about, IPHeader) and about.frag
        if hop is None or is_later_fragment or not icmp_replies.may_receive(about.src) or not allowed:
            self._count("dropped")
            return
        self._count("answered")
        own = about.dst if self._director.rules.is_vip(about.dst) else hop.source
        self._transmit(icmp_replies.build(decision, data, own), hop)

    def _pass(self, packet: Packet, data: bytes) -> None:
        """Leave it to the kernel, which has received all packets except TCP and UDP to a VIP."""
        if packet.protocol in (TCP, UDP) and self._director.rules.is_vip(packet.destination.address):
            self._deliver(data)

    def _deliver(self, data: bytes) -> None:
        self._count("local" if self._kernel.deliver(data) else "lost")

    def _transmit(self, packet: bytes, hop: NextHop) -> None:
        self._count("out")
        self._neighbours.send(packet, hop, self._clock())

    def _count(self, name: str, times: int = 1) -> None:
        self._counters[name] += times


def _length_of(forward: Forward, original: Packet) -> int:
    """The length of the packet that leaves, in bytes."""
    if forward.method is Method.TUN:
        return original.length + family_of(forward.next_hop).header
    return original.length + (0 if forward.payload is None else len(forward.payload) - len(original.payload))


_MAX_FAULTS = 64  # kinds that are reported; lines of a traceback
_SHOWN = 96  # bytes of the frame


class _FaultLog:
    """Exceptions while a packet was processed: a fault of the director, which loses only that packet.

    All are counted; each kind, an exception's class and the line that raised it, is reported once.
    """

    def __init__(self) -> None:
        self.count = 0
        self._reported: set[tuple[type[Exception], str, int | None]] = set()

    def add(self, error: Exception, frame: bytes, report: Callable[[Mapping[str, Any]], None]) -> None:
        """Note that `error` has lost `frame`."""
        self.count += 1
        last = extract_tb(error.__traceback__)[-1]
        kind = type(error), last.filename, last.lineno
        if kind in self._reported or len(self._reported) >= _MAX_FAULTS:
            return
        self._reported.add(kind)
        lines = "".join(format_exception(error)).splitlines()
        why = f"{type(error).__name__} while a packet was processed: a fault of the director"
        report({"why": why, "frame": frame[:_SHOWN].hex(), "trace": lines[-_MAX_FAULTS:]})
