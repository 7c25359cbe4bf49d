"""The engine ipvs without a kernel that has it: what the kernel is commands, and how its tables are read."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.core.commands import AddMark, AddServer, AddService, ServiceKey, SetSysctl, SetTimeouts
from director.core.director import Director
from director.core.errors import LvsError
from director.core.family import IPV4
from director.core.marks import Mark
from director.core.packet import TCP, Endpoint
from director.core.real_server import Method
from director.core.sysctls import Sysctls
from director.engines import require
from director.engines.engine import EngineError
from director.engines.ipvs import prerequisites
from director.engines.ipvs.engine import IpvsEngine, Service, changes
from director.engines.ipvs.kernel import KernelIpvs, marks_script
from director.formats.command_json import decode
from director.ipvsadm import save_format
from tests.unit.director.core.support import activated

ENDS = ("203.0.113.1:80", "203.0.113.1:81")
SERVERS = ("172.16.0.2:80", "172.16.0.3:8000", "172.16.0.4:80")

services = st.builds(
    lambda end, scheduler, persistent: f"-A -t {end} -s {scheduler}{persistent}",
    st.sampled_from(ENDS),
    st.sampled_from(["rr", "wrr", "sh -b sh-port"]),
    st.sampled_from(["", " -p 60", " -p 60 -M 255.255.255.0"]),
)
servers = st.builds(
    lambda end, server, weight, limit: f"-a -t {end} -r {server} -m -w {weight}{limit}",
    st.sampled_from(ENDS),
    st.sampled_from(SERVERS),
    st.integers(0, 5),
    st.sampled_from(["", " -x 9 -y 4"]),
)
rules = st.lists(services | servers, max_size=12)


def director_with(given_lines: Sequence[str]) -> Director:
    """A director after these lines; invalid ones were refused."""
    director = Director(method=Method.NAT)
    for line in given_lines:
        try:
            director.apply([decode(command) for command in save_format.read(line)], 0)
        except LvsError:
            continue
    return director


def listed(director: Director) -> list[Service]:
    return [service.as_dict() for service in director.rules]


@given(before=rules, after=rules)
def test_the_changes_lead_from_the_old_rules_to_the_new(before: list[str], after: list[str]) -> None:
    wanted = listed(director_with(after))
    director = director_with(before)
    for line in changes(listed(director), wanted):
        director.apply([decode(command) for command in save_format.read(line)], 0)  # none is refused
    assert sorted(save_format.text(listed(director), numeric=True).splitlines()) == sorted(
        save_format.text(wanted, numeric=True).splitlines()
    )


@given(rules)
def test_equal_rules_need_no_change(given_lines: list[str]) -> None:
    there = listed(director_with(given_lines))
    assert not list(changes(there, there))


def test_servers_are_added_in_order() -> None:
    added = ["-A -t 203.0.113.1:80 -s rr", *(f"-a -t 203.0.113.1:80 -r {server} -m" for server in SERVERS)]
    commands = list(changes([], listed(director_with(added))))
    assert [line.split()[4] for line in commands if line.startswith("-a")] == list(SERVERS)


def test_the_first_matching_rule_marks_a_packet() -> None:
    mark = Mark.of(AddMark(7, "203.0.113.0/24", TCP, 80, 81))
    assert "ip daddr 203.0.113.0/24 meta l4proto tcp th dport 80-81 meta mark set 7 accept" in marks_script(
        [mark]
    )
    assert marks_script([]) == "table ip lvs_marks\ndelete table ip lvs_marks\n"


def test_marks_of_ipv6_have_a_table_of_their_own() -> None:
    script = marks_script([Mark.of(AddMark(7, "2001:db8::/64", TCP))], {4, 6})
    assert "table ip lvs_marks {" not in script
    assert "ip6 daddr 2001:db8::/64 meta l4proto tcp" in script.partition("table ip6 lvs_marks {")[2]


PERCPU = """\
       Total Incoming Outgoing         Incoming         Outgoing
CPU    Conns  Packets  Packets            Bytes            Bytes
  0        5       1E        A              500              300
  1        1        2        0               64                0
  ~        {conns}       20        A              564              300

     Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
           0        0        0                0                0
"""
STATS = """\
   Total Incoming Outgoing         Incoming         Outgoing
   Conns  Packets  Packets            Bytes            Bytes
       6       20        A              564              300

 Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
       0        0        0                0                0
