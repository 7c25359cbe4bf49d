"""Decapsulation (RFC 2003): what comes out is the packet that was put in, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.config import conf
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6

from realserver_setup.tunl0 import decapsulate, decapsulate6, finished

INNER = bytes(IP(src="198.51.100.101", dst="203.0.113.1") / UDP(sport=1234, dport=80) / b"GET /")
OUTER = IP(src="203.0.113.2", dst="192.0.2.2", proto=4)


def test_the_inner_packet_comes_out_byte_for_byte() -> None:
    assert decapsulate(bytes(OUTER / INNER)) == INNER


@given(st.binary(max_size=1400), st.integers(0, 10), st.integers(0, 10), st.binary(max_size=46))
def test_any_encapsulated_packet_is_decapsulated(
    data: bytes, outer_words: int, inner_words: int, padding: bytes
) -> None:
    """With options in either header, and with padding of a short frame."""
    inner = bytes(
        IP(src="198.51.100.101", dst="203.0.113.1", options=[b"\x01" * 4 * inner_words], proto=17) / data
    )
    outer = bytes(IP(dst="192.0.2.2", proto=4, options=[b"\x01" * 4 * outer_words]) / inner)
    assert decapsulate(outer + padding) == inner


@given(st.binary(max_size=100))
def test_random_bytes_never_raise(packet: bytes) -> None:
    assert decapsulate(packet) is None or packet[9] == 4


@given(st.integers(0, len(OUTER) + len(INNER) - 1))
def test_a_truncated_packet_is_dropped(length: int) -> None:
    assert decapsulate(bytes(OUTER / INNER)[:length]) is None


@given(st.integers(0, 39), st.integers(0, 255))
def test_a_damaged_header_never_yields_more_bytes_than_the_packet(position: int, value: int) -> None:
    packet = bytearray(bytes(OUTER / INNER))
    packet[position] = value
    inner = decapsulate(bytes(packet))
    assert inner is None or inner in bytes(packet)


@pytest.mark.parametrize(
    "packet",
    [
        bytes(IP(proto=17) / INNER),
        bytes(IP(proto=41) / INNER),
        bytes(IP(proto=4, flags="MF") / INNER),
        bytes(IP(proto=4, frag=3) / INNER),
        bytes(IP(proto=4) / (b"\x60" + INNER[1:])),
        bytes(IP(proto=4) / (b"\x44" + INNER[1:])),
        b"\x60" + bytes(OUTER / INNER)[1:],
        bytes(OUTER),
        b"",
    ],
    ids=[
        "UDP",
        "IPv6 in IPv4",
        "first fragment",
        "later fragment",
        "inner IPv6",
        "inner header short",
        "IPv6",
        "empty",
        "0",
    ],
)
def test_dropped(packet: bytes) -> None:
    assert decapsulate(packet) is None


# ---- IPv6 in IPv6 ----

INNER6 = bytes(IPv6(src="2001:db8::65", dst="2001:db8::1") / UDP(sport=1234, dport=80) / b"GET /")


def test_the_kernel_has_taken_off_the_outer_header_of_ipv6() -> None:
    assert decapsulate6(INNER6) == INNER6
    assert decapsulate6(INNER6 + bytes(7)) == INNER6  # padding


@pytest.mark.parametrize("content", [b"", INNER6[:39], INNER6[:-1], INNER, b"\x50" + INNER6[1:]])
def test_content_that_is_no_whole_ipv6_packet_is_dropped(content: bytes) -> None:
    assert decapsulate6(content) is None


@pytest.mark.parametrize("layer", [TCP(sport=1, dport=80), UDP(sport=1, dport=80)])
@pytest.mark.parametrize("data", [b"", b"odd", b"even"])
def test_a_begun_checksum_over_ipv6_is_finished(
    layer: TCP | UDP, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conf, "ipv6_enabled", True)  # the director switches it off, for this process, too
    packet = IPv6(src="2001:db8::65", dst="2001:db8::1") / layer / data
    right = bytes(packet)
    at = 40 + (16 if isinstance(layer, TCP) else 6)
    segment = right[40:]
    pseudo = right[8:40] + len(segment).to_bytes(4, "big") + right[6].to_bytes(4, "big")
    begun = sum(int.from_bytes(pseudo[i : i + 2], "big") for i in range(0, len(pseudo), 2))
    begun = (begun & 0xFFFF) + (begun >> 16)
    begun = (begun & 0xFFFF) + (begun >> 16)
    open_ended = right[:at] + begun.to_bytes(2, "big") + right[at + 2 :]
    assert finished(open_ended) == right
    assert finished(right) == right


# ---- checksums that the sender has left open ----


def open_ended(packet: IP) -> bytes:
    """The packet with the sum over the pseudo header in place of its checksum."""
    data = bytes(packet)
    above, where = data[20:], 20 + {6: 16, 17: 6}[packet.proto]
    words = data[12:20] + bytes([0, packet.proto]) + len(above).to_bytes(2, "big")
    begun = sum(int.from_bytes(words[at : at + 2], "big") for at in range(0, 12, 2))
    return data[:where] + ((begun & 0xFFFF) + (begun >> 16)).to_bytes(2, "big") + data[where + 2 :]


@given(st.sampled_from([TCP, UDP]), st.binary(max_size=1400))
def test_a_partial_checksum_is_completed(above: type[TCP | UDP], data: bytes) -> None:
    packet = IP(bytes(IP(src="198.51.100.101", dst="203.0.113.1") / above(sport=1, dport=2) / data))
    assert finished(open_ended(packet)) == bytes(packet)


@pytest.mark.parametrize(
    "packet",
    [
        INNER,
        INNER[:-1] + b"?",
        bytes(IP(dst="203.0.113.1") / UDP(sport=1, dport=2, chksum=0) / b"x"),
        bytes(IP(dst="203.0.113.1", proto=47) / b"x"),
        open_ended(IP(bytes(IP(flags="MF") / UDP() / b"x"))),
        INNER[:22],
    ],
    ids=["computed", "damaged", "without", "other protocol", "a fragment", "cut off"],
)
def test_any_other_checksum_is_unchanged(packet: bytes) -> None:
    assert finished(packet) == packet
