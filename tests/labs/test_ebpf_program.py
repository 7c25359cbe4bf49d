"""The program alone, run on made-up packets and maps, compared with the core."""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import signal
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
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from director import engines
from director.core.commands import ServiceKey
from director.core.connections import Connection, Lifecycle, Tables
from director.core.events import Trace
from director.core.family import IPV4, IPV6, Family, family_of
from director.core.packet import ACK, FIN, RST, SYN, TCP, UDP, Endpoint
from director.core.real_server import Method, RealServer
from director.core.rules import Rules
from director.core.schedulers import make
from director.core.service import Policy, VirtualService
from director.core.states import ACTIVE, Direction, State, Timeouts, next_state
from director.core.sync import SENT, Sender
from director.core.sync_protocol import SyncMark, encode
from director.core.sysctls import Sysctls
from director.engines.ebpf import compiler, layouts
from director.engines.ebpf.by_family import FamilyMaps
from director.engines.ebpf.checkpoint import FtpSessions
from director.engines.ebpf.layouts import NANO, KernelClock, Settings, Totals
from director.engines.ebpf.libbpf import BpfError, check, library
from director.engines.ebpf.libbpf.maps import RingBuffer
from director.engines.ebpf.libbpf.programs import BpfObject, RunOptions, run
from director.engines.ebpf.program import OWN_MAPS, SETTINGS, SHARED_MAPS, TOTALS, ProgramUpdates
from director.engines.ebpf.services import SCHEDULERS
from director.engines.ebpf.table import SharedTable
from director.engines.engine import EngineError
from labs.wait import poll_until
from tests.unit.director.engines.ebpf.support import FakeServers

CLIENT, VIP = Endpoint("198.51.100.7", 3000), Endpoint("203.0.113.1", 80)
SERVER, NUMBER = Endpoint("172.16.0.3", 8000), 1
ENDS = {
    IPV4: (CLIENT, VIP, SERVER),
    IPV6: (Endpoint("2001:db8:1::7", 3000), Endpoint("2001:db8::80", 80), Endpoint("fd00::3", 8000)),
}
FLAGS = range(64)  # TCP's six
METHODS = {Direction.INPUT: Method.NAT, Direction.OUTPUT: Method.NAT, Direction.INPUT_ONLY: Method.DR}
_TURNS = 2000
_TO_THE_KERNEL, _REDIRECTED = 2**32 - 1, 7  # TC_ACT_UNSPEC, TC_ACT_REDIRECT
_SUMMED_UP = 4  # BPF_F_TEST_SKB_CHECKSUM_COMPLETE
STEP = 10_000  # seconds between the timeouts of two states
TIMEOUTS = Timeouts(**{state.value.lower(): STEP * (at + 1) for at, state in enumerate(State)})


@cache
def frame(protocol: int, source: Endpoint, destination: Endpoint, flags: int) -> bytes:
    ports = {"sport": source.port, "dport": destination.port}
    above = TcpHeader(flags=flags, **ports) if protocol == TCP else UdpHeader(**ports)
    mac = "00:00:00:00:00:00"  # of the loopback interface, which test runs seem to arrive on
    form = IP if family_of(source.address) is IPV4 else IPv6
    return bytes(Ether(dst=mac, src=mac) / form(src=source.address, dst=destination.address) / above)


