"""The connection table, compared with a plain dictionary."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from director.core.commands import ServiceKey
from director.core.connections import Connection, ConnectionTable
from director.core.errors import BadValue
from director.core.packet import ANY_PORT, TCP, UDP, Endpoint
from director.core.real_server import Method, RealServer
from director.core.schedulers import make
from director.core.service import Policy, VirtualService
from tests.conftest import LONG
from tests.unit.director.core.support import RS1, WEB, client

SERVICE = VirtualService(ServiceKey(TCP, WEB), Policy("rr"), make("rr"))
SERVER = RealServer(RS1, 1, Method.NAT)
ends = st.builds(client, st.integers(1, 30), st.sampled_from(["198.51.100.1", "198.51.100.2"]))
Key = tuple[int, Endpoint]


class TableAgainstDictionary(RuleBasedStateMachine):
    """Every step is taken with both; they must never differ."""

    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.table = ConnectionTable(8)
        self.model: dict[Key, Connection] = {}
        self.now = 0.0

    @rule(target=keys, protocol=st.sampled_from([TCP, UDP]), end=ends, life=st.integers(1, 50))
    def add(self, protocol: int, end: Endpoint, life: int) -> Key:
        key = protocol, end
        if key not in self.model:
            self.model[key] = Connection(protocol, end, WEB, RS1, SERVER, SERVICE)
            self.table.add(self.model[key], self.now + life)
        return key

    @rule(key=keys, life=st.integers(1, 50))
    def keep(self, key: Key, life: int) -> None:
        if key in self.model:
            self.table.refresh(self.model[key], self.now + life)

    @rule(key=keys)
    def remove(self, key: Key) -> None:
        if key in self.model:
            self.table.remove(self.model.pop(key))

    @rule(key=keys)
    def both_sides_find_it(self, key: Key) -> None:
        assert self.table.find_in(*key, WEB) is self.model.get(key)
        assert self.table.find_out(key[0], RS1, key[1]) is self.model.get(key)

    @rule(passed=st.integers(0, 40))
    def time_passes(self, passed: int) -> None:
        self.now += passed
        gone = {id(connection) for connection in self.table.expired(self.now)}
        over = {key for key, connection in self.model.items() if connection.expires <= self.now}
        assert gone == {id(self.model.pop(key)) for key in over}

    @invariant()
    def the_same_connections(self) -> None:
        assert len(self.table) == len(self.model)
        assert {id(connection) for connection in self.table} == {
            id(connection) for connection in self.model.values()
        }


TableAgainstDictionary.TestCase.settings = settings(max_examples=120 if LONG else 30, stateful_step_count=40)
TestTable = TableAgainstDictionary.TestCase


def test_an_expected_connection_moves_to_its_clients_bucket() -> None:
    table = ConnectionTable()
    expected = Connection(TCP, client(ANY_PORT), WEB, RS1, SERVER, SERVICE)
    table.add(expected, 10)
    table.fill_client_port(expected, client(7))
    assert table.find_in(TCP, client(7), WEB) is expected
    assert table.find_in(TCP, client(ANY_PORT), WEB) is None
    assert list(table.expired(10)) == [expected]


@pytest.mark.parametrize("bits", [7, 21])
def test_the_number_of_buckets_is_limited(bits: int) -> None:
    with pytest.raises(BadValue, match="8 to 20"):
        ConnectionTable(bits)
