"""The shared table: it behaves like the core's own table, and agrees with the program."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from director.core.connections import Connection, ConnectionTable, Lifecycle, Tables
from director.core.events import Trace
from director.core.ftp import Session
from director.core.overload import Overload
from director.core.packet import ANY_PORT, TCP, UDP, Endpoint
from director.core.persistence import Template, TemplateKey
from director.core.real_server import Method
from director.core.states import ACTIVE, State, Timeouts
from director.engines.ebpf import layouts
from tests.conftest import LONG
from tests.unit.director.core.support import RS1, RS2, WEB, client
from tests.unit.director.engines.ebpf.support import Shared

FTP, DATA = WEB._replace(port=21), WEB._replace(port=30000)
ends = st.builds(client, st.integers(1, 30), st.sampled_from(["198.51.100.1", "198.51.100.2"]))
Key = tuple[int, Endpoint]
Seen = tuple[int, Endpoint, Endpoint, Endpoint, State]


def observed(connection: Connection | None) -> Seen | None:
    if connection is None:
        return None
    return (
        connection.protocol,
        connection.client,
        connection.vip,
        connection.server_endpoint,
        connection.state,
    )


class SharedLikeOwn(RuleBasedStateMachine):
    keys = Bundle("keys")
    method = Method.NAT

    def __init__(self) -> None:
        super().__init__()
        self.shared = Shared(self.method)
        self.table = self.shared.table
        self.own = ConnectionTable(8)

    @property
    def now(self) -> float:
        return self.shared.rules.time

    def made(self, protocol: int, end: Endpoint, number: int) -> Connection:
        service, server = self.shared.rules.at(number)
        return Connection(protocol, end, WEB, server.address, server, service)

    @rule(
        target=keys,
        protocol=st.sampled_from([TCP, UDP]),
        end=ends,
        number=st.sampled_from([1, 2]),
        life=st.integers(1, 50),
    )
    def add(self, protocol: int, end: Endpoint, number: int, life: int) -> Key:
        if self.own.find_in(protocol, end, WEB) is None:
            for table in (self.own, self.table):
                table.add(self.made(protocol, end, number), self.now + life)
        return protocol, end

    @rule(key=keys, life=st.integers(1, 50), state=st.sampled_from([State.ESTABLISHED, State.FIN_WAIT]))
    def keep(self, key: Key, life: int, state: State) -> None:
        for table in (self.own, self.table):
            connection = table.find_in(*key, WEB)
            if connection is not None:
                connection.state = state
                table.refresh(connection, self.now + life)

    @rule(key=keys)
    def remove(self, key: Key) -> None:
        for table in (self.own, self.table):
            connection = table.find_in(*key, WEB)
            if connection is not None:
                table.remove(connection)

    @rule(key=keys)
    def both_sides_find_it(self, key: Key) -> None:
        expected = observed(self.own.find_in(*key, WEB))
        assert observed(self.table.find_in(*key, WEB)) == expected
        for server in (RS1, RS2):
            found = self.table.find_out(key[0], server, key[1])
            assert observed(found) == observed(self.own.find_out(key[0], server, key[1]))

    @rule(passed=st.integers(0, 40))
    def time_passes(self, passed: int) -> None:
        self.shared.rules.time += passed
        list(self.own.expired(self.now))
        list(self.table.expired(self.now))
        self.shared.sweep()

    @invariant()
    def the_same_connections(self) -> None:
        assert sorted(map(repr, map(observed, self.table))) == sorted(map(repr, map(observed, self.own)))
        assert len(self.table) == len(self.own)


SharedLikeOwn.TestCase.settings = settings(max_examples=120 if LONG else 30, stateful_step_count=40)
TestSharedTable = SharedLikeOwn.TestCase


def opened(shared: Shared, end: Endpoint, state: State = State.NONE) -> bytes:
    """What the program writes when it opens a connection by a template."""
    key = layouts.flow_key(TCP, end, WEB)
    expires = shared.clock.nanoseconds(shared.rules.time + 60)
    there = layouts.address(RS1.address), layouts.port(RS1.port)
    shared.map.put(
        key,
        bytes(layouts.Entry(expires, layouts.make_flags(state, Method.DR, layouts.CORE_OWNED), 1, 0, *there)),
    )
    shared.totals.add_connections(1)
    return key


def with_template(shared: Shared) -> Template:
    """A template that the core has made for the address of `client`."""
    service, server = shared.rules.at(1)
    template = Template(TemplateKey(TCP, client(1).address, WEB), service, server, RS1, 300)
    shared.templates.add(template, shared.rules.time)
    return template


def test_connections_opened_by_a_template_are_its_children() -> None:
    shared = Shared(Method.DR, persistent=300)
    template = with_template(shared)
    key = opened(shared, client(1))
    shared.table.on_opened(key, shared.rules.time)
    shared.table.on_opened(key, shared.rules.time)  # told twice is told once
    assert template.children == 1
    (connection,) = shared.table
    assert connection.control is template


def test_only_the_core_ends_a_connection_that_it_owns() -> None:
    shared = Shared(Method.DR, persistent=300)
    with_template(shared)
    shared.table.on_opened(opened(shared, client(1)), shared.rules.time)
    shared.rules.time += 61
    shared.sweep()
    assert len(shared.table) == 1
    (over,) = shared.table.expired(shared.rules.time)
    assert over.client == client(1)
    assert len(shared.table) == len(shared.map.entries) == 0


def test_connections_of_lost_events_are_found() -> None:
    shared = Shared(Method.DR, persistent=300)
    template = with_template(shared)
    opened(shared, client(1), State.ESTABLISHED)
    shared.table.recover_lost_events()
    assert (template.children, template.assured) == (1, True)


def test_the_program_ends_what_it_opened_for_a_server_deleted_meanwhile() -> None:
    shared = Shared(Method.DR, persistent=300)
    told, lost = opened(shared, client(1)), opened(shared, client(2))
    del shared.rules.servers[1]
    shared.table.on_opened(told, shared.rules.time)
    shared.table.recover_lost_events()
    flags = [layouts.Entry.from_bytes(shared.map.entries[key]).flags for key in (told, lost)]
    assert not any(bits & layouts.CORE_OWNED for bits in flags)


@pytest.mark.parametrize("method", [Method.NAT, Method.DR])
def test_the_next_director_releases_connections_that_it_knows_nothing_about(method: Method) -> None:
    """Such as an ftp control connection without a saved session."""
    shared = Shared(method)
    shared.table.add(made(shared, client(1), FTP), shared.rules.time + 60)
    shared.next_table().adopt()
    flags = [layouts.Entry.from_bytes(value).flags for value in shared.map.entries.values()]
    assert not [
        bits
        for bits in flags
        if bits & layouts.UPCALL or (bits & layouts.CORE_OWNED and not bits & layouts.REPLY)
    ]


@pytest.mark.parametrize("persistent", [0, 300])
def test_the_next_director_resumes_ftp_sessions(persistent: int) -> None:
    shared = Shared(Method.NAT, persistent)
    control = made(shared, client(1), FTP)
    control.ftp = Session(sent=7)
    shared.table.add(control, shared.rules.time + 60)
    shared.table.store(control)
    data = made(shared, client(2), DATA, control)
    shared.table.add(data, shared.rules.time + 60)
    alone = made(shared, client(3, "198.51.100.9"), DATA, control)
    shared.table.add(alone, shared.rules.time + 60)

    table = shared.next_table()
    table.adopt()
    found = table.find_in(TCP, client(1), FTP)
    assert found is not None
    assert (found.ftp, found.children) == (Session(sent=7), 1)
    child = table.find_in(TCP, client(2), DATA)
    assert child is not None
    assert child.control is found
    table.remove(found)
    assert not shared.sessions.entries


def made(
    shared: Shared, end: Endpoint, vip: Endpoint, control: Connection | Template | None = None
) -> Connection:
    service, server = shared.rules.at(1)
    return Connection(TCP, end, vip, RS1._replace(port=vip.port), server, service, control)


@pytest.mark.parametrize(("method", "room"), [(Method.NAT, 0), (Method.NAT, 1), (Method.DR, 0)])
def test_a_full_map_takes_nothing(method: Method, room: int) -> None:
    """Neither one of the two entries, nor a count."""
    shared = Shared(method, persistent=300)
    shared.map.size = room
    template = with_template(shared)
    connection = made(shared, client(1), WEB, template)
    life(shared).open(connection, shared.rules.time, "for a test")
    life(shared).set_state(connection, State.SYN_RECV, shared.rules.time)
    assert not shared.map.entries
    assert counts(shared) == (0, 0, 0)
    assert template.children == 0
    assert not list(shared.table.expired(shared.rules.time + 1000))


def test_an_expected_connection_that_finds_the_map_full_no_longer_counts() -> None:
    shared = Shared(Method.NAT)
    expected = made(shared, client(ANY_PORT), WEB)
    life(shared).open(expected, shared.rules.time, "for a test")
    shared.map.size = 1
    shared.table.fill_client_port(expected, client(7))
    assert not shared.map.entries
    assert counts(shared) == (0, 0, 0)


# ---- the core and the program at the same time ----


def life(shared: Shared) -> Lifecycle:
    return Lifecycle(Tables(shared.table, shared.templates), Timeouts(), Trace(None))


def counts(shared: Shared) -> tuple[int, int, int]:
    """Active and inactive connections of the first server, by program and core together; entries."""
    server = shared.rules.at(1)[1]
    return server.active, server.inactive, len(shared.table)


def program_changes_state(shared: Shared, key: bytes, after: State) -> None:
    """The program changes a state after the core has read it, and counts that."""
    entry = layouts.Entry.from_bytes(shared.map.entries[key])
    time = shared.clock.nanoseconds(shared.rules.time + 10)
    flags = layouts.with_state(entry.flags, after)
    shared.map.put(key, bytes(entry._replace(flags=flags, expires=time)))
    if (after in ACTIVE) is not (entry.state in ACTIVE):
        shared.rules.at(1)[1].count_state_change(active=after in ACTIVE)


def established(shared: Shared) -> tuple[Connection, bytes]:
    connection = made(shared, client(1), WEB)
    life(shared).open(connection, shared.rules.time, "for a test")
    life(shared).set_state(connection, State.ESTABLISHED, shared.rules.time)
    assert counts(shared) == (1, 0, 1)
    found = shared.table.find_in(TCP, client(1), WEB)
    assert found is not None
    return found, layouts.flow_key(TCP, client(1), WEB)


@pytest.mark.parametrize("method", [Method.NAT, Method.DR])
@pytest.mark.parametrize("program", [State.ESTABLISHED, State.FIN_WAIT, State.CLOSE])
@pytest.mark.parametrize("core", [State.ESTABLISHED, State.FIN_WAIT, State.SYN_RECV])
def test_a_concurrent_state_change_is_not_lost(method: Method, program: State, core: State) -> None:
    """The core's change starts from the program's state; if the core changes nothing, the program's stays."""
    shared = Shared(method)
    connection, key = established(shared)
    shared.updates.meanwhile = lambda: program_changes_state(shared, key, program)
    life(shared).set_state(connection, core, shared.rules.time)
    now = layouts.Entry.from_bytes(shared.map.entries[key]).state
    assert now is connection.state is (program if core is State.ESTABLISHED else core)
    active = int(now in ACTIVE)
    assert counts(shared) == (active, 1 - active, 1)


