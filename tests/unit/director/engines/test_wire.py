"""A wire between fake sockets: what comes in which order, and when SYNs are a flood."""

from __future__ import annotations

import struct
from collections import deque
from select import select
from typing import Any, cast

import pytest

from director.engines.scapy.offload import NOTHING
from director.engines.scapy.wire import ALL, ARP, SocketWire


class FakeSocket:
    """Frames come by `hear`, which has room for so many."""

    def __init__(self, **_: object) -> None:
        self.ins = self
        self.room = 100_000
        self._queue: deque[tuple[float, bytes]] = deque()
        self._came = self._dropped = 0

    def hear(self, *frames: bytes, when: float = 1.0) -> None:
        for frame in frames:
            self._came += 1
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
        """PACKET_STATISTICS: reading sets them back."""
        counted = struct.pack("II", self._came, self._dropped)
        self._came = self._dropped = 0
        return counted

    def setsockopt(self, *_: object) -> None:
        pass

    def setblocking(self, _blocks: bool) -> None:
        pass


class Trial:
    def __init__(self) -> None:
        self.others, self.syns = FakeSocket(), FakeSocket()
        self.wire = SocketWire("d-eth0", bytes(6), ALL, cast(Any, self.others), cast(Any, self.syns))
        self.bell = cast(Any, self.wire.sources[2])

    def second(self, syns: int, number: int = 0) -> tuple[int, int]:
        """So many new SYNs, and three turns; how many got in, and were shed."""
        self.syns.hear(*(bytes(26) + struct.pack("!QI", number, each) for each in range(syns)))
        taken = sum(len(self.wire.frames(64, 32)) for _ in range(3))
        return taken, self.wire.overflow()[0]


@pytest.fixture
def trial() -> Trial:
    return Trial()


def test_both_sockets_together_keep_the_order(trial: Trial) -> None:
    trial.others.hear(b"reset", when=1.25)
    trial.others.hear(b"data", when=2.0)
    trial.syns.hear(b"syn", when=1.5)
    assert trial.wire.frames(64, 32) == [b"reset", b"syn", b"data"]


def test_it_is_behind_while_more_than_syns_may_wait(trial: Trial) -> None:
    trial.others.hear(*[b"data"] * 65)
    trial.syns.hear(*[b"syn"] * 40)
    assert (len(trial.wire.frames(64, 32)), trial.wire.is_behind) == (64 + 32, True)
    assert (len(trial.wire.frames(64, 1)), trial.wire.is_behind) == (1 + 1, False)


def test_a_burst_is_no_flood(trial: Trial) -> None:
    """Those who wait get their turns; and many that come one after the other do not add up."""
    assert [trial.second(250), trial.second(0), trial.second(0)] == [(96, 0), (96, 0), (58, 0)]
    for _ in range(20):
        assert trial.second(90) == (90, 0)


def test_in_a_flood_those_that_have_no_turn_are_shed_at_once(trial: Trial) -> None:
    taken, shed = trial.second(1000)
    assert (taken, shed) == (32 + 32, 1000 - 64)
    assert trial.second(500, number=1) == (32, 500 - 32)


def test_those_who_ask_again_get_their_turns_without_another_frame(trial: Trial) -> None:
    trial.second(1000)
    trial.syns.hear(*(bytes(26) + struct.pack("!QI", 0, each) for each in range(100, 200)))
    turns = [len(trial.wire.frames(64, 32))]
    while select([trial.bell], [], [], 0)[0]:
        turns.append(len(trial.wire.frames(64, 32)))
    assert turns == [32, 32, 32, 4]
    assert trial.wire.overflow() == (0, 0)


def test_it_is_over_when_nothing_was_shed_for_a_second(trial: Trial) -> None:
    trial.second(1000)
    assert trial.second(20, number=1) == (20, 0)
    assert trial.second(200, number=2) == (96, 0)


def test_what_the_kernel_has_dropped_is_counted(trial: Trial) -> None:
    trial.syns.room = trial.others.room = 10
    trial.syns.hear(*[b"syn"] * 12)
    trial.others.hear(*[b"data"] * 13)
    assert trial.wire.overflow() == (2, 3)
    assert trial.wire.overflow() == (0, 0)


def test_a_wire_that_hears_arp_only_has_one_socket(trial: Trial) -> None:
    assert len(SocketWire("d-eth0", bytes(6), ARP, cast(Any, FakeSocket()), None).sources) == 1
    assert trial.wire.overflow() == (0, 0)
