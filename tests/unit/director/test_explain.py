"""lvs-explain: its lines, its words, its exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import ARP, Ether
from scapy.utils import wrpcap

from director import explain
from director.control import cli
from director.control.channel import ChannelError
from director.control.explanation import Explainer
from director.core.director import Director
from director.core.real_server import Method
from tests.unit.director.control.test_explanation import Engine
from tests.unit.director.core.support import CIP, VIP, WEB, client, direct, published, tcp

FRAME = Ether() / IP(src=CIP, dst=VIP) / TCP(sport=7, dport=80, flags="S")


@pytest.fixture
def director() -> Director:
    return published()


@pytest.fixture(autouse=True)
def _connected(director: Director, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests reach `director` without a socket."""
    explainer = Explainer(director, Engine(), lambda: 1.0)  # type: ignore[arg-type]

    def stream(_path: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        try:
            answer = getattr(explainer, request["do"])(request)
        except ValueError as error:
            yield {"ok": False, "error": str(error)}
            return
        yield {"ok": True, **json.loads(json.dumps(answer))}

    monkeypatch.setattr(cli, "stream", stream)


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert explain.main(arguments) == 0
    return capsys.readouterr().out


def test_a_new_connection(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, f"{CIP}:4000", str(WEB))
    assert "TCP 198.51.100.101:4000 > 203.0.113.1:80 [S]" in text
    assert "wrr: current weight 1" in text
    assert "forward by VS-NAT to 172.16.0.3" in text
    assert "as forwarded  198.51.100.101:4000  172.16.0.3:8000" in text
    assert "NONE becomes SYN_RECV" in text


def test_a_port_without_a_service(capsys: pytest.CaptureFixture[str]) -> None:
    assert "pass it to the director's own kernel" in output(capsys, f"{CIP}:4000", f"{VIP}:81")


def test_udp_has_no_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert "UDP 198.51.100.101:1 > 203.0.113.1:53, 40 bytes" in output(capsys, "-u", f"{CIP}:1", f"{VIP}:53")


def test_the_table_of_a_connection(director: Director, capsys: pytest.CaptureFixture[str]) -> None:
    director.decide(tcp(client(1), WEB), 1.0)
    text = output(capsys, "--table", f"{CIP}:1")
    assert "outbound rewriting" in text.splitlines()[-1]


def test_json_prints_the_answer_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(output(capsys, "--json", f"{CIP}:1", str(WEB)))["decision"] == "forward"


def test_a_frame_of_a_capture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "some.pcap"
    wrpcap(str(path), [Ether() / ARP(), FRAME])
    assert "198.51.100.101:7 > 203.0.113.1:80" in output(capsys, "--pcap", str(path), "--frame", "2")


@pytest.mark.parametrize(("frame", "sentence"), [("1", "is not an IP packet"), ("3", "has no frame 3")])
def test_a_frame_without_an_ip_packet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], frame: str, sentence: str
) -> None:
    path = tmp_path / "some.pcap"
    wrpcap(str(path), [Ether() / ARP(), FRAME])
    assert explain.main(["--pcap", str(path), "--frame", frame]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [[], [f"{CIP}:1"], ["nonsense", str(WEB)], ["--flags", "Z", f"{CIP}:1", str(WEB)], ["--nosuch"]],
)
def test_a_wrong_line_is_one_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert explain.main(arguments) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("lvs-explain: ")
    assert complaint.count("\n") == 1


def test_a_file_that_is_not_a_capture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "some.pcap"
    path.write_bytes(b"no capture")
    assert explain.main(["--pcap", str(path)]) == 2
    assert "can't be read" in capsys.readouterr().err


def test_no_director(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def nobody(path: str, _request: object) -> None:
        raise ChannelError(f"no answer on {path}")

    monkeypatch.setattr(cli, "stream", nobody)
    assert explain.main([f"{CIP}:1", str(WEB)]) == 1
    assert "no answer" in capsys.readouterr().err


def test_an_answer_in_words(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    director = direct(Method.TUN, mtu_of=lambda _address: 1000)
    explainer = Explainer(director, Engine(), lambda: 1.0)  # type: ignore[arg-type]
    too_long = bytes(IP(src=CIP, dst=VIP, flags="DF") / TCP(sport=7, dport=80, flags="S") / bytes(1000))
    answer = {"ok": True, **explainer.explain({"ip": too_long.hex()})}
    monkeypatch.setattr(cli, "stream", lambda *_: iter([answer]))
    assert "reject with ICMP type 3 code 4, MTU 980" in output(capsys, f"{CIP}:1", str(WEB))
