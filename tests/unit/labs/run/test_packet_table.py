"""The packet table finds its rows in captures, and parses what a capture may hold."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, CookedLinux, Ether
from scapy.packet import Packet
from scapy.utils import wrpcap

from labs.run.packet_table import Frame, Hop, Row, frames_with, link_type, observe, records
from labs.wait import patient

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


def test_wrong_addresses_are_shown(tmp_path: Path) -> None:
    frame = Ether(src=OWN, dst=OTHER) / segment()
    frame[IP].dst = "172.16.0.3"
    row = look(tmp_path, frame)
    assert row is not None
    assert row != EXPECTED
    assert row.dest == "172.16.0.3:80"


def test_an_arriving_frame_is_not_a_leaving_one(tmp_path: Path) -> None:
    arriving = Ether(src=OTHER, dst=OWN) / segment()
    assert look(tmp_path, arriving) is None
    assert look(tmp_path, arriving, leaving=False) == EXPECTED


def test_another_connection_is_ignored(tmp_path: Path) -> None:
    assert look(tmp_path, Ether(src=OWN, dst=OTHER) / segment(port=40002)) is None


def test_a_tunnelled_packet_shows_both_its_headers(tmp_path: Path) -> None:
    expected = Row(
        *("encapsulated", EXPECTED.source, EXPECTED.dest, EXPECTED.data, "203.0.113.2", "192.0.2.2")
    )
    frame = Ether(src=OWN, dst=OTHER) / IP(src="203.0.113.2", dst="192.0.2.2", proto=4) / segment()
    assert look(tmp_path, frame, expected=expected) == expected


def test_ipv6_is_written_in_brackets_also_in_a_tunnel(tmp_path: Path) -> None:
    plain = Row("request", "[2001:db8::65]:40001", "[2001:db8::1]:80", EXPECTED.data)
    packet = IPv6(src="2001:db8::65", dst="2001:db8::1") / TCP(sport=40001, dport=80, flags="PA") / REQUEST
    assert look(tmp_path, ETHER / packet, expected=plain) == plain
    tunnelled = replace(plain, outer_source="2001:db8::2", outer_dest="2001:db8::11")
    frame = ETHER / IPv6(src="2001:db8::2", dst="2001:db8::11", nh=41) / packet
    assert look(tmp_path, frame, expected=tunnelled) == tunnelled
    mixed = replace(plain, outer_source="203.0.113.2", outer_dest="192.0.2.2")
    frame = ETHER / IP(src="203.0.113.2", dst="192.0.2.2", proto=41) / packet
    assert look(tmp_path, frame, expected=mixed) == mixed


def test_macs_are_in_the_row_if_the_method_changes_them(tmp_path: Path) -> None:
    expected = Row("forwarded", EXPECTED.source, EXPECTED.dest, EXPECTED.data, source_mac=OWN, dest_mac=OTHER)
    assert look(tmp_path, Ether(src=OWN, dst=OTHER) / segment(), expected=expected) == expected


@pytest.mark.parametrize("content", [None, b""], ids=["no capture", "an empty one"])
def test_an_empty_capture_has_no_row(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x-eth0.pcap").write_bytes(content)
    assert observe(tmp_path, [Hop("x-eth0", True, EXPECTED)], 40001, {"x-eth0": OWN}) == [None]


ROOT = Path(__file__).resolve().parents[4]
ETHER = Ether(src=OWN, dst=OTHER)
INNER = ("198.51.100.101", "203.0.113.1")
SEGMENT = IP(src=INNER[0], dst=INNER[1]) / TCP(sport=40001, dport=80, options=[("MSS", 1460)]) / b"GET /x"
PLAIN = Frame(OWN, OTHER, (INNER,), 40001, 80, b"GET /x")


def captured(folder: Path, *frames: Packet, **options: int) -> Path:
    wrpcap(str(folder / "x.pcap"), list(frames), **options)
    return folder / "x.pcap"


def frames_in(capture: Path) -> list[Frame]:
    return [frame for _, frame in frames_with(capture, b"GET")]


def test_a_frame_is_parsed(tmp_path: Path) -> None:
    assert frames_in(captured(tmp_path, ETHER / SEGMENT)) == [PLAIN]


def test_padding_of_a_short_frame_is_not_payload(tmp_path: Path) -> None:
    assert frames_in(captured(tmp_path, ETHER / SEGMENT / (b"\0" * 6)))
    padded = bytes(ETHER / SEGMENT) + b"\0" * 6
    assert frames_in(captured(tmp_path, Ether(padded))) == [PLAIN]


def test_ip_in_ip_shows_the_outer_header_first(tmp_path: Path) -> None:
    outer = ("203.0.113.2", "192.0.2.2")
    tunnelled = ETHER / IP(src=outer[0], dst=outer[1], proto=4) / SEGMENT
    (frame,) = frames_in(captured(tmp_path, tunnelled))
    assert frame.addresses == (outer, INNER)


def test_a_tunnel_has_no_link_layer(tmp_path: Path) -> None:
    (frame,) = frames_in(captured(tmp_path, SEGMENT, linktype=101))
    assert frame == Frame(None, None, (INNER,), 40001, 80, b"GET /x")


def test_the_header_that_libpcap_gives_a_tunnel_of_the_kernel_does_not_count(tmp_path: Path) -> None:
    inner = IPv6(src="2001:db8::65", dst="2001:db8::1") / TCP(sport=40001, dport=80) / b"GET /x"
    capture = captured(tmp_path, CookedLinux(proto=0x86DD) / inner, linktype=113)
    assert frames_in(capture) == [Frame(None, None, (("2001:db8::65", "2001:db8::1"),), 40001, 80, b"GET /x")]
    content = capture.read_bytes()
    assert link_type(content) == 101
    assert [(start, captured, length) for *_, start, captured, length in records(content)] == [(56, 66, 66)]
    assert list(records(content[:50])) == []


def test_a_growing_capture_ends_with_its_last_complete_record(tmp_path: Path) -> None:
    capture = captured(tmp_path, ETHER / SEGMENT, ETHER / SEGMENT)
    whole = capture.read_bytes()
    for missing in (1, 60, 70):
        capture.write_bytes(whole[:-missing])
        assert frames_in(capture) == [PLAIN], f"{missing} bytes missing"
    capture.write_bytes(whole[:10])
    assert frames_in(capture) == []


@pytest.mark.parametrize(
    "frame",
    [
        ETHER / ARP(pdst="1.2.3.4") / b"GET",
        ETHER / IP() / UDP() / b"GET",
        ETHER / IP(frag=3) / TCP() / b"GET",
        ETHER / IP(proto=4) / b"GET",
    ],
    ids=["ARP", "UDP", "a later fragment", "a tunnel with no packet in it"],
)
def test_other_packets_are_ignored(tmp_path: Path, frame: Packet) -> None:
    assert frames_in(captured(tmp_path, frame)) == []


def test_a_lab_starts_without_scapy() -> None:
    """Its import takes longer than any other step before the first line on the screen."""
    code = "import sys, doctor.collect_lab, labs.run.lab; sys.exit('scapy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=patient(60)).returncode == 0
