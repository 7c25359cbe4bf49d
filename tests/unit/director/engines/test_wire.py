"""A wire between fake sockets: what arrives in which order, and which SYNs of a flood get in."""

from __future__ import annotations

import struct
from collections import deque
from select import select
from typing import Any, cast

import pytest
from scapy.layers.inet import IP, TCP

from director.engines.scapy import wire
from director.engines.scapy.offload import NOTHING
from director.engines.scapy.wire import ALL, ARP, SocketWire, Stamped, SynGate
from tests.unit.director.engines.support import CLIENT, VIP, Running


class FakeSocket:
    """`arrive` puts frames into its queue, which holds `room` of them."""

    def __init__(self, **_: object) -> None:
        self.ins = self
        self.room = 100_000
        self._queue: deque[tuple[float, bytes]] = deque()
        self._arrived = self._dropped = 0

    def arrive(self, *frames: bytes, when: float = 1.0) -> None:
        for frame in frames:
            self._arrived += 1
            if len(self._queue) < self.room:
                self._queue.append((when, frame))
            else:
                self._dropped += 1

    def recvmsg(self, _size: int, _ancillary: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, None]:
        if not self._queue:
            raise BlockingIOError
        when, frame = self._queue.popleft()
        stamp = struct.pack("ll", int(when), int(when % 1 * 1e9))
        return NOTHING + frame, [(1, 35, stamp)], 0, None

    def recv(self, _size: int) -> bytes:
        raise BlockingIOError

    def getsockopt(self, *_: int) -> bytes:
        """PACKET_STATISTICS, which are reset when read."""
        counted = struct.pack("II", self._arrived, self._dropped)
        self._arrived = self._dropped = 0
        return counted

    def setsockopt(self, *_: object) -> None:
        pass

    def setblocking(self, _blocks: bool) -> None:
        pass


class Trial:
    def __init__(self) -> None:
        self.others, self.syns = FakeSocket(), FakeSocket()
        self.wire = SocketWire("d-eth0", bytes(6), ALL, cast(Any, self.others), cast(Any, self.syns))
        self.event = cast(Any, self.wire.sources[2])

    def second(self, syns: int, number: int = 0) -> tuple[int, int]:
        """`syns` new SYNs and three turns; returns how many got in, and how many were dropped."""
        self.syns.arrive(*(bytes(26) + struct.pack("!QI", number, client) for client in range(syns)))
        taken = sum(len(self.wire.frames(64, 32)) for _ in range(3))
        return taken, self.wire.overflow()[0]


@pytest.fixture
def trial() -> Trial:
    return Trial()


def test_frames_of_both_sockets_are_in_order_of_arrival(trial: Trial) -> None:
    trial.others.arrive(b"reset", when=1.25)
    trial.others.arrive(b"data", when=2.0)
    trial.syns.arrive(b"syn", when=1.5)
    assert trial.wire.frames(64, 32) == [b"reset", b"syn", b"data"]


def test_is_behind_while_other_frames_may_wait(trial: Trial) -> None:
    trial.others.arrive(*[b"data"] * 65)
    trial.syns.arrive(*[b"syn"] * 40)
    assert (len(trial.wire.frames(64, 32)), trial.wire.is_behind) == (64 + 32, True)
    assert (len(trial.wire.frames(64, 1)), trial.wire.is_behind) == (1 + 1, False)


def test_a_burst_is_not_a_flood(trial: Trial) -> None:
    """Waiting SYNs get their turns, and SYNs that arrive one after the other do not add up."""
    assert [trial.second(250), trial.second(0), trial.second(0)] == [(96, 0), (96, 0), (58, 0)]
    for _ in range(20):
        assert trial.second(90) == (90, 0)


def test_in_a_flood_syns_without_a_turn_are_dropped_at_once(trial: Trial) -> None:
    taken, shed = trial.second(1000)
    assert (taken, shed) == (32 + 32, 1000 - 64)
    assert trial.second(500, number=1) == (32, 500 - 32)


def test_repeated_syns_get_their_turns_without_another_frame(trial: Trial) -> None:
    trial.second(1000)
    trial.syns.arrive(*(bytes(26) + struct.pack("!QI", 0, client) for client in range(100, 200)))
    turns = [len(trial.wire.frames(64, 32))]
    while select([trial.event], [], [], 0)[0]:
        turns.append(len(trial.wire.frames(64, 32)))
    assert turns == [32, 32, 32, 4]
    assert trial.wire.overflow() == (0, 0)


def test_a_flood_ends_after_a_second_without_drops(trial: Trial) -> None:
    trial.second(1000)
    assert trial.second(20, number=1) == (20, 0)
    assert trial.second(200, number=2) == (96, 0)


def test_drops_of_the_kernel_are_counted(trial: Trial) -> None:
    trial.syns.room = trial.others.room = 10
    trial.syns.arrive(*[b"syn"] * 12)
    trial.others.arrive(*[b"data"] * 13)
    assert trial.wire.overflow() == (2, 3)
    assert trial.wire.overflow() == (0, 0)


def test_a_wire_for_arp_only_has_one_socket(trial: Trial) -> None:
    assert len(SocketWire("d-eth0", bytes(6), ARP, cast(Any, FakeSocket()), None).sources) == 1
    assert trial.wire.overflow() == (0, 0)


# ---- which SYNs get in ----


def syns(*numbers: int, when: float = 100.0) -> list[Stamped]:
    """Frames that differ only in their addresses and ports."""
    return [(when, bytes(26) + number.to_bytes(12, "big") + bytes(16)) for number in numbers]


def test_with_enough_turns_every_syn_gets_in() -> None:
    assert SynGate().choose(syns(1, 2, 3), 3) == syns(1, 2, 3)
    assert SynGate().choose([], 0) == []


def test_repeated_syns_get_in_before_new_ones() -> None:
    gate = SynGate()
    assert len(gate.choose(syns(1, 2, 3, 4), 1)) == 1
    chosen = gate.choose(syns(5, 6, 3, 7, 4, when=101.0), 3)
    assert {*syns(3, 4, when=101.0)} < {*chosen}
    assert len(chosen) == 3


def test_repeated_syns_may_be_too_many() -> None:
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
def test_old_syns_are_forgotten(later: float, known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.sample", lambda several, count: several[len(several) - count :])
    gate = SynGate()
    gate.choose(syns(1, 2), 0)
    assert gate.choose(syns(1, 3, when=100.0 + later), 1) == syns(1 if known else 3, when=100.0 + later)


def test_the_memory_of_the_gate_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_dropped_syns_are_counted_and_reported(nat: Running) -> None:
    for nat.wire.dropped in ((7, 0), (5, 2), (0, 0)):
        nat.engine.tick(1.0)
    counted = nat.engine.counters()
    assert (counted["shed"], counted["missed"]) == (12, 2)
    assert [dict(event.data) for event in nat.events if event.kind == "shed"] == [
        {"interface": "d-eth0", "syns": 7},
        {"interface": "d-eth0", "syns": 5},
    ]
