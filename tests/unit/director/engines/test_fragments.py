"""Fragments on the wire: in any order they are the packet that was sent, in any method."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, defragment, fragment

from director.core.real_server import Method
from director.engines.scapy.datagram import Datagram, parse
from director.engines.scapy.ipv4 import fragmented, reassembled
from tests.unit.director.engines.support import CLIENT, SERVER, VIP, Running

ALERT, ROUTE = b"\x94\x04\0\0", b"\x07\x07\x04\0\0\0\0\0"


def in_pieces(packet: Any, size: int) -> list[Any]:
    """The packet in fragments of `size` bytes of data."""
    return [IP(bytes(piece)) for piece in fragment(IP(bytes(packet)), size)]


def received(running: Running, packets: Iterable[Any]) -> list[Any]:
    return [frame[IP] for packet in packets for frame in running.receive(packet)]


def together(packets: Sequence[Any]) -> Any:
    """What the real server makes of them, by Scapy's own reassembly; out of the tunnel if need be."""
    (made,) = defragment([IP(bytes(packet)) for packet in packets]) if len(packets) > 1 else packets
    packet = IP(bytes(made))
    return packet.payload if packet.proto == 4 else packet


def datagram(data: bytes, **ip: Any) -> Any:
    return IP(src=CLIENT, dst=VIP, **{"id": 77, **ip}) / UDP(sport=9, dport=80) / data


@pytest.mark.parametrize("identification", [0, 77])
@pytest.mark.parametrize("size", [8, 16, 1400])
@pytest.mark.parametrize("order", ["forwards", "backwards", "by chance"])
def test_they_may_come_in_any_order(running: Running, order: str, size: int, identification: int) -> None:
    data = random.Random(7).randbytes(56 if size < 1400 else 4000)
    sent = in_pieces(datagram(data, id=identification), size)
    if order == "backwards":
        sent.reverse()
    elif order == "by chance":
        random.Random(1999).shuffle(sent)
    out = received(running, sent)
    assert bytes(together(out)[UDP].payload) == data
    assert together(out).dst == (SERVER if running.method is Method.NAT else VIP)
    assert max(len(one) for one in out) <= 20 + size
    assert running.engine.counters()["dropped"] == 0


@given(cuts=st.lists(st.integers(1, 12), max_size=12), chance=st.randoms(use_true_random=False))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tcp_may_be_cut_anywhere(running: Running, cuts: list[int], chance: random.Random) -> None:
    """Its header, too (RFC 1858, 3128): whoever has all pieces is not deceived."""
    data = chance.randbytes(80)
    packet = bytes(IP(src=CLIENT, dst=VIP, id=chance.randrange(65536)) / TCP(sport=9, dport=80) / data)
    sent, at = [], 20
    for units in [*cuts, 100]:
        end = min(len(packet), at + 8 * units)
        more = 0x2000 if end < len(packet) else 0
        header = IP(packet[:20])
        header.flags, header.frag = more >> 13, (at - 20) // 8
        header.len, header.chksum = 20 + end - at, None
        sent.append(bytes(header) + packet[at:end])
        at = end
        if not more:
            break
    chance.shuffle(sent)
    made = together(received(running, map(IP, sent)))
    assert (made[TCP].sport, made[TCP].dport, bytes(made[TCP].payload)) == (9, 80, data)


def test_those_of_a_reply_leave_from_the_vip(nat: Running) -> None:
    nat.receive(datagram(b"?"))
    reply = IP(src=SERVER, dst=CLIENT, id=5) / UDP(sport=8000, dport=9) / bytes(2000)
    first, last = in_pieces(reply, 1480)
    assert nat.receive(last) == []
    out = received(nat, [first])
    assert [one.src for one in out] == [VIP, VIP]
    assert together(out)[UDP].sport == 80


def test_what_ftp_says_is_read_in_fragments_as_well(nat: Running) -> None:
    ends, back = {"src": CLIENT, "dst": VIP}, {"src": SERVER, "dst": CLIENT}
    nat.receive(IP(**ends) / TCP(sport=9, dport=21, flags="S"))
    nat.receive(IP(**back) / TCP(sport=21, dport=9, flags="SA"))
    nat.receive(IP(**ends) / TCP(sport=9, dport=21, flags="A", seq=1))
    said = IP(**back) / TCP(sport=21, dport=9, flags="A", seq=1) / b"227 Entering (172,16,0,2,117,48).\r\n"
    out = received(nat, reversed(in_pieces(said, 16)))
    assert bytes(together(out)[TCP].payload) == b"227 Entering (203,0,113,1,117,48).\r\n"
    assert len(nat.receive(IP(**ends) / TCP(sport=10, dport=117 * 256 + 48, flags="S"))) == 1


