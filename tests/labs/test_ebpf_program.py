"""The program itself, run by hand on packets and tables that are made for it, against the core's rules."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from ctypes import byref
from functools import cache
from itertools import product
from time import monotonic_ns
from types import SimpleNamespace
from typing import Any

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet import TCP as TcpHeader
from scapy.layers.inet import UDP as UdpHeader
from scapy.layers.l2 import Ether

from director import engines
from director.core.connections import Connection, Lifecycle, Tables
from director.core.events import Trace
from director.core.packet import ACK, RST, SYN, TCP, UDP, Endpoint
from director.core.real_server import Method
from director.core.states import ACTIVE, Direction, State, Timeouts, next_state
from director.engines.ebpf import compiler, layouts
from director.engines.ebpf.checkpoint import FtpSessions
from director.engines.ebpf.layouts import NANO, KernelClock, Settings, Totals
from director.engines.ebpf.libbpf import check, library
from director.engines.ebpf.libbpf.programs import BpfObject, RunOptions, run
from director.engines.ebpf.program import MAPS, SETTINGS, TOTALS, ProgramUpdates
from director.engines.ebpf.services import SCHEDULERS
from director.engines.ebpf.table import SharedTable
from director.engines.engine import EngineError
from tests.unit.director.engines.ebpf.support import FakeServers

CLIENT, VIP = Endpoint("198.51.100.7", 3000), Endpoint("203.0.113.1", 80)
SERVER, NUMBER = Endpoint("172.16.0.3", 8000), 1
FLAGS = range(64)  # TCP's six
METHODS = {Direction.INPUT: Method.NAT, Direction.OUTPUT: Method.NAT, Direction.INPUT_ONLY: Method.DR}
STEP = 10_000  # seconds: so far are the states' timeouts from each other
TIMEOUTS = Timeouts(**{state.value.lower(): STEP * (at + 1) for at, state in enumerate(State)})


@cache
def frame(protocol: int, source: Endpoint, destination: Endpoint, flags: int) -> bytes:
    ports = {"sport": source.port, "dport": destination.port}
    above = TcpHeader(flags=flags, **ports) if protocol == TCP else UdpHeader(**ports)
    mac = "00:00:00:00:00:00"  # the loopback interface's, where such packets seem to come in
    return bytes(Ether(dst=mac, src=mac) / IP(src=source.address, dst=destination.address) / above)


class Loose:
    """The program and its tables, attached to nothing."""

    def __init__(self, loaded: BpfObject) -> None:
        self._ingress = loaded.program("ingress")
        self._parts = {name: loaded.program(name) for name in ("compare_and_swap", "remove_connection")}
        self.maps = {name: loaded.map(name) for name in (*MAPS, SETTINGS, TOTALS)}
        self.connections = self.maps["connections"]
        self.servers = self.maps["servers"].mapped()
        self.totals = Totals(self.maps[TOTALS].mapped())
        self.settings = Settings(self.maps[SETTINGS].mapped())
        self.settings.set_conn_limit(1000)
        self.settings.set_timeouts(TIMEOUTS)
        self.settings.set_transitions(secure=False)
        self.settings.bump_generation()
        self.next_hop = bytes(20) + (1).to_bytes(4, sys.byteorder)  # found already, by those settings

    def run(self, part: str, context: bytes) -> tuple[int, bytes]:
        return run(self._parts[part], context)

    def sees(self, protocol: int, source: Endpoint, destination: Endpoint, flags: int = 0) -> int:
        """A packet comes in: the verdict."""
        data = frame(protocol, source, destination, flags)
        options = RunOptions(sz=ctypes.sizeof(RunOptions), data_in=data, data_size_in=len(data))
        check(library().bpf_prog_test_run_opts(self._ingress, byref(options)), "bpf_prog_test_run")
        return int(options.retval)

    def know(self, protocol: int, state: State, method: Method, steady: int = 0) -> bytes:
        """A connection is in the table, and counted nowhere: the key of its requests."""
        key = layouts.flow_key(protocol, CLIENT, VIP)
        expires = monotonic_ns() + STEP * NANO
        there = layouts.address(SERVER.address), layouts.port(SERVER.port)
        word = layouts.make_flags(state, method)
        self.connections.put(
            key, bytes(layouts.Entry(expires, word, NUMBER, 0, *there, mtu=1500, next_hop=self.next_hop))
        )
        here = layouts.address(VIP.address), layouts.port(VIP.port)
        back = layouts.Entry(
            expires, word | layouts.REPLY | steady, NUMBER, 0, *here, mtu=1500, next_hop=self.next_hop
        )
        if method is Method.NAT:
            self.connections.put(layouts.flow_key(protocol, SERVER, CLIENT), bytes(back))
        self.counts(0, 0)
        return key

    def entry(self, key: bytes) -> layouts.Entry:
        value = self.connections.get(key)
        assert value is not None
        return layouts.Entry.from_bytes(value)

    def counts(self, *numbers: int, number: int = NUMBER) -> tuple[int, int]:
        """A server's active and inactive connections, by the program's count; set first, if any are given."""
        values = list(layouts.SERVER.unpack_from(self.servers, number * layouts.SERVER.size))
        if numbers:
            values[-4:-2] = numbers
            layouts.SERVER.pack_into(self.servers, number * layouts.SERVER.size, *values)
        return values[-4], values[-3]


@pytest.fixture(scope="module")
def loose() -> Iterator[Loose]:
    try:
        engines.require("ebpf")
    except EngineError as missing:
        pytest.skip(str(missing))
    loaded = BpfObject(compiler.compiled(), {"connections": 1000}, {})
    yield Loose(loaded)
    loaded.close()


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("view", Direction)
def test_its_states_follow_each_other_as_the_cores_do(loose: Loose, view: Direction, *, secure: bool) -> None:
    """Each flag with each other one, in each state: the state after it, its time, and how it is counted."""
    ends = (SERVER, CLIENT) if view is Direction.OUTPUT else (CLIENT, VIP)
    loose.settings.set_transitions(secure=secure)
    for state, flags in product(State, FLAGS):
        if state is State.UDP:
            continue
        key = loose.know(TCP, state, METHODS[view])
        loose.sees(TCP, *ends, flags)
        entry, expected = loose.entry(key), next_state(TCP, state, view, flags, secure=secure)
        assert entry.state is expected, (state, flags)
        left = (entry.expires - monotonic_ns()) / NANO
        assert abs(left - TIMEOUTS.by_state()[expected]) < STEP / 2, (state, flags)
        active = (expected in ACTIVE) - (state in ACTIVE)
        assert loose.counts() == (active, -active), (state, flags)


def test_a_steady_reply_says_nothing_new(loose: Loose) -> None:
    """It is taken for what it is without a look at the request's entry: only what changes nothing may be."""
    loose.settings.set_transitions(secure=False)
    for flags in FLAGS:
        key = loose.know(TCP, State.ESTABLISHED, Method.NAT, layouts.FAST_REPLY)
        loose.sees(TCP, SERVER, CLIENT, flags)
        assert loose.entry(key).state is next_state(TCP, State.ESTABLISHED, Direction.OUTPUT, flags), flags