class Detached:
    """The program of a family and its maps, attached to no interface."""

    def __init__(self, loaded: BpfObject, family: Family = IPV4) -> None:
        self.ends = self.client, self.vip, self.server = ENDS[family]
        self._ingress = loaded.program("ingress")
        self._parts = {name: loaded.program(name) for name in ("compare_and_swap", "remove_connection")}
        self.maps = {name: loaded.map(name) for name in (*OWN_MAPS, *SHARED_MAPS)}
        self.connections = self.maps["connections"]
        self.servers = self.maps["servers"].mapped()
        self.totals = Totals(self.maps[TOTALS].mapped())
        self.settings = Settings(self.maps[SETTINGS].mapped())
        self.settings.set_conn_limit(1000)
        self.settings.set_timeouts(TIMEOUTS)
        self.settings.set_transitions(secure=False)
        self.settings.bump_generation()
        before = family.bits // 8 + 16  # bytes of a next hop, up to its generation
        self.next_hop = bytes(before) + (1).to_bytes(4, sys.byteorder)  # looked up in the first generation

    def run(self, part: str, context: bytes) -> tuple[int, bytes]:
        return run(self._parts[part], context)

    def run_on(
        self, protocol: int, source: Endpoint, destination: Endpoint, flags: int = 0, how: int = 0
    ) -> int:
        """Run it on a packet: the verdict. `how` are flags of the run. Raises BpfError."""
        data = frame(protocol, source, destination, flags)
        options = RunOptions(sz=ctypes.sizeof(RunOptions), data_in=data, data_size_in=len(data), flags=how)
        check(library().bpf_prog_test_run_opts(self._ingress, byref(options)), "bpf_prog_test_run")
        return int(options.retval)

    def insert(self, protocol: int, state: State, method: Method, reply_flags: int = 0) -> bytes:
        """Insert a connection without counting it; returns the key of its requests."""
        client, vip, server = self.ends
        key = layouts.flow_key(protocol, client, vip)
        expires = monotonic_ns() + STEP * NANO
        there = layouts.address(server.address), layouts.port(server.port)
        flags = layouts.make_flags(state, method)
        self.connections.put(
            key, bytes(layouts.Entry(expires, flags, NUMBER, 0, *there, mtu=1500, next_hop=self.next_hop))
        )
        here = layouts.address(vip.address), layouts.port(vip.port)
        back = layouts.Entry(
            expires, flags | layouts.REPLY | reply_flags, NUMBER, 0, *here, mtu=1500, next_hop=self.next_hop
        )
        if method is Method.NAT:
            self.connections.put(layouts.flow_key(protocol, server, client), bytes(back))
        self.counts(0, 0)
        return key

    def entry(self, key: bytes) -> layouts.Entry:
        value = self.connections.get(key)
        assert value is not None
        return layouts.Entry.from_bytes(value)

    def counts(self, *numbers: int, number: int = NUMBER) -> tuple[int, int]:
        """Active and inactive connections that the program counts for a server; set to `numbers` first."""
        values = list(layouts.SERVER.unpack_from(self.servers, number * layouts.SERVER.size))
        if numbers:
            values[-4:-2] = numbers
            layouts.SERVER.pack_into(self.servers, number * layouts.SERVER.size, *values)
        return values[-4], values[-3]


@pytest.fixture(scope="module")
def detached() -> Iterator[Detached]:
    try:
        engines.require("ebpf")
    except EngineError as missing:
        pytest.skip(str(missing))
    loaded = BpfObject(compiler.compiled(4), {"connections": 1000}, {})
    yield Detached(loaded)
    loaded.close()


@pytest.fixture(scope="module", params=ENDS, ids=str)
def either(request: pytest.FixtureRequest, detached: Detached) -> Iterator[Detached]:  # noqa: ARG001
    """The program of each family."""
    loaded = BpfObject(compiler.compiled(request.param.version), {"connections": 1000}, {})
    yield Detached(loaded, request.param)
    loaded.close()


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("direction", Direction)
def test_states_follow_the_cores_table(either: Detached, direction: Direction, *, secure: bool) -> None:
    """Every combination of flags in every state: the next state, its timeout, and the counters."""
    detached = either
    client, vip, server = detached.ends
    ends = (server, client) if direction is Direction.OUTPUT else (client, vip)
    detached.settings.set_transitions(secure=secure)
    for state, flags in product(State, FLAGS):
        if state is State.UDP:
            continue
        key = detached.insert(TCP, state, METHODS[direction])
        detached.run_on(TCP, *ends, flags)
        entry, expected = detached.entry(key), next_state(TCP, state, direction, flags, secure=secure)
        assert entry.state is expected, (state, flags)
        left = (entry.expires - monotonic_ns()) / NANO
        assert abs(left - TIMEOUTS.by_state()[expected]) < STEP / 2, (state, flags)
        active = (expected in ACTIVE) - (state in ACTIVE)
        assert detached.counts() == (active, -active), (state, flags)


@pytest.mark.parametrize("protocol", [TCP, UDP])
@pytest.mark.parametrize("method", [Method.NAT, Method.TUN, Method.DR])
def test_the_sum_that_a_network_card_has_made_stays_right(
    either: Detached, method: Method, protocol: int
) -> None:
    """The kernel compares it with the packet after the run."""
    client, vip, server = either.ends
    ways = [(client, vip), (server, client)] if method is Method.NAT else [(client, vip)]
    for ends in ways:
        either.insert(protocol, State.ESTABLISHED if protocol == TCP else State.UDP, method)
        try:
            verdict = either.run_on(protocol, *ends, ACK, how=_SUMMED_UP)
        except BpfError as error:
            if "Invalid argument" in str(error):
                pytest.skip("this kernel does not test it (Linux 6.17 does)")
            raise
        assert verdict == _REDIRECTED


