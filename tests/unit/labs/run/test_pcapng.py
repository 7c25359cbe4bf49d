"""The merged capture: read back by Scapy, it has every packet once, with interface, time and comment."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Packet
from scapy.utils import PcapNgReader, RawPcapNgReader, wrpcap

from labs.errors import BadRequest, Unable
from labs.plan import plan_for
from labs.run import merged_capture, pcapng
from labs.run.options import LabOptions
from realserver_setup.build import TUNNEL

PLAN = plan_for("tun", LabOptions(servers=1))
HOPS = PLAN.hops(PLAN.servers[0], PLAN.topology.nodes[0].interfaces[0], 40001)
REQUEST = b"GET /index.html HTTP/1.1\r\n\r\n"
MACS = {interface: mac for mac, interface in PLAN.topology.names_of_macs.items()}
ROWS = 3  # of the packet table's, in these captures


def packet(payload: bytes = b"") -> IP:
    client = PLAN.topology.nodes[0].address
    return IP(src=client, dst=PLAN.vip) / TCP(sport=40001, dport=80, flags="PA") / payload


def frame(interface: str, at: float, payload: bytes = b"") -> Packet:
    found = Ether(src=MACS[interface], dst="02:00:00:00:00:01") / packet(payload)
    found.time = at
    return found


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder: client and director, and a tunnel without a link layer."""
    pcaps = tmp_path / "20260101-000000-lab-tun" / "pcap"
    pcaps.mkdir(parents=True)
    wrpcap(str(pcaps / "c1-eth0.pcap"), [frame("c1-eth0", 10.000001), frame("c1-eth0", 12, REQUEST)])
    inner = IP(src="203.0.113.2", dst=PLAN.servers[0].address, proto=4) / packet(REQUEST)
    outer = Ether(src=MACS["d-eth0"], dst="02:00:00:00:00:01") / inner
    outer.time = 12.5
    wrpcap(str(pcaps / "d-eth0.pcap"), [frame("d-eth0", 11), outer])
    inside = packet(REQUEST)
    inside.time = 13
    wrpcap(str(pcaps / "rs1-tunl0.pcap"), [inside], linktype=101)
    pcapng.describe(pcaps, PLAN.title, [pcapng.Network(PLAN.topology, PLAN.vip, TUNNEL)])
    pcapng.mark(pcaps, HOPS, 40001, MACS)
    return pcaps.parent


def read(file: Path) -> list[Packet]:
    with PcapNgReader(str(file)) as reader:
        return list(reader)


def test_packets_are_in_the_order_of_their_times(run: Path) -> None:
    assert pcapng.merge(run / "pcap", run / "all.pcapng") == (3, 5)
    packets = read(run / "all.pcapng")
    assert [float(record.time) for record in packets] == [10.000001, 11, 12, 12.5, 13]
    places = [str(record.sniffed_on) for record in packets]
    assert places == ["c1-eth0", "d-eth0", "c1-eth0", "d-eth0", "rs1-tunl0"]


def test_link_layers_stay_apart(run: Path) -> None:
    pcapng.merge(run / "pcap", run / "all.pcapng")
    assert [type(record) for record in read(run / "all.pcapng")] == [Ether, Ether, Ether, Ether, IP]


def test_the_packet_table_is_in_the_comments(run: Path) -> None:
    pcapng.merge(run / "pcap", run / "all.pcapng")
    comments = [record.comment for record in read(run / "all.pcapng") if record.comment]
    assert comments == [f"packet table: {hop.expected.packet}".encode() for hop in HOPS[:ROWS]]


def test_a_packet_that_is_still_being_written_is_left_for_the_next_merge(run: Path) -> None:
    capture = run / "pcap" / "c1-eth0.pcap"
    capture.write_bytes(capture.read_bytes()[:-3])
    assert pcapng.merge(run / "pcap", run / "all.pcapng") == (3, 4)
    (run / "pcap" / "d-eth0.pcap").write_bytes(b"")
    assert pcapng.merge(run / "pcap", run / "all.pcapng") == (3, 2)
    assert len(read(run / "all.pcapng")) == 2


def test_every_block_has_its_length_at_both_ends(run: Path) -> None:
    pcapng.merge(run / "pcap", run / "all.pcapng")
    content = (run / "all.pcapng").read_bytes()
    at = 0
    while at < len(content):
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        assert length % 4 == 0
        assert content[at + length - 4 : at + length] == content[at + 4 : at + 8]
        at += length
    assert at == len(content)
    with RawPcapNgReader(str(run / "all.pcapng")) as reader:
        assert len(list(reader)) == 5


@pytest.mark.parametrize(
    ("address", "record"),
    [("203.0.113.1", "01000800 cb007101 56495000"), ("2001:db8::1", "02001400 20010db8 00*11 01 56495000")],
)
def test_hosts_have_their_names(address: str, record: str) -> None:
    about = pcapng.About("a lab", {address: "VIP"}, {})
    _, names = pcapng.blocks(about, {}, {})
    expected = bytes.fromhex(record.replace("00*11", "00" * 11))
    assert names[8:-4] == expected + bytes(4)


# ---- the command ----


def test_the_newest_run_is_merged(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LVS_RUNS", str(run.parent))
    assert merged_capture.merged() == merged_capture.merged("tun") == merged_capture.merged(run.name) == 0
    output = capsys.readouterr().out
    assert f"Written: {run / pcapng.FILE}" in output
    assert "5 packets, from 3 interfaces" in output
    assert f"wireshark -C {merged_capture.NAME} {run / pcapng.FILE}" in output
    with pytest.raises(BadRequest, match="there are lab-tun"):
        merged_capture.merged("dr")


def test_a_damaged_description_is_one_sentence(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVS_RUNS", str(run.parent))
    for spoilt in ("", "[]", '{"title": 1}'):
        (run / "pcap" / pcapng.ABOUT).write_text(spoilt)
        with pytest.raises(Unable, match="is damaged"):
            merged_capture.merged()


def test_without_a_run_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVS_RUNS", str(tmp_path))
    with pytest.raises(BadRequest, match="run a lab first"):
        merged_capture.merged()


# ---- the profile ----


def test_every_button_of_the_profile_has_a_filter_and_says_what_it_shows() -> None:
    lines = (merged_capture.PROFILE / "dfilter_buttons").read_text().splitlines()
    buttons = list(csv.reader(line for line in lines if not line.startswith("#")))
    assert len(buttons) >= 15
    assert all(len(button) == 4 and button[0] == "TRUE" and all(button) for button in buttons)
    assert len({label for _, label, _, _ in buttons}) == len(buttons)
