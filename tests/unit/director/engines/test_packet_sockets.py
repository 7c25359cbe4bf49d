"""A wire between fake sockets: what arrives in which order, and what a flood leaves time for."""

from __future__ import annotations

import struct
from collections import deque
from select import select
from typing import Any, cast

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP

from director.engines.scapy import packet_sockets
from director.engines.scapy.host import Overflow
from director.engines.scapy.offload import NOTHING
from director.engines.scapy.packet_sockets import ALL, SocketWire
from tests.unit.director.engines.support import CLIENT, SERVER, VIP, Running, framed

BEFORE = bytes(14) + b"\x45" + bytes(11)  # of a frame: what stands before its addresses and ports


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


def known(frame: bytes) -> bool:
    """Whether it is to be taken for a packet of a connection."""
    return not frame.startswith(b"stranger")


class Trial:
    def __init__(self) -> None:
        self.others, self.syns = FakeSocket(), FakeSocket()
        self.wire = SocketWire("d-eth0", bytes(6), ALL, cast(Any, self.others), cast(Any, self.syns))
        self.event = cast(Any, self.wire.sources[2])

    def second(self, syns: int, number: int = 0) -> tuple[int, int]:
        """`syns` new SYNs and three turns; returns how many got in, and how many were dropped."""
        self.syns.arrive(*(BEFORE + struct.pack("!QI", number, client) for client in range(syns)))
        taken = sum(len(self.wire.frames(64, 32, known)) for _ in range(3))
        return taken, self.wire.overflow().syns


@pytest.fixture
def trial() -> Trial:
    return Trial()


def test_frames_of_both_sockets_are_in_order_of_arrival(trial: Trial) -> None:
    trial.others.arrive(b"reset", when=1.25)
    trial.others.arrive(b"data", when=2.0)
    trial.syns.arrive(b"syn", when=1.5)
    assert trial.wire.frames(64, 32, known) == [b"reset", b"syn", b"data"]


def test_is_behind_while_other_frames_may_wait(trial: Trial) -> None:
    trial.others.arrive(*[b"data"] * 65)
    trial.syns.arrive(*[b"syn"] * 40)
    assert (len(trial.wire.frames(64, 32, known)), trial.wire.is_behind) == (64 + 32, True)
    assert (len(trial.wire.frames(64, 1, known)), trial.wire.is_behind) == (1 + 1, False)


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
    trial.syns.arrive(*(BEFORE + struct.pack("!QI", 0, client) for client in range(100, 200)))
    turns = [len(trial.wire.frames(64, 32, known))]
    while select([trial.event], [], [], 0)[0]:
        turns.append(len(trial.wire.frames(64, 32, known)))
    assert turns == [32, 32, 32, 4]
    assert trial.wire.overflow() == (0, 0, 0)


def test_a_flood_ends_after_a_second_without_drops(trial: Trial) -> None:
    trial.second(1000)
    assert trial.second(20, number=1) == (20, 0)
    assert trial.second(200, number=2) == (96, 0)


def test_what_has_piled_up_while_the_director_hung_is_a_flood(trial: Trial) -> None:
    """The first second is over at once. Newer SYNs must not wait behind all that have been given up."""
    trial.syns.arrive(*(BEFORE + struct.pack("!QI", 0, client) for client in range(1000)))
    trial.wire.frames(64, 32, known)
    assert trial.wire.overflow().syns == 0
    assert trial.second(0) == (32, 1000 - 2 * 32)


def others(count: int, *, strangers: bool, number: int = 0) -> list[bytes]:
    """Frames that differ in their addresses and ports."""
    start = (b"stranger" if strangers else b"known").ljust(14) + BEFORE[14:]
    return [start + struct.pack("!QI", number, client) for client in range(count)]


def test_in_a_flood_of_others_packets_of_connections_get_in(trial: Trial) -> None:
    """All of them, in their order; of the strangers a few in each turn."""
    trial.others.arrive(*others(256, strangers=True))
    for _ in range(4):
        assert len(trial.wire.frames(64, 32, known)) == 64
    for turn in range(20):
        mine, theirs = (others(100, strangers=whose, number=turn + 1) for whose in (False, True))
        trial.others.arrive(*(frame for pair in zip(mine, theirs, strict=True) for frame in pair))
        taken = trial.wire.frames(64, 32, known)
        assert [frame for frame in taken if known(frame)] == mine
        assert len(taken) == 100 + 16
    assert trial.wire.overflow() == (0, 20 * (100 - 16), 0)


