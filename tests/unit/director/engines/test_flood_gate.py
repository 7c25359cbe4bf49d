"""Which SYNs of a flood get in."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from director.engines.scapy import flood_gate
from director.engines.scapy.flood_gate import FloodGate, Stamped


def syns(*numbers: int, when: float = 100.0) -> list[Stamped]:
    """Frames that differ only in their addresses and ports."""
    before = bytes(14) + b"\x45" + bytes(11)
    return [(when, before + number.to_bytes(12, "big") + bytes(16)) for number in numbers]


@pytest.mark.parametrize(
    "packet",
    [
        IP(src="198.51.100.9", dst="203.0.113.1"),
        IP(src="198.51.100.9", dst="203.0.113.1", options=b"\x94\x04\0\0"),
        IPv6(src="2001:db8:1::9", dst="2001:db8::80"),
    ],
)
def test_a_flood_from_one_address_repeats_nothing(packet: Any) -> None:
    """Its ports differ; a client's SYN that comes again gets in before all of them."""

    frame = bytes(Ether() / packet / TCP(sport=2000, dport=80, flags="S"))
    at = len(frame) - 20

    def syn(port: int, when: float) -> Stamped:
        return when, frame[:at] + port.to_bytes(2, "big") + frame[at + 2 :]

    gate = FloodGate()
    gate.choose([syn(port, 100.0) for port in range(2000, 2500)], 1)
    again = [syn(2100, 101.0)]
    assert gate.choose([*(syn(port, 101.0) for port in range(3000, 3500)), *again], 1) == again
    assert gate.waiting == []


def test_with_enough_turns_every_syn_gets_in() -> None:
    assert FloodGate().choose(syns(1, 2, 3), 3) == syns(1, 2, 3)
    assert FloodGate().choose([], 0) == []


def test_repeated_syns_get_in_before_new_ones() -> None:
    gate = FloodGate()
    assert len(gate.choose(syns(1, 2, 3, 4), 1)) == 1
    chosen = gate.choose(syns(5, 6, 3, 7, 4, when=101.0), 3)
    assert {*syns(3, 4, when=101.0)} < {*chosen}
    assert len(chosen) == 3


def test_repeated_syns_may_be_too_many() -> None:
    gate = FloodGate()
    gate.choose(syns(*range(500)), 1)
    chosen = gate.choose(syns(*range(600), when=101.0), 10)
    assert (len(chosen), len(gate.waiting)) == (10, 256)
    assert {*chosen, *gate.waiting} <= {*syns(*range(500), when=101.0)}
    first = gate.waiting[:10]
    assert gate.choose(syns(*range(600, 700), when=101.0), 10) == first
    assert len(gate.choose([], 1000)) == 246
    assert gate.waiting == []


@pytest.mark.parametrize(("later", "known"), [(1.0, True), (5.0, True), (9.0, False)])
def test_old_syns_are_forgotten(later: float, known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.sample", lambda several, count: several[len(several) - count :])
    gate = FloodGate()
    gate.choose(syns(1, 2), 0)
    assert gate.choose(syns(1, 3, when=100.0 + later), 1) == syns(1 if known else 3, when=100.0 + later)


def test_the_memory_of_the_gate_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flood_gate, "_MEMORY_SIZE", 10)
    full = FloodGate()
    for start in range(0, 1000, 5):
        full.choose(syns(*range(start, start + 5)), 1)
        assert len(full._recent) + len(full._older) <= 2 * (10 + 5)


def test_a_clock_that_is_set_back_does_not_keep_syns_in_memory() -> None:
    gate = FloodGate()
    gate.choose(syns(*range(10), when=100_000.0), 1)
    for number, when in enumerate((50_000.0, 50_005.0, 50_010.0), start=1):
        gate.choose(syns(*range(number * 100, number * 100 + 10), when=when), 1)
    assert gate.choose(syns(*range(10), when=50_011.0), 0) == []
    assert gate.waiting == []  # none of these is a repeated one