"""
CONNECTIONS = """\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP C6336465 2711 CB007101 0050 AC100002 0050 ESTABLISHED     899
TCP 2001:0db8:0001:0000:0000:0000:0000:0065 1388 2001:0db8:0000:0000:0000:0000:0000:0080 0050 \
fd00:0000:0000:0000:0000:0000:0000:0002 1F40 SYN_RECV         57
TCP 2001:0db8:0001:0000:0000:0000:0000:0065 1388 2001:0db8:0000:0000:0000:0000:0000:0080 005D \
C0000203 005D SYN_RECV         57
IP  C6336465 0000 00000007 0000 AC100002 0000 ASSURED          59
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    return tmp_path / "net"


@pytest.mark.parametrize(("conns", "up_to_date"), [("6", True), ("5", False)])
def test_counters_are_current_once_they_are_added_up(net: Path, conns: str, up_to_date: bool) -> None:
    (net / "ip_vs_stats_percpu").write_text(PERCPU.format(conns=conns))
    assert KernelIpvs(net.parent).is_up_to_date() is up_to_date


def test_totals(net: Path) -> None:
    (net / "ip_vs_stats").write_text(STATS)
    assert list(KernelIpvs(net.parent).totals().values()) == [6, 32, 10, 1380, 768]


def test_connections(net: Path) -> None:
    (net / "ip_vs_conn").write_text(CONNECTIONS)
    known, six, mixed, template = KernelIpvs(net.parent).connections()
    assert (six["client"], six["vip"], six["server"]) == (
        "[2001:db8:1::65]:5000",
        "[2001:db8::80]:80",
        "[fd00::2]:8000",
    )
    assert mixed["server"] == "192.0.2.3:93"
    assert known["client"] == "198.51.100.101:10001"
    assert (known["vip"], known["server"], known["state"]) == (
        "203.0.113.1:80",
        "172.16.0.2:80",
        "ESTABLISHED",
    )
    assert (template["protocol"], template["vip"], template["expires"]) == ("IP", "0.0.0.7:0", 59)


LISTED = {
    "--stats": """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  203.0.113.1:80                      3       12        9   123456    99999
  -> 172.16.0.2:80                       3       12        9   123456    99999
FWM  7                                   0        0        0        0        0
TCP  [2001:db8::80]:80                   1        2        3        4        5
  -> [2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:90        1        2        3        4        5
FWM  7 IPv6                              6        6        6        6        6
""",
    "--exact": """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  203.0.113.1:80 rr
  -> 172.16.0.2:80                Masq    1      2          1
FWM  7 rr persistent 60
TCP  [2001:db8::80]:80 rr
  -> [2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:90 Masq    1      4          3
FWM  7 IPv6 rr persistent 60
""",
}


def test_counters_of_services_and_servers() -> None:
    def answer(command: Sequence[str], _text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, LISTED[command[-1]], "")

    counted = KernelIpvs(run=answer).counted()
    long = "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:90"
    assert counted["TCP", "[2001:db8::80]:80", long].load == (4, 3)
    assert list(counted["FWM", "7 IPv6"].counters.values()) == [6, 6, 6, 6, 6]
    server = counted["TCP", "203.0.113.1:80", "172.16.0.2:80"]
    assert (server.counters["connections"], server.counters["bytes_out"], server.load) == (3, 99999, (2, 1))
    assert counted["FWM", "7"].counters["packets_in"] == 0


def test_a_refusal_is_reported_in_the_kernels_words() -> None:
    refused = subprocess.CompletedProcess([], 0, "", "No such service\n")
    kernel = KernelIpvs(run=lambda _command, _text: refused)
    with pytest.raises(EngineError, match="No such service"):
        kernel.restore(["-D -t 203.0.113.1:80"])


def test_what_is_missing_is_reported_before_anything_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(EngineError, match="needs root"):
        require("ipvs")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(prerequisites, "is_initial_root", lambda: True)
    monkeypatch.setattr(prerequisites, "program", lambda: None)
    with pytest.raises(EngineError, match="apt-get install ipvsadm"):
        require("ipvs")
    monkeypatch.setattr(prerequisites, "program", lambda: "/usr/sbin/ipvsadm")
    monkeypatch.setattr(prerequisites, "_load_modules", lambda: None)
    monkeypatch.setattr(prerequisites, "_TABLE", Path("/nowhere"))
    with pytest.raises(EngineError, match="no IPVS"):
        require("ipvs")


def test_the_scapy_engine_has_no_prerequisites() -> None:
    require("scapy")