@pytest.mark.parametrize("program", [State.ESTABLISHED, State.CLOSE])
def test_an_end_is_counted_in_the_final_state(program: State) -> None:
    shared = Shared(Method.NAT)
    connection, key = established(shared)
    shared.updates.meanwhile = lambda: program_changes_state(shared, key, program)
    life(shared).end(connection, shared.rules.time)
    assert counts(shared) == (0, 0, 0)


@pytest.mark.parametrize("method", [Method.NAT, Method.DR])
@pytest.mark.parametrize("number", [1, 2])
def test_a_connection_that_the_program_opens_first_remains(method: Method, number: int) -> None:
    """With the same server as the core's, or with another one; it is counted once."""
    shared = Shared(method)
    service, server = shared.rules.at(number)
    program = Connection(TCP, client(1), WEB, server.address, server, service)
    program.state = State.ESTABLISHED
    life(shared).open(program, shared.rules.time, "opened by the program")
    entries = dict(shared.map.entries)
    life(shared).open(made(shared, client(1), WEB), shared.rules.time, "for a test")
    assert shared.map.entries == entries
    assert [shared.rules.at(at)[1].active for at in (1, 2)] == [int(number == 1), int(number == 2)]
    assert [shared.rules.at(at)[1].inactive for at in (1, 2)] == [0, 0]
    assert len(shared.table) == 1