def test_a_port_without_a_service_hears_of_the_whole_packet(running: Running) -> None:
    packet = IP(src=CLIENT, dst=VIP, id=5) / UDP(sport=9, dport=81) / bytes(2000)
    assert received(running, reversed(in_pieces(packet, 1480))) == []
    assert running.kernel.delivered == [bytes(packet)]


# ---- what is lost ----


def test_the_sender_is_told_when_the_rest_does_not_come(running: Running) -> None:
    first, _, _ = in_pieces(datagram(bytes(4000)), 1480)
    running.receive(first)
    running.wire.sent.clear()
    running.engine.tick(30.9)
    assert running.wire.sent == []
    running.engine.tick(31)
    (frame,) = running.wire.sent
    told = IP(frame[14:])
    assert (told.src, told.dst, told[ICMP].type, told[ICMP].code) == (VIP, CLIENT, 11, 1)
    assert bytes(told[ICMP].payload).startswith(bytes(first)[:28])
    assert [event.kind for event in running.events] == ["rejected"]


def test_nobody_is_told_without_the_first(running: Running) -> None:
    """RFC 792, page 6."""
    _, *others = in_pieces(datagram(bytes(4000)), 1480)
    received(running, others)
    running.engine.tick(31)
    assert running.wire.sent == []
    assert running.engine.counters()["dropped"] == 2
    assert "has not come in time" in running.events[-1].data["why"]


def test_senders_are_not_told_more_often_than_of_anything_else(running: Running) -> None:
    for number in range(50):
        running.receive(in_pieces(datagram(bytes(2000), id=number), 1480)[0])
    running.engine.tick(31)
    assert len(running.wire.sent) == 6
    assert running.engine.counters()["dropped"] == 44


@pytest.mark.parametrize("size", [65486, 65508])
def test_the_longest_packet_may_be_too_long_for_a_tunnel(running: Running, size: int) -> None:
    data = random.Random(7).randbytes(size - 8)
    out = received(running, in_pieces(datagram(data[: 65535 - 28]), 1480))
    if size > 65495 and running.method is Method.TUN:
        assert out == []
        assert running.engine.counters()["lost"] == 1
        assert running.events[-1].data["why"] == "it would be 65548 bytes long"
    else:
        assert bytes(together(out)[UDP].payload) == data
    assert running.engine.counters()["failed"] == 0


def test_overlapping_ones_are_dropped_and_told(running: Running) -> None:
    first, last = in_pieces(datagram(bytes(2000)), 1480)
    last.frag -= 1
    del last.chksum
    assert received(running, [first, last]) == []
    assert running.engine.counters()["dropped"] == 2
    assert "overlaps" in running.events[-1].data["why"]


# ---- in pieces, and whole again ----

OPTIONS = st.sampled_from([b"", ALERT, ROUTE, ROUTE[:7] + b"\1" + ALERT, ALERT * 10])


@given(
    options=OPTIONS, size=st.integers(0, 4000), mtu=st.integers(68, 1500), flags=st.sampled_from(["", "DF"])
)
@settings(max_examples=80)
def test_pieces_are_the_packet(options: bytes, size: int, mtu: int, flags: str) -> None:
    options = b"".join(bytes([one]) for one in options)
    packet = bytes(
        IP(src=CLIENT, dst=VIP, id=9, flags=flags, options=options) / UDP(sport=7, dport=9) / bytes(size)
    )
    made = fragmented(packet, mtu)
    assert reassembled(made) == packet
    assert all(len(one) <= mtu for one in made)
    assert all(len(parse(Datagram(one)).options) == len(options) for one in made)


def test_each_piece_has_the_options_that_are_copied() -> None:
    """RFC 791: those without the bit stand in the first one only; Linux keeps their places."""
    packet = bytes(datagram(bytes(1372), options=ROUTE[:7] + b"\1" + ALERT))
    first, other = fragmented(packet, 1400)
    assert first[20:32] == ROUTE[:7] + b"\1" + ALERT
    assert other[20:32] == b"\1" * 8 + ALERT


def test_none_fits_where_not_even_eight_bytes_do() -> None:
    assert fragmented(bytes(datagram(bytes(100), options=ALERT * 10)), 67) == ()


def test_a_long_datagram_with_options_is_cut_up(running: Running) -> None:
    running.wire.mtu = 1400
    out = received(running, [datagram(bytes(range(256)) * 5 + bytes(92), options=ALERT)])
    assert len(out) == 2
    assert max(len(one) for one in out) <= 1400
    arrived = together(out)
    assert bytes(arrived[UDP].payload) == bytes(range(256)) * 5 + bytes(92)
    if out[0].proto != 4:
        assert [bytes(one)[20:24] for one in out] == [ALERT, ALERT]


def test_what_fits_in_no_piece_is_counted_and_told(running: Running) -> None:
    running.wire.mtu = 25
    assert received(running, [datagram(bytes(100))]) == []
    assert running.engine.counters()["lost"] == 1
    assert "no fragment" in running.events[-1].data["why"]
