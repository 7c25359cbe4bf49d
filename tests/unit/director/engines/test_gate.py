"""Which SYNs of a flood get a turn."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP

from director.engines.scapy import wire
from director.engines.scapy.wire import Stamped, SynGate
from tests.unit.director.engines.support import CLIENT, VIP, Running


def syns(*numbers: int, when: float = 100.0) -> list[Stamped]:
    """Frames that differ in their ends only."""
    return [(when, bytes(26) + number.to_bytes(12, "big") + bytes(16)) for number in numbers]


def test_where_there_are_turns_for_all_nobody_is_kept_out() -> None:
    assert SynGate().choose(syns(1, 2, 3), 3) == syns(1, 2, 3)
    assert SynGate().choose([], 0) == []


def test_who_asks_again_gets_in_before_anybody_new() -> None:
    gate = SynGate()
    assert len(gate.choose(syns(1, 2, 3, 4), 1)) == 1
    chosen = gate.choose(syns(5, 6, 3, 7, 4, when=101.0), 3)
    assert {*syns(3, 4, when=101.0)} < {*chosen}
    assert len(chosen) == 3


def test_those_who_ask_again_may_be_too_many() -> None:
    gate = SynGate()
    gate.choose(syns(*range(500)), 1)
    chosen = gate.choose(syns(*range(600), when=101.0), 10)
    assert (len(chosen), len(gate.waiting)) == (10, 256)
    assert {*chosen, *gate.waiting} <= {*syns(*range(500), when=101.0)}
    first = gate.waiting[:10]
    assert gate.choose(syns(*range(600, 700), when=101.0), 10) == first
    assert len(gate.choose([], 1000)) == 246
    assert gate.waiting == []


@pytest.mark.parametrize(("later", "known"), [(1.0, True), (5.0, True), (9.0, False)])
def test_what_was_long_ago_is_forgotten(later: float, known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.sample", lambda several, count: several[len(several) - count :])
    gate = SynGate()
    gate.choose(syns(1, 2), 0)
    assert gate.choose(syns(1, 3, when=100.0 + later), 1) == syns(1 if known else 3, when=100.0 + later)


def test_its_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_MEMORY_SIZE", 10)
    full = SynGate()
    for start in range(0, 1000, 5):
        full.choose(syns(*range(start, start + 5)), 1)
        assert len(full._recent) + len(full._older) <= 2 * (10 + 5)


def test_syns_get_fewer_turns_while_other_packets_wait(nat: Running) -> None:
    packet = IP(src=CLIENT, dst=VIP) / TCP(sport=2000, dport=80, flags="S")
    turns = []
    for nat.wire.is_behind in (False, True, False):
        nat.receive(packet)
        turns.append(nat.wire.syns)
    assert turns == [32, 1, 32]


def test_what_was_shed_is_counted_and_told(nat: Running) -> None:
    for nat.wire.dropped in ((7, 0), (5, 2), (0, 0)):
        nat.engine.tick(1.0)
    counted = nat.engine.counters()
    assert (counted["shed"], counted["missed"]) == (12, 2)
    assert [dict(event.data) for event in nat.events if event.kind == "shed"] == [
        {"interface": "d-eth0", "syns": 7},
        {"interface": "d-eth0", "syns": 5},
    ]
