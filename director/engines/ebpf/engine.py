"""The engine: the program in the kernel forwards, and the core decides about what it hands up.

Whatever comes up is treated as if it had been heard on the wire: by the Scapy engine, of which one
is inside for that purpose, with the same tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network
from selectors import EVENT_READ, BaseSelector
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from director.core import ftp
from director.core.connections import Tables
from director.core.decision import Decision
from director.core.overload import secures_tcp
from director.core.packet import ICMP, Packet
from director.core.service import VirtualService
from director.core.statistics import COUNTERS
from director.engines.ebpf import checkpoint, layouts, prerequisites
from director.engines.ebpf.checkpoint import FtpSessions
from director.engines.ebpf.layouts import PREFIX, KernelClock, Settings, Totals
from director.engines.ebpf.libbpf import BpfError
from director.engines.ebpf.network import Network
from director.engines.ebpf.program import SETTINGS, TOTALS, Program, ProgramUpdates, Sweeper
from director.engines.ebpf.rules import Rules
from director.engines.ebpf.servers import Servers
from director.engines.ebpf.table import SharedTable
from director.engines.ebpf.templates import SharedTemplates
from director.engines.ebpf.upcall import EventReader, UpcallDevice
from director.engines.engine import EngineError
from director.engines.scapy.engine import ScapyEngine
from director.engines.scapy.wire import ARP

if TYPE_CHECKING:
    from director.core.director import Director

_AT_ONCE = 64  # frames, before others get their turn

_ENTRIES = 2  # of a connection, at most


class EbpfEngine:
    explains: ClassVar[bool] = True

    def __init__(self, interfaces: Sequence[str], clock: Callable[[], float]) -> None:
        """Raises EngineError."""
        prerequisites.require()
        self._interfaces = interfaces
        self._clock = KernelClock(clock, clock() - monotonic())
        self._core = ScapyEngine(interfaces, clock, ARP)
        self._upcall = UpcallDevice()
        self._short_cuts = False
        self._lost = 0  # events

    def use_redirect_peer(self) -> None:
        self._short_cuts = True

    def tables(self, bits: int, limit: int) -> Tables:
        """Raises EngineError."""
        self._program = Program(self._interfaces, _ENTRIES * limit)
        maps = self._program.maps
        self._settings = Settings(maps[SETTINGS].mapped())
        self._limit = limit
        self._totals = Totals(maps[TOTALS].mapped())
        self._sweeper = Sweeper(self._program.run, self._totals, self._clock)
        self._servers = Servers(maps)
        self._rules = Rules(maps, self._servers)
        self._templates = SharedTemplates(maps["templates"], self._totals, self._servers, self._clock)
        self._connections = SharedTable(
            maps["connections"],
            self._totals,
            self._servers,
            self._templates,
            FtpSessions(maps["ftp_sessions"]),
            ProgramUpdates(self._program.run),
            self._clock,
            self._sweeper.sweep,
            bits,
        )
        return Tables(self._connections, self._templates)

    def start(self, director: Director, selector: BaseSelector) -> None:
        """Raises EngineError."""
        self._director = director
        maps = self._program.maps
        upcall = self._upcall.open()  # refused while another director runs, whose settings stay
        self._settings.set_upcall_interface(upcall)
        self._settings.set_conn_limit(self._limit)
        self._core.start(director, selector, self._decide)
        self._network = Network(maps, self._settings, self._interfaces)
        self._network.refresh()
        self._network.tick()
        self._events = EventReader(maps["events"], director.trace, self._connections, self._clock)
        selector.register(self._upcall, EVENT_READ, self._hear)
        selector.register(self._network, EVENT_READ, self._network.neighbours_changed)
        selector.modify(self._core.routes, EVENT_READ, self._routes_changed)
        selector.register(self._events, EVENT_READ, self._events.poll)
        if self._program.adopted:
            try:
                checkpoint.restore(director, self._servers, maps["checkpoint"], self._clock.now())
            except checkpoint.UnreadableCheckpoint as error:
                raise EngineError(f"{error} {self._program.removal_hint()}") from None
            self._rules.adopt(director.rules)
            self._templates.adopt(self._clock.now())
            self._connections.adopt()
        self.install_rules()
        self._program.attach()

    def mtu_of(self, address: str) -> int:
        return self._core.mtu_of(address)

    def is_local(self, address: str) -> bool:
        return self._core.is_local(address)

    def route_to(self, address: str) -> Mapping[str, str]:
        way = self._core.route_to(address)
        return {**way, "dest_mac": self._network.mac_of(way["interface"], way["next_hop"])} if way else {}

    def _routes_changed(self) -> None:
        self._core.routes.changed()
        self._network.refresh()

    # ---- rules ----

    def sync_schedulers(self) -> None:
        self._listen()
        self._rules.fetch()

    def _listen(self) -> None:
        """Let the core know what the program has told; if some of it got lost, look for what it was."""
        self._events.poll()
        lost = self._totals.lost_events
        if lost != self._lost:
            self._lost = lost
            self._connections.recover_lost_events()

    def prepare_rules(self, vips: set[str]) -> Iterator[None]:  # noqa: ARG002
        """Nothing to do before: while they are written, the program forwards by what it has."""
        return iter(())

    def install_rules(self) -> None:
        """Raises EngineError."""
        rules = self._director.rules
        self._core.redirect()
        try:
            vips = self._prefixes(rules.vips())
            self._rules.write(rules, lambda address: self.route_to(address).get("source", "0.0.0.0"))
            self._write_vips(vips)
        except BpfError as error:
            raise EngineError(f"The engine ebpf can't write its rules ({error}).") from None
        self._settings.set_timeouts(rules.timeouts)
        self._settings.set_conn_reuse_mode(rules.sysctls.conn_reuse_mode)
        self._settings.set_transitions(secure=secures_tcp(rules.sysctls))
        self._settings.set_flags(self._flags())
        self._settings.bump_generation()
        self._servers.write_all_back()
        checkpoint.save(self._director, self._servers, self._program.maps["checkpoint"])

    def _prefixes(self, wanted: set[str]) -> set[bytes]:
        """Raises EngineError where they are too many."""
        room = self._program.maps["vips"].size
        if len(wanted) > room:
            raise EngineError(f"The engine ebpf has room for {room} virtual addresses.")
        return set(map(self._prefix, wanted))

    def _write_vips(self, wanted: set[bytes]) -> None:
        vips = self._program.maps["vips"]
        for key in set(vips.keys()) - wanted:
            vips.remove(key)
        for key in wanted:
            vips.put(key, bytes(4))

    @staticmethod
    def _prefix(vip: str) -> bytes:
        network = IPv4Network(vip)
        return PREFIX.pack(network.prefixlen, network.network_address.packed)

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
        if self._short_cuts:
            flags |= layouts.REDIRECT_PEER
        return flags

    # ---- what is handed up ----

    def _hear(self) -> None:
        self._listen()
        for _ in range(_AT_ONCE):
            frame = self._upcall.read()
            if frame is None:
                return
            self._core.take(frame)
            if frame[23:24] == bytes([ICMP]):
                self._network.learn(self._core.routes.learnt)

    def _decide(self, packet: Packet, now: float) -> Decision:
        """The core's decision; it and the program are in step before and after."""
        service = self._director.rules.find(packet)
        self._rules.fetch_for(service)
        decision = self._director.decide(packet, now)
        self._rules.write_back(service)
        return decision

    # ---- what the time brings ----

    def tick(self, now: float) -> None:
        self._core.tick(now)
        self._network.tick()
        self._network.learn(self._core.routes.learnt)
        self._servers.write_all_back()
        self._sweeper.sweep_if_due(self._director.rules.timeouts)
        self._settings.set_transitions(secure=secures_tcp(self._director.rules.sysctls))
        self._settings.set_flags(self._flags())

    def sync_counters(self, *, wait: bool) -> None:
        self._servers.write_all_back()
        if wait:
            self._sweeper.sweep()
        self._rules.fetch()

    def connections(self, now: float) -> Iterator[dict[str, Any]]:
        self._listen()
        return self._director.listing(now)

    def counters(self) -> Mapping[str, int]:
        """What the program has forwarded, and what the core has."""
        counted = dict(zip(COUNTERS, self._servers.totals(), strict=True))
        forwarded = counted["packets_in"] + counted["packets_out"]
        mine = {"forwarded_in_kernel": forwarded, "lost_events": self._totals.lost_events}
        return {**self._core.counters(), **mine}

    def close(self) -> None:
        if hasattr(self, "_program"):
            self._program.close()
        for part in ("_events", "_network"):
            if hasattr(self, part):
                getattr(self, part).close()
        self._upcall.close()
        self._core.close()


def _has_wildcard(service: VirtualService) -> bool:
    """Whether packets ask for it that don't go to its own port."""
    key = service.key
    return bool(key.mark) or not key.address.port or key.address.port == ftp.CONTROL_PORT
