"""Reading a lab of fake hosts and a fake director: there is a state, whatever is broken."""

from __future__ import annotations

import gc
import os
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from director.control.channel import ChannelError
from director.control.listener import Listener as ControlListener
from doctor import collect_host, collect_lab, parse_host
from doctor.state import (
    SERVED,
    HostState,
    LabState,
    Link,
    Listener,
    Mark,
    NextHop,
    Planned,
    Plug,
    Process,
    Site,
    Target,
    Trial,
    states_of,
)
from doctor.trials import PORTS
from labs.hosts.environment import DIRECTOR
from labs.plan import plan_for
from labs.run.options import LabOptions
from realserver_setup.apply import Result
from realserver_setup.files import fingerprints

RS1 = HostState("rs1", "real server", (Plug("rs1-eth0", "s2", "203.0.113.11", 24),))
DEVICES = (
    '[{"ifname": "lo", "flags": ["LOOPBACK", "UP"], "mtu": 65536, "link_type": "loopback", "addr_info":'
    ' [{"family": "inet", "local": "203.0.113.1", "prefixlen": 32, "scope": "global", "label": "lo:0"},'
    ' {"family": "inet6", "local": "::1"}]}, {"ifname": "rs1-eth0", "flags": ["NO-CARRIER", "UP"],'
    ' "mtu": 1400, "qdisc": "netem", "link_type": "ether", "address": "02:00:cb:00:71:0b"}]\n'
)
ROUTES = (
    '[{"dst": "default", "gateway": "203.0.113.254", "dev": "rs1-eth0"},'
    ' {"type": "blackhole", "dst": "198.51.100.102"}]\n'
)
NEIGHBOURS = (
    '[{"dst": "203.0.113.254", "dev": "rs1-eth0", "lladdr": "02:00:cb:00:71:fe", "state": ["STALE"]}]\n'
)
WAYS = (
    '[{"dst": "198.51.100.101", "gateway": "203.0.113.254", "dev": "rs1-eth0"}]\n'
    '[{"type": "local", "dst": "203.0.113.1", "dev": "lo"}]\n'
    '[{"type": "local", "dst": "203.0.113.1", "from": "198.51.100.101", "dev": "lo", "iif": "rs1-eth0"}]\n'
    '[{"dst": "198.51.100.101", "from": "203.0.113.1", "gateway": "203.0.113.254", "dev": "rs1-eth0",'
    ' "metrics": [{"mtu": 1400, "window": 70}]}]\n'
)
RULES = """[{"priority":0,"src":"all","table":"local"},{"priority":50,"src":"10.0.0.0","srclen":8,
"dst":"10.1.0.1","iif":"lo","action":"prohibit"},{"priority":60,"src":"all","ipproto":"tcp","sport_start":32768,
"sport_end":60999,"action":"blackhole"},{"priority":100,"src":"203.0.113.1","table":"77"},
{"priority":32766,"src":"all","table":"main"},{"priority":32767,"src":"all","table":"default"}]
"""
BPF = """filter protocol ip pref 49152 bpf chain 0
filter protocol ip pref 49152 bpf chain 0 handle 0x1 bytecode '1,6 0 0 2' direct-action not_in_hw
"""
PRINTED = {
    "ip": DEVICES + ROUTES + NEIGHBOURS + RULES + WAYS,
    "settings": {"ip_forward": 0},
    "ranges": {"ip_local_port_range": "32768 60999"},
    "offloads": {"rs1-eth0": False},
    "counters": {"IpInAddrErrors": 3},
    "listeners": [("TCP", "0.0.0.0", 80, 41, "nginx", "T"), ("UNIX", DIRECTOR, 0, 42, "python", "S")],
    "processes": [(41, "nginx -p /servers/rs1", "T", False, 9, 8), (42, "python -m director", "S")],
    "nft": "",
    "rules": "",
    "tc": [("rs1-eth0", "ingress", BPF)],
}
LISTED: dict[str, Any] = {
    "ok": True,
    "engine": "scapy",
    "ftp_helper": False,
    "conn_limit": 2,
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
            "servers": [{"address": "203.0.113.11", "port": 80, "weight": 1, "upper": 2, "active": 2}],
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
OF_A_TRIAL = {**ENTRY, "client": f"198.51.100.101:{PORTS[0]}"}

VIP, CLIENT = "203.0.113.1", "198.51.100.101"
TRIALS = (Trial("c1", VIP, 80, SERVED, server="rs1"),)

Run = Callable[..., Result]


def lab(tmp_path: Path, run: Run, **on: Run) -> Any:
    """A lab whose hosts run `run`, except those named."""
    plan = plan_for("dr", LabOptions())
    names = [node.name for node in plan.topology.nodes]
    hosts = {name: SimpleNamespace(run=on.get(name, run)) for name in names}
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "rules.sh").write_text("ippfvsadm -C\n")
    return SimpleNamespace(
        plan=plan,
        network=SimpleNamespace(hosts=hosts, switch_port=lambda interface: f"port of {interface}"),
        evidence=SimpleNamespace(scripts=tmp_path, folder=tmp_path),
        farm=SimpleNamespace(root=lambda name: tmp_path / "roots" / name, versions=(4,)),
    )


