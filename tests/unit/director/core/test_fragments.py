"""Fragments in any order are reassembled, and the complete packet gets the decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.core.commands import AddServer, AddService, Command, DeleteServer, DeleteService, ServiceKey
from director.core.decision import Drop, Forward, Pass
from director.core.director import Director
from director.core.fragments import TIMED_OUT, Reassembly
from director.core.packet import ACK, ICMP, TCP, UDP, Endpoint, Packet
from tests.unit.director.core.support import FTP, FTP2, RS1, VIP, WEB, client, published, tcp

DNS = Endpoint(VIP, 53)
MF = True


def piece(start: int, size: int, more: bool = False, identification: int = 7) -> Packet:
    """A fragment of UDP with `size` bytes at `start`."""
    ends = Endpoint(client(1).address, 0), Endpoint(VIP, 0)
    where = {"fragment_offset": start // 8, "more_fragments": more}
    return Packet(UDP, *ends, 20 + size, identification=identification, **where)  # type: ignore[arg-type]


class Memory:
    """A reassembly, and the fragments that it has given up."""

    def __init__(self) -> None:
        self.lost: list[tuple[int, str]] = []
        self.memory = Reassembly(lambda fragments, why: self.lost.append((len(fragments), why)))

    def add(self, fragment: Packet, now: float = 0) -> Sequence[bytes]:
        start = fragment.fragment_offset * 8
        return self.memory.add(fragment, b"\x45" + start.to_bytes(2, "big") + bytes(17), now)


def starts(fragments: Sequence[bytes]) -> list[int]:
    return [int.from_bytes(data[1:3], "big") for data in fragments]


@pytest.fixture
def reassembly() -> Memory:
    return Memory()


@pytest.mark.parametrize("order", list(permutations(range(4))))
@pytest.mark.parametrize("size", [8, 1480])
def test_any_order_and_size(reassembly: Memory, order: Sequence[int], size: int) -> None:
    *before, last = (piece(place * size, size, place < 3) for place in order)
    assert [list(reassembly.add(fragment)) for fragment in before] == [[], [], []]
    assert starts(reassembly.add(last)) == [0, size, 2 * size, 3 * size]
    assert (reassembly.memory.size, reassembly.lost) == (0, [])


@given(st.data())
def test_any_cuts_and_any_order(data: st.DataObject) -> None:
    reassembly = Memory()
    sizes = [8 * units for units in data.draw(st.lists(st.integers(1, 185), min_size=1, max_size=20))]
    at = [sum(sizes[:place]) for place in range(len(sizes))]
    pieces = [piece(start, size, MF) for start, size in zip(at, sizes, strict=True)]
    pieces.append(piece(sum(sizes), data.draw(st.integers(1, 1480))))
    *before, last = data.draw(st.permutations(pieces))
    assert not any(reassembly.add(part) for part in before)
    assert starts(reassembly.add(last)) == [*at, sum(sizes)]


def test_packets_are_kept_apart(reassembly: Memory) -> None:
    reassembly.add(piece(0, 8, MF))
    last = piece(8, 8)
    for other in (
        replace(last, identification=0),
        replace(last, protocol=TCP),
        replace(last, source=client(0, "198.51.100.9")),
        replace(last, destination=client(0)),
    ):
        assert not reassembly.add(other)
    assert starts(reassembly.add(piece(8, 8))) == [0, 8]


def test_a_duplicate_is_ignored(reassembly: Memory) -> None:
    reassembly.add(piece(0, 16, MF))
    for _ in range(2):
        assert not reassembly.add(piece(8, 8, MF))
    assert starts(reassembly.add(piece(16, 1))) == [0, 16]
    assert reassembly.lost == [(1, "fragment: duplicate")] * 2


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ([(0, 16, MF), (8, 16, MF)], "overlaps"),
        ([(8, 16, MF), (0, 16, MF)], "overlaps"),
        ([(8, 8, MF), (0, 24, MF)], "overlaps"),
        ([(0, 24, MF), (8, 24, MF)], "overlaps"),
        ([(0, 8, MF), (8, 0, MF)], "no data"),
        ([(0, 8, MF), (8, 7, MF)], "no data"),
        ([(16, 8, False), (24, 8, MF)], "beyond the end"),
        ([(16, 8, MF), (8, 8, False)], "beyond the end"),
        ([(16, 8, False), (32, 8, False)], "beyond the end"),
        ([(0, 8, MF), (65528, 1480, False), (8, 32768, MF), (32776, 32752, MF)], "longer than 65535 bytes"),
    ],
)
def test_impossible_fragments_are_given_up(
    reassembly: Memory, pieces: Sequence[tuple[int, int, bool]], why: str
) -> None:
    """RFC 5722 for those that overlap; no packet has 64 kB or more."""
    for start, size, more in pieces:
        assert not reassembly.add(piece(start, size, more))
    ((count, reason),) = reassembly.lost
    assert count == len(pieces)
    assert why in reason
    assert reassembly.memory.size == 0


def test_incomplete_packets_time_out(reassembly: Memory) -> None:
    reassembly.add(piece(0, 8, MF, 1), 0)
    reassembly.add(piece(8, 8, MF, 1), 29)
    reassembly.add(piece(0, 8, MF, 2), 29)
    reassembly.memory.tick(29.9)
    assert reassembly.lost == []
    reassembly.memory.tick(30)
    assert reassembly.lost == [(2, TIMED_OUT)]
    assert starts(reassembly.add(piece(8, 8, identification=2), 40)) == [0, 8]


def test_the_memory_is_bounded(reassembly: Memory) -> None:
    """The oldest are given up; each is reported as lost."""
    for number in range(20_000):
        reassembly.add(piece(8 * (number // 65_536), 8, MF, number))
    assert reassembly.memory.size <= 4 << 20
    assert {why for _, why in reassembly.lost} == {"fragment: too many are waiting"}
    waiting = reassembly.memory.size // (20 + 256)
    assert sum(count for count, _ in reassembly.lost) + waiting == 20_000
    for number in range(8190):
        reassembly.add(piece(8 * number, 8, MF, 1))
    assert reassembly.memory.size <= 4 << 20


# ---- what is decided ----


def director_for_udp(**options: Any) -> Director:
    director = Director(**options)
    key = ServiceKey(UDP, DNS)
    director.apply([AddService(key), AddServer(key, Endpoint("172.16.0.2", 5353))], 0)
    return director


@pytest.mark.parametrize(
    "fragment",
    [piece(0, 8, MF), piece(8, 8), piece(8, 8, identification=0), replace(piece(0, 8, MF), protocol=TCP)],
)
def test_a_fragment_for_a_vip_is_held(fragment: Packet) -> None:
    decision = director_for_udp().decide(fragment, 0)
    assert isinstance(decision, Drop)
    assert decision.awaits_reassembly


def test_a_real_servers_fragment_is_held() -> None:
    reply = Packet(UDP, Endpoint("172.16.0.2", 0), client(0), 28, fragment_offset=1)
    decision = director_for_udp().decide(reply, 0)
    assert isinstance(decision, Drop)
    assert decision.awaits_reassembly


@pytest.mark.parametrize(
    "deleted", [DeleteServer(ServiceKey(TCP, WEB), RS1), DeleteService(ServiceKey(TCP, WEB))]
)
def test_a_deleted_servers_fragment_is_held_while_it_has_connections(deleted: Command) -> None:
    director = published()
    opened = [director.decide(tcp(client(port), WEB), 1.0) for port in (1, 2, 3)]
    assert RS1 in [decision.destination for decision in opened if isinstance(decision, Forward)]
    director.apply([deleted], 2.0)
    reply = Packet(TCP, RS1._replace(port=0), client(1)._replace(port=0), 28, more_fragments=True)
    assert isinstance(director.decide(reply, 3.0), Drop)


def test_other_fragments_are_passed() -> None:
    other = Packet(UDP, client(0), Endpoint("203.0.113.2", 0), 28, fragment_offset=1)
    assert isinstance(director_for_udp().decide(other, 0), Pass)


@pytest.mark.parametrize(("longest", "fits"), [(1500, True), (1501, False)])
def test_with_df_the_largest_fragment_must_fit(longest: int, fits: bool) -> None:
    # differs: fragments-with-df
    packet = Packet(UDP, client(1), DNS, 4028, dont_fragment=True, largest_fragment=longest)
    assert isinstance(director_for_udp().decide(packet, 0), Forward) is fits


def test_ftps_control_connection_may_come_in_fragments() -> None:
    director = published()
    director.decide(tcp(client(1), FTP), 0)
    director.decide(tcp(FTP2, client(1), 0x12), 0)
    text = b"227 Entering Passive Mode (172,16,0,3,117,48).\r\n"
    reply = tcp(FTP2, client(1), ACK, payload=text, sequence=1, largest_fragment=44)
    decision = director.decide(reply, 0)
    assert isinstance(decision, Forward)
    assert decision.payload == b"227 Entering Passive Mode (203,0,113,1,117,48).\r\n"
    assert isinstance(director.decide(tcp(client(2), Endpoint(VIP, 30000)), 0), Forward)


def test_a_fragment_of_an_icmp_error_is_passed() -> None:  # differs: fragmented-icmp
    director = published()
    director.decide(tcp(client(1), WEB), 0)
    about = tcp(client(1), RS1, ACK)
    ends = Endpoint(RS1.address, 0), client(0)
    error = Packet(ICMP, *ends, 1500, icmp_type=3, embedded=about, more_fragments=True)
    assert isinstance(director.decide(error, 0), Pass)
