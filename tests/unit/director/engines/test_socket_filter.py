"""The kernel's filter works on sockets of any kind; here it is tested on a local pair."""

from __future__ import annotations

import socket
from collections.abc import Collection

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from director.engines.scapy.socket_filter import FrameClass, attach

VIP = "203.0.113.1"


def passes(frame: bytes, wanted: Collection[FrameClass]) -> bool:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        attach(theirs, wanted)
        theirs.setblocking(False)
        ours.send(frame)
        try:
            return theirs.recv(65536) == frame
        except BlockingIOError:
            return False


def class_of(frame: bytes) -> FrameClass:
    """The class whose filter it passes; a filter for all of them passes what any passes."""
    kinds = set(FrameClass) - {FrameClass.IGNORED}
    found = [kind for kind in kinds if passes(frame, {kind})]
    assert passes(frame, kinds) == bool(found)
    return found[0] if len(found) == 1 else FrameClass.IGNORED


@pytest.mark.parametrize(
    ("packet", "wanted"),
    [
        (IP(dst=VIP) / TCP(flags="S"), FrameClass.SYN),
        (IP(dst=VIP) / TCP(flags="SEC") / b"data", FrameClass.SYN),
        (IP(dst=VIP) / TCP(flags="SA"), FrameClass.OTHER),
        (IP(dst=VIP) / TCP(flags="SR"), FrameClass.OTHER),
        (IP(dst=VIP) / TCP(flags="A"), FrameClass.OTHER),
        (IP(dst=VIP, frag=3) / TCP(flags="S"), FrameClass.OTHER),
        (IP(dst=VIP, options=b"\1\1\1\1") / TCP(flags="S"), FrameClass.OTHER),
        (IP(dst=VIP) / UDP(), FrameClass.OTHER),
        (IP(dst=VIP) / ICMP(), FrameClass.OTHER),
        (IP(dst=VIP, proto=6) / b"cut off", FrameClass.OTHER),
        (ARP(pdst=VIP), FrameClass.OTHER),
        (IPv6() / TCP(flags="S"), FrameClass.SYN),
        (IPv6() / TCP(flags="SA"), FrameClass.OTHER),
        (IPv6() / UDP(), FrameClass.OTHER),
        (IPv6() / IPv6ExtHdrDestOpt() / TCP(flags="S"), FrameClass.OTHER),
        (IPv6(nh=6) / b"cut off", FrameClass.OTHER),
        (IPv6(hlim=255) / ICMPv6ND_NA(), FrameClass.ADVERTISEMENT),
        (IPv6(hlim=64) / ICMPv6ND_NA(), FrameClass.OTHER),
        (Ether(type=0x88CC) / b"a protocol of switches", FrameClass.IGNORED),
        (Dot1Q(vlan=5) / IP(dst=VIP) / TCP(flags="S"), FrameClass.IGNORED),
    ],
    ids=lambda value: value.summary() if isinstance(value, Packet) else value.name,
)
def test_frame_classes(packet: Packet, wanted: FrameClass) -> None:
    frame = bytes(Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02") / packet)
    assert class_of(frame) is wanted


def test_a_truncated_frame_is_ignored() -> None:
    assert class_of(b"x") is FrameClass.IGNORED
