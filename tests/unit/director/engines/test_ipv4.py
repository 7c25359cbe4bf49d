"""Checksums against Scapy's, which are computed anew; fragments in any order; IP options."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Sequence
from time import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, defragment, fragment
from scapy.packet import Raw
from scapy.utils import checksum as anew

from director.core.real_server import Method
from director.engines.scapy import checksums
from director.engines.scapy.datagram import Datagram, parse
from director.engines.scapy.ipv4 import fragmented, reassembled, with_options_filled
from tests.unit.director.engines.support import CLIENT, OWN, SERVER, VIP, Running

# ---- checksums ----

EVEN = st.binary(min_size=2, max_size=40).filter(lambda data: len(data) % 2 == 0)


def test_the_example_of_rfc_1624() -> None:
    assert checksums.updated(0xDD2F, b"\x55\x55", b"\x32\x85") == 0x0000


@given(EVEN, st.binary(max_size=40), st.binary(max_size=40))
def test_an_updated_checksum_equals_a_computed_one(kept: bytes, before: bytes, after: bytes) -> None:
    updated = checksums.updated(anew(kept + before), before, after)
    assert updated % 0xFFFF == anew(kept + after) % 0xFFFF  # 0 and 0xffff are the same number


@given(EVEN, EVEN)
def test_an_update_can_be_undone(before: bytes, after: bytes) -> None:
    there = checksums.updated(0x1234, before, after)
    assert checksums.updated(there, after, before) == 0x1234


def test_update_changes_only_the_checksum() -> None:
    header = bytes(range(20))
    updated = checksums.update(header, 10, b"\0\1", b"\0\2")
    assert updated[:10] + updated[12:] == header[:10] + header[12:]
    assert int.from_bytes(updated[10:12], "big") == 0x0A0B - 1


def test_a_checksum_of_udp_is_never_zero() -> None:
    header = bytes.fromhex("0001 0002 0003 fffe")
    assert checksums.update(header, 6, b"\0\0", b"\0\1")[6:] != b"\0\0"
    assert checksums.update(bytes(6) + b"\0\1", 6, b"\0\0", b"\0\1")[6:] == b"\0\0"
    assert checksums.update(bytes(6) + b"\0\1", 6, b"\0\0", b"\0\1", never_zero=True)[6:] == b"\xff\xff"


@given(EVEN)
def test_is_right(data: bytes) -> None:
    right = data + anew(data).to_bytes(2, "big")
    assert checksums.is_right(right)
    assert not checksums.is_right(right[:-1] + bytes([right[-1] ^ 1]))


@given(st.binary(max_size=60), st.integers(0, 15), st.integers(1, 255))
def test_a_damaged_segment_is_recognized(data: bytes, at: int, by: int) -> None:
    packet = bytes(IP(src="198.51.100.101", dst="203.0.113.1") / TCP(sport=1, dport=21) / Raw(data))
    assert not parse(Datagram(packet)).bad_checksum()
    damaged = bytearray(packet)
    damaged[-1 - at] = (damaged[-1 - at] + by) % 256
    if len(packet) - 1 - at != 20 + 12:  # the header's length
        assert parse(Datagram(bytes(damaged))).bad_checksum()


def test_the_checksum_of_a_first_fragment_is_not_judged() -> None:
    packet = bytes(IP(src="198.51.100.101", dst="203.0.113.1", flags="MF") / TCP() / Raw(b"x" * 28))
    assert not parse(Datagram(packet)).bad_checksum()


# ---- fragments that arrive ----

ALERT, ROUTE = b"\x94\x04\0\0", b"\x07\x07\x04\0\0\0\0\0"


def fragments_of(packet: Any, size: int) -> list[Any]:
    """The packet in fragments with `size` bytes of data."""
    return [IP(bytes(piece)) for piece in fragment(IP(bytes(packet)), size)]


def forwarded(running: Running, packets: Iterable[Any]) -> list[Any]:
    return [frame[IP] for packet in packets for frame in running.receive(packet)]


def reassembled_by_scapy(packets: Sequence[Any]) -> Any:
    """The packet as the real server reassembles it, by Scapy; taken out of the tunnel if it is in one."""
    (made,) = defragment([IP(bytes(packet)) for packet in packets]) if len(packets) > 1 else packets
    packet = IP(bytes(made))
    return packet.payload if packet.proto == 4 else packet


def datagram(data: bytes, **ip: Any) -> Any:
    return IP(src=CLIENT, dst=VIP, **{"id": 77, **ip}) / UDP(sport=9, dport=80) / data


@pytest.mark.parametrize("identification", [0, 77])
@pytest.mark.parametrize("size", [8, 16, 1400])
@pytest.mark.parametrize("order", ["forwards", "backwards", "shuffled"])
def test_fragments_may_arrive_in_any_order(
    running: Running, order: str, size: int, identification: int
) -> None:
    data = random.Random(7).randbytes(56 if size < 1400 else 4000)
    sent = fragments_of(datagram(data, id=identification), size)
    if order == "backwards":
        sent.reverse()
    elif order == "shuffled":
        random.Random(1999).shuffle(sent)
    out = forwarded(running, sent)
    assert bytes(reassembled_by_scapy(out)[UDP].payload) == data
    assert reassembled_by_scapy(out).dst == (SERVER if running.method is Method.NAT else VIP)
    assert max(len(packet) for packet in out) <= 20 + size
    assert running.engine.counters()["dropped"] == 0


@given(cuts=st.lists(st.integers(1, 12), max_size=12), chance=st.randoms(use_true_random=False))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tcp_may_be_fragmented_anywhere(running: Running, cuts: list[int], chance: random.Random) -> None:
    """Within its header, too (RFC 1858, RFC 3128): the reassembled packet is judged."""
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
    made = reassembled_by_scapy(forwarded(running, map(IP, sent)))
    assert (made[TCP].sport, made[TCP].dport, bytes(made[TCP].payload)) == (9, 80, data)


def test_fragments_of_a_reply_leave_from_the_vip(nat: Running) -> None:
    nat.receive(datagram(b"?"))
    reply = IP(src=SERVER, dst=CLIENT, id=5) / UDP(sport=8000, dport=9) / bytes(2000)
    first, last = fragments_of(reply, 1480)
    assert nat.receive(last) == []
    out = forwarded(nat, [first])
    assert [packet.src for packet in out] == [VIP, VIP]
    assert reassembled_by_scapy(out)[UDP].sport == 80


def test_ftp_replies_are_read_from_fragments(nat: Running) -> None:
    ends, back = {"src": CLIENT, "dst": VIP}, {"src": SERVER, "dst": CLIENT}
    nat.receive(IP(**ends) / TCP(sport=9, dport=21, flags="S"))
    nat.receive(IP(**back) / TCP(sport=21, dport=9, flags="SA"))
    nat.receive(IP(**ends) / TCP(sport=9, dport=21, flags="A", seq=1))
    reply = IP(**back) / TCP(sport=21, dport=9, flags="A", seq=1) / b"227 Entering (172,16,0,2,117,48).\r\n"
    out = forwarded(nat, reversed(fragments_of(reply, 16)))
    assert bytes(reassembled_by_scapy(out)[TCP].payload) == b"227 Entering (203,0,113,1,117,48).\r\n"
    assert len(nat.receive(IP(**ends) / TCP(sport=10, dport=117 * 256 + 48, flags="S"))) == 1


def test_the_kernel_gets_the_reassembled_packet(running: Running) -> None:
    packet = IP(src=CLIENT, dst=VIP, id=5) / UDP(sport=9, dport=81) / bytes(2000)
    assert forwarded(running, reversed(fragments_of(packet, 1480))) == []
    assert running.kernel.delivered == [bytes(packet)]


# ---- packets that stay incomplete ----


def test_the_sender_learns_that_fragments_are_missing(running: Running) -> None:
    first, _, _ = fragments_of(datagram(bytes(4000)), 1480)
    running.receive(first)
    running.wire.sent.clear()
    running.engine.tick(30.9)
    assert running.wire.sent == []
    running.engine.tick(31)
    (frame,) = running.wire.sent
    received = IP(frame[14:])
    assert (received.src, received.dst, received[ICMP].type, received[ICMP].code) == (VIP, CLIENT, 11, 1)
    assert bytes(received[ICMP].payload).startswith(bytes(first)[:28])
    assert [event.kind for event in running.events] == ["rejected"]


def test_no_error_is_sent_without_the_first_fragment(running: Running) -> None:
    """RFC 792, page 6."""
    _, *others = fragments_of(datagram(bytes(4000)), 1480)
    forwarded(running, others)
    running.engine.tick(31)
    assert running.wire.sent == []
    assert running.engine.counters()["dropped"] == 2
    assert "did not arrive in time" in running.events[-1].data["why"]


def test_reassembly_errors_are_rate_limited(running: Running) -> None:
    for number in range(50):
        running.receive(fragments_of(datagram(bytes(2000), id=number), 1480)[0])
    running.engine.tick(31)
    assert len(running.wire.sent) == 6
    assert running.engine.counters()["dropped"] == 44


@pytest.mark.parametrize("size", [65486, 65508])
def test_the_longest_packet_may_be_too_long_for_a_tunnel(running: Running, size: int) -> None:
    data = random.Random(7).randbytes(size - 8)
    out = forwarded(running, fragments_of(datagram(data[: 65535 - 28]), 1480))
    if size > 65495 and running.method is Method.TUN:
        assert out == []
        assert running.engine.counters()["lost"] == 1
        assert running.events[-1].data["why"] == "it would be 65548 bytes long"
    else:
        assert bytes(reassembled_by_scapy(out)[UDP].payload) == data
    assert running.engine.counters()["failed"] == 0


def test_overlapping_fragments_are_dropped_and_reported(running: Running) -> None:
    first, last = fragments_of(datagram(bytes(2000)), 1480)
    last.frag -= 1
    del last.chksum
    assert forwarded(running, [first, last]) == []
    assert running.engine.counters()["dropped"] == 2
    assert "overlaps" in running.events[-1].data["why"]


# ---- fragmentation and reassembly ----


def test_a_packet_that_fits_is_not_fragmented() -> None:
    assert fragmented(b"x" * 1500, 1500) == (b"x" * 1500,)


def test_fragments_carry_the_whole_payload() -> None:
    packet = IP(src="192.0.2.1", dst="192.0.2.2", id=7, ttl=9) / UDP(sport=1, dport=2) / os.urandom(3000)
    sent = [IP(piece) for piece in fragmented(bytes(packet), 1500)]
    assert [piece.len for piece in sent] == [1500, 1500, 68]
    assert [(piece.frag * 8, int(piece.flags) & 1) for piece in sent] == [(0, 1), (1480, 1), (2960, 0)]
    assert {(piece.id, piece.ttl, piece.proto) for piece in sent} == {(7, 9, 17)}
    assert b"".join(bytes(piece.payload) for piece in sent) == bytes(packet)[20:]


OPTIONS = st.sampled_from([b"", ALERT, ROUTE, ROUTE[:7] + b"\1" + ALERT, ALERT * 10])


@given(
    options=OPTIONS, size=st.integers(0, 4000), mtu=st.integers(68, 1500), flags=st.sampled_from(["", "DF"])
)
@settings(max_examples=80)
def test_reassembly_undoes_fragmentation(options: bytes, size: int, mtu: int, flags: str) -> None:
    options = b"".join(bytes([byte]) for byte in options)
    packet = bytes(
        IP(src=CLIENT, dst=VIP, id=9, flags=flags, options=options) / UDP(sport=7, dport=9) / bytes(size)
    )
    made = fragmented(packet, mtu)
    assert reassembled(made) == packet
    assert all(len(piece) <= mtu for piece in made)
    assert all(len(parse(Datagram(piece)).options) == len(options) for piece in made)


def test_later_fragments_have_only_the_copied_options() -> None:
    """RFC 791: options without the bit are in the first fragment only; Linux pads their places."""
    packet = bytes(datagram(bytes(1372), options=ROUTE[:7] + b"\1" + ALERT))
    first, other = fragmented(packet, 1400)
    assert first[20:32] == ROUTE[:7] + b"\1" + ALERT
    assert other[20:32] == b"\1" * 8 + ALERT


def test_an_mtu_without_room_for_eight_bytes_is_too_small() -> None:
    assert fragmented(bytes(datagram(bytes(100), options=ALERT * 10)), 67) == ()


def test_a_long_datagram_with_options_is_fragmented(running: Running) -> None:
    running.wire.mtu = 1400
    out = forwarded(running, [datagram(bytes(range(256)) * 5 + bytes(92), options=ALERT)])
    assert len(out) == 2
    assert max(len(packet) for packet in out) <= 1400
    arrived = reassembled_by_scapy(out)
    assert bytes(arrived[UDP].payload) == bytes(range(256)) * 5 + bytes(92)
    if out[0].proto != 4:
        assert [bytes(packet)[20:24] for packet in out] == [ALERT, ALERT]


def test_a_packet_that_can_not_be_fragmented_is_counted_and_reported(running: Running) -> None:
    running.wire.mtu = 25
    assert forwarded(running, [datagram(bytes(100))]) == []
    assert running.engine.counters()["lost"] == 1
    assert "no fragment" in running.events[-1].data["why"]


# ---- options ----

RECORDED = b"\x07\x07\x08" + bytes(map(int, VIP.split("."))) + b"\0"


def syn(options: bytes) -> Any:
    return IP(src=CLIENT, dst=VIP, ttl=63, options=options) / TCP(sport=9, dport=80, flags="S")


def inside(frame: Any) -> Any:
    return frame[IP].payload if frame[IP].proto == 4 else frame[IP]


@pytest.mark.parametrize(("options", "after"), [(ALERT, ALERT), (ROUTE, RECORDED)])
def test_options_are_forwarded(running: Running, options: bytes, after: bytes) -> None:
    packet = syn(options)
    (frame,) = running.receive(packet)
    sent = bytes(inside(frame))
    expected = IP(bytes(syn(after)))
    expected.ttl -= 1
    expected.dst, expected[TCP].dport = inside(frame).dst, inside(frame)[TCP].dport
    del expected.chksum, expected[TCP].chksum
    assert sent[: len(expected)] == bytes(expected)


def test_a_reply_records_the_vip(nat: Running) -> None:
    nat.receive(syn(b""))
    reply = IP(src=SERVER, dst=CLIENT, options=ROUTE) / TCP(sport=8000, dport=9, flags="SA")
    (frame,) = nat.receive(reply)
    assert bytes(frame[IP])[20:28] == RECORDED


def test_the_timestamp_of_a_reply_has_the_address_of_its_link(nat: Running) -> None:
    """As in the kernel: that of the link it arrived on. A request was sent to the VIP."""
    options = b"\x44\x0c\x05\x01" + bytes(8)
    reply = IP(src=SERVER, dst=CLIENT, options=options) / TCP(sport=8000, dport=9, flags="SA")
    for packet, address in ((syn(options), VIP), (reply, OWN)):
        (frame,) = nat.receive(packet)
        assert bytes(frame[IP])[24:28] == bytes(map(int, address.split(".")))


def test_the_timestamp_is_the_time_of_day() -> None:
    packet = bytes(syn(b"\x44\x08\x05\0\0\0\0\0"))
    stamped = with_options_filled(packet, VIP, OWN, lambda _: False)
    received = int.from_bytes(stamped[24:28], "big")
    assert stamped[20:24] == b"\x44\x08\x09\0"
    assert (time() * 1000 - received) % 86_400_000 < 3_600_000
    assert with_options_filled(stamped, VIP, OWN, lambda _: False)[20:24] == b"\x44\x08\x09\x10"


def test_an_invalid_option_is_answered(running: Running) -> None:
    packet = syn(b"\1\1\x94\x01")
    (frame,) = running.receive(packet)
    assert (frame[IP].src, frame[IP].dst) == (VIP, CLIENT)
    assert (frame[ICMP].type, frame[ICMP].code, frame[ICMP].ptr) == (12, 0, 22)
    assert bytes(frame[ICMP].payload).startswith(bytes(packet)[:28])


def test_icmp_errors_have_no_options(running: Running) -> None:  # differs: answers-without-options
    packet = syn(ROUTE)
    packet.ttl = 1
    (frame,) = running.receive(packet)
    assert (frame[IP].ihl, frame[ICMP].type) == (5, 11)
    assert bytes(frame[ICMP].payload).startswith(bytes(packet)[:28])


def test_a_source_route_is_dropped(running: Running) -> None:
    before = running.engine.counters()["dropped"]
    assert running.receive(syn(b"\x83\x07\x04\xc0\0\2\1\0")) == []
    assert running.engine.counters()["dropped"] == before + 1