def test_a_fast_reply_changes_no_state(detached: Detached) -> None:
    """It skips the request's entry, so only packets that would not change it may be fast."""
    detached.settings.set_transitions(secure=False)
    for flags in FLAGS:
        key = detached.insert(TCP, State.ESTABLISHED, Method.NAT, layouts.FAST_REPLY)
        detached.run_on(TCP, SERVER, CLIENT, flags)
        assert detached.entry(key).state is next_state(TCP, State.ESTABLISHED, Direction.OUTPUT, flags), flags


def test_udp_has_one_state(detached: Detached) -> None:
    for ends in ((CLIENT, VIP), (SERVER, CLIENT)):
        key = detached.insert(UDP, State.UDP, Method.NAT)
        detached.run_on(UDP, *ends)
        assert detached.entry(key).state is State.UDP
        assert detached.counts() == (0, 0)


def test_packets_from_the_client_are_counted(detached: Detached) -> None:
    key = detached.insert(TCP, State.ESTABLISHED, Method.NAT)
    results = []
    for _ in range(12):
        detached.run_on(TCP, CLIENT, VIP, ACK)
        detached.run_on(TCP, SERVER, CLIENT, ACK)
        results.append(detached.entry(key).packets)
    assert results == [*range(1, 13)]


@pytest.mark.parametrize(("period", "then"), [(50, 0x8000 % 50), (40_000, 0)])
def test_a_full_count_continues_at_the_same_place_of_the_period(
    detached: Detached, period: int, then: int
) -> None:
    key = detached.insert(TCP, State.ESTABLISHED, Method.DR)
    full = layouts.MAX_PACKETS
    assert ProgramUpdates(detached.run).compare_and_swap(
        key, detached.entry(key).flags, detached.entry(key).flags, packets=full
    )
    detached.settings.set_sync(SENT, Sysctls(sync_period=period))
    detached.run_on(TCP, CLIENT, VIP, ACK)
    packets = detached.entry(key).packets
    assert packets == (0x8000 + then if then else full)  # more than the period: it stays full
    assert not then or packets % period == (full + 1) % period


@pytest.fixture
def emitted(detached: Detached) -> Iterator[list[tuple[State, int]]]:
    """State and number of packets whenever another director is to be told of a connection."""
    ring = RingBuffer(detached.maps["events"])
    ring.read()  # what other tests have left
    detached.settings.set_sync({*SENT, State.UDP}, Sysctls(sync_threshold=3, sync_period=5))
    detached.settings.set_flags(layouts.SEND_SYNC)
    detached.settings.set_transitions(secure=False)

    class Told(list[tuple[State, int]]):
        def __iter__(self) -> Iterator[tuple[State, int]]:
            for _, _, after, _, _, _, _, event, packets, _ in map(layouts.OF[IPV4].event.unpack, ring.read()):
                if event == layouts.SYNC_DUE:
                    yield layouts.state_of(after), packets

    yield Told()
    detached.settings.set_flags(0)
    ring.close()


def test_it_says_when_another_director_is_to_be_told(
    detached: Detached, emitted: list[tuple[State, int]]
) -> None:
    """At the third packet and every fifth after that, and at once when the connection begins to end."""
    detached.insert(TCP, State.SYN_RECV, Method.NAT)
    detached.run_on(TCP, CLIENT, VIP, SYN)
    for flags in (*[ACK] * 12, FIN | ACK, ACK):
        detached.run_on(TCP, CLIENT, VIP, flags)
    at = State.ESTABLISHED
    assert [*emitted] == [(at, 3), (at, 8), (at, 13), (State.CLOSE_WAIT, 14)]


def test_it_says_so_as_well_when_the_real_server_ends_the_connection(
    detached: Detached, emitted: list[tuple[State, int]]
) -> None:
    detached.insert(TCP, State.ESTABLISHED, Method.NAT)
    for flags in (ACK, FIN | ACK, ACK):
        detached.run_on(TCP, SERVER, CLIENT, flags)
    assert [*emitted] == [(State.FIN_WAIT, 0)]


def test_a_half_open_connection_is_told_to_nobody(
    detached: Detached, emitted: list[tuple[State, int]]
) -> None:
    detached.insert(TCP, State.SYN_RECV, Method.NAT)
    for _ in range(20):
        detached.run_on(TCP, CLIENT, VIP, SYN)
    assert [*emitted] == []


@pytest.fixture
def encoded(detached: Detached) -> Iterator[RingBuffer]:
    """The records that the program has written for another director, one for each packet."""
    yield from records_of(detached)