def answers(code: int, printed: str, complaint: str = "") -> Run:
    def run(_argv: Sequence[str], **_options: float) -> Result:
        return Result(code, printed, complaint)

    return run


prints = answers(0, repr(PRINTED))


@pytest.fixture
def director(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(_path: str, request: dict[str, Any], **_options: float) -> dict[str, Any]:
        return LISTED if request["do"] == "list" else {"ok": True, "connections": [ENTRY, OF_A_TRIAL]}

    monkeypatch.setattr(collect_lab, "call", call)


@pytest.fixture(autouse=True)
def _no_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    def trials(_running: Any, _services: Any) -> Any:
        return SimpleNamespace(first=lambda: TRIALS, again=lambda: TRIALS)

    monkeypatch.setattr(collect_lab, "Trials", trials)


def test_of_a_lab_with_both_ip_versions_each_state_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vip, rs1, client = "2001:db8:cb00:71::1", "2001:db8:cb00:71::11", "2001:db8:c633:64::101"
    in_ipv6 = {
        **LISTED["services"][0],
        "address": vip,
        "servers": [{"address": rs1, "port": 80, "weight": 1}],
    }
    marked = {**in_ipv6, "protocol": "FWM", "address": "", "mark": 6}
    marks = [*LISTED["marks"], {**LISTED["marks"][0], "mark": 6, "network": vip}]
    entry = {**ENTRY, "client": f"[{client}]:40000", "vip": f"[{vip}]:80", "server": f"[{rs1}]:80"}

    def call(_path: str, request: dict[str, Any], **_options: float) -> dict[str, Any]:
        services = [*LISTED["services"], in_ipv6, marked]
        listed = {**LISTED, "services": services, "marks": marks}
        return listed if request["do"] == "list" else {"ok": True, "connections": [ENTRY, entry]}

    monkeypatch.setattr(collect_lab, "call", call)
    first = lab(tmp_path, prints)
    second = SimpleNamespace(**{**vars(first), "plan": plan_for("dr", LabOptions(family=6))})
    first.parts = (first, second)
    four, six = states_of(collect_lab.answer(first))
    assert [one.address for one in four.director.services] == [VIP]
    assert [(one.address, one.mark) for one in six.director.services] == [(vip, 0), ("", 6)]
    assert [one.mark for one in (*four.director.marks, *six.director.marks)] == [1, 6]
    assert [one.vip for one in (*four.director.connections, *six.director.connections)] == [
        ENTRY["vip"],
        entry["vip"],
    ]


@pytest.mark.usefixtures("director")
def test_a_lab_is_read_completely(tmp_path: Path) -> None:
    state = collect_lab.collect_lab(lab(tmp_path, prints))
    assert (state.lab, state.method, state.vip) == ("lab-dr", "dr", "203.0.113.1")
    assert [host.name for host in state.hosts] == ["c1", "c2", "r0", "d", "rs1", "rs2", "rs3"]
    assert not any(host.error for host in state.hosts)
    assert state.director_host.scripts == {"rules.sh": "ippfvsadm -C\n"}
    assert state.director.services[0].targets == (Target("203.0.113.11", 80, 1, upper=2, active=2),)
    assert state.director.services[0].targets[0].full
    assert state.director.marks == (Mark(1, "203.0.113.1", "TCP", 80, 80),)
    assert not state.director.ftp_helper
    assert [connection.client for connection in state.director.connections] == [ENTRY["client"]]
    assert (state.director.entries, state.director.limit, state.director.full) == (2, 2, True)
    assert state.director_process == Process(42, "python -m director", "S")
    assert state.trials == TRIALS
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
def test_what_a_httpd_works_with_is_compared(tmp_path: Path) -> None:
    asked: list[str] = []

    def run(argv: Sequence[str], **_options: float) -> Result:
        asked.extend(argv)
        return prints(argv)

    running = lab(tmp_path, prints, rs1=run)
    folder = tmp_path / "servers" / "rs1"
    folder.mkdir(parents=True)
    (folder / "nginx.conf.orig").write_text("server {\n    listen 80;\n    root /x;\n}\n")
    (folder / "nginx.conf").write_text("server {\n    deny all;\n    listen 80;\n}\n")
    root = tmp_path / "roots" / "rs1"
    sites = {host.name: host.site for host in collect_lab.collect_lab(running).hosts}
    assert sites["rs1"] == Site(str(root), ("line 2: deny all;", "gone: root /x;"))
    assert sites["c1"] == Site()
    of_name = fingerprints("rs1")["name"]
    files = {f"has:::{root}/upload/", f"has:1000000::{root}/1m.bin", f"has:{of_name}:{root}/name"}
    assert {str(root), str(folder / "logs"), *files} < set(asked)


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
    assert host.links[1] == Link("rs1-eth0", True, False, 1400, "02:00:cb:00:71:0b", "netem")
    assert not host.links[1].works
    assert list(map(str, host.routes)) == [
        "default via 203.0.113.254 dev rs1-eth0",
        "blackhole 198.51.100.102",
    ]
    assert host.next_hop("198.51.100.101") == NextHop("198.51.100.101", "203.0.113.254", "rs1-eth0")
    assert str(host.next_hop("198.51.100.102")) == "198.51.100.102 is unreachable"
    assert host.next_hop("203.0.113.1", "198.51.100.101", "rs1-eth0").local
    measured = host.next_hop("198.51.100.101", "203.0.113.1")
    assert (measured.mtu, measured.window) == (1400, 70)
    assert host.ranges == {"ip_local_port_range": "32768 60999"}
    assert host.listeners[0] == Listener("TCP", "0.0.0.0", 80, 41, "nginx", "T")
    assert host.listeners[0].stopped
    assert host.processes[0].stopped
    assert (host.processes[0].files, host.processes[0].most) == (9, 8)
    assert host.neighbours[0].state == "STALE"
    assert list(map(str, host.rules)) == [
        "50: from 10.0.0.0/8 to 10.1.0.1 iif lo prohibit",
        "60: from all ipproto tcp sport 32768-60999 blackhole",
        "100: from 203.0.113.1 lookup 77",
    ]
    assert host.missing_rules == ()
    (dropping,) = host.traffic_filters
    assert (dropping.interface, dropping.hook) == ("rs1-eth0", "ingress")
    assert dropping.text.endswith("handle 0x1 bytecode '1,6 0 0 2' direct-action not_in_hw")


@pytest.mark.parametrize(
    ("address", "deleted", "missing"),
    [
        ("203.0.113.11", "local", ["0: from all lookup local"]),
        ("203.0.113.11", "default", ["32767: from all lookup default"]),
        ("2001:db8::11", "default", []),  # IPv6 has no table of that name
        ("2001:db8::11", "main", ["32766: from all lookup main"]),
    ],
)
def test_rules_of_the_kernel_that_were_deleted(address: str, deleted: str, missing: list[str]) -> None:
    left = re.sub(rf',?\s*{{"priority":\d+,"src":"all","table":"{deleted}"}}', "", RULES).replace("[,", "[")
    planned = replace(RS1, plugs=(replace(RS1.main, address=address),))
    host = parse_host.parse_host(planned, repr(PRINTED | {"ip": "[] [] [] " + left}))
    assert list(map(str, host.missing_rules)) == missing


def test_a_control_socket_is_listed_by_its_path(tmp_path: Path) -> None:
    path = str(tmp_path / "control.sock")
    listener = ControlListener(path, lambda request: request)
    try:
        assert path in {address for _, _, address, _ in collect_host._unix_listeners()}
    finally:
        listener.close()


def test_collecting_this_machine() -> None:
    files = (
        "has:::/proc/version",
        "has:::/proc/sys/",
        "has:::/proc/no-such-file",
        "has:::/proc/sys",
        "has:::/proc/version/",
        "has:0::/proc/version",
        "has:7::/proc/version",
        "has:0:ffffffff:/proc/version",
    )
    command = [sys.executable, "-S", "-E", collect_host.__file__, "127.0.0.1", *files]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    host = parse_host.parse_host(RS1, printed)
    assert host.has("127.0.0.1")
    assert host.next_hop("127.0.0.1").interface == "lo"
    assert "conf.all.rp_filter" in host.settings
    assert host.site.missing == ("no-such-file", "sys", "version")
    assert host.site.altered == ("version", "version")
    assert host.link("lo")
    assert all(process.pid and process.state for process in host.processes)
    assert any(process.files and process.most for process in host.processes)


def test_a_director_that_has_no_files_left_is_asked_briefly(tmp_path: Path) -> None:
    """Its socket takes the connection, and accept() fails."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        assert collect_lab._owner(path) == os.getpid()
        assert not collect_lab._has_no_files(os.getpid())
        code = "import os, time; os.write(1, b'.'); time.sleep(60)"
        with subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE) as other:
            assert other.stdout
            assert other.stdout.read(1)
            _, hard = resource.prlimit(other.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(other.pid, resource.RLIMIT_NOFILE, (3, hard))
            assert collect_lab._has_no_files(other.pid)
            other.kill()
    assert collect_lab._owner(path) == 0
    assert not collect_lab._has_no_files(0x7FFFFFFF)


def test_a_listener_and_its_process_are_found(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.create_server(("127.0.0.1", 0)) as one, socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        command = [sys.executable, "-S", "-E", collect_host.__file__]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        host = parse_host.parse_host(RS1, printed)
        found = host.listener("127.0.0.1", one.getsockname()[1])
    assert found
    assert (found.pid, found.stopped) == (os.getpid(), False)
    assert [listener.pid for listener in host.listeners if listener.address == path] == [os.getpid()]
    assert [process.pid for process in host.processes if process.pid == os.getpid()] == [os.getpid()]


def test_a_process_that_closes_a_file_meanwhile_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """As lvs-monitor does all the time."""
    readlink = os.readlink
    with subprocess.Popen(["sleep", "60"]) as other:
        closed = f"/proc/{other.pid}/fd/1"

        def vanished(path: str) -> str:
            if path == closed:
                raise FileNotFoundError(path)
            return readlink(path)

        monkeypatch.setattr("doctor.collect_host.os.readlink", vanished)
        processes, _ = collect_host._processes()
        other.kill()
    (found,) = (process for process in processes if process[0] == other.pid)
    assert found[1].startswith("sleep")


def test_a_listener_for_ipv6_only_is_told_from_one_for_both() -> None:
    listeners = [
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=both) for both in (True, False)
    ]
    try:
        command = [sys.executable, "-S", "-E", collect_host.__file__, "/proc"]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        host = parse_host.parse_host(RS1, printed)
        both, only = (listener.getsockname()[1] for listener in listeners)
        assert [host.listens("192.0.2.1", port) for port in (both, only)] == [True, False]
    finally:
        for listener in listeners:
            listener.close()


def test_what_the_plan_prescribes(tmp_path: Path) -> None:
    state = collect_lab.collect_lab(lab(tmp_path, prints))
    planned = {host.name: host.planned for host in state.hosts}
    assert planned["c1"] == Planned(gateway="198.51.100.254")
    assert planned["d"] == Planned(gateway="203.0.113.254", vip_on="d-eth0", answers_arp=True)
    assert planned["rs2"] == Planned(gateway="203.0.113.254", vip_on="lo", ports=(80, 21))
    assert state.director_host.main.mac == "02:00:cb:00:71:02"
    assert state.servers[0].ftp


TO, FROM = "ipproto tcp sport 50000 dport", "ipproto tcp sport"  # policy routing rules may be about ports
BACK = "dport 50000"


@pytest.mark.parametrize(
    ("method", "host", "targets"),
    [
        (
            "dr",
            "r0",
            [f"{VIP} from {CLIENT} iif r0-eth0 {TO} 80", f"{CLIENT} from {VIP} iif r0-eth1 {FROM} 80 {BACK}"],
        ),
        ("dr", "rs1", [f"{VIP} from {CLIENT} iif rs1-eth0 {TO} 80", f"{CLIENT} from {VIP} {FROM} 80 {BACK}"]),
        (
            "nat",
            "rs2",
            [
                f"172.16.0.3 from {CLIENT} iif rs2-eth0 {TO} 8000",
                f"{CLIENT} from 172.16.0.3 {FROM} 8000 {BACK}",
            ],
        ),
        ("nat", "d", ["172.16.0.2"]),
        (
            "tun",
            "rs1",
            [f"{VIP} from {CLIENT} iif tunl0 {TO} 80", "192.0.2.2 from 203.0.113.2 iif rs1-eth0"],
        ),
        ("tun", "r0", ["192.0.2.34 from 203.0.113.2 iif r0-eth1"]),
        (
            "tun",
            "r1",
            ["192.0.2.2 from 203.0.113.2 iif r1-eth0", f"{CLIENT} from {VIP} iif r1-eth1 {FROM} 80 {BACK}"],
        ),
    ],
)
def test_the_routes_that_are_asked_for(method: str, host: str, targets: list[str]) -> None:
    plan = plan_for(method, LabOptions())
    node = next(node for node in plan.topology.nodes if node.name == host)
    asked = list(collect_lab._targets(plan, node))
    assert [target for target in targets if target not in asked] == []
    assert [str(collect_lab._asked(target.split()).target) for target in targets] == [
        target.split()[0] for target in targets
    ]


@pytest.fixture
def hectic() -> Iterator[None]:
    """Threads take turns, and garbage is collected, in the middle of anything."""
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(5)
    yield
    gc.set_threshold(*threshold)
    sys.setswitchinterval(interval)


class _Garbage:
    """Python code that the garbage collector runs, as it does where sockets and processes are dropped."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        for _ in range(200):
            pass


@pytest.mark.usefixtures("hectic")
def test_hosts_are_parsed_at_the_same_time() -> None:
    """Before Python 3.12, two threads in ast.parse() ended with a SystemError now and then."""
    printed = repr(PRINTED | {"settings": {f"conf.{number}.rp_filter": number for number in range(300)}})

    def parse(_turn: int) -> int:
        _Garbage()
        return len(parse_host.parse_host(RS1, printed).settings)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(parse, range(160))) == {300}