def test_a_stranger_that_repeats_its_packet_gets_in(trial: Trial) -> None:
    trial.others.arrive(*others(256 + 200, strangers=True))
    for _ in range(5):
        trial.wire.frames(64, 32, known)
    again = others(450, strangers=True)[430:]
    trial.others.arrive(*again, *others(180, strangers=True, number=1))
    taken = [frame for _ in range(2) for frame in trial.wire.frames(64, 32, known)]
    assert set(again) <= set(taken)


def test_much_traffic_of_connections_is_not_a_flood(trial: Trial) -> None:
    for turn in range(20):
        mine = others(60, strangers=False, number=turn)
        trial.others.arrive(*mine, *others(10, strangers=True, number=turn))
        assert len(trial.wire.frames(64, 32, known)) == 64
    assert trial.wire.overflow() == (0, 0, 0)


def test_a_flood_of_others_ends_after_a_second_without_drops(trial: Trial) -> None:
    trial.others.arrive(*others(256 + 200, strangers=True))
    for _ in range(5):
        trial.wire.frames(64, 32, known)
    assert trial.wire.overflow().strangers == 200 - 16
    assert trial.wire.overflow().strangers == 0
    trial.others.arrive(*others(60, strangers=True, number=1))
    assert len(trial.wire.frames(64, 32, known)) == 60


def test_drops_of_the_kernel_are_counted(trial: Trial) -> None:
    trial.syns.room = trial.others.room = 10
    trial.syns.arrive(*[b"syn"] * 12)
    trial.others.arrive(*[b"data"] * 13)
    assert trial.wire.overflow() == (2, 0, 3)
    assert trial.wire.overflow() == (0, 0, 0)


def test_a_wire_for_arp_only_has_one_socket(trial: Trial) -> None:
    assert len(SocketWire("d-eth0", bytes(6), packet_sockets.ARP, cast(Any, FakeSocket()), None).sources) == 1
    assert trial.wire.overflow() == (0, 0, 0)


def test_syns_get_fewer_turns_while_other_packets_wait(nat: Running) -> None:
    packet = IP(src=CLIENT, dst=VIP) / TCP(sport=2000, dport=80, flags="S")
    turns = []
    for nat.wire.is_behind in (False, True, False):
        nat.receive(packet)
        turns.append(nat.wire.syns)
    assert turns == [32, 1, 32]


def test_dropped_packets_are_counted_and_reported(nat: Running) -> None:
    for nat.wire.dropped in (Overflow(7, 0, 0), Overflow(5, 1, 2), Overflow(0, 3, 0), Overflow()):
        nat.engine.tick(1.0)
    counted = nat.engine.counters()
    assert (counted["shed"], counted["missed"]) == (16, 2)
    assert [dict(event.data) for event in nat.events if event.kind == "shed"] == [
        {"interface": "d-eth0", "syns": 7, "strangers": 0},
        {"interface": "d-eth0", "syns": 5, "strangers": 1},
        {"interface": "d-eth0", "syns": 0, "strangers": 3},
    ]


@pytest.mark.parametrize(
    ("packet", "is_known"),
    [
        (IP(src=CLIENT, dst=VIP) / TCP(sport=1024, dport=80, flags="A"), True),
        (IP(src=SERVER, dst=CLIENT) / TCP(sport=8000, dport=1024, flags="SA"), True),
        (IP(src=CLIENT, dst=VIP, options=b"\1\1\1\1") / TCP(sport=1024, dport=80, flags="A"), True),
        (IP(src=CLIENT, dst=VIP) / TCP(sport=1025, dport=80, flags="SA"), False),
        (IP(src=CLIENT, dst=VIP) / UDP(sport=1024, dport=80), False),
        (IP(src=CLIENT, dst=VIP, frag=3) / b"the rest of it", True),
        (IP(src=CLIENT, dst=VIP, flags="MF") / UDP(sport=1024, dport=80), True),
        (IP(src=CLIENT, dst=VIP) / ICMP(), False),
        (IP(src=CLIENT, dst=VIP, proto=17) / b"cut", False),
        (ARP(psrc=CLIENT, pdst=VIP), True),
        (b"", True),
    ],
)
def test_a_packet_is_known_by_its_connection(nat: Running, packet: Any, is_known: bool) -> None:
    """The connection that `Running` has opened."""
    frame = packet if isinstance(packet, bytes) else framed(packet)
    assert nat.engine._is_known(frame) is is_known
