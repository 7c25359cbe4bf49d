"""Truncated, mutated and random frames do not stop the engine.

LVS_FUZZ=1000000 in the environment tries that many, in all methods together.
"""

from __future__ import annotations

import os
import random

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP

from tests.labs.malformed import malformed, with_correct_checksum
from tests.unit.director.engines.support import CLIENT, OWN, SERVER, VIP, Running, framed

FRAMES = int(os.environ.get("LVS_FUZZ", "18000")) // 6
CHANCE = random.randrange(2**32)
STEADY = "198.51.100.77"  # the client of a connection that has to survive all of them


def _samples() -> list[bytes]:
    """Valid frames, in an order in which they make sense to a director."""
    tcp = [
        IP(src=CLIENT, dst=VIP) / TCP(sport=1025, dport=port, flags=flags) / b"PORT 198,51,100,101,4,1\r\n"
        for port in (80, 21)
        for flags in ("S", "A")
    ] + [
        IP(src=SERVER, dst=CLIENT) / TCP(sport=port, dport=1025, flags=flags) / b"227 (172,16,0,2,9,9)\r\n"
        for port in (80, 21)
        for flags in ("SA", "A")
    ]
    request = bytes(IP(src=CLIENT, dst=SERVER) / TCP(sport=1025, dport=80))[:28]
    reply = bytes(IP(src=VIP, dst=CLIENT) / TCP(sport=80, dport=1025))[:28]
    tunnelled = bytes(IP(src=OWN, dst=SERVER, proto=4) / b"the packet inside")
    others = [
        IP(src=CLIENT, dst=VIP) / UDP(sport=9, dport=80) / b"abc",
        IP(src=CLIENT, dst=VIP) / UDP(sport=9, dport=80, chksum=0) / b"abc",
        IP(src=SERVER, dst=CLIENT) / UDP(sport=80, dport=9) / b"abc",
        IP(src=CLIENT, dst=VIP, flags="MF", id=7) / UDP(sport=9, dport=80) / bytes(24),
        IP(src=CLIENT, dst=VIP, frag=4, id=7, proto=17) / bytes(9),
        IP(src=CLIENT, dst=VIP, flags="MF", id=8, proto=6) / bytes(TCP(sport=1026, flags="S"))[:8],
        IP(src=CLIENT, dst=VIP, frag=1, id=8, proto=6) / bytes(TCP(sport=1026, flags="S"))[8:],
        IP(src=SERVER, dst=CLIENT, frag=4, id=9, proto=17) / bytes(9),
        IP(src=SERVER, dst=CLIENT, flags="MF", id=9) / UDP(sport=80, dport=9, len=41) / bytes(24),
        IP(src=CLIENT, dst=VIP, options=b"\x94\x04\0\0" + b"\x07\x0b\x04" + bytes(9))
        / UDP(sport=9, dport=80),
        IP(src=CLIENT, dst=VIP, options=b"\x44\x0c\x05\x01" + bytes(8)) / TCP(sport=1027, flags="S"),
        IP(src=SERVER, dst=CLIENT) / ICMP(type=3, code=1) / request,
        IP(src=SERVER, dst=CLIENT, options=b"\x07\x0b\x04" + bytes(9)) / ICMP(type=3, code=1) / request,
        IP(src=CLIENT, dst=VIP) / ICMP(type=3, code=4, nexthopmtu=1400) / reply,
        IP(src=CLIENT, dst=VIP) / ICMP(type=11) / reply,
        IP(src=CLIENT, dst=VIP) / ICMP(),
        IP(src=CLIENT, dst=VIP) / ICMP(type=3, code=4, nexthopmtu=1400) / tunnelled,
        ARP(op=2, psrc="203.0.113.254", hwsrc="02:00:00:00:00:09"),
    ]
    return [framed(packet) for packet in (*tcp, *others)]


@pytest.mark.parametrize("seed", [1999, CHANCE], ids=["always", "chance"])
def test_malformed_frames_do_not_stop_the_engine(running: Running, seed: int) -> None:
    print(f"seed {seed}")  # pytest shows it when this fails
    chance = random.Random(seed)
    for flags in ("S", "A"):
        running.receive(IP(src=STEADY, dst=VIP) / TCP(sport=1025, dport=80, flags=flags))
    samples = _samples()
    for frame in samples:
        running.receive(frame)
    for number in range(FRAMES):
        frame = malformed(chance.choice(samples), chance)
        running.take(with_correct_checksum(frame) if chance.random() < 0.7 else frame)
        if number % 1000 == 0:
            running.forget()
            running.wait(1)
            running.receive(IP(src=STEADY, dst=VIP) / TCP(sport=1025, dport=80, flags="A"))
    counted = running.engine.counters()
    assert counted["failed"] == 0
    assert min(counted["malformed"], counted["out"], counted["local"]) > 10
    assert len(running.receive(IP(src=STEADY, dst=VIP) / TCP(sport=1025, dport=80, flags="A"))) == 1
    assert len(running.receive(IP(src=CLIENT, dst=VIP) / TCP(sport=2000, dport=80, flags="S"))) == 1


@pytest.mark.parametrize("ttl", [0, 1])
def test_an_icmp_error_with_an_expired_ttl_is_dropped(running: Running, ttl: int) -> None:
    running.receive(IP(src=CLIENT, dst=VIP) / TCP(sport=1025, dport=80, flags="S"))
    reply = bytes(IP(src=VIP, dst=CLIENT) / TCP(sport=80, dport=1025))[:28]
    assert not running.receive(IP(src=CLIENT, dst=VIP, ttl=ttl) / ICMP(type=3, code=1) / reply)
    assert len(running.receive(IP(src=CLIENT, dst=VIP, ttl=2) / ICMP(type=3, code=1) / reply)) == 1


def test_a_fault_costs_one_packet_only(nat: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    syn = IP(src=CLIENT, dst=VIP) / TCP(sport=2000, dport=80, flags="S")

    def fail(*_: object) -> None:
        raise ZeroDivisionError("on purpose")

    with monkeypatch.context() as patched:
        patched.setattr(nat.engine, "_ask", fail)
        assert nat.receive(syn) == nat.receive(syn) == []
    assert nat.engine.counters()["failed"] == 2
    (reported,) = nat.reported("failed")
    assert reported["trace"][-1] == "ZeroDivisionError: on purpose"
    assert bytes.fromhex(reported["frame"]).startswith(framed(syn)[:14])
    assert len(nat.receive(syn)) == 1


def test_a_fault_that_can_not_be_reported_is_counted(nat: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_event: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(nat.director.trace, "_listener", full)
    nat.receive(IP(src=CLIENT, dst=VIP) / TCP(sport=2000, dport=80, flags="S"))
    assert nat.engine.counters()["failed"] == 1


def test_client_port_0_is_served(running: Running) -> None:
    for flags in ("S", "F", "S", "A"):
        assert len(running.receive(IP(src=CLIENT, dst=VIP) / TCP(sport=0, dport=80, flags=flags))) == 1
    assert running.engine.counters()["failed"] == 0
