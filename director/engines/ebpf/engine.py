"""The engine: the program in the kernel forwards, and the core decides about the packets that it sends up.

Those are handled like frames from the wire, by a Scapy engine inside this one that uses the same tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from selectors import EVENT_READ, BaseSelector
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from director.core import ftp
from director.core.connections import Tables
from director.core.decision import Decision
from director.core.family import IPV4, IPV6, Family, family_of
from director.core.overload import secures_tcp
from director.core.packet import ICMP, ICMPV6, Packet
from director.core.service import VirtualService
from director.core.states import State
from director.core.statistics import COUNTERS
from director.engines.ebpf import checkpoint, layouts, prerequisites
from director.engines.ebpf.by_family import Programs
from director.engines.ebpf.checkpoint import FtpSessions
from director.engines.ebpf.layouts import KernelClock, Settings, Totals
from director.engines.ebpf.libbpf import BpfError
from director.engines.ebpf.network import Network
from director.engines.ebpf.program import SETTINGS, TOTALS, ProgramUpdates, Sweeper
from director.engines.ebpf.servers import Servers
from director.engines.ebpf.services import Services
from director.engines.ebpf.table import SharedTable
from director.engines.ebpf.templates import SharedTemplates
from director.engines.ebpf.upcall import EventReader, RecordReader, UpcallDevice
from director.engines.engine import EngineError
from director.engines.scapy.engine import ScapyEngine
from director.engines.scapy.packet_sockets import ARP, SocketWire
from director.engines.scapy.socket_filter import FrameClass

if TYPE_CHECKING:
    from director.core.director import Director
    from director.core.rules import LocalServers
    from director.engines.ebpf.received import Received

_MAX_FRAMES = 64  # from the upcall device in one turn of the loop
_IPV6 = 0x86DD  # EtherType (linux/if_ether.h)
_ENTRIES = 2  # of a connection in the map, at most


class EbpfEngine:
    explains: ClassVar[bool] = True
    families: ClassVar[Sequence[Family]] = (IPV4, IPV6)

    def __init__(self, interfaces: Sequence[str], clock: KernelClock, scapy: ScapyEngine) -> None:
        """`scapy` processes the packets that are handed up."""
        self._interfaces = interfaces
        self._clock = clock
        self._scapy = scapy
        self._upcall = UpcallDevice()
        self._listeners: list[SocketWire] = []  # for IPv6
        self._redirect_peer = False
        self._lost_events = 0
        self._own: set[str] = set()  # addresses that the program knows
        self._received: Received | None = None  # once there is another director

    @classmethod
    def open(cls, interfaces: Sequence[str], clock: Callable[[], float]) -> EbpfEngine:
        """Raises EngineError."""
        prerequisites.require()
        scapy = ScapyEngine.open(interfaces, clock, ARP)
        return cls(interfaces, KernelClock(clock, clock() - monotonic()), scapy)

    def use_redirect_peer(self) -> None:
        self._redirect_peer = True

    def tables(self, bits: int, limit: int) -> Tables:
        """Raises EngineError."""
        self._programs = Programs(self._interfaces, _ENTRIES * limit)
        maps = self._programs.maps
        self._settings = Settings(maps[SETTINGS].mapped())
        self._limit = limit
        self._totals = Totals(maps[TOTALS].mapped())
        self._sweeper = Sweeper(self._programs.sweep, self._clock)
        self._servers = Servers(maps)
        self._services = Services(maps, self._servers)
        self._templates = SharedTemplates(maps["templates"], self._totals, self._servers, self._clock)
        self._connections = SharedTable(
            maps["connections"],
            self._totals,
            self._servers,
            self._templates,
            FtpSessions(maps["ftp_sessions"]),
            ProgramUpdates(self._programs.update),
            self._clock,
            self._sweeper.sweep,
            bits,
        )
        return Tables(self._connections, self._templates)

    def start(self, director: Director, selector: BaseSelector) -> None:
        """Raises EngineError."""
        self._director = director
        self._selector = selector
        maps = self._programs.maps
        upcall = self._upcall.open()  # refused while another director runs, whose settings stay
        self._settings.set_upcall_interface(upcall)
        self._settings.set_conn_limit(self._limit)
        self._scapy.start(director, selector, self._decide)
        self._network = Network(maps, self._settings, self._interfaces, self._scapy.routes.lookup)
        self._network.refresh()
        self._network.tick(self._scapy.routes)
        self._events = EventReader(maps["events"], director, self._connections, self._clock)
        self._records = RecordReader(maps["sync_records"], director, self._clock)
        selector.register(self._upcall, EVENT_READ, self._handle_upcalls)
        selector.register(self._network, EVENT_READ, self._network.neighbours_changed)
        self._scapy.on_network_change = self._follow_network
        selector.register(self._events, EVENT_READ, self._events.poll)
        selector.register(self._records, EVENT_READ, self._records.poll)
        if self._programs.adopted:
            try:
                checkpoint.restore(director, self._servers, maps["checkpoint"], self._clock.now())
            except checkpoint.UnreadableCheckpoint as error:
                raise EngineError(f"{error} {self._programs.removal_hint()}") from None
            self._services.adopt(director.rules)
            self._templates.adopt(self._clock.now())
            self._connections.adopt()
        self.install_rules()

    def mtu_of(self, address: str) -> int:
        return self._scapy.mtu_of(address)

    def is_local(self, address: str) -> bool:
        return self._scapy.is_local(address)

    def is_own(self, address: str) -> bool:
        return self._scapy.is_own(address)

    def route_to(self, address: str) -> Mapping[str, str]:
        route = self._scapy.route_to(address)
        if not route:
            return {}
        return {**route, "dest_mac": self._network.mac_of(route["interface"], route["next_hop"])}

    def _follow_network(self) -> None:
        self._programs.follow()
        for wire in self._listeners:
            wire.refresh()
        self._network.refresh()
        if self._own != set(self._scapy.routes.own):
            self._write_vips(self._prefixes(self._director.rules.vips()))

    # ---- rules ----

    def sync_schedulers(self) -> None:
        self._poll_events()
        self._services.fetch()

    def _poll_events(self) -> None:
        """Pass events to the core; if some were lost, search the table for what they were about."""
        self._events.poll()
        self._records.poll()
        lost = self._totals.lost_events
        if lost != self._lost_events:
            self._lost_events = lost
            self._connections.recover_lost_events()

    def prepare_rules(self, vips: set[str], local: Iterable[LocalServers]) -> Iterator[None]:
        """Load the program of a family that is new; until the new rules are written, the old are valid."""
        self._use_families(vips)
        yield from self._scapy.prepare_redirects(local)

    def finish_rules(self) -> Iterator[None]:
        return self._scapy.finish_rules()

    def _use_families(self, vips: set[str]) -> None:
        """Raises EngineError."""
        self._programs.use(set(map(family_of, vips)))
        if IPV6 in self._programs.families and not self._listeners:
            for interface in self._interfaces:
                wire = SocketWire.open(interface, _IPV6, {FrameClass.ADVERTISEMENT})
                self._listeners.append(wire)
                self._selector.register(
                    wire.sources[0], EVENT_READ, partial(self._receive_advertisements, wire)
                )
            self._network.use(IPV6)

    def _receive_advertisements(self, wire: SocketWire) -> None:
        """Update the Scapy engine's neighbour table; it receives ARP itself."""
        for frame in wire.frames(_MAX_FRAMES, 0, lambda _frame: True):
            self._scapy.inject_from(wire.interface, frame)

    def install_rules(self) -> None:
        """Raises EngineError."""
        rules = self._director.rules
        addresses = rules.vips()
        self._use_families(addresses)
        self._scapy.redirect()
        try:
            vips = self._prefixes(addresses)
            self._services.write(rules, self._source_to)
            self._write_vips(vips)
        except BpfError as error:
            raise EngineError(f"The ebpf engine can't write its rules ({error}).") from None
        self._settings.set_timeouts(rules.timeouts)
        self._settings.set_conn_reuse_mode(rules.sysctls.conn_reuse_mode)
        self._settings.set_transitions(secure=secures_tcp(rules.sysctls))
        self.sync_changed()
        if self._received is not None:
            self._received.rules_changed()
        self._settings.bump_generation()
        self._servers.write_all_back()
        checkpoint.save(self._director, self._servers, self._programs.maps["checkpoint"])
        self._programs.attach()

    def _source_to(self, address: str) -> str:
        """The director's own address in packets to `address`."""
        return self.route_to(address).get("source", family_of(address).unspecified)

    def _prefixes(self, wanted: set[str]) -> set[bytes]:
        """The keys of addresses and networks. Raises EngineError if there are too many."""
        room = self._programs.maps["vips"].size
        if len(wanted) > room:
            raise EngineError(
                f"The ebpf engine has room for {room} virtual addresses: use fewer, or --engine scapy."
            )
        return set(map(layouts.prefix, wanted))

    def _write_vips(self, wanted: set[bytes]) -> None:
        """Write them, and the director's own addresses as far as there is room. Raises BpfError."""
        vips = self._programs.maps["vips"]
        self._own = set(self._scapy.routes.own)
        entries = dict.fromkeys(wanted, layouts.VIRTUAL)
        for address in islice(self._own, vips.size - len(wanted)):
            if not self._director.rules.is_vip(address):  # nor in a network whose packets get a mark
                entries[layouts.prefix(address)] = layouts.OWN
        for key in set(vips.keys()) - entries.keys():
            vips.remove(key)
        for key, kind in entries.items():
            vips.put(key, kind)

    def _flags(self) -> int:
        rules, sysctls = self._director.rules, self._director.rules.sysctls
        flags = layouts.EMIT_EVENTS if self._director.trace.enabled else 0
        if rules.marks or any(_has_wildcard(service) for service in rules):
            flags |= layouts.HAS_WILDCARDS
        if sysctls.nat_icmp_send or sysctls.sloppy_tcp or rules.marks:
            flags |= layouts.UPCALL_UNSOLICITED
        if not sysctls.pmtu_disc:
            flags |= layouts.CLEAR_DF
        if sysctls.drop_packet > 1:
            flags |= layouts.UPCALL_NEW
        if sysctls.expire_nodest_conn:
            flags |= layouts.UPCALL_SYN
        if sysctls.expire_quiescent_template:
            flags |= layouts.EXPIRE_QUIESCENT
        if self._redirect_peer:
            flags |= layouts.REDIRECT_PEER
        if self._director.sender is not None:
            flags |= layouts.SEND_SYNC
            if sysctls.sync_version and not sysctls.sync_refresh_period:
                flags |= layouts.SEND_ENCODED
        if self._director.stands_by:
            flags |= layouts.STAND_BY
        return flags

    # ---- synchronisation with another director ----

    def sync_daemons(self) -> None:
        """The program encodes most records, and notifies the core of connections that are due (SYNC_DUE)."""

    def sync_changed(self) -> None:
        if self._director.rules.synchronised and self._received is None:
            from director.engines.ebpf.received import Received  # only now: most directors are alone

            memory = self._programs.maps["received"].mapped()
            self._received = Received(self._programs, memory, self._director.rules, self._servers)
            self._director.enter = self._received.enter
        if self._director.sender is not None:
            from director.core.sync import SENT

            self._settings.set_sync({*SENT, State.UDP}, self._director.rules.sysctls)
        self._settings.set_flags(self._flags())

    # ---- upcalls ----

    def _handle_upcalls(self) -> None:
        self._poll_events()
        for _ in range(_MAX_FRAMES):
            frame = self._upcall.read()
            if frame is None:
                return
            self._scapy.inject(frame)
            if frame[23:24] == bytes([ICMP]) or frame[20:21] == bytes([ICMPV6]):
                self._network.learn(self._scapy.routes.learnt)

    def _decide(self, packet: Packet, now: float) -> Decision:
        """The core's decision, with loads and positions fetched before and written back after it."""
        service = self._director.rules.find(packet)
        self._services.fetch_for(service)
        decision = self._director.decide(packet, now)
        self._services.write_back(service)
        return decision

    # ---- periodic work, listings ----

    def tick(self, now: float) -> None:
        self._scapy.tick(now)
        self._network.tick(self._scapy.routes)
        self._network.learn(self._scapy.routes.learnt)
        self._servers.write_all_back()
        self._sweeper.sweep_if_due(self._director.rules.timeouts)
        self._settings.set_transitions(secure=secures_tcp(self._director.rules.sysctls))
        self._settings.set_flags(self._flags())

    def sync_counters(self, *, wait: bool) -> None:
        self._servers.write_all_back()
        if wait:
            self._sweeper.sweep()
        self._services.fetch()

    def connections(self, now: float, most: int | None = None) -> Iterator[dict[str, Any]]:
        self._poll_events()
        return self._director.listing(now, most)

    def counters(self) -> Mapping[str, int]:
        """The core's counters, and what the program has forwarded."""
        totals = dict(zip(COUNTERS, self._servers.program_totals(), strict=True))
        forwarded = totals["packets_in"] + totals["packets_out"]
        return {
            **self._scapy.counters(),
            "forwarded_in_kernel": forwarded,
            "lost_events": self._totals.lost_events,
            "lost_records": self._totals.lost_records,
        }

    def close(self) -> None:
        if hasattr(self, "_programs"):
            self._programs.close()
        while self._listeners:
            self._listeners.pop().close()
        for part in ("_events", "_records", "_network"):
            if hasattr(self, part):
                getattr(self, part).close()
        self._upcall.close()
        self._scapy.close()


def _has_wildcard(service: VirtualService) -> bool:
    """Whether it also serves packets to other ports: by firewall mark, on port 0, or as ftp data."""
    key = service.key
    return bool(key.mark) or not key.address.port or key.address.port == ftp.CONTROL_PORT