@pytest.mark.parametrize("core", [State.ESTABLISHED, State.FIN_WAIT, None])
def test_a_connection_that_the_program_ends_concurrently_is_counted_once(core: State | None) -> None:
    shared = Shared(Method.NAT)
    connection, key = established(shared)

    def program_ends() -> None:
        assert shared.updates.remove(key) is not None
        shared.rules.at(1)[1].count(active=True, by=-1)

    shared.updates.meanwhile = program_ends
    if core is None:
        life(shared).end(connection, shared.rules.time)
    else:
        life(shared).set_state(connection, core, shared.rules.time)
    assert counts(shared) == (0, 0, 0)


def test_the_fast_reply_flag_is_cleared_despite_a_concurrent_change() -> None:
    """And nothing else that the program has changed in the reply's entry is undone."""
    shared = Shared(Method.NAT)
    connection, _ = established(shared)
    reply = layouts.flow_key(TCP, connection.server_endpoint, client(1))

    def program_trusts() -> None:
        entry = layouts.Entry.from_bytes(shared.map.entries[reply])
        shared.map.put(reply, bytes(entry._replace(flags=entry.flags | layouts.FAST_REPLY, packets=7)))

    shared.updates.meanwhile = program_trusts
    life(shared).set_state(connection, State.FIN_WAIT, shared.rules.time)
    back = layouts.Entry.from_bytes(shared.map.entries[reply])
    assert (back.flags & layouts.FAST_REPLY, back.packets) == (0, 7)


