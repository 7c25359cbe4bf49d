"""The filter in the kernel: it works on sockets of any kind, so that a pair of local ones will do here."""

from __future__ import annotations

import socket
from collections.abc import Collection

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from director.engines.scapy.sieve import Class, attach

VIP = "203.0.113.1"


def passes(frame: bytes, wanted: Collection[Class]) -> bool:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        attach(theirs, wanted)
        theirs.setblocking(False)
        ours.send(frame)
        try:
            return theirs.recv(65536) == frame
        except BlockingIOError:
            return False


def class_of(frame: bytes) -> Class:
    """Where it passes alone; both together take what either takes."""
    found = [one for one in (Class.ARRIVAL, Class.OTHER) if passes(frame, {one})]
    assert passes(frame, {Class.ARRIVAL, Class.OTHER}) == bool(found)
    return found[0] if len(found) == 1 else Class.NONE


@pytest.mark.parametrize(
    ("packet", "wanted"),
    [
        (IP(dst=VIP) / TCP(flags="S"), Class.ARRIVAL),
        (IP(dst=VIP) / TCP(flags="SEC") / b"data", Class.ARRIVAL),
        (IP(dst=VIP) / TCP(flags="SA"), Class.OTHER),
        (IP(dst=VIP) / TCP(flags="SR"), Class.OTHER),
        (IP(dst=VIP) / TCP(flags="A"), Class.OTHER),
        (IP(dst=VIP, frag=3) / TCP(flags="S"), Class.OTHER),
        (IP(dst=VIP, options=b"\1\1\1\1") / TCP(flags="S"), Class.OTHER),
        (IP(dst=VIP) / UDP(), Class.OTHER),
        (IP(dst=VIP) / ICMP(), Class.OTHER),
        (IP(dst=VIP, proto=6) / b"cut off", Class.OTHER),
        (ARP(pdst=VIP), Class.OTHER),
        (IPv6() / TCP(flags="S"), Class.NONE),
        (Dot1Q(vlan=5) / IP(dst=VIP) / TCP(flags="S"), Class.NONE),
    ],
    ids=lambda value: value.summary() if isinstance(value, Packet) else value.name,
)
def test_classes(packet: Packet, wanted: Class) -> None:
    frame = bytes(Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02") / packet)
    assert class_of(frame) is wanted


def test_bytes_that_are_no_frame_are_not_wanted() -> None:
    assert class_of(b"x") is Class.NONE
