from __future__ import annotations

from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from labs.run.packet_table import Hop, Row, observe

OWN, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"
REQUEST = b"GET /index.html HTTP/1.1\r\nHost: x\r\n\r\n"
EXPECTED = Row("request", "198.51.100.101:40001", "203.0.113.1:80", "GET /index.html")


def segment(port: int = 40001, payload: bytes = REQUEST) -> IP:
    return IP(src="198.51.100.101", dst="203.0.113.1") / TCP(sport=port, dport=80, flags="PA") / payload


def look(folder: Path, *frames: object, expected: Row = EXPECTED, leaving: bool = True) -> Row | None:
    wrpcap(str(folder / "x-eth0.pcap"), list(frames))
    return observe(folder, [Hop("x-eth0", leaving, expected)], 40001, {"x-eth0": OWN})[0]


def test_a_row_is_made_from_the_frame_that_carries_the_request(tmp_path: Path) -> None:
    assert look(tmp_path, Ether(src=OWN, dst=OTHER) / segment()) == EXPECTED


def test_wrong_addresses_are_shown_and_not_passed_over(tmp_path: Path) -> None:
    frame = Ether(src=OWN, dst=OTHER) / segment()
    frame[IP].dst = "172.16.0.3"
    row = look(tmp_path, frame)
    assert row is not None
    assert row != EXPECTED
    assert row.dest == "172.16.0.3:80"


def test_a_frame_that_arrives_is_no_frame_that_leaves(tmp_path: Path) -> None:
    arriving = Ether(src=OTHER, dst=OWN) / segment()
    assert look(tmp_path, arriving) is None
    assert look(tmp_path, arriving, leaving=False) == EXPECTED


def test_another_connection_is_passed_over(tmp_path: Path) -> None:
    assert look(tmp_path, Ether(src=OWN, dst=OTHER) / segment(port=40002)) is None


def test_a_tunnelled_packet_shows_both_its_headers(tmp_path: Path) -> None:
    expected = Row(
        *("encapsulated", EXPECTED.source, EXPECTED.dest, EXPECTED.data, "203.0.113.2", "192.0.2.2")
    )
    frame = Ether(src=OWN, dst=OTHER) / IP(src="203.0.113.2", dst="192.0.2.2", proto=4) / segment()
    assert look(tmp_path, frame, expected=expected) == expected


def test_macs_are_in_the_row_where_the_method_is_about_them(tmp_path: Path) -> None:
    expected = Row("forwarded", EXPECTED.source, EXPECTED.dest, EXPECTED.data, source_mac=OWN, dest_mac=OTHER)
    assert look(tmp_path, Ether(src=OWN, dst=OTHER) / segment(), expected=expected) == expected


@pytest.mark.parametrize("content", [None, b""], ids=["no capture", "an empty one"])
def test_nothing_captured_is_nothing_seen(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x-eth0.pcap").write_bytes(content)
    assert observe(tmp_path, [Hop("x-eth0", True, EXPECTED)], 40001, {"x-eth0": OWN}) == [None]