@pytest.mark.parametrize("persistent", [0, 300])
def test_an_expected_connection_gets_an_entry_when_its_client_port_is_known(persistent: int) -> None:
    shared = Shared(Method.NAT, persistent)
    service, server = shared.rules.at(1)
    expected = Connection(TCP, client(ANY_PORT), WEB, RS1, server, service)
    shared.table.add(expected, shared.rules.time + 10)
    assert shared.table.expectations == 1
    shared.table.fill_client_port(expected, client(7))
    assert observed(shared.table.find_in(TCP, client(7), WEB)) == observed(expected)
    assert shared.table.find_in(TCP, client(ANY_PORT), WEB) is None


def test_packets_seen_by_the_program_and_by_the_core_add_up() -> None:
    """drop_entry decides by them whether an idle connection is dropped."""
    shared = Shared(Method.DR)
    connection, key = established(shared)
    connection.packets = 2
    shared.table.store(connection)
    entry = layouts.Entry.from_bytes(shared.map.entries[key])
    assert entry.packets == 2
    shared.map.put(key, bytes(entry._replace(packets=3)))
    (seen_again,) = chain.from_iterable(shared.table.scan(10))
    assert seen_again.packets == 3
    defence = Overload()
    assert not defence.drops_entry(seen_again, 59)
    assert [defence.drops_entry(seen_again, 60) for _ in range(4)] == [True, False, False, True]