class FakeIpvs(KernelIpvs):
    """The rules, timeouts, sysctls and marks of a kernel, which can refuse any of them."""

    def __init__(self, proc: Path) -> None:
        super().__init__(proc)
        self.commands: list[str] = []
        self.marks = ""
        self.refuses = ""
        self.sysctls.mkdir(parents=True)
        self.forwarding[IPV4].write_text("0")
        for name, value in Sysctls().as_dict().items():
            (self.sysctls / name).write_text(f"{value}\n")

    def has_rules(self) -> bool:
        return False

    def restore(self, lines: Sequence[str]) -> None:
        self.commands += lines
        if self.refuses == "rules":
            self.refuses = ""
            raise EngineError("no such rule.")

    def load_marks(self, marks: Sequence[Mark]) -> None:
        if self.refuses == "marks":
            raise EngineError("no nft.")
        self.marks = marks_script(marks)

    def state(self) -> tuple[object, ...]:
        """The rules as the lines that were carried out leave them, and all settings."""
        rules: dict[str, str] = {}
        timeouts = ""
        for line in self.commands:
            verb, _, rest = line.partition(" ")
            if verb == "-C":
                rules.clear()
            elif verb == "--set":
                timeouts = rest
            elif verb in ("-D", "-d"):
                rules = {at: how for at, how in rules.items() if not at.startswith(rest)}
            else:
                words = rest.split()
                end = 4 if verb in ("-a", "-e") else 2
                rules[" ".join(words[:end])] = " ".join(words[end:])
        settings = {path.name: path.read_text() for path in self.sysctls.iterdir() if path.is_file()}
        return rules, timeouts, settings, self.marks


@pytest.mark.parametrize("refuses", ["rules", "sysctls", "marks"])
def test_a_refusal_leaves_the_kernel_as_it_was(refuses: str, tmp_path: Path) -> None:
    fake = FakeIpvs(tmp_path)
    director = director_with([f"-A -t {ENDS[0]} -s rr", f"-a -t {ENDS[0]} -r {SERVERS[0]} -m"])
    engine = IpvsEngine(fake)
    engine.start(director, None)  # type: ignore[arg-type]
    director.apply([SetTimeouts(900, 120, 300)], 0)
    engine.install_rules()
    fake.restore(["--set 900 120 300"])
    before = fake.state()
    service = ServiceKey(TCP, Endpoint("203.0.113.1", 81))
    transaction = activated(
        director,
        [
            AddService(service),
            AddServer(service, Endpoint("172.16.0.9", 81)),
            SetTimeouts(9, 8, 7),
            SetSysctl("conn_reuse_mode", 0),
            SetSysctl("pmtu_disc", 0),
            AddMark(7, "203.0.113.0/24", TCP, 80, 81),
        ],
    )
    fake.refuses = refuses
    if refuses == "sysctls":
        (fake.sysctls / "pmtu_disc").unlink()
        (fake.sysctls / "pmtu_disc").mkdir()
        before = fake.state()
    with pytest.raises(EngineError):
        engine.install_rules()
    assert fake.state() == before
    director.roll_back(transaction)
    fake.refuses = ""
    engine.install_rules()
    assert fake.state() == before


def test_the_end_restores_what_it_can(tmp_path: Path) -> None:
    """`ipvsadm -C` fails, but the marks and settings do not stay."""
    fake = FakeIpvs(tmp_path)
    director = director_with([f"-A -t {ENDS[0]} -s rr"])
    director.apply([SetSysctl("conn_reuse_mode", 0), AddMark(7, "203.0.113.0/24", TCP, 80, 81)], 0)
    setting = fake.sysctls / "conn_reuse_mode"
    before = setting.read_text()
    engine = IpvsEngine(fake)
    engine.start(director, None)  # type: ignore[arg-type]
    engine.install_rules()
    assert setting.read_text() != before
    fake.refuses = "rules"
    with pytest.raises(EngineError):
        engine.close()
    assert (setting.read_text(), fake.marks) == (before, marks_script(()))


@pytest.mark.parametrize(
    "ask",
    [
        lambda kernel: kernel.restore(["-C"]),
        lambda kernel: kernel.ipvsadm("-L", "--daemon"),
        lambda kernel: kernel.load_marks([]),
    ],
)
def test_a_program_that_is_killed_says_nothing(tmp_path: Path, ask: Callable[[KernelIpvs], object]) -> None:
    kernel = KernelIpvs(tmp_path, lambda command, _text: subprocess.CompletedProcess(command, -9, "", ""))
    with pytest.raises(EngineError, match="exit code -9"):
        ask(kernel)
