"""Checksums that follow a change against Scapy's, which are computed anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.packet import Raw
from scapy.utils import checksum as anew

from director.engines.scapy import ipv4
from director.engines.scapy.datagram import Datagram, parse

EVEN = st.binary(min_size=2, max_size=40).filter(lambda data: len(data) % 2 == 0)


def test_the_example_of_rfc_1624() -> None:
    assert ipv4.updated(0xDD2F, b"\x55\x55", b"\x32\x85") == 0x0000


@given(EVEN, st.binary(max_size=40), st.binary(max_size=40))
def test_updated_agrees_with_computed_anew(kept: bytes, before: bytes, after: bytes) -> None:
    followed = ipv4.updated(anew(kept + before), before, after)
    assert followed % 0xFFFF == anew(kept + after) % 0xFFFF  # 0 and 0xffff are the same number


@given(EVEN, EVEN)
def test_there_and_back_again(before: bytes, after: bytes) -> None:
    there = ipv4.updated(0x1234, before, after)
    assert ipv4.updated(there, after, before) == 0x1234


def test_follow_changes_the_checksum_and_nothing_else() -> None:
    header = bytes(range(20))
    followed = ipv4.update(header, 10, b"\0\1", b"\0\2")
    assert followed[:10] + followed[12:] == header[:10] + header[12:]
    assert int.from_bytes(followed[10:12], "big") == 0x0A0B - 1


def test_a_checksum_of_udp_is_never_zero() -> None:
    header = bytes.fromhex("0001 0002 0003 fffe")
    assert ipv4.update(header, 6, b"\0\0", b"\0\1")[6:] != b"\0\0"
    assert ipv4.update(bytes(6) + b"\0\1", 6, b"\0\0", b"\0\1")[6:] == b"\0\0"
    assert ipv4.update(bytes(6) + b"\0\1", 6, b"\0\0", b"\0\1", never_zero=True)[6:] == b"\xff\xff"


@given(EVEN)
def test_is_right(data: bytes) -> None:
    right = data + anew(data).to_bytes(2, "big")
    assert ipv4.is_right(right)
    assert not ipv4.is_right(right[:-1] + bytes([right[-1] ^ 1]))


@given(st.binary(max_size=60), st.integers(0, 15), st.integers(1, 255))
def test_a_segment_that_was_damaged_on_its_way_is_spoilt(data: bytes, at: int, by: int) -> None:
    packet = bytes(IP(src="198.51.100.101", dst="203.0.113.1") / TCP(sport=1, dport=21) / Raw(data))
    assert not parse(Datagram(packet)).bad_checksum()
    damaged = bytearray(packet)
    damaged[-1 - at] = (damaged[-1 - at] + by) % 256
    if len(packet) - 1 - at != 20 + 12:  # what says how long the header is
        assert parse(Datagram(bytes(damaged))).bad_checksum()


def test_a_first_fragment_shows_no_checksum_that_could_be_wrong() -> None:
    packet = bytes(IP(src="198.51.100.101", dst="203.0.113.1", flags="MF") / TCP() / Raw(b"x" * 28))
    assert not parse(Datagram(packet)).bad_checksum()
