"""The table that the program shares, against the core's own: whatever is done to both, both say the same."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from director.core.connection import Connection
from director.core.decision import Method
from director.core.defence import Defence
from director.core.ftp_helper import Session
from director.core.packet import ANY_PORT, TCP, UDP, Endpoint
from director.core.persistence import Template, TemplateKey
from director.core.states import State
from director.core.table import ConnectionTable
from director.engines.ebpf import shapes
from tests.unit.director.core.support import RS1, RS2, WEB, client
from tests.unit.director.engines.ebpf.support import Shared

FTP, DATA = WEB._replace(port=21), WEB._replace(port=30000)
ends = st.builds(client, st.integers(1, 30), st.sampled_from(["198.51.100.1", "198.51.100.2"]))
Key = tuple[int, Endpoint]
Seen = tuple[int, Endpoint, Endpoint, Endpoint, State]


def seen(connection: Connection | None) -> Seen | None:
    if connection is None:
        return None
    return connection.protocol, connection.client, connection.vip, connection.server_end, connection.state


class SharedAgainstOwn(RuleBasedStateMachine):
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
        if self.own.request(protocol, end, WEB) is None:
            for table in (self.own, self.table):
                table.add(self.made(protocol, end, number), self.now + life)
        return protocol, end

    @rule(key=keys, life=st.integers(1, 50), state=st.sampled_from([State.ESTABLISHED, State.FIN_WAIT]))
    def keep(self, key: Key, life: int, state: State) -> None:
        for table in (self.own, self.table):
            connection = table.request(*key, WEB)
            if connection is not None:
                connection.state = state
                table.keep(connection, self.now + life)

    @rule(key=keys)
    def remove(self, key: Key) -> None:
        for table in (self.own, self.table):
            connection = table.request(*key, WEB)
            if connection is not None:
                table.remove(connection)

    @rule(key=keys)
    def both_sides_find_it(self, key: Key) -> None:
        expected = seen(self.own.request(*key, WEB))
        assert seen(self.table.request(*key, WEB)) == expected
        for server in (RS1, RS2):
            found = self.table.reply(key[0], server, key[1])
            assert seen(found) == seen(self.own.reply(key[0], server, key[1]))

    @rule(passed=st.integers(0, 40))
    def time_passes(self, passed: int) -> None:
        self.shared.rules.time += passed
        list(self.own.expired(self.now))
        list(self.table.expired(self.now))
        self.shared.sweep()

    @invariant()
    def the_same_connections(self) -> None:
        assert sorted(map(repr, map(seen, self.table))) == sorted(map(repr, map(seen, self.own)))
        assert len(self.table) == len(self.own)


SharedAgainstOwn.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestSharedTable = SharedAgainstOwn.TestCase


def opened(shared: Shared, end: Endpoint, state: State = State.NONE) -> bytes:
    """What the program writes when it opens a connection by a template."""
    key = shapes.ends(TCP, end, WEB)
    expires = shared.clock.nanoseconds(shared.rules.time + 60)
    there = shapes.address(RS1.address), shapes.port(RS1.port)
    shared.map.put(key, bytes(shapes.Entry(expires, shapes.word(state, Method.DR, shapes.TOLD), 1, *there)))
    shared.totals.add(1)
    return key


def with_template(shared: Shared) -> Template:
    """One that the core has made for the client of `client`."""
    service, server = shared.rules.at(1)
    template = Template(TemplateKey(TCP, client(1).address, WEB), service, server, RS1, 300)
    shared.templates.add(template, shared.rules.time)
    return template


def test_what_the_program_opens_by_a_template_is_among_its_children() -> None:
    shared = Shared(Method.DR, persistent=300)
    template = with_template(shared)
    key = opened(shared, client(1))
    shared.table.opened(key, shared.rules.time)
    shared.table.opened(key, shared.rules.time)  # told twice is told once
    assert template.children == 1
    (connection,) = shared.table
    assert connection.control is template


def test_it_ends_when_its_time_is_over_and_only_by_the_core() -> None:
    shared = Shared(Method.DR, persistent=300)
    with_template(shared)
    shared.table.opened(opened(shared, client(1)), shared.rules.time)
    shared.rules.time += 61
    shared.sweep()
    assert len(shared.table) == 1
    (over,) = shared.table.expired(shared.rules.time)
    assert over.client == client(1)
    assert len(shared.table) == len(shared.map.entries) == 0


def test_what_nobody_has_told_of_is_found() -> None:
    shared = Shared(Method.DR, persistent=300)
    template = with_template(shared)
    opened(shared, client(1), State.ESTABLISHED)
    shared.table.find_unheard()
    assert (template.children, template.assured) == (1, True)


@pytest.mark.parametrize("method", [Method.NAT, Method.DR])
def test_the_next_director_leaves_to_the_program_what_it_knows_nothing_of(method: Method) -> None:
    """A control connection whose ftp nobody has read, for one."""
    shared = Shared(method)
    shared.table.add(made(shared, client(1), FTP), shared.rules.time + 60)
    shared.next_table().adopt()
    words = [shapes.Entry.of(value).word for value in shared.map.entries.values()]
    assert not [
        word for word in words if word & shapes.CORE or (word & shapes.TOLD and not word & shapes.REPLY)
    ]


@pytest.mark.parametrize("persistent", [0, 300])
def test_the_next_director_reads_on_in_control_connections(persistent: int) -> None:
    shared = Shared(Method.NAT, persistent)
    control = made(shared, client(1), FTP)
    control.ftp = Session(sent=7)
    shared.table.add(control, shared.rules.time + 60)
    shared.table.remember(control)
    data = made(shared, client(2), DATA, control)
    shared.table.add(data, shared.rules.time + 60)
    alone = made(shared, client(3, "198.51.100.9"), DATA, control)
    shared.table.add(alone, shared.rules.time + 60)

    table = shared.next_table()
    table.adopt()
    found = table.request(TCP, client(1), FTP)
    assert found is not None
    assert (found.ftp, found.children) == (Session(sent=7), 1)
    child = table.request(TCP, client(2), DATA)
    assert child is not None
    assert child.control is found
    table.remove(found)
    assert not shared.sessions.entries


def made(shared: Shared, end: Endpoint, vip: Endpoint, control: Connection | None = None) -> Connection:
    service, server = shared.rules.at(1)
    return Connection(TCP, end, vip, RS1._replace(port=vip.port), server, service, control)


def test_a_full_map_takes_no_more() -> None:
    shared = Shared(Method.DR)
    shared.map.size = 0
    service, server = shared.rules.at(1)
    shared.table.add(Connection(TCP, client(1), WEB, RS1, server, service), shared.rules.time + 5)
    assert len(list(shared.table)) == 0


@pytest.mark.parametrize("persistent", [0, 300])
def test_an_expected_connection_moves_when_its_client_is_known(persistent: int) -> None:
    shared = Shared(Method.NAT, persistent)
    service, server = shared.rules.at(1)
    expected = Connection(TCP, client(ANY_PORT), WEB, RS1, server, service)
    shared.table.add(expected, shared.rules.time + 10)
    assert shared.table.expected == 1
    shared.table.name_client(expected, client(7))
    assert seen(shared.table.request(TCP, client(7), WEB)) == seen(expected)
    assert shared.table.request(TCP, client(ANY_PORT), WEB) is None


def test_nobody_knows_how_many_packets_a_connection_has_had() -> None:  # differs: drop-entry-in-ebpf
    shared = Shared(Method.DR)
    service, server = shared.rules.at(1)
    connection = Connection(TCP, client(1), WEB, RS1, server, service)
    connection.packets = 3
    shared.table.add(connection, shared.rules.time + 5)
    (seen_again,) = shared.table
    assert seen_again.packets == 0
    seen_again.state = State.ESTABLISHED
    assert not Defence().drops_entry(seen_again, 99)
    seen_again.state = State.SYN_RECV
    assert Defence().drops_entry(seen_again, 0)