@pytest.fixture
def encoded_by_either(either: Detached) -> Iterator[RingBuffer]:
    yield from records_of(either)


def records_of(detached: Detached) -> Iterator[RingBuffer]:
    ring = RingBuffer(detached.maps["sync_records"])
    ring.read()
    detached.settings.set_sync({*State}, Sysctls(sync_threshold=0, sync_period=1))
    detached.settings.set_flags(layouts.SEND_SYNC | layouts.SEND_ENCODED)
    detached.settings.set_transitions(secure=False)
    yield ring
    detached.settings.set_flags(0)
    ring.close()


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("received", [False, True])
def test_its_records_are_those_that_the_core_encodes(
    either: Detached, encoded_by_either: RingBuffer, method: Method, state: State, *, received: bool
) -> None:
    detached, encoded = either, encoded_by_either
    client, vip, server_endpoint = detached.ends
    protocol = UDP if state is State.UDP else TCP
    key = detached.insert(protocol, state, method)
    if received:
        flags = detached.entry(key).flags
        ProgramUpdates(detached.run).compare_and_swap(key, flags, flags | layouts.SYNCED)
    detached.run_on(protocol, client, vip)  # without a flag: no change of state
    service = VirtualService(ServiceKey(protocol, vip), Policy("rr"), make("rr"))
    server = RealServer(server_endpoint, 1, method)
    connection = Connection(protocol, client, vip, server_endpoint, server, service)
    connection.state, connection.sync = detached.entry(key).state, SyncMark(received=received)
    expected: list[bytes] = []
    rules = Rules(method, "rr", timeouts=TIMEOUTS, sysctls=Sysctls())
    sender = Sender(rules, lambda record, _now: expected.append(encode(record, version=1)))
    sender.send_due(connection, 0)
    assert encoded.read() == expected
    assert encoded.read() == []


def test_the_core_encodes_what_only_it_knows(detached: Detached, encoded: RingBuffer) -> None:
    """A connection with a template or an ftp session, and one of a service with a firewall mark."""
    events = RingBuffer(detached.maps["events"])
    for flag in (layouts.CORE_OWNED, layouts.MARKED):
        events.read()
        key = detached.insert(TCP, State.ESTABLISHED, Method.DR)
        flags = detached.entry(key).flags
        ProgramUpdates(detached.run).compare_and_swap(key, flags, flags | flag)
        detached.run_on(TCP, CLIENT, VIP, ACK)
        assert [layouts.OF[IPV4].event.unpack(event)[7] for event in events.read()] == [layouts.SYNC_DUE]
        assert encoded.read() == []
    events.close()


def test_the_core_is_woken_for_eight_messages(detached: Detached, encoded: RingBuffer) -> None:
    """Earlier, it finds the records when it looks for them; what finds no room is counted."""
    detached.insert(TCP, State.ESTABLISHED, Method.DR)
    with select.epoll() as poller:
        poller.register(encoded.fileno(), select.EPOLLIN)
        assert poller.poll(0) == []
        for _ in range(8 * 40 - 1):
            detached.run_on(TCP, CLIENT, VIP, ACK)
        assert poller.poll(0) == []
        detached.run_on(TCP, CLIENT, VIP, ACK)
        assert poll_until(lambda: poller.poll(0), bool, 10)
    assert len(encoded.read()) == 8 * 40
    detached.run_on(TCP, CLIENT, VIP, ACK)
    assert len(encoded.read()) == 1
    room = detached.maps["sync_records"].size // 48
    lost = detached.totals.lost_records
    for _ in range(room + 100):
        detached.run_on(TCP, CLIENT, VIP, ACK)
    found = len(encoded.read())
    assert room - 100 < found <= room
    assert found + detached.totals.lost_records - lost == room + 100


def test_a_standby_forwards_nothing(detached: Detached) -> None:
    key = detached.insert(TCP, State.ESTABLISHED, Method.NAT)
    detached.settings.set_flags(layouts.STAND_BY)
    assert detached.run_on(TCP, CLIENT, VIP, ACK) == _TO_THE_KERNEL
    detached.settings.set_flags(0)
    assert detached.entry(key).packets == 0


