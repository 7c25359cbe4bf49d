"""Reading a lab of fake hosts and a fake director: there is a state, whatever is broken."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from director.control.channel import ChannelError
from doctor import collect_host, collect_lab, parse_host
from doctor.state import HostState, LabState, Listener, Mark, NextHop, Plug, Route, Target
from labs.plan import plan_for
from labs.run.options import LabOptions
from realserver_setup.apply import Result

RS1 = HostState("rs1", "real server", (Plug("rs1-eth0", "s2", "203.0.113.11", 24),))
DEVICES = (
    '[{"ifname": "lo", "flags": ["LOOPBACK", "UP"], "addr_info": [{"family": "inet", "local": "203.0.113.1",'
    ' "prefixlen": 32, "scope": "global", "label": "lo:0"}, {"family": "inet6", "local": "::1"}]}]\n'
)
ROUTES = '[{"dst": "default", "gateway": "203.0.113.254", "dev": "rs1-eth0"}]\n'
NEIGHBOURS = (
    '[{"dst": "203.0.113.254", "dev": "rs1-eth0", "lladdr": "02:00:cb:00:71:fe", "state": ["STALE"]}]\n'
)
WAYS = (
    '[{"dst": "198.51.100.101", "gateway": "203.0.113.254", "dev": "rs1-eth0"}]\n'
    '[{"type": "local", "dst": "203.0.113.1", "dev": "lo"}]\n'
)
PRINTED = {
    "ip": DEVICES + ROUTES + NEIGHBOURS + WAYS,
    "settings": {"ip_forward": 0},
    "offloads": {"rs1-eth0": False},
    "counters": {"IpInAddrErrors": 3},
    "listeners": [("TCP", "0.0.0.0", 80)],
    "nft": "",
    "rules": "",
}
LISTED: dict[str, Any] = {
    "ok": True,
    "engine": "scapy",
    "ftp_helper": False,
    "timeouts": {"tcp": 900, "tcpfin": 120, "udp": 300},
    "marks": [{"mark": 1, "network": "203.0.113.1", "protocol": "TCP", "first": 80, "last": 80}],
    "services": [
        {
            "protocol": "TCP",
            "address": "203.0.113.1",
            "port": 80,
            "mark": 0,
            "scheduler": "rr",
            "flags": [],
            "persistent": 0,
            "servers": [{"address": "203.0.113.11", "port": 80, "weight": 1, "active": 0}],
        }
    ],
}
ENTRY = {
    "protocol": "TCP",
    "expires": 890.0,
    "state": "ESTABLISHED",
    "client": "198.51.100.101:40000",
    "vip": "203.0.113.1:80",
    "server": "203.0.113.11:80",
}

Run = Callable[..., Result]


def lab(tmp_path: Path, run: Run, **on: Run) -> Any:
    """A lab whose hosts run `run`, except those named."""
    plan = plan_for("dr", LabOptions())
    names = [node.name for node in plan.topology.nodes]
    hosts = {name: SimpleNamespace(run=on.get(name, run)) for name in names}
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "rules.sh").write_text("ippfvsadm -C\n")
    return SimpleNamespace(
        plan=plan, network=SimpleNamespace(hosts=hosts), evidence=SimpleNamespace(scripts=tmp_path)
    )


def answers(code: int, printed: str, complaint: str = "") -> Run:
    def run(_argv: Sequence[str], **_options: float) -> Result:
        return Result(code, printed, complaint)

    return run


prints = answers(0, repr(PRINTED))


@pytest.fixture
def director(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(_path: str, request: dict[str, Any], **_options: float) -> dict[str, Any]:
        return LISTED if request["do"] == "list" else {"ok": True, "connections": [ENTRY]}

    monkeypatch.setattr(collect_lab, "call", call)


@pytest.mark.usefixtures("director")
def test_a_lab_is_read_completely(tmp_path: Path) -> None:
    state = collect_lab.collect_lab(lab(tmp_path, prints))
    assert (state.lab, state.method, state.vip) == ("lab-dr", "dr", "203.0.113.1")
    assert [host.name for host in state.hosts] == ["c1", "c2", "r0", "d", "rs1", "rs2", "rs3"]
    assert not any(host.error for host in state.hosts)
    assert state.director_host.scripts == {"rules.sh": "ippfvsadm -C\n"}
    assert state.director.services[0].targets == (Target("203.0.113.11", 80, 1),)
    assert state.director.marks == (Mark(1, "203.0.113.1", "TCP", 80, 80),)
    assert not state.director.ftp_helper
    assert state.director.connections[0].state == "ESTABLISHED"
    assert LabState.from_dict(state.as_dict()) == state


@pytest.mark.usefixtures("director")
@pytest.mark.parametrize(
    ("run", "said"),
    [
        (answers(124, "", "timed out after 10 s"), "timed out after 10 s"),
        (answers(1, ""), "exit code 1"),
        (answers(0, "Killed"), "not output of collect_host.py"),
        (answers(0, "{}"), "ip"),
        (answers(0, repr({**PRINTED, "ip": ""})), "0 lists"),
    ],
)
def test_a_broken_host_is_reported(tmp_path: Path, run: Run, said: str) -> None:
    state = collect_lab.collect_lab(lab(tmp_path, prints, rs2=run))
    assert [host.name for host in state.hosts if host.error] == ["rs2"]
    assert said in next(host.error for host in state.hosts if host.error)


@pytest.mark.usefixtures("director")
def test_a_missing_mnexec_is_reported(tmp_path: Path) -> None:
    def gone(_argv: Sequence[str], **_options: float) -> Result:
        raise FileNotFoundError("mnexec")

    assert "mnexec" in collect_lab.collect_lab(lab(tmp_path, prints, c1=gone)).hosts[0].error


@pytest.mark.parametrize("answer", [ChannelError("no answer on /run/x"), {"ok": False, "error": "no answer"}])
def test_a_dead_director_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    def call(_path: str, _request: dict[str, Any], **_options: float) -> dict[str, Any]:
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    monkeypatch.setattr(collect_lab, "call", call)
    state = collect_lab.collect_lab(lab(tmp_path, prints))
    assert "no answer" in state.director.error
    assert state.director.services == ()
    assert not any(host.error for host in state.hosts)


def test_parsing_a_hosts_output() -> None:
    host = parse_host.parse_host(RS1, repr(PRINTED))
    assert [str(address) for address in host.addresses] == ["203.0.113.1/32 on lo:0"]
    assert host.routes == (Route("default", "203.0.113.254", "rs1-eth0"),)
    assert host.next_hop("198.51.100.101") == NextHop("198.51.100.101", "203.0.113.254", "rs1-eth0")
    assert str(host.next_hop("198.51.100.102")) == "198.51.100.102 is unreachable"
    assert host.listeners == (Listener("TCP", "0.0.0.0", 80),)
    assert host.neighbours[0].state == "STALE"


def test_collecting_this_machine() -> None:
    command = [sys.executable, "-S", "-E", collect_host.__file__, "127.0.0.1"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    host = parse_host.parse_host(RS1, printed)
    assert host.has("127.0.0.1")
    assert host.next_hop("127.0.0.1").interface == "lo"
    assert "conf.all.rp_filter" in host.settings
