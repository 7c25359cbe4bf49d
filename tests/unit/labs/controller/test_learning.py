from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labs.controller.learning import Learnt, MacTable

A, B, C = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"


def test_a_new_address_is_learnt_once() -> None:
    table = MacTable()
    assert table.learn(A, 1) == Learnt(A, 1, None)
    assert table.learn(A, 1) is None
    assert table.port_of(A) == 1


def test_an_unknown_address_has_no_port() -> None:
    assert MacTable().port_of(A) is None


def test_a_moved_address_says_from_where() -> None:
    table = MacTable()
    table.learn(A, 1)
    assert table.learn(A, 2) == Learnt(A, 2, moved_from=1)
    assert table.port_of(A) == 2


def test_a_group_address_is_nobodys_source() -> None:
    table = MacTable()
    assert table.learn("ff:ff:ff:ff:ff:ff", 1) is None
    assert len(table) == 0


def test_a_full_table_learns_no_more_but_follows_whom_it_knows() -> None:
    table = MacTable(largest=2)
    table.learn(A, 1)
    table.learn(B, 2)
    assert table.learn(C, 3) is None
    assert table.port_of(C) is None
    assert table.learn(A, 3) == Learnt(A, 3, moved_from=1)


def test_an_unplugged_port_takes_its_addresses_with_it() -> None:
    table = MacTable()
    for mac, port in ((A, 1), (B, 2), (C, 1)):
        table.learn(mac, port)
    assert table.forget_port(1) == (A, C)
    assert [table.port_of(mac) for mac in (A, B, C)] == [None, 2, None]


@given(st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(1, 4))))
def test_the_last_port_counts_and_every_change_is_told(seen: list[tuple[str, int]]) -> None:
    table, flows = MacTable(), dict[str, int]()
    for mac, port in seen:
        learnt = table.learn(mac, port)
        if learnt is not None:
            assert flows.get(mac) == learnt.moved_from
            flows[mac] = learnt.port
    assert flows == dict(seen)
