"""IP options of packets that pass through the Scapy engine."""

from __future__ import annotations

from time import time
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP

from director.engines.scapy.ipv4 import with_options_filled
from tests.unit.director.engines.support import CLIENT, OWN, SERVER, VIP, Running

ROUTE, ALERT = b"\x07\x07\x04\0\0\0\0\0", b"\x94\x04\0\0"
RECORDED = b"\x07\x07\x08" + bytes(map(int, VIP.split("."))) + b"\0"


def syn(options: bytes) -> Any:
    return IP(src=CLIENT, dst=VIP, ttl=63, options=options) / TCP(sport=9, dport=80, flags="S")


def inside(frame: Any) -> Any:
    return frame[IP].payload if frame[IP].proto == 4 else frame[IP]


@pytest.mark.parametrize(("options", "after"), [(ALERT, ALERT), (ROUTE, RECORDED)])
def test_they_travel_on(running: Running, options: bytes, after: bytes) -> None:
    packet = syn(options)
    (frame,) = running.receive(packet)
    sent = bytes(inside(frame))
    expected = IP(bytes(syn(after)))
    expected.ttl -= 1
    expected.dst, expected[TCP].dport = inside(frame).dst, inside(frame)[TCP].dport
    del expected.chksum, expected[TCP].chksum
    assert sent[: len(expected)] == bytes(expected)


def test_a_reply_has_come_from_the_vip(nat: Running) -> None:
    nat.receive(syn(b""))
    reply = IP(src=SERVER, dst=CLIENT, options=ROUTE) / TCP(sport=8000, dport=9, flags="SA")
    (frame,) = nat.receive(reply)
    assert bytes(frame[IP])[20:28] == RECORDED


def test_beside_the_time_of_a_reply_stands_another_address(nat: Running) -> None:
    """That on the way it has come, as in the kernel; a request was sent to the VIP."""
    options = b"\x44\x0c\x05\x01" + bytes(8)
    reply = IP(src=SERVER, dst=CLIENT, options=options) / TCP(sport=8000, dport=9, flags="SA")
    for packet, address in ((syn(options), VIP), (reply, OWN)):
        (frame,) = nat.receive(packet)
        assert bytes(frame[IP])[24:28] == bytes(map(int, address.split(".")))


def test_the_time_is_that_of_the_day() -> None:
    packet = bytes(syn(b"\x44\x08\x05\0\0\0\0\0"))
    stamped = with_options_filled(packet, VIP, OWN, lambda _: False)
    told = int.from_bytes(stamped[24:28], "big")
    assert stamped[20:24] == b"\x44\x08\x09\0"
    assert (time() * 1000 - told) % 86_400_000 < 3_600_000
    assert with_options_filled(stamped, VIP, OWN, lambda _: False)[20:24] == b"\x44\x08\x09\x10"


def test_a_wrong_one_is_answered(running: Running) -> None:
    packet = syn(b"\1\1\x94\x01")
    (frame,) = running.receive(packet)
    assert (frame[IP].src, frame[IP].dst) == (VIP, CLIENT)
    assert (frame[ICMP].type, frame[ICMP].code, frame[ICMP].ptr) == (12, 0, 22)
    assert bytes(frame[ICMP].payload).startswith(bytes(packet)[:28])


def test_an_answer_has_no_options(running: Running) -> None:  # differs: answers-without-options
    packet = syn(ROUTE)
    packet.ttl = 1
    (frame,) = running.receive(packet)
    assert (frame[IP].ihl, frame[ICMP].type) == (5, 11)
    assert bytes(frame[ICMP].payload).startswith(bytes(packet)[:28])


def test_a_source_route_is_dropped(running: Running) -> None:
    before = running.engine.counters()["dropped"]
    assert running.receive(syn(b"\x83\x07\x04\xc0\0\2\1\0")) == []
    assert running.engine.counters()["dropped"] == before + 1