def test_udp_has_one_state(loose: Loose) -> None:
    for ends in ((CLIENT, VIP), (SERVER, CLIENT)):
        key = loose.know(UDP, State.UDP, Method.NAT)
        loose.sees(UDP, *ends)
        assert loose.entry(key).state is State.UDP
        assert loose.counts() == (0, 0)


def test_it_counts_as_many_packets_of_a_client_as_drop_entry_cares_about(loose: Loose) -> None:
    key = loose.know(TCP, State.ESTABLISHED, Method.NAT)
    seen = []
    for _ in range(12):
        loose.sees(TCP, CLIENT, VIP, ACK)
        loose.sees(TCP, SERVER, CLIENT, ACK)
        seen.append(loose.entry(key).packets)
    assert seen == [*range(1, 10), 9, 9, 9]


@pytest.mark.parametrize("scheduler", ["lc", "wlc", "sed", "nq"])
def test_a_count_below_nothing_is_nothing(loose: Loose, scheduler: str) -> None:
    """Of two servers that have none, the first gets the connection."""
    service = Endpoint("203.0.113.9", 80)
    address = layouts.address(service.address), layouts.port(service.port)
    members = loose.maps["members"].mapped()
    for place, number in ((1, 5), (2, 6)):
        members[8 * place : 8 * place + 8] = number.to_bytes(8, sys.byteorder)
        there = layouts.address(f"172.16.0.{number}"), layouts.port(80)
        value = (*there, layouts.METHODS.index(Method.DR), bytes(4), 1, 1, 0, 0, 0, 0, 0, 0, 0)
        layouts.SERVER.pack_into(loose.servers, number * layouts.SERVER.size, *value)
    loose.counts(-1, -1, number=5)
    written = (SCHEDULERS[scheduler], 0, 1, 2, 0, 0, 0, bytes(4), 0)
    loose.maps["services"].put(layouts.SERVICE_KEY.pack(*address, TCP), layouts.SERVICE.pack(*written))
    loose.sees(TCP, CLIENT, service, SYN)
    key = layouts.flow_key(TCP, CLIENT, service)
    assert loose.entry(key).server == 5
    ProgramUpdates(loose.run).remove(key)


