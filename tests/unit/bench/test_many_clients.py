"""Frames of many clients: each has another source and is well-formed."""

from __future__ import annotations

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from bench.many_clients import frames

MAC, TO = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")


def made(clients: range, ports: range = range(1000, 1001)) -> list[bytes]:
    return frames(MAC, TO, "203.0.113.1", ports, clients)


def test_a_frame_has_the_minimum_length_and_the_right_checksum() -> None:
    (frame,) = made(range(1))
    assert len(frame) == 60  # 64 with the check that the card adds
    packet = Ether(frame)
    assert (packet.src, packet.dst) == ("02:00:00:00:00:01", "02:00:00:00:00:02")
    checksum = packet[IP].chksum
    del packet[IP].chksum
    assert Ether(bytes(packet))[IP].chksum == checksum
    assert (packet[UDP].dport, packet[UDP].chksum, packet[UDP].len) == (1000, 0, 26)


def test_clients_are_all_different() -> None:
    ends = {frame[26:30] + frame[34:36] for frame in made(range(120_000))}
    assert len(ends) == 120_000


def test_a_clients_frame_does_not_depend_on_the_first_client() -> None:
    assert made(range(49_990, 50_010)) == made(range(50_010))[-20:]


def test_ports_take_turns() -> None:
    asked = [int.from_bytes(frame[36:38], "big") for frame in made(range(4, 10), range(1000, 1003))]
    assert asked == [1001, 1002, 1000, 1001, 1002, 1000]