@pytest.mark.parametrize("scheduler", ["lc", "wlc", "sed", "nq"])
def test_a_negative_count_is_zero(detached: Detached, scheduler: str) -> None:
    """Of two idle servers, the first gets the connection."""
    service = Endpoint("203.0.113.9", 80)
    members = detached.maps["members"].mapped()
    for place, number in ((1, 5), (2, 6)):
        members[8 * place : 8 * place + 8] = number.to_bytes(8, sys.byteorder)
        there = layouts.address(f"172.16.0.{number}"), layouts.port(80)
        value = (*there, layouts.METHODS.index(Method.DR), bytes(4), 1, 1, 0, 0, 0, 0, 0, 0, 0)
        layouts.SERVER.pack_into(detached.servers, number * layouts.SERVER.size, *value)
    detached.counts(-1, -1, number=5)
    written = (SCHEDULERS[scheduler], 0, 1, 2, 0, 0, 0, bytes(4), 0)
    detached.maps["services"].put(layouts.service_key(service, TCP), layouts.OF[IPV4].service.pack(*written))
    detached.run_on(TCP, CLIENT, service, SYN)
    key = layouts.flow_key(TCP, CLIENT, service)
    assert detached.entry(key).server == 5
    ProgramUpdates(detached.run).remove(key)


def test_a_connection_is_removed_once(detached: Detached) -> None:
    updates = ProgramUpdates(detached.run)
    key = detached.insert(TCP, State.FIN_WAIT, Method.NAT)
    used = detached.totals.connections
    last = updates.remove(key)
    assert last is not None
    assert layouts.state_of(last) is State.FIN_WAIT
    assert (
        detached.connections.get(key)
        is detached.connections.get(layouts.flow_key(TCP, SERVER, CLIENT))
        is None
    )
    assert detached.totals.connections == used - 1
    assert updates.remove(key) is None
    assert not updates.compare_and_swap(key, last, last)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor")
def test_packets_of_both_ends_at_once_both_count(detached: Detached) -> None:
    """Both ends close the connection, each on a processor of its own: no packet's change of state is lost."""
    detached.settings.set_transitions(secure=False)
    after = set()
    for first, second in ((Direction.INPUT, Direction.OUTPUT), (Direction.OUTPUT, Direction.INPUT)):
        state = next_state(TCP, State.ESTABLISHED, first, FIN | ACK)
        after.add(next_state(TCP, state, second, FIN | ACK))
    turns = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")  # begun, and ended by the other process
    server = os.fork()
    if not server:
        try:
            for turn in range(1, _TURNS + 1):
                while turns[0] < turn:
                    pass
                detached.run_on(TCP, SERVER, CLIENT, FIN | ACK)
                turns[1] = turn
        finally:
            os._exit(0)
    try:
        for turn in range(1, _TURNS + 1):
            key = detached.insert(TCP, State.ESTABLISHED, Method.NAT)
            turns[0] = turn
            detached.run_on(TCP, CLIENT, VIP, FIN | ACK)
            poll_until(lambda: turns[1], turn.__eq__, 20)
            assert detached.entry(key).state in after, f"turn {turn}"
            assert detached.counts() == (-1, 1), f"turn {turn}"
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)


class Interrupted(ProgramUpdates):
    """The program sees a packet right before the core's next update."""

    def __init__(self, detached: Detached, packet: Callable[[], object]) -> None:
        super().__init__(detached.run)
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
def test_a_packet_that_arrives_during_a_decision_is_not_undone(
    detached: Detached, core: State | None
) -> None:
    """A RST closes the connection while the core keeps its state, changes it, or ends it (None)."""
    key = detached.insert(TCP, State.ESTABLISHED, Method.NAT)
    detached.totals.add_connections(1)
    detached.counts(1, 0)
    servers: Any = FakeServers(Method.NAT)
    updates = Interrupted(detached, lambda: detached.run_on(TCP, CLIENT, VIP, RST))
    clock, nothing = KernelClock(lambda: monotonic_ns() / NANO, 0.0), lambda: None
    templates: Any = SimpleNamespace()
    sessions = FtpSessions(FamilyMaps(detached.maps["ftp_sessions"]))
    table = SharedTable(
        FamilyMaps(detached.connections),
        detached.totals,
        servers,
        templates,
        sessions,
        updates,
        clock,
        nothing,
        8,
    )
    life = Lifecycle(Tables(table, templates), TIMEOUTS, Trace(None))
    connection = table.find_in(TCP, CLIENT, VIP)
    assert isinstance(connection, Connection)
    if core is None:
        life.end(connection, clock.now())
        state, both = None, (0, 0)
        assert detached.connections.get(key) is None
    else:
        life.set_state(connection, core, clock.now())
        state, both = detached.entry(key).state, (0, 1)
        assert state is (State.CLOSE if core is State.ESTABLISHED else core)
        table.remove(connection)
    server = servers.servers[NUMBER]
    program = detached.counts()
    assert (program[0] + server.active, program[1] + server.inactive) == both