def test_what_is_taken_out_is_gone_once(loose: Loose) -> None:
    updates = ProgramUpdates(loose.run)
    key = loose.know(TCP, State.FIN_WAIT, Method.NAT)
    used = loose.totals.connections
    last = updates.remove(key)
    assert last is not None
    assert layouts.state_of(last) is State.FIN_WAIT
    assert loose.connections.get(key) is loose.connections.get(layouts.flow_key(TCP, SERVER, CLIENT)) is None
    assert loose.totals.connections == used - 1
    assert updates.remove(key) is None
    assert not updates.compare_and_swap(key, last, last)


class Interrupted(ProgramUpdates):
    """Before the core's next change, the program sees a packet."""

    def __init__(self, loose: Loose, packet: Callable[[], object]) -> None:
        super().__init__(loose.run)
        self._packet: Callable[[], object] | None = packet

    def compare_and_swap(self, *change: Any) -> bool:
        self._between()
        return super().compare_and_swap(*change)

    def remove(self, key: bytes) -> int | None:
        self._between()
        return super().remove(key)

    def _between(self) -> None:
        packet, self._packet = self._packet, None
        if packet is not None:
            packet()


@pytest.mark.parametrize("core", [State.ESTABLISHED, State.FIN_WAIT, None])
def test_a_packet_that_comes_while_the_core_decides_is_not_undone(loose: Loose, core: State | None) -> None:
    """A RST closes the connection, while the core leaves it as it is, moves it, or ends it (None)."""
    key = loose.know(TCP, State.ESTABLISHED, Method.NAT)
    loose.totals.add_connections(1)
    loose.counts(1, 0)
    servers: Any = FakeServers(Method.NAT)
    updates = Interrupted(loose, lambda: loose.sees(TCP, CLIENT, VIP, RST))
    clock, nothing = KernelClock(lambda: monotonic_ns() / NANO, 0.0), lambda: None
    templates: Any = SimpleNamespace()
    sessions = FtpSessions(loose.maps["ftp_sessions"])
    table = SharedTable(
        loose.connections, loose.totals, servers, templates, sessions, updates, clock, nothing, 8
    )
    life = Lifecycle(Tables(table, templates), TIMEOUTS, Trace(None))
    connection = table.find_in(TCP, CLIENT, VIP)
    assert isinstance(connection, Connection)
    if core is None:
        life.end(connection, clock.now())
        state, both = None, (0, 0)
        assert loose.connections.get(key) is None
    else:
        life.set_state(connection, core, clock.now())
        state, both = loose.entry(key).state, (0, 1)
        assert state is (State.CLOSE if core is State.ESTABLISHED else core)
        table.remove(connection)
    server = servers.servers[NUMBER]
    program = loose.counts()
    assert (program[0] + server.active, program[1] + server.inactive) == both
