"""Offloaded work is completed: the core gets the frames that a wire would have carried."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

from director.engines.scapy.checksums import computed
from director.engines.scapy.offload import HEADER, NOTHING, finished

ETHERNET = bytes.fromhex("020000000001020000000005") + b"\x08\x00"
START = 14 + 20  # where TCP or UDP begins
NEEDS_CHECKSUM, MERGED_TCP, MERGED_UDP, ECN = 1, 1, 5, 0x80


def partial(packet: Any) -> bytes:
    """The frame as the sender's kernel hands it to the card: the checksum is the pseudo header's sum."""
    data = bytearray(bytes(packet))
    above = data[20:]
    where = 20 + {6: 16, 17: 6}[packet.proto]
    pseudo_header = computed(data[12:20] + bytes([0, packet.proto]) + len(above).to_bytes(2, "big"))
    data[where : where + 2] = bytes(byte ^ 0xFF for byte in pseudo_header)
    return ETHERNET + bytes(data)


def tcp(data: bytes, **more: Any) -> Any:
    return (
        IP(src="192.0.2.1", dst="203.0.113.1", id=65535, flags="DF")
        / TCP(
            sport=4000,
            dport=80,
            seq=2**32 - 1000,
            options=[("NOP", None), ("NOP", None), ("Timestamp", (1, 2))],
            **more,
        )
        / data
    )


def test_a_finished_frame_is_unchanged() -> None:
    frame = ETHERNET + bytes(tcp(b"abc"))
    assert finished(NOTHING + frame) == (frame,)


@pytest.mark.parametrize("data", [b"", b"odd", b"even", bytes(range(256)) * 5])
def test_a_partial_checksum_is_completed(data: bytes) -> None:
    for packet, offset in ((tcp(data), 16), (IP(src="192.0.2.1") / UDP(sport=1, dport=2) / data, 6)):
        right = ETHERNET + bytes(packet)
        header = HEADER.pack(NEEDS_CHECKSUM, 0, 0, 0, START, offset)
        assert finished(header + partial(IP(bytes(packet)))) == (right,)


def test_a_completed_udp_checksum_is_never_zero() -> None:
    """For these data it would be 0, which means "none"."""
    packet = IP(bytes(IP(src="192.0.2.1", dst="203.0.113.1") / UDP(sport=1, dport=2) / b"\0\0"))
    packet[UDP].payload.load = packet[UDP].chksum.to_bytes(2, "big")
    (frame,) = finished(HEADER.pack(NEEDS_CHECKSUM, 0, 0, 0, START, 6) + partial(packet))
    assert frame[START + 6 : START + 8] == b"\xff\xff"


def test_merged_segments_are_separated() -> None:
    """Numbers continue, also past their maximum; CWR stays in the first segment, FIN and PSH in the last."""
    data = bytes(range(250)) * 12
    header = HEADER.pack(NEEDS_CHECKSUM, MERGED_TCP | ECN, START + 32, 1448, START, 16)
    frames = finished(header + partial(IP(bytes(tcp(data, flags="CPFA")))))
    packets = [Ether(frame)[IP] for frame in frames]
    assert b"".join(bytes(packet[TCP].payload) for packet in packets) == data
    assert [packet.len for packet in packets] == [1500, 1500, 3000 - 2896 + 52]
    assert [packet.id for packet in packets] == [65535, 0, 1]
    assert [packet[TCP].seq for packet in packets] == [2**32 - 1000, 448, 1896]
    assert [str(packet[TCP].flags) for packet in packets] == ["AC", "A", "FPA"]
    assert all(_is_right(frame) for frame in frames)


def test_merged_datagrams_are_separated() -> None:
    packet = IP(src="192.0.2.1", dst="203.0.113.1") / UDP(sport=1, dport=2) / bytes(2500)
    frames = finished(HEADER.pack(NEEDS_CHECKSUM, MERGED_UDP, 0, 1200, START, 6) + partial(IP(bytes(packet))))
    assert [Ether(frame)[UDP].len for frame in frames] == [1208, 1208, 108]
    assert all(_is_right(frame) for frame in frames)


@pytest.mark.parametrize(
    "header",
    [
        HEADER.pack(NEEDS_CHECKSUM, 0, 0, 0, 60000, 16),
        HEADER.pack(0, MERGED_TCP, 0, 0, 0, 0),
        HEADER.pack(0, 77, 0, 1448, 0, 0),
    ],
    ids=["a checksum outside", "no length", "an unknown kind"],
)
def test_an_invalid_offload_header_is_ignored(header: bytes) -> None:
    frame = ETHERNET + bytes(tcp(b"abc"))
    assert finished(header + frame) == (frame,)
    assert finished(header + frame[:20]) == (frame[:20],)


def _is_right(frame: bytes) -> bool:
    """Both checksums are those that Scapy would compute."""
    packet = Ether(frame)
    for layer in (IP, packet[IP].payload.__class__):
        del packet[layer].chksum
    return bytes(packet) == frame
