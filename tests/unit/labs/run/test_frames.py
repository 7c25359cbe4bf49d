from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet
from scapy.utils import wrpcap

from labs.run.frames import Frame, frames_with

ROOT = Path(__file__).resolve().parents[4]
OWN, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"
ETHER = Ether(src=OWN, dst=OTHER)
INNER = ("198.51.100.101", "203.0.113.1")
SEGMENT = IP(src=INNER[0], dst=INNER[1]) / TCP(sport=40001, dport=80, options=[("MSS", 1460)]) / b"GET /x"
PLAIN = Frame(OWN, OTHER, (INNER,), 40001, 80, b"GET /x")


def captured(folder: Path, *frames: Packet, **options: int) -> Path:
    wrpcap(str(folder / "x.pcap"), list(frames), **options)
    return folder / "x.pcap"


def test_a_frame_is_taken_apart(tmp_path: Path) -> None:
    assert list(frames_with(captured(tmp_path, ETHER / SEGMENT), b"GET")) == [PLAIN]


def test_what_a_short_frame_is_filled_up_with_is_no_payload(tmp_path: Path) -> None:
    assert list(frames_with(captured(tmp_path, ETHER / SEGMENT / (b"\0" * 6)), b"GET"))
    padded = bytes(ETHER / SEGMENT) + b"\0" * 6
    assert list(frames_with(captured(tmp_path, Ether(padded)), b"GET")) == [PLAIN]


def test_ip_in_ip_shows_the_outer_header_first(tmp_path: Path) -> None:
    outer = ("203.0.113.2", "192.0.2.2")
    frame = ETHER / IP(src=outer[0], dst=outer[1], proto=4) / SEGMENT
    (seen,) = frames_with(captured(tmp_path, frame), b"GET")
    assert seen.addresses == (outer, INNER)


def test_a_tunnel_has_no_link_layer(tmp_path: Path) -> None:
    (seen,) = frames_with(captured(tmp_path, SEGMENT, linktype=101), b"GET")
    assert seen == Frame(None, None, (INNER,), 40001, 80, b"GET /x")


def test_a_capture_that_still_grows_ends_with_the_last_whole_record(tmp_path: Path) -> None:
    capture = captured(tmp_path, ETHER / SEGMENT, ETHER / SEGMENT)
    whole = capture.read_bytes()
    for missing in (1, 60, 70):
        capture.write_bytes(whole[:-missing])
        assert list(frames_with(capture, b"GET")) == [PLAIN], f"{missing} bytes missing"
    capture.write_bytes(whole[:10])
    assert list(frames_with(capture, b"GET")) == []


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
def test_anything_else_is_passed_over(tmp_path: Path, frame: Packet) -> None:
    assert list(frames_with(captured(tmp_path, frame), b"GET")) == []


def test_a_lab_starts_without_scapy() -> None:
    """Its import takes longer than any other step before the first line on the screen."""
    code = "import sys, doctor.collect_lab, labs.run.lab; sys.exit('scapy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0
